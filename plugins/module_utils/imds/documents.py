# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The instance document: its shape checked, its strings turned into values.

Every value under ``/instance`` is a JSON string, and one that does not apply is ``""`` (contract section 3.2). Here a
number is an int, a boolean a bool, and what does not apply is None; so is a field that the api-version does not have.
"""

from __future__ import annotations

import typing as t

from .errors import BadAnswerError

JsonObject = t.Mapping[str, t.Any]


def text(value: t.Any) -> str | None:
    """A string as it is, a number as one; None for an empty or absent one and for whatever else there is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def integer(value: t.Any) -> int | None:
    """The int in a string (or an int itself), None for an empty, absent or non-numeric one."""
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def boolean(value: t.Any) -> bool | None:
    """The bool in ``"true"`` or ``"false"`` of any case, None for anything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def walk(document: t.Any, *keys: str) -> t.Any:
    """The element below nested objects, None where a level is absent or not an object."""
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def objects(value: t.Any) -> list[JsonObject]:
    """The objects in a JSON array; an absent or other value has none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def parse_tags(compute: JsonObject) -> dict[str, str]:
    """Tags by name, verbatim.

    From ``tagsList`` where the service has it (2019-06-04), else from the old ``tags`` string ``k:v;k:v``, in which a
    ``:`` or ``;`` inside a name or value cannot be told from a separator: the first ``:`` ends the name, and a part
    without one continues the value before it.
    """
    if isinstance(compute.get("tagsList"), list):
        return {
            str(tag["name"]): str(tag.get("value") or "") for tag in objects(compute["tagsList"]) if tag.get("name")
        }
    tags: dict[str, str] = {}
    last = None
    for part in (text(compute.get("tags")) or "").split(";"):
        name, colon, value = part.partition(":")
        if colon:
            tags[name] = value
            last = name
        elif part and last is not None:
            tags[last] += ";" + part
        elif part:
            tags[part] = ""
    return tags


def check_instance(value: t.Any) -> dict[str, t.Any]:
    """The instance document, once it is sure to be one.

    Returns:
        The same object. ``compute`` is absent on classic VMs, ``network`` may be.

    Raises:
        BadAnswerError: not an object, or without both parts, or with a part that is not an object.
    """
    if not isinstance(value, dict) or not ("compute" in value or "network" in value):
        raise BadAnswerError("the answer is JSON but no instance document: it has neither compute nor network")
    for part in ("compute", "network"):
        if part in value and not isinstance(value[part], dict):
            raise BadAnswerError(f"the instance document's {part} is not an object")
    return value


__all__ = ["boolean", "check_instance", "integer", "objects", "parse_tags", "text", "walk"]
