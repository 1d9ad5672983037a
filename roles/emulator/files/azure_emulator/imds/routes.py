# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes into a document, and its text form (contract section 4)."""

from __future__ import annotations

from typing import Any


class RouteError(LookupError):
    """The route leads nowhere."""


def walk(document: Any, parts: list[str]) -> Any:
    """Follow object keys and array indexes; all of it is case-sensitive.

    Raises:
        RouteError: a key that is not there, an index out of range, or a step below a value.
    """
    for part in parts:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and _is_index(part) and int(part) < len(document):
            document = document[int(part)]
        else:
            raise RouteError(part)
    return document


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")


def as_text(value: Any) -> str:
    """A value bare; a container as a listing, one child to a line, ``/`` after those that are containers."""
    if isinstance(value, (dict, list)):
        children = value.items() if isinstance(value, dict) else enumerate(value)
        return "\n".join(f"{name}/" if isinstance(item, (dict, list)) else str(name) for name, item in children)
    return value if isinstance(value, str) else str(value).lower()


__all__ = ["RouteError", "as_text", "walk"]
