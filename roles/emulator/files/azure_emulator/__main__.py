# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m azure_emulator`` is the command ``azure-emulator``."""

from __future__ import annotations

import sys

from azure_emulator.cli import main

if __name__ == "__main__":
    sys.exit(main())
