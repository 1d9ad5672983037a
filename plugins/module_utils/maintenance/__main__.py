# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""``python -m azure_guest.maintenance``: the command, as its launcher on a host calls it."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
