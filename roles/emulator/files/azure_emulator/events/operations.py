# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users do to their VMs: restarts, redeploys and deletions become events where somebody listens for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from azure_emulator.errors import InputError, NotFoundError
from azure_emulator.events.kinds import KINDS, USER_NOTICE
from azure_emulator.events.machines import OFF, RUNNING, TERMINATED, Machines
from azure_emulator.events.model import Event, EventSpec
from azure_emulator.reading import choice, key, list_of, number, optional, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure_emulator.clock import Timeline
    from azure_emulator.events.engine import Engine
    from azure_emulator.fleet.model import Fleet, Vm

_EVENT_OF = {"restart": "Reboot", "redeploy": "Redeploy"}
OPERATIONS = (*_EVENT_OF, "delete", "evict", "start", "stop", "deallocate")
_POWER = {"start": RUNNING, "stop": "stopped", "deallocate": "deallocated"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """What ``POST /operations`` takes."""

    operation: str = key(choice(*OPERATIONS), "What to do.")
    resources: tuple[str, ...] = key(list_of(text()), "To which VMs.")
    impact: float | None = key(
        optional(number(minimum=0)), "restart, redeploy: how long a VM is away; null for what is usual.", default=None
    )


class Operations:
    """Carries out what users ask for (contract section 6.8).

    Args:
        fleet: the VMs. machines: their states. engine: the events. timeline: what is to come.
        watched: whether the scope of a VM has scheduled events switched on; else a user's restart is immediate.
    """

    def __init__(
        self,
        fleet: Fleet,
        machines: Machines,
        engine: Engine,
        timeline: Timeline,
        watched: Callable[[Vm], bool],
    ) -> None:
        self._fleet, self._machines, self._engine = fleet, machines, engine
        self._timeline, self._watched = timeline, watched
        self._count = 0

    def run(self, spec: OperationSpec, at: float) -> list[Event]:
        """Do it, or schedule the events that announce it; returns those.

        Raises:
            InputError: an unknown or unfit VM, or more user operations than may be open at once.
        """
        vms = self._vms(spec)
        self._count += 1
        if spec.operation in _POWER:
            for vm in vms:
                self._machines.set_power(vm.key, _POWER[spec.operation], at=at)
            return []
        if spec.operation == "delete":
            return self._delete(vms, at)
        if spec.operation == "evict":
            return [self._schedule("Preempt", vm, at, source="Platform") for vm in vms]
        return self._restart(spec, vms, at)

    def _vms(self, spec: OperationSpec) -> list[Vm]:
        if not spec.resources:
            raise InputError("resources", "name at least one VM")
        vms: list[Vm] = []
        for index, name in enumerate(spec.resources):
            try:
                vm = self._fleet.vm(name)
            except NotFoundError as exc:
                raise InputError(f"resources[{index}]", str(exc)) from exc
            self._refuse_unfit(vm, spec.operation, f"resources[{index}]")
            vms.append(vm)
        return vms

    def _refuse_unfit(self, vm: Vm, operation: str, path: str) -> None:
        state = self._machines.state(vm.key)
        if state == TERMINATED or (state in OFF and operation not in ("start", "delete", "deallocate")):
            raise InputError(path, f"{vm.key} is {state}")
        if operation == "evict" and vm.spec.priority == "Regular":
            raise InputError(path, f"{vm.key} is no Spot VM; only those are evicted")

    def _restart(self, spec: OperationSpec, vms: list[Vm], at: float) -> list[Event]:
        """One event for each VM, which waits up to 15 minutes; where nobody listens the VM goes down at once."""
        announced = [vm for vm in vms if self._watched(vm)]
        self._refuse_too_many(len(announced))
        events: list[Event] = []
        for vm in vms:
            if vm not in announced:
                self._outage(vm, _EVENT_OF[spec.operation], spec.impact, at)
                continue
            event = self._schedule(
                _EVENT_OF[spec.operation], vm, at, source="User", not_before=USER_NOTICE, impact=spec.impact
            )
            if vm.spec.approve_user_operations:
                self._engine.approve(event.event_id, "policy", at)
            events.append(event)
        return events

    def _refuse_too_many(self, count: int) -> None:
        limit = self._fleet.api.scheduled_events.user_operations
        waiting = sum(e.is_open and e.source == "User" for e in self._engine.events.values())
        if limit is not None and waiting + count > limit:
            raise InputError("resources", f"{waiting} user operations are open; no more than {limit} can be at once")

    def _outage(self, vm: Vm, event_type: str, impact: float | None, at: float) -> None:
        kind = KINDS[event_type]
        label = f"operation-{self._count}"
        self._machines.begin(vm.key, label, kind.while_away, at=at)
        end = at + (impact if impact is not None else kind.impact or 0.0)
        self._timeline.at(end, lambda due: self._machines.end(vm.key, label, at=due))

    def _delete(self, vms: list[Vm], at: float) -> list[Event]:
        """VMs with a notice get coupled events: each waits until the others are approved or their time is up."""
        announced = [vm for vm in vms if vm.spec.terminate_notification is not None]
        for vm in vms:
            if vm not in announced:
                self._machines.set_power(vm.key, TERMINATED, at=at)
        coupled = f"deletion-{self._count}"
        return [self._schedule("Terminate", vm, at, source="User", coupled=coupled) for vm in announced]

    def _schedule(
        self,
        event_type: str,
        vm: Vm,
        at: float,
        *,
        source: str,
        not_before: float | None = None,
        impact: float | None = None,
        coupled: str | None = None,
    ) -> Event:
        spec = EventSpec(
            type=event_type,
            resources=(vm.key,),
            source=source,
            not_before=not_before,
            impact=impact,
            coupled=coupled,
        )
        return self._engine.schedule(spec, at)


__all__ = ["OPERATIONS", "OperationSpec", "Operations"]
