# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""``azure-maintenance rehearse``: an invented event, the real hooks, and an Azure that exists in this process only."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import typing as t

from ..imds.scheduled_events import SCHEDULED, STARTED, Event, EventsDocument
from . import model as m
from .agent import Agent, Identity
from .cli import FAILURE, OK, CommandError
from .config import Config, Fleet
from .fleet.document import Member
from .fleet.memory import MemoryStore
from .hooks import HookError, find_hooks
from .looking import out, read_status
from .policy import DRAIN_AND_APPROVE, DRAIN_ONLY, MINIMUM_NOTICE, choose
from .service import make_parts
from .windows import Schedule

EVENT_ID = "00000000-0000-0000-0000-rehearsal000"
START_DELAY = 1.0
STEP = 0.05
UNKNOWN_VM = "this-vm"


class InventedAzure:
    """One event's life: scheduled, started soon after its approval or at NotBefore, gone after an outage."""

    def __init__(self, vm: str, type_: str, outage: float, now: t.Callable[[], float]) -> None:
        self._now, self._outage = now, outage
        self._began = now()
        self.not_before = self._began + MINIMUM_NOTICE[type_]
        self._event = Event(
            EVENT_ID, SCHEDULED, type_, "VirtualMachine", (vm,), self.not_before, "", "A rehearsal.", "User", -1
        )
        self.approved: float | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Take the event away."""
        self._cancelled = True

    @property
    def starts(self) -> float:
        """When it starts, as far as is known."""
        return self.not_before if self.approved is None else min(self.not_before, self.approved + START_DELAY)

    @property
    def over(self) -> bool:
        """Whether it has left the document."""
        return self._cancelled or self._now() >= self.starts + self._outage

    def read(self) -> EventsDocument:
        """What the metadata service would show."""
        if self.over:
            return EventsDocument(3, ())
        if self._now() >= self.starts:
            return EventsDocument(2, (self._event._replace(event_status=STARTED, not_before=None),))
        return EventsDocument(1, (self._event,))

    def request_start(self, event_id: str) -> None:
        """Take an approval."""
        if event_id == EVENT_ID and self.approved is None:
            self.approved = self._now()

    def close(self) -> None:
        """Nothing is open."""


def command(config: Config, options: argparse.Namespace) -> int:
    """Rehearse. 0 when every hook succeeded and this VM is back in service."""
    hooks = list_hooks(config)
    for phase, names in hooks.items():
        out(f"{phase + ':':<8} {', '.join(names) or 'no hooks'}")
    if options.list:
        return OK
    vm = _refuse_when_busy(config)
    rule = choose(config.policy, InventedAzure(vm, options.type, 0, time.time).read().events[0])
    out(f"rule:    {rule.name}, which says {rule.action}")
    if not options.yes:
        _ask(vm)
    return Rehearsal(config, vm, options.type, options.outage).run()


def list_hooks(config: Config) -> dict[str, list[str]]:
    """The hooks that would run, by phase. Raises CommandError."""
    try:
        return {phase: find_hooks(config.hooks_dir, phase) for phase in (*m.PHASES, "notify")}
    except HookError as exc:
        raise CommandError(str(exc)) from exc


def _refuse_when_busy(config: Config) -> str:
    """This VM's name, when nothing real is going on. Raises CommandError."""
    try:
        status = read_status(config)
    except CommandError:
        return config.vm_name or UNKNOWN_VM
    live = [event["event_id"] for event in status["events"] if event["state"] not in (m.DONE, m.NOTED)]
    if live or status["service"] != m.IN_SERVICE:
        raise CommandError(f"not now: this VM is {status['service']}, and real events are at hand: {', '.join(live)}")
    return status["vm_name"] or config.vm_name or UNKNOWN_VM


def _ask(vm: str) -> None:
    out(f"The hooks run for real: {vm} is drained and brought back. Azure hears nothing of it.")
    if not sys.stdin.isatty():
        raise CommandError("there is nobody to ask; say --yes")
    sys.stdout.write("Go on? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was done")


class Rehearsal:
    """An agent with the real hooks and policy, and with everything else its own: journal, fleet, Azure."""

    def __init__(self, config: Config, vm: str, type_: str, outage: float) -> None:
        self._real, self._vm = config, vm
        self._directory = tempfile.mkdtemp(prefix="azure-maintenance-rehearsal-")
        private = config._replace(
            vm_name=vm,
            state_dir=self._directory,
            run_dir=self._directory,
            fleet=Fleet(),
            schedule=Schedule(),
            settle=1.0,
            lead_time=86400.0,
            drain_time=86400.0,  # what is not to be approved is drained for at its latest start: now
            poll_interval=0.5,
            retry_interval=min(5.0, config.retry_interval),
        )
        parts = make_parts(private, log=self._tell)
        self._began = parts.clock.wall()
        self._azure = InventedAzure(vm, type_, outage, parts.clock.wall)
        member = Member(None, None, None, 0.0)
        self._agent = Agent(
            parts._replace(events=self._azure, identify=lambda: Identity(vm, member), store=MemoryStore())
        )

    def run(self) -> int:
        """Play it to the end."""
        agent = self._agent
        agent.start()
        try:
            try:
                self._play()
            except KeyboardInterrupt:
                out("ending: this VM is brought back first; Ctrl-C again leaves it as it is")
                self._azure.cancel()
                self._play()
        finally:
            agent.stop()
            shutil.rmtree(self._directory, ignore_errors=True)
        return self._sum_up()

    def _play(self) -> None:
        while not self._finished():
            self._refuse_when_real()
            self._agent.cycle()
            self._go_ahead()
            time.sleep(STEP)

    def _go_ahead(self) -> None:
        """What is not approved would start at NotBefore, which nobody wants to wait for."""
        for record in self._agent.state.events.values():
            unapproved = record.state == m.NOTED or (record.state == m.DRAINED and record.action == DRAIN_ONLY)
            if unapproved and self._azure.approved is None:
                self._azure.request_start(EVENT_ID)

    def _finished(self) -> bool:
        records = self._agent.state.events.values()
        return self._azure.over and bool(records) and all(record.state == m.DONE for record in records)

    def _refuse_when_real(self) -> None:
        """A real event has right of way: leave this VM as it is, the service takes care of it from here."""
        try:
            status = read_status(self._real)
        except CommandError:
            return
        if any(event["state"] not in (m.DONE, m.NOTED) for event in status["events"]):
            raise CommandError("a real event came up: the rehearsal ends here, and the service goes on")

    def _tell(self, level: str, line: str, fields: t.Mapping[str, t.Any]) -> None:
        if fields.get("step") in ("observe", "vanish", "report", "withdraw", "claim", "release", "slot"):
            return
        since = time.time() - self._began
        out(f"{since:7.1f} s  {line.replace(f' {EVENT_ID}', '')}" + ("" if level == "info" else f"  [{level}]"))

    def _sum_up(self) -> int:
        runs = {labels: n for (name, labels), n in self._agent.counters.values.items() if name == "hook_runs_total"}
        failed = sorted({dict(labels)["phase"] for labels in runs if dict(labels)["outcome"] != m.OK})
        record = next(iter(self._agent.state.events.values()))
        if failed:
            out(f"failed at least once: {', '.join(failed)} hooks")
        elif record.action == DRAIN_AND_APPROVE and self._azure.approved is None:
            out("the event was never approved")
        else:
            out(f"all went well, and {self._vm} is back in service")
            return OK
        return FAILURE


__all__ = ["InventedAzure", "Rehearsal", "command", "list_hooks"]
