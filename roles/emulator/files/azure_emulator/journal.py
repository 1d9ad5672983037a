# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded memories with sequence numbers: the request journal and the log of what happened."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Journal:
    """Remembers the last so many entries.

    Each entry gets ``seq``, a number that only grows, so that a reader can ask for what is new and can see a gap.
    """

    def __init__(self, limit: int) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=limit)
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
        self._entries.append(stored)
        return stored

    def since(self, seq: int = 0) -> list[dict[str, Any]]:
        """The entries with a greater number, oldest first."""
        return [entry for entry in self._entries if entry["seq"] > seq]

    def clear(self) -> None:
        """Forget all entries; the numbers go on."""
        self._entries.clear()


__all__ = ["Journal"]
