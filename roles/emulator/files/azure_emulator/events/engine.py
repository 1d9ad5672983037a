# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of events (contract section 6.4): scheduled, approved or due, started, impact, gone; or cancelled.

No clock is read here: every call says at which moment it happens, and what is to come goes onto the timeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from azure_emulator.errors import InputError, NotFoundError
from azure_emulator.events.kinds import HARDWARE_FAILURE, KINDS
from azure_emulator.events.machines import FROZEN, OFF, TERMINATED, Machines
from azure_emulator.events.model import CANCELLED, GONE, SCHEDULED, STARTED, Event, EventSpec, Impact
from azure_emulator.fleet.identifiers import made_up_guid

if TYPE_CHECKING:
    from azure_emulator.clock import Timeline
    from azure_emulator.fleet.model import Fleet, Vm

Log = Callable[..., None]
_REMEMBERED = 10_000
_REMEMBERED_APPROVALS = 100  # of an event; a client that approves at every poll shall not fill the memory


class Engine:
    """All events of the neighbourhood, and the incarnation of each scope's document.

    Args:
        fleet: the VMs. machines: their states. timeline: what is to come.
        log: called with the moment, the kind of the entry, and details.
    """

    def __init__(self, fleet: Fleet, machines: Machines, timeline: Timeline, log: Log) -> None:
        self._fleet, self._machines, self._timeline, self._log = fleet, machines, timeline, log
        self.events: dict[str, Event] = {}
        self._open: dict[str, list[Event]] = {}
        self._made = 0
        self._incarnations: dict[str, int] = {}

    # What readers ask

    def incarnation(self, scope: str) -> int:
        """How often the scope's document has changed, from 1 on."""
        return self._incarnations.get(scope, 1)

    def open_events(self, scope: str) -> list[Event]:
        """The events in a scope's document, in the order in which they were scheduled."""
        return self._open.get(scope, [])

    def event(self, event_id: str) -> Event:
        """An event by its id, in any case.

        Raises:
            NotFoundError: there is none.
        """
        found = self.events.get(event_id.lower())
        if found is None:
            raise NotFoundError(f"no event {event_id!r}")
        return found

    def _remember(self, event: Event) -> None:
        self.events[event.event_id.lower()] = event
        self._open.setdefault(event.scope, []).append(event)
        if len(self.events) > _REMEMBERED:
            oldest = next((key for key, old in self.events.items() if not old.is_open), None)
            if oldest is not None:
                del self.events[oldest]

    # What can be asked of it

    def schedule(self, spec: EventSpec, at: float) -> Event:
        """Announce an event, or let it appear as Started.

        Raises:
            InputError: no VMs, an unknown or unfit VM, VMs of different scopes, or an EventId that is taken.
        """
        event = self._make(spec, self._resources(spec), at)
        self._remember(event)
        event.note(at, "scheduled", not_before=event.not_before)
        self._log(at, "event_scheduled", event_id=event.event_id, type=spec.type, resources=list(event.resources))
        if spec.started:
            self._start(event, at)
            return event
        self._bump(event.scope)
        self._await_not_before(event)
        return event

    def approve(self, event_id: str, by: str, at: float) -> Event:
        """A VM in scope lets it start; for all its resources. Once more is fine, and so is too late.

        Raises:
            NotFoundError: there is no such event in the document.
        """
        event = self.event(event_id)
        if not event.is_open:
            raise NotFoundError(f"no open event {event_id!r}")
        if event.phase == SCHEDULED and len(event.approvals) < _REMEMBERED_APPROVALS:
            event.approvals.append((by, at))
            event.note(at, "approved", by=by)
            self._log(at, "event_approved", event_id=event.event_id, by=by)
            if len(event.approvals) == 1:
                self._consider_coupled(event, at)
        return event

    def cancel(self, event_id: str, at: float) -> Event:
        """Azure thinks better of it: the event vanishes without ever having started.

        Raises:
            NotFoundError: there is none. InputError: it has started or is gone.
        """
        event = self.event(event_id)
        if event.phase != SCHEDULED:
            raise InputError("event_id", f"the event is {event.phase}; only a scheduled one can be cancelled")
        self._end(event, CANCELLED, at)
        self._consider_coupled(event, at)
        return event

    def reschedule(self, event_id: str, not_before: float, at: float) -> Event:
        """Azure moves the earliest start of the same event.

        Args:
            event_id: which.
            not_before: seconds from now.
            at: now.

        Raises:
            NotFoundError: there is none. InputError: it has started or is gone.
        """
        event = self.event(event_id)
        if event.phase != SCHEDULED:
            raise InputError("event_id", f"the event is {event.phase}; only a scheduled one can be moved")
        event.not_before = at + not_before
        event.note(at, "rescheduled", not_before=event.not_before)
        self._log(at, "event_rescheduled", event_id=event.event_id, not_before=event.not_before)
        _cancel_timers(event)
        self._bump(event.scope)
        self._await_not_before(event)
        if event.approved:
            self._consider_coupled(event, at)
        return event

    # Making one

    def _resources(self, spec: EventSpec) -> list[Vm]:
        if not spec.resources:
            raise InputError("resources", "an event touches at least one VM")
        vms: list[Vm] = []
        for index, name in enumerate(spec.resources):
            path = f"resources[{index}]"
            try:
                vm = self._fleet.vm(name)
            except NotFoundError as exc:
                raise InputError(path, str(exc)) from exc
            if vm in vms:
                raise InputError(path, f"{name} comes twice")
            if (state := self._machines.state(vm.key)) in (*OFF, TERMINATED):
                raise InputError(path, f"{name} is {state}; events touch running VMs")
            vms.append(vm)
        others = [vm.key for vm in vms if vm.scope != vms[0].scope]
        if others:
            raise InputError(
                "resources",
                f"{vms[0].key} and {', '.join(others)} do not share an availability set or a placement group, so no"
                " document would show both; schedule one event for each",
            )
        return vms

    def _make(self, spec: EventSpec, vms: list[Vm], at: float) -> Event:
        kind = KINDS[spec.type]
        source = spec.source or kind.source
        check_event(spec)
        usual = HARDWARE_FAILURE if spec.started else kind.description[source]
        really = KINDS.get(spec.impact_type or spec.type)
        impact = really.impact if really else 0.0
        if really is KINDS["Freeze"] and spec.duration is not None and spec.duration >= 0:
            impact = float(spec.duration)  # a pause lasts as long as was said, unless told otherwise
        notice = spec.not_before if spec.not_before is not None else self._notice(spec, vms)
        return Event(
            event_id=self._event_id(spec),
            spec=spec,
            resources=tuple(vm.key for vm in vms),
            names=tuple(vm.name for vm in vms),
            scope=vms[0].scope,
            source=source,
            description=spec.description if spec.description is not None else usual,
            duration=spec.duration if spec.duration is not None else kind.duration,
            impact=spec.impact if spec.impact is not None else impact,
            settle=spec.settle if spec.settle is not None else kind.settle,
            not_before=at if spec.started else at + notice,
            scheduled_at=at,
        )

    def _notice(self, spec: EventSpec, vms: list[Vm]) -> float:
        """The type's minimum; a deletion's is what the VM's owner has set (contract section 6.8)."""
        if spec.type == "Terminate":
            return min(vm.spec.terminate_notification or KINDS["Terminate"].notice for vm in vms)
        return KINDS[spec.type].notice

    def _event_id(self, spec: EventSpec) -> str:
        """As given, or made up: upper-case, as real ones often are."""
        if spec.event_id is None:
            self._made += 1
            return made_up_guid(self._fleet.seed, "event", str(self._made)).upper()
        if spec.event_id.lower() in self.events:
            raise InputError("event_id", f"{spec.event_id} is taken; each event has its own")
        return spec.event_id

    # Its life

    def _await_not_before(self, event: Event) -> None:
        event.timers.append(self._timeline.at(event.not_before, lambda due: self._not_before(event, due)))

    def _not_before(self, event: Event, at: float) -> None:
        event.note(at, "not_before_reached")
        self._start(event, at)
        self._consider_coupled(event, at)

    def _consider_coupled(self, event: Event, at: float) -> None:
        """Begin what was approved, once nothing that it is coupled with still waits for approval."""
        word = event.spec.coupled
        group = [e for e in self.events.values() if word and e.spec.coupled == word] or [event]
        waiting = [e for e in group if e.phase == SCHEDULED]
        if all(e.approved for e in waiting):
            for each in waiting:
                self._begin_soon(each, at)

    def _begin_soon(self, event: Event, at: float) -> None:
        """Start after an approval: a little later, not before the host's other tenants, never after NotBefore."""
        others = event.spec.other_tenants
        if others is None:
            return
        start = max(at + event.spec.start_after_approval, event.scheduled_at + others)
        if start < event.not_before:
            event.timers.append(self._timeline.at(start, lambda due: self._start(event, due)))

    def _start(self, event: Event, at: float) -> None:
        if event.phase != SCHEDULED:
            return
        _cancel_timers(event)
        event.phase, event.started_at = STARTED, at
        event.note(at, "started")
        self._log(at, "event_started", event_id=event.event_id, type=event.spec.type, resources=list(event.resources))
        self._bump(event.scope)
        self._later(event, at, event.spec.impact_after, self._impact_begin)

    def _later(self, event: Event, at: float, delay: float, step: Callable[[Event, float], None]) -> None:
        if delay:
            event.timers.append(self._timeline.at(at + delay, lambda due: step(event, due)))
        else:
            step(event, at)

    def _impact_begin(self, event: Event, at: float) -> None:
        kind = event.spec.impact_type or event.spec.type
        if kind != "None" and event.impact != 0:
            for key in event.resources:
                self._hit(event, key, kind, at)
        self._later(event, at, event.impact or 0.0, self._impact_end)

    def _hit(self, event: Event, key: str, kind: str, at: float) -> None:
        if self._machines[key].power in (*OFF, TERMINATED):
            return  # gone in the meantime, for another reason
        event.impacts[key] = Impact(kind, begin=at)
        event.note(at, "impact_began", vm=key, type=kind)
        self._log(at, "impact_began", event_id=event.event_id, vm=key, type=kind)
        if event.impact is None:
            delete = kind == "Terminate" or self._fleet.vms[key].spec.eviction_policy == "Delete"
            power = TERMINATED if delete else "deallocated"
            self._machines.set_power(key, power, at=at, event_id=event.event_id)
            return
        state = KINDS[kind].while_away
        resumes = at + event.impact if state == FROZEN else None
        self._machines.begin(key, event.event_id, state, resumes_at=resumes, at=at)

    def _impact_end(self, event: Event, at: float) -> None:
        for key, impact in event.impacts.items():
            if event.impact is not None:
                impact.end = at
                event.note(at, "impact_ended", vm=key)
                self._log(at, "impact_ended", event_id=event.event_id, vm=key, type=impact.kind)
                self._machines.end(key, event.event_id, at=at)
        self._later(event, at, event.settle, lambda e, due: self._end(e, GONE, due))

    def _end(self, event: Event, phase: str, at: float) -> None:
        _cancel_timers(event)
        event.phase, event.ended_at = phase, at
        self._open[event.scope].remove(event)
        event.note(at, phase)
        self._log(at, f"event_{phase}", event_id=event.event_id)
        self._bump(event.scope)

    def _bump(self, scope: str) -> None:
        self._incarnations[scope] = self.incarnation(scope) + 1


def check_event(spec: EventSpec) -> None:
    """Refuse an event that contradicts itself.

    Raises:
        InputError: with the key.
    """
    really = KINDS.get(spec.impact_type or spec.type)
    if spec.impact is not None and really is not None and really.impact is None:
        raise InputError("impact", f"a VM does not come back from a {spec.impact_type or spec.type}")
    if spec.impact and spec.impact_type == "None":
        raise InputError("impact", "the impact_type None leaves the VMs alone")
    if spec.started and spec.not_before:
        raise InputError("not_before", "an event that appears as Started has none")


def _cancel_timers(event: Event) -> None:
    for timer in event.timers:
        timer.cancel()
    event.timers.clear()


__all__ = ["Engine", "Log", "check_event"]
