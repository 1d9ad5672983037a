# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does something agree with what was expected of it? And if not, where, in a sentence."""

from __future__ import annotations

import json
from typing import Any


def difference(expected: Any, actual: Any, path: str = "") -> str | None:
    """The first place at which the two do not agree; None when they do.

    Mappings may have more keys than expected, lists must have as many entries.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name, value in expected.items():
            place = f"{path}.{name}" if path else str(name)
            if name not in actual:
                return f"{place} is missing"
            found = difference(value, actual[name], place)
            if found:
                return found
        return None
    if isinstance(expected, (list, tuple)) and isinstance(actual, (list, tuple)):
        if len(expected) != len(actual):
            return f"{path or 'the list'} has {len(actual)} entries, not {len(expected)}: {shown(actual)}"
        pairs = enumerate(zip(expected, actual, strict=True))
        return next((d for i, (e, a) in pairs if (d := difference(e, a, f"{path}[{i}]"))), None)
    if expected == actual and isinstance(expected, bool) == isinstance(actual, bool):
        return None
    return f"{path or 'it'} is {shown(actual)}, not {shown(expected)}"


def shown(value: Any) -> str:
    """A value on a line, cut to a sensible length."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 300 else text[:297] + "..."


__all__ = ["difference", "shown"]
