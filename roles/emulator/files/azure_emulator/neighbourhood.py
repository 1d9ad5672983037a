# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole neighbourhood in one object: fleet, time, events, services, journals. No socket, nothing that waits."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from azure_emulator.certificates import Authority
from azure_emulator.clock import Clock, Timeline, iso
from azure_emulator.errors import InputError, NotFoundError
from azure_emulator.events.engine import Engine
from azure_emulator.events.machines import RUNNING, Machines
from azure_emulator.events.operations import Operations
from azure_emulator.faults import REFUSALS, Fault, Faults, FaultSpec
from azure_emulator.imds.service import MetadataService
from azure_emulator.journal import Journal
from azure_emulator.resource_manager.lists import Lists
from azure_emulator.resource_manager.service import ResourceManager
from azure_emulator.tokens import TokenIssuer

if TYPE_CHECKING:
    from azure_emulator.fleet.model import Fleet, Vm
    from azure_emulator.messages import Answer, Request

# What a journal entry keeps of a request's body.
_BODY_LIMIT = 2048
_SECRET = re.compile(r"(client_secret=|assertion=)[^&]*")


class Hook(NamedTuple):
    """A VM goes down or comes back: what the fleet file wants to be run then."""

    vm: Vm
    phase: str
    event_id: str | None
    state: str


class Neighbourhood:
    """Everything that can be asked of it happens at the clock's now, after all that fell due before.

    Args:
        fleet: the VMs. clock: tells the time.
        rate_limit: whether requests are counted; None for what the fleet file says.
        journal_limit: how many requests, and how many log entries, are remembered.
        authority: signs; None for a new one.
    """

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        *,
        rate_limit: bool | None = None,
        journal_limit: int = 10_000,
        authority: Authority | None = None,
    ) -> None:
        self.authority = authority or Authority()
        self.fleet, self.clock = fleet, clock
        self.timeline = Timeline()
        self.requests = Journal(journal_limit)
        self.log = Journal(journal_limit)
        self.faults = Faults()
        self.created = clock.now()
        self.dirty: set[str] = set()
        self.hooks: list[Hook] = []
        self.machines = Machines(((vm.key, vm.spec.state) for vm in fleet.vms.values()), self._state_changed)
        self.engine = Engine(fleet, self.machines, self.timeline, self.note)
        self.issuer = TokenIssuer(fleet.seed, fleet.tenant_id)
        limited = fleet.api.rate_limit if rate_limit is None else rate_limit
        self.metadata = MetadataService(
            fleet, clock, self.engine, self.faults, self.issuer, self.authority, rate_limit=limited
        )
        lists = Lists(fleet, self.machines, self.created)
        self.resource_manager = ResourceManager(
            fleet,
            lists,
            clock,
            self.faults,
            self.issuer,
            rate_limit=fleet.api.resource_manager.throttle and rate_limit is not False,
        )
        self.operations = Operations(fleet, self.machines, self.engine, self.timeline, self.metadata.scope_is_watched)

    def note(self, at: float, kind: str, **details: Any) -> None:
        """Add to the log of what happened."""
        self.log.add({"at": at, "at_text": iso(at), "kind": kind, **details})

    def _state_changed(self, vm: str, before: str, after: str, details: dict[str, Any]) -> None:
        self.dirty.add(vm)
        self.note(details["at"], "vm_state", vm=vm, before=before, state=after, event_id=details["event_id"])
        machine = self.fleet.vms[vm]
        if machine.spec.on_impact.begin and before == RUNNING:
            self.hooks.append(Hook(machine, "begin", details["event_id"], after))
        elif machine.spec.on_impact.end and after == RUNNING:
            self.hooks.append(Hook(machine, "end", details["event_id"], after))

    def takes_connections(self, vm: str) -> bool:
        """Whether a VM's service takes connections: not while the VM is down, nor while a fault refuses them."""
        return self.machines[vm].answers and not self.faults.refuses(vm, self.clock.now())

    # Faults

    def add_fault(self, spec: FaultSpec) -> Fault:
        """Have something go wrong from now on.

        Raises:
            InputError: a VM that is not there, or keys that mean nothing for this fault.
        """
        keys = []
        for index, name in enumerate(spec.vms):
            try:
                keys.append(self.fleet.vm(name).key)
            except NotFoundError as exc:
                raise InputError(f"vms[{index}]", str(exc)) from exc
        now = self.clock.now()
        fault = self.faults.add(dataclasses.replace(spec, vms=tuple(keys)), now)
        self.note(now, "fault_added", fault_id=fault.id, fault=spec.fault)
        if spec.fault in REFUSALS:
            self._look_again()
            if spec.lasts is not None:
                self.timeline.at(now + spec.lasts, lambda _due: self._look_again())
        return fault

    def end_faults(self, fault_id: str | None = None) -> None:
        """End a fault, or all of them.

        Raises:
            NotFoundError: there is none of that id.
        """
        if fault_id is None:
            self.faults.clear()
            self.note(self.clock.now(), "faults_cleared")
        else:
            self.faults.remove(fault_id)
            self.note(self.clock.now(), "fault_removed", fault_id=fault_id)
        self._look_again()

    def _look_again(self) -> None:
        self.dirty.update(self.fleet.vms)

    # Time

    def catch_up(self) -> bool:
        """Let everything happen that is due by now; returns whether anything did."""
        due = self.timeline.pop_due(self.clock.now())
        if due is None:
            return False
        while due is not None:
            if due.action is not None:
                due.action(due.when)
            due = self.timeline.pop_due(self.clock.now())
        return True

    def step(self, until: float) -> bool:
        """Go on to the next moment at which something is due, or to the end; returns whether there is more to come."""
        due = self.timeline.next_due()
        if due is None or due > until:
            self.clock.set(until)
            return False
        self.clock.set(due)
        self.catch_up()
        return True

    # Journal

    def record(self, request: Request, answer: Answer, *, vm: str | None, category: str) -> None:
        """Remember a request and how it was answered. Secrets of the caller are not kept."""
        now = self.clock.now()
        headers = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
        if len(headers) != len(request.headers):
            headers["Authorization"] = "(kept out)"
        entry = {
            "at": now,
            "vm": vm,
            "category": category,
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "headers": headers,
            "status": answer.status,
            "fault": answer.fault,
        }
        if answer.breakage:
            entry["breakage"] = answer.breakage
        if request.body:
            body = request.body[:_BODY_LIMIT].decode("utf-8", "replace")
            entry["body"] = _SECRET.sub(r"\1(kept out)", body)
        self.requests.add(entry)


__all__ = ["Hook", "Neighbourhood"]
