# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What every module of the collection says of itself.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would do, without doing it.
  diff_mode:
    description: Returns what changed, or would change, in diff mode.
  idempotent:
    description: A second run right after the first changes nothing.
  platform:
    description: Operating systems of the target.
    support: full
    platforms: posix
  action_group:
    description: Is in the action group V(azure_guest.imds.imds), to set C(module_defaults) for.
    support: full
    membership:
      - azure_guest.imds.imds
"""

    # For modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - It only reads.
  diff_mode:
    support: N/A
    details:
      - It changes nothing.
  idempotent:
    support: full
    details:
      - It changes nothing.
"""
