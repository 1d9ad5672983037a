# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words by which a user picks something of a machine for its host's name or address. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record

INVENTORY_HOSTNAME = "inventory_hostname"
_FIELD = re.compile(r"[a-z_][a-z0-9_]*")
_TAG = re.compile(r"tags\.([^\s()|~\[\]{}'\"]+)")
_NOT_TEXT = ("tags", "redeploy_status", "maintenance", "raw", "problems")


class Word(NamedTuple):
    """A field, a tag or, as the last resort, an expression for Jinja2."""

    kind: str
    value: str


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message that names the known word nearest to an unknown one; empty when none is near."""
    import difflib  # noqa: PLC0415 only for those who err

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def read_words(option: str, entries: Sequence[str], prefix: str) -> list[Word]:
    """What the entries of an option mean.

    Raises:
        ValueError: a single word that is no field; the text names the nearest.
    """
    return [_read(option, entry, prefix) for entry in entries]


def _read(option: str, entry: str, prefix: str) -> Word:
    tag = _TAG.fullmatch(entry.removeprefix(prefix))
    if tag:
        return Word("tag", tag.group(1))
    field = entry.removeprefix(prefix)
    if not _FIELD.fullmatch(entry):
        if not entry.strip():
            raise ValueError(f"{option}: an empty entry")
        return Word("expression", entry)  # the object itself: a copy would lose the mark of a trusted template
    if field == INVENTORY_HOSTNAME or (field in FIELDS and field not in _NOT_TEXT):
        return Word("field", field)
    hint = nearest(field, [*FIELDS, INVENTORY_HOSTNAME])
    raise ValueError(f"{option}: {entry!r} is no field of a machine that could be used here{hint}")


def plain_value(word: Word, record: Record, inventory_name: str | None) -> str | None:
    """What a field or a tag holds, the first of several; None when there is nothing."""
    if word.kind == "tag":
        tags = record["tags"]
        if word.value in tags:
            return tags[word.value] or None
        return next((value for name, value in tags.items() if name.lower() == word.value.lower()), None) or None
    if word.value == INVENTORY_HOSTNAME:
        return inventory_name
    values: Any = record
    value = values[word.value]
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else str(value)


__all__ = ["INVENTORY_HOSTNAME", "Word", "nearest", "plain_value", "read_words"]
