# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded memories with sequence numbers: the request journal and the log of what happened."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from azure_emulator.errors import InputError
from azure_emulator.imds.checks import CATEGORIES
from azure_emulator.resource_manager.calls import CALLS, VIRTUAL_MACHINES_STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping


JOURNAL_CATEGORIES = (*CATEGORIES, *(call for call in CALLS if call != VIRTUAL_MACHINES_STATUS))
"""Names under which requests are remembered, besides the empty one for an unknown path."""
# What an entry may take on average, counted roughly; a few long ones among many short ones do no harm.
_SHARE = 4096
_ENTRY, _FIELD = 500, 100


class Journal:
    """Remembers the last so many entries, and fewer of them when they are long, so that memory stays bounded.

    Each entry gets ``seq``, a number that only grows, so that a reader can ask for what is new and can see a gap.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise InputError("--journal-limit", f"{limit} is less than 1")
        self._entries: deque[dict[str, Any]] = deque()
        self._sizes: deque[int] = deque()
        self._limit, self._budget = limit, limit * _SHARE
        self._size = 0
        self._next = 1

    @property
    def last(self) -> int:
        """The number of the newest entry ever made; 0 before the first."""
        return self._next - 1

    @property
    def dropped(self) -> int:
        """How many entries are no longer remembered, forgotten or cleared."""
        return self.last - len(self._entries)

    def add(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Remember an entry; returns it with its number."""
        stored = {"seq": self._next, **entry}
        self._next += 1
        size = _ENTRY + sum(map(_weight, entry.values()))
        self._entries.append(stored)
        self._sizes.append(size)
        self._size += size
        while len(self._entries) > self._limit or self._size > self._budget:
            self._entries.popleft()
            self._size -= self._sizes.popleft()
        return stored

    def since(self, seq: int = 0) -> list[dict[str, Any]]:
        """The entries with a greater number, oldest first."""
        return [entry for entry in self._entries if entry["seq"] > seq]

    def clear(self) -> None:
        """Forget all entries; the numbers go on."""
        self._entries.clear()
        self._sizes.clear()
        self._size = 0


def _weight(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_FIELD + len(str(name)) + len(str(item)) for name, item in value.items())
    return len(value) * _FIELD if isinstance(value, (list, tuple)) else 0


__all__ = ["JOURNAL_CATEGORIES", "Journal"]
