# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The version of the library, which is the collection's; a test holds it equal to galaxy.yml."""

from __future__ import annotations

VERSION = "0.1.0"

__all__ = ["VERSION"]
