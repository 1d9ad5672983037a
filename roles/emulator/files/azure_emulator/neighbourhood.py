# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole neighbourhood in one object: fleet, time, events, services, journals. No socket, nothing that waits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from azure_emulator.certificates import Authority
from azure_emulator.clock import Clock, Timeline, iso
from azure_emulator.events.engine import Engine
from azure_emulator.events.machines import RUNNING, Machines
from azure_emulator.events.operations import Operations
from azure_emulator.faults import Faults
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
