# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Time as the agent sees it: the system's, or an emulator's that runs faster (rehearsals)."""

from __future__ import annotations

import time
import typing as t

from .config import RehearsalClock


class Clock(t.Protocol):
    """Wall time in epoch seconds (NotBefore, people) and monotonic seconds (waiting)."""

    def wall(self) -> float:
        """Epoch seconds."""

    def mono(self) -> float:
        """Monotonic seconds."""

    def real(self, seconds: float) -> float:
        """How many real seconds a stretch of this clock's time takes."""


class SystemClock:
    """The machine's own clocks."""

    def wall(self) -> float:
        """Epoch seconds."""
        return time.time()

    def mono(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def real(self, seconds: float) -> float:
        """The same."""
        return seconds


class ScaledClock:
    """An emulator's clock, known by one pair of moments and its speed. Another process reads the same time from it."""

    def __init__(self, settings: RehearsalClock) -> None:
        self._settings = settings

    def wall(self) -> float:
        """Epoch seconds of the emulator."""
        return self._settings.virtual + (time.time() - self._settings.real) * self._settings.scale

    def mono(self) -> float:
        """Monotonic seconds at the emulator's speed."""
        return time.monotonic() * self._settings.scale

    def real(self, seconds: float) -> float:
        """Real seconds."""
        return seconds / self._settings.scale


def make_clock(settings: RehearsalClock | None) -> Clock:
    """The clock that a configuration asks for."""
    return SystemClock() if settings is None else ScaledClock(settings)


__all__ = ["Clock", "ScaledClock", "SystemClock", "make_clock"]
