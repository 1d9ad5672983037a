# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time in the neighbourhood, and what falls due in it.

Three kinds of clock, all of them ``virtual = anchor_virtual + (real - anchor_real) * scale``: real (scale 1), scaled,
and virtual (scale 0), which only moves when it is told to.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate

from azure_emulator.errors import InputError

# A virtual clock starts here unless told otherwise, so that a run can be repeated to the letter: a Monday morning.
VIRTUAL_START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC).timestamp()
Action = Callable[[float], None]


class Clock:
    """Tells the time in epoch seconds.

    Args:
        mode: ``real`` or ``virtual``.
        scale: how many seconds pass for each real one; only for a real clock.
        start: the first reading; None for now (real) or for a fixed Monday (virtual).
        real: the machine's own clock, injected.
    """

    def __init__(
        self,
        mode: str = "real",
        *,
        scale: float = 1.0,
        start: float | None = None,
        real: Callable[[], float] = time.time,
    ) -> None:
        if mode not in ("real", "virtual"):
            raise InputError("clock", f"{mode!r} is neither real nor virtual")
        if not 0 < scale < math.inf:
            raise InputError("--time-scale", f"{scale:g} is not greater than 0; for a clock that stands use virtual")
        if mode == "virtual" and scale != 1:
            raise InputError("--time-scale", "is for a real clock; a virtual one stands until it is put forward")
        self.mode = mode
        self.scale = scale if mode == "real" else 0.0
        self._real = real
        self.anchor_real = real()
        self.anchor_virtual = start if start is not None else VIRTUAL_START if mode == "virtual" else self.anchor_real

    @property
    def is_virtual(self) -> bool:
        """Whether the clock moves only when told to."""
        return self.mode == "virtual"

    def now(self) -> float:
        """Epoch seconds in the neighbourhood."""
        if not self.scale:
            return self.anchor_virtual
        return self.anchor_virtual + (self._real() - self.anchor_real) * self.scale

    def real_seconds_until(self, when: float) -> float | None:
        """Real seconds until a moment of this clock; None on a virtual one, where waiting brings nothing."""
        return max(0.0, (when - self.now()) / self.scale) if self.scale else None

    def set(self, when: float) -> None:
        """Put the clock forward to a moment; it never goes back."""
        real = self._real()
        self.anchor_virtual, self.anchor_real = max(when, self.now()), real


class Handle:
    """Something that will fall due; it can be called off."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Action | None) -> None:
        self.when = when
        self.action = action

    def cancel(self) -> None:
        """Call it off; harmless when it has happened."""
        self.action = None


class Timeline:
    """What falls due, in order of time and, at the same time, in the order in which it was put down."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Handle]] = []
        self._count = 0

    def at(self, when: float, action: Action) -> Handle:
        """Have an action called with the moment at which it was due."""
        handle = Handle(when, action)
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, handle))
        return handle

    def next_due(self) -> float | None:
        """When the next action is due, or None."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Handle | None:
        """Take the next action that is due by now, or None."""
        due = self.next_due()
        return heapq.heappop(self._heap)[2] if due is not None and due <= now else None


def http_date(when: float) -> str:
    """A moment in the form of RFC 1123, whole seconds, as HTTP and NotBefore have it."""
    return formatdate(when, usegmt=True)


def iso(when: float) -> str:
    """A moment in the form of ISO 8601 with milliseconds, for people and logs."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["VIRTUAL_START", "Action", "Clock", "Handle", "Timeline", "http_date", "iso"]
