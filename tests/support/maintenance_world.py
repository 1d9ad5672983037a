"""A small world for maintenance agents: a clock, an Azure, hooks that end as told, and a journal that survives crashes.

Each stand-in is at an edge of the agent (what it reads, starts and writes); the agent and its decisions are the real
ones. ``World.check`` is called after everything that happens and holds the handler's promises.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.errors import UnreachableError
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import Event, EventsDocument
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config as configuration
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.agent import Agent, Identity, Parts
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.decide import Operator
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.document import Member
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.memory import MemoryStore
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.store import StoreError
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.journal import Loaded

START = 1_800_000_000.0


class BrokenError(AssertionError):
    """A promise of the handler was broken."""


class VirtualClock:
    def __init__(self) -> None:
        self.now = START
        self.step = 0.0

    def wall(self) -> float:
        return self.now + self.step

    def mono(self) -> float:
        return self.now

    def real(self, seconds: float) -> float:
        return seconds


@dataclass
class AzureEvent:
    event_id: str
    type: str
    resources: tuple[str, ...]
    not_before: float
    duration: int = -1
    source: str = "Platform"
    started: bool = False
    approved_by: list[str] = field(default_factory=list)

    def view(self) -> Event:
        text = "" if self.started else "set"
        return Event(
            self.event_id,
            "Started" if self.started else "Scheduled",
            self.type,
            "VirtualMachine",
            self.resources,
            None if self.started else self.not_before,
            text,
            "",
            self.source,
            self.duration,
        )


class Hooks:
    """Stands in for the runner: a phase ends when told, with the outcome that is set for it."""

    outside = False
    pause = 0.2

    def __init__(self, vm: SimulatedVm) -> None:
        self.vm = vm
        self.job: m.Job | None = None
        self._ends = 0.0

    def start(
        self, job: m.Job, environment: dict[str, str], document: dict[str, Any], *, urgent: bool, remember: Any
    ) -> None:
        assert self.job is None, "two phases of hooks at once"
        self.job = job
        self._ends = self.vm.world.clock.mono() + self.vm.hook_time
        self.vm.hook_began(job.phase)

    def poll(self) -> tuple[str, str] | None:
        if self.job is None or self.vm.world.clock.mono() < self._ends:
            return None
        job, self.job = self.job, None
        outcome = self.vm.outcomes.get(job.phase, m.OK)
        self.vm.hook_ended(job.phase, outcome)
        return outcome, f"{job.phase} ended"

    def adopt(self, job: m.Job, environment: dict[str, str], document: dict[str, Any], *, remember: Any) -> bool:
        return False

    def abort(self) -> None:
        self.job = None

    def leave(self) -> None:
        self.job = None


class NoNotices:
    busy = False

    def __init__(self) -> None:
        self.topics: list[str] = []

    def add(self, topic: str, record: m.EventRecord, state: m.State, why: str) -> None:
        self.topics.append(topic)

    def poll(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def leave(self) -> None:
        pass


class MemoryJournal:
    """Keeps what was saved over a crash of the agent; while the disk is full, in its second place only."""

    def __init__(self) -> None:
        self.saved = m.EMPTY
        self.lines: list[dict[str, Any]] = []
        self.full = False
        self.states: dict[str, str] = {}

    def load(self) -> Loaded:
        self.states = {key: record.state for key, record in self.saved.events.items()}
        return Loaded(self.saved, "boot", ())

    def save(self, state: m.State, *, now: float) -> None:
        for key, record in state.events.items():
            if self.states[key] != record.state:
                raise BrokenError(f"{key} is {record.state} and no line of the history says so")
        self.saved = state
        if self.full:
            raise OSError(28, "No space left on device")

    def log(self, entry: dict[str, Any]) -> None:
        self.lines.append(entry)
        key = entry["event"]
        if entry["step"] == "observe":
            self.states.setdefault(key, m.SEEN)
        elif entry["step"] == "forget":
            self.states.pop(key, None)
        elif entry["step"] == "move":
            change = (self.states[key], entry["state"])
            if change not in m.ALLOWED:
                raise BrokenError(f"transition {change[0]} -> {change[1]} is not in the table")
            self.states[key] = entry["state"]


class SharedStore(MemoryStore):
    down = False

    def load(self) -> Any:
        if self.down:
            raise StoreError("the store is down")
        return super().load()

    def save(self, document: Any, version: Any) -> bool:
        if self.down:
            raise StoreError("the store is down")
        return super().save(document, version)


class Orders:
    def __init__(self) -> None:
        self.orders = Operator()

    def read(self, now: float) -> Operator:
        return self.orders


class SimulatedVm:
    def __init__(self, world: World, name: str, index: int, settings: dict[str, Any]) -> None:
        self.world, self.name = world, name
        self.outcomes: dict[str, str] = {}
        self.hook_time = 2.0
        self.silent = False
        self.lose_answers = self.refused = False
        self.down = False
        # What the hooks did to the workload, as opposed to what the agent believes.
        self.drained = False
        self.drains = self.resumes = 0
        self.journal, self.orders, self.notices = MemoryJournal(), Orders(), NoNotices()
        self.settings = settings
        self.member = Member(str(index % 3 + 1), str(index % 2), str(index % 5), 0.0)
        self.log: list[str] = []
        self.agent = self._new_agent()

    def _new_agent(self) -> Agent:
        self.hooks = Hooks(self)
        agent = Agent(
            Parts(
                configuration.parse(self.settings, where="test"),
                self.world.clock,
                self,
                self._identify,
                self.world.store,
                self.journal,  # type: ignore[arg-type]
                self.hooks,  # type: ignore[arg-type]
                self.notices,  # type: ignore[arg-type]
                self.orders,  # type: ignore[arg-type]
                lambda level, line, fields: self.log.append(f"{level}: {line}"),
            )
        )
        agent.start()
        return agent

    def crash(self) -> None:
        self.agent = self._new_agent()

    def _identify(self) -> Identity:
        if self.silent:
            raise UnreachableError("silent")
        return Identity(self.name, self.member)

    # The events source.
    def read(self) -> EventsDocument:
        if self.silent:
            raise UnreachableError("silent")
        return self.world.azure_document(self.name)

    def request_start(self, event_id: str) -> None:
        if self.silent or self.refused:
            raise UnreachableError("silent")
        self.world.approve(self, event_id)
        if self.lose_answers:
            from ansible_collections.azure_guest.imds.plugins.module_utils.imds.errors import UncertainError

            raise UncertainError("the answer was lost")

    def close(self) -> None:
        pass

    def hook_began(self, phase: str) -> None:
        if phase == m.DRAIN:
            self.drains += not self.drained
            self.drained = True  # from its first moment on, something may be stopped

    def hook_ended(self, phase: str, outcome: str) -> None:
        if phase == m.RESUME and outcome == m.OK:
            if not self.drained:
                raise BrokenError(f"{self.name} was resumed and had not been drained")
            self.drained = False
            self.resumes += 1

    @property
    def service(self) -> str:
        return self.agent.state.host.service


class World:
    """Some VMs of one availability set, each with an agent, on one clock."""

    def __init__(self, names: tuple[str, ...] = ("vm-0", "vm-1", "vm-2"), **settings: Any) -> None:
        self.clock = VirtualClock()
        self.store = SharedStore()
        self.events: dict[str, AzureEvent] = {}
        self.approvals: list[tuple[str, str]] = []
        self._ids = itertools.count(1)
        self.incarnation = 1
        # The store is shared between the VMs of a test, so it is "file" to the rules and memory to the machine.
        settings.setdefault("fleet", {"store": "file", "path": "/shared", "max_unavailable": 1})
        self.max_out = settings["fleet"].get("max_unavailable", 1)
        self.vms = {name: SimulatedVm(self, name, index, settings) for index, name in enumerate(names)}
        self.run(2)  # the VMs make themselves known to the fleet

    # --- Azure ---
    def schedule(
        self, type_: str, *resources: str, notice: float = 900.0, duration: int = -1, started: bool = False
    ) -> str:
        event_id = f"0000000A-0000-0000-0000-{next(self._ids):012}"
        self.events[event_id] = AzureEvent(
            event_id, type_, resources, self.clock.wall() + notice, duration, started=started
        )
        self.incarnation += 1
        return event_id

    def start(self, event_id: str) -> None:
        self.events[event_id].started = True
        self.incarnation += 1

    def end(self, event_id: str) -> None:
        del self.events[event_id]
        self.incarnation += 1

    def azure_document(self, _vm: str) -> EventsDocument:
        return EventsDocument(self.incarnation, tuple(event.view() for event in self.events.values()))

    def approve(self, vm: SimulatedVm, event_id: str) -> None:
        event = self.events.get(event_id)
        if event is None:
            raise UnreachableError("400: unknown event")
        if vm.name.lower() not in [name.lower() for name in event.resources]:
            raise BrokenError(f"{vm.name} approved an event that is not its own")
        if not event.started:
            for name in event.resources:
                other = self.vms.get(name)
                incomplete = other is not None and any(r.incomplete for r in other.agent.state.events.values())
                if other is not None and not (other.drained and (other.service == m.HOST_DRAINED or incomplete)):
                    raise BrokenError(f"{vm.name} approved while {name} was not drained")
        event.approved_by.append(vm.name)
        self.approvals.append((vm.name, event_id))

    # --- time ---
    def run(self, seconds: float, *, tick: float = 1.0) -> None:
        """Let time pass; Azure starts what has reached its NotBefore."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + tick)
            for event in self.events.values():
                if not event.started and self.clock.now >= event.not_before:
                    event.started = True
                    self.incarnation += 1
            for vm in self.vms.values():
                if not vm.down:
                    vm.agent.cycle()
                self.check(vm)

    def check(self, vm: SimulatedVm) -> None:
        if any("no end of steps" in line for line in vm.log):
            raise BrokenError(f"{vm.name}: no end of steps")
        if vm.journal.saved != vm.agent.state:
            raise BrokenError(f"{vm.name}: the journal does not say what the handler knows")
        if self.store.down:
            return
        document = self.store.load()[0]
        unforced = [name for name, holder in document.holders.items() if not holder.forced]
        if isinstance(self.max_out, int) and len(unforced) > self.max_out:
            raise BrokenError(f"{unforced} hold slots and {self.max_out} may")

    def states(self, event_id: str) -> dict[str, str]:
        key = event_id.lower()
        return {name: vm.agent.state.events[key].state for name, vm in self.vms.items() if key in vm.agent.state.events}

    def quiet(self) -> bool:
        """Whether everything is as before any maintenance."""
        document = self.store.load()[0]
        return (
            not document.holders
            and not document.ready
            and all(vm.service == m.IN_SERVICE and not vm.drained for vm in self.vms.values())
            and all(vm.drains == vm.resumes for vm in self.vms.values())
        )


def approve_and_start(world: World, event_id: str, *, outage: float = 60.0) -> None:
    """Azure starts an approved event, and it is over after a while."""
    assert world.events[event_id].approved_by
    world.start(event_id)
    world.run(outage)
    world.end(event_id)
    world.run(60)
