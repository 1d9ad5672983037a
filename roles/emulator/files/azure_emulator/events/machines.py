# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of the fleet's VMs: running, away because of an event, or gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

RUNNING = "running"
FROZEN = "frozen"
DOWN = ("rebooting", "redeploying")
OFF = ("stopped", "deallocated")
TERMINATED = "terminated"
STATES = (RUNNING, FROZEN, *DOWN, *OFF, TERMINATED)
# While several events hit a VM at once, the one that hits hardest shows.
_HARDNESS = (FROZEN, "rebooting", "redeploying", "deallocated", TERMINATED)


@dataclass(slots=True)
class Machine:
    """A VM's state.

    Attributes:
        power: ``running``, ``stopped``, ``deallocated`` or ``terminated``: what stays.
        away: outages under way, by the id of their event.
        boots: counts how often it came up; connections from before do not survive.
        resumes_at: end of a pause in epoch seconds, while frozen.
    """

    power: str = RUNNING
    away: dict[str, str] = field(default_factory=dict)
    boots: int = 0
    resumes_at: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The state that shows."""
        if self.power != RUNNING or not self.away:
            return self.power
        return max(self.away.values(), key=_HARDNESS.index)

    @property
    def answers(self) -> bool:
        """Whether its metadata service takes connections; a frozen VM's does, but answers later."""
        return self.state in (RUNNING, FROZEN)


Watcher = Callable[[str, str, str, dict[str, Any]], None]


class Machines:
    """All VMs' states. A watcher is told of each change: key, old state, new state, details.

    ``population`` is another number whenever a VM has been deleted, or is there again.
    """

    def __init__(self, states: Iterable[tuple[str, str]], watcher: Watcher) -> None:
        self._machines = {key: Machine(power=power) for key, power in states}
        self._watcher = watcher
        self.population = 0

    def __getitem__(self, key: str) -> Machine:
        return self._machines[key]

    def state(self, key: str) -> str:
        """The state of a VM."""
        return self._machines[key].state

    def begin(self, key: str, event_id: str, state: str, *, resumes_at: float | None = None, at: float) -> None:
        """An outage begins; ``resumes_at`` for a pause."""
        machine = self._machines[key]
        before = machine.state
        machine.away[event_id] = state
        if state == FROZEN and resumes_at is not None:
            machine.resumes_at[event_id] = resumes_at
        self._changed(key, before, at=at, event_id=event_id)

    def end(self, key: str, event_id: str, *, at: float) -> None:
        """An outage is over."""
        machine = self._machines[key]
        before = machine.state
        ended = machine.away.pop(event_id, None)
        machine.resumes_at.pop(event_id, None)
        if ended in DOWN and machine.power == RUNNING:
            machine.boots += 1
        self._changed(key, before, at=at, event_id=event_id)

    def set_power(self, key: str, power: str, *, at: float, event_id: str | None = None) -> None:
        """Switch a VM on or off, or delete it."""
        machine = self._machines[key]
        before = machine.state
        if power == RUNNING and machine.power != RUNNING:
            machine.boots += 1
        machine.power = power
        if power != RUNNING:
            machine.away.clear()
            machine.resumes_at.clear()
        self._changed(key, before, at=at, event_id=event_id)

    def frozen_until(self, key: str) -> float | None:
        """When a frozen VM answers again; None when it is not frozen."""
        machine = self._machines[key]
        return max(machine.resumes_at.values(), default=None) if machine.state == FROZEN else None

    def _changed(self, key: str, before: str, *, at: float, event_id: str | None) -> None:
        after = self._machines[key].state
        if after != before:
            self.population += TERMINATED in (before, after)
            self._watcher(key, before, after, {"at": at, "event_id": event_id})


__all__ = ["DOWN", "FROZEN", "OFF", "RUNNING", "STATES", "TERMINATED", "Machine", "Machines", "Watcher"]
