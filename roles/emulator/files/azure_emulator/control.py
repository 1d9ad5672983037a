# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control side: JSON over HTTP on a loopback port, for tests, the command line and whoever rehearses.

Its requests are checked as strictly as a fleet file: an unknown key or parameter is refused with its path.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cryptography.hazmat.primitives import serialization

from azure_emulator import __version__
from azure_emulator.certificates import INTERMEDIATE_PATH, ROOT_PATH
from azure_emulator.clock import iso
from azure_emulator.errors import EmulatorError, InputError, NotFoundError
from azure_emulator.events.model import EventSpec
from azure_emulator.events.operations import OperationSpec
from azure_emulator.faults import FaultSpec
from azure_emulator.journal import JOURNAL_CATEGORIES
from azure_emulator.messages import Answer, Request, json_answer
from azure_emulator.reading import choice, did_you_mean, key, mapping_of, number, optional, read, refuse_unknown, text

if TYPE_CHECKING:
    from azure_emulator.fleet.model import Vm
    from azure_emulator.neighbourhood import Neighbourhood

Result = Any
_MAX_ADVANCE = 10 * 365 * 86400.0


class Surroundings(Protocol):
    """What the control side needs from the server around the neighbourhood."""

    def endpoint(self, vm: str) -> str:
        """Base address of a VM's metadata service."""

    def addresses(self) -> dict[str, Any]:
        """All addresses, as ``serve`` prints them."""

    async def advance(self, seconds: float) -> None:
        """Put the clock forward."""

    def waiting(self) -> int:
        """How many requests wait for a moment to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSpec:
    """What ``POST /clock`` takes."""

    advance: float = key(number(minimum=0, maximum=_MAX_ADVANCE), "By how many seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RescheduleSpec:
    """What ``PATCH /events/{EventId}`` takes."""

    not_before: float = key(number(minimum=0), "New earliest start, in seconds from now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSpec:
    """What ``PATCH /vms/{name}`` takes."""

    tags: dict[str, str] | None = key(optional(mapping_of(text(empty=True))), "All its tags from now on.", default=None)
    user_data: str | None = key(optional(text(empty=True)), "Its user data from now on.", default=None)


class Route(NamedTuple):
    """A call of the control side; ``handler`` is the name of a method of :class:`ControlApi`."""

    method: str
    path: str
    handler: str
    help: str


ROUTES = (
    Route("GET", "/healthz", "_health", "Whether it is there: status, number of VMs, version, process id."),
    Route("GET", "/fleet", "_fleet", "The fleet with all addresses; each VM with ids, place, tags and state."),
    Route("GET", "/vms/{id}", "_vm", "One VM."),
    Route("PATCH", "/vms/{id}", "_change_vm", "Give a VM other tags or user data."),
    Route("GET", "/events", "_events", "All events with their history; with ``open=true`` those in the document."),
    Route("POST", "/events", "_schedule", "Schedule an event."),
    Route("GET", "/events/{id}", "_event", "One event."),
    Route("PATCH", "/events/{id}", "_reschedule", "Move the NotBefore of a scheduled event."),
    Route("DELETE", "/events/{id}", "_cancel", "Cancel a scheduled event."),
    Route("POST", "/operations", "_operate", "Do what a user does; answers the events that came of it."),
    Route("GET", "/requests", "_requests", "The request journal; parameters ``vm``, ``category`` and ``since``."),
    Route("DELETE", "/requests", "_clear_requests", "Forget the requests so far."),
    Route("GET", "/faults", "_faults", "All faults with what they hit so far."),
    Route("POST", "/faults", "_add_fault", "Have something go wrong."),
    Route("DELETE", "/faults", "_clear_faults", "End all faults."),
    Route("DELETE", "/faults/{id}", "_remove_fault", "End one fault."),
    Route("GET", "/clock", "_clock", "Mode, scale, now, and two anchors to compute it from real time."),
    Route("POST", "/clock", "_advance", "Put the clock forward; answers when all that fell due has happened."),
    Route("GET", "/idle", "_idle", "Whether no event is open, how many requests wait, and when something is due next."),
    Route("GET", "/log", "_log", "What happened: events, states, commands, faults; parameter ``since``."),
    Route("GET", INTERMEDIATE_PATH, "_intermediate", "The CA that issued the signer of attested documents (DER)."),
    Route("GET", ROOT_PATH, "_root", "The emulator's root CA (PEM)."),
)
Handler = Callable[[Request, dict[str, str]], Result | Awaitable[Result]]


class ControlApi:
    """Answers requests on the control port."""

    def __init__(self, hood: Neighbourhood, surroundings: Surroundings) -> None:
        self._hood, self._around = hood, surroundings
        self._names = [route.path.lstrip("/") for route in ROUTES]
        self._routes = [
            (route.method, re.compile(route.path.replace("{id}", "(?P<id>[^/]+)")), getattr(self, route.handler))
            for route in ROUTES
        ]

    async def answer(self, request: Request) -> Answer:
        """The answer to a request; errors say in ``error`` what is wrong and in ``path`` where."""
        try:
            if request.too_long:
                return json_answer({"error": "the body is too long"}, 413)
            result = self._find(request)
            if isinstance(result, Answer):
                return result
            handler, names = result
            value = handler(request, names)
            if isinstance(value, Awaitable):
                value = await value
        except InputError as exc:
            return json_answer({"error": str(exc), "path": exc.path, "problem": exc.problem}, 400)
        except NotFoundError as exc:
            return json_answer({"error": str(exc)}, 404)
        except EmulatorError as exc:
            return json_answer({"error": str(exc)}, 400)
        if isinstance(value, Answer):
            return value
        return json_answer(value, 201 if request.method == "POST" and request.path != "/clock" else 200)

    def _find(self, request: Request) -> Answer | tuple[Handler, dict[str, str]]:
        if "Origin" in request.headers:
            return json_answer({"error": "web pages may not control the emulator"}, 403)
        fitting = [(m, match, h) for m, path, h in self._routes if (match := path.fullmatch(request.path))]
        for method, match, handler in fitting:
            if method == request.method:
                return handler, match.groupdict()
        if fitting:
            methods = ", ".join(method for method, _match, _handler in fitting)
            text = f"{request.path} takes {methods}, not {request.method}"
            return json_answer({"error": text}, 405, Allow=methods)
        known = sorted({route.partition("/")[0] for route in self._names})
        hint = did_you_mean(request.path.strip("/").partition("/")[0], known)
        return json_answer({"error": f"no {request.path} on the control side{hint}"}, 404)

    # What there is

    def _health(self, request: Request, _names: dict[str, str]) -> Result:
        _parameters(request)
        return {"status": "ok", "vms": len(self._hood.fleet.vms), "version": __version__, "pid": os.getpid()}

    def _fleet(self, request: Request, _names: dict[str, str]) -> Result:
        _parameters(request)
        fleet = self._hood.fleet
        return {
            "name": fleet.name,
            "location": fleet.location,
            "environment": fleet.environment,
            "tenant_id": fleet.tenant_id,
            "subscriptions": list(fleet.subscriptions),
            **{name: value for name, value in self._around.addresses().items() if name != "vms"},
            "vms": [self._describe(vm) for vm in fleet.vms.values()],
        }

    def _vm(self, request: Request, names: dict[str, str]) -> Result:
        _parameters(request)
        return self._describe(self._hood.fleet.vm(names["id"]))

    def _describe(self, vm: Vm) -> dict[str, Any]:
        nic = vm.primary_nic
        return {
            "name": vm.name,
            "key": vm.key,
            "endpoint": self._around.endpoint(vm.key),
            "state": self._hood.machines.state(vm.key),
            "vm_id": vm.vm_id,
            "resource_id": vm.resource_id,
            "subscription_id": vm.spec.subscription_id,
            "resource_group": vm.spec.resource_group,
            "location": vm.spec.location,
            "environment": vm.spec.environment,
            "size": vm.spec.size,
            "fault_domain": vm.fault_domain,
            "update_domain": vm.update_domain,
            "zone": vm.zone or None,
            "tags": vm.tags,
            "availability_set": vm.availability_set.spec.name if vm.availability_set else None,
            "scale_set": vm.scale_set.spec.name if vm.scale_set else None,
            "instance_id": vm.instance_id or None,
            "scope": vm.scope,
            "computer_name": vm.computer_name,
            "private_ip": nic.private_ips[0],
            "public_ip": nic.public_ip or None,
        }

    def _change_vm(self, request: Request, names: dict[str, str]) -> Result:
        vm = self._hood.fleet.vm(names["id"])
        spec = read(ChangeSpec, _body(request), "")
        if spec.tags is not None:
            vm.tags = spec.tags
        if spec.user_data is not None:
            vm.user_data = spec.user_data
        vm.revision += 1
        return self._describe(vm)

    # Events

    def _events(self, request: Request, _names: dict[str, str]) -> Result:
        only_open = choice("true", "false")(_parameters(request, "open").get("open", "false"), "query.open") == "true"
        return [e.view() for e in self._hood.engine.events.values() if e.is_open or not only_open]

    def _event(self, request: Request, names: dict[str, str]) -> Result:
        _parameters(request)
        return self._hood.engine.event(names["id"]).view()

    def _schedule(self, request: Request, _names: dict[str, str]) -> Result:
        return self._hood.engine.schedule(read(EventSpec, _body(request), ""), self._now()).view()

    def _reschedule(self, request: Request, names: dict[str, str]) -> Result:
        spec = read(RescheduleSpec, _body(request), "")
        return self._hood.engine.reschedule(names["id"], spec.not_before, self._now()).view()

    def _cancel(self, request: Request, names: dict[str, str]) -> Result:
        _parameters(request)
        return self._hood.engine.cancel(names["id"], self._now()).view()

    def _operate(self, request: Request, _names: dict[str, str]) -> Result:
        events = self._hood.operations.run(read(OperationSpec, _body(request), ""), self._now())
        return {"events": [event.view() for event in events]}

    # What happened

    def _requests(self, request: Request, _names: dict[str, str]) -> Result:
        given = _parameters(request, "vm", "category", "since")
        entries = self._hood.requests.since(_number(given, "since"))
        if "vm" in given:
            vm = self._hood.fleet.vm(given["vm"]).key
            entries = [entry for entry in entries if entry["vm"] == vm]
        if "category" in given:
            choice(*JOURNAL_CATEGORIES)(given["category"], "query.category")
            entries = [entry for entry in entries if entry["category"] == given["category"]]
        return {"last": self._hood.requests.last, "dropped": self._hood.requests.dropped, "requests": entries}

    def _clear_requests(self, request: Request, _names: dict[str, str]) -> Result:
        _parameters(request)
        self._hood.requests.clear()
        return {"last": self._hood.requests.last}

    def _log(self, request: Request, _names: dict[str, str]) -> Result:
        since = _number(_parameters(request, "since"), "since")
        log = self._hood.log
        return {"last": log.last, "dropped": log.dropped, "log": log.since(since)}

    # Faults

    def _faults(self, request: Request, _names: dict[str, str]) -> Result:
        _parameters(request)
        return [fault.view(self._now()) for fault in self._hood.faults.all()]

    def _add_fault(self, request: Request, _names: dict[str, str]) -> Result:
        return self._hood.add_fault(read(FaultSpec, _body(request), "")).view(self._now())

    def _clear_faults(self, request: Request, _names: dict[str, str]) -> Result:
        _parameters(request)
        self._hood.end_faults()
        return []

    def _remove_fault(self, request: Request, names: dict[str, str]) -> Result:
        _parameters(request)
        self._hood.end_faults(names["id"])
        return {"id": names["id"]}

    # Certificates

    def _intermediate(self, _request: Request, _names: dict[str, str]) -> Result:
        certificate = self._hood.authority.intermediate().certificate
        return Answer(200, certificate.public_bytes(serialization.Encoding.DER), "application/pkix-cert")

    def _root(self, _request: Request, _names: dict[str, str]) -> Result:
        return Answer(200, self._hood.authority.root().certificate_pem(), "application/x-pem-file")

    # Time

    def _now(self) -> float:
        return self._hood.clock.now()

    def _clock(self, request: Request, _names: dict[str, str]) -> Result:
        _parameters(request)
        clock, now = self._hood.clock, self._now()
        return {
            "mode": clock.mode,
            "scale": clock.scale,
            "now": now,
            "now_text": iso(now),
            "anchor_real": clock.anchor_real,
            "anchor_virtual": clock.anchor_virtual,
        }

    async def _advance(self, request: Request, names: dict[str, str]) -> Result:
        spec = read(ClockSpec, _body(request), "")
        await self._around.advance(spec.advance)
        self._hood.note(self._now(), "clock_advanced", seconds=spec.advance)
        return self._clock(request, names)

    def _idle(self, request: Request, _names: dict[str, str]) -> Result:
        _parameters(request)
        open_events = sum(event.is_open for event in self._hood.engine.events.values())
        due = self._hood.timeline.next_due()
        return {
            "idle": not open_events,
            "open_events": open_events,
            "waiting_requests": self._around.waiting(),
            "next_due": due,
            "now": self._now(),
        }


def _parameters(request: Request, *known: str) -> dict[str, str]:
    given = dict(request.query)
    refuse_unknown(given, known, "query")
    return given


def _number(parameters: dict[str, str], name: str) -> int:
    value = parameters.get(name, "0")
    if not value.isdecimal():
        raise InputError(f"query.{name}", f"{value!r} is no number such as 0 or 17")
    return int(value)


def _body(request: Request) -> Any:
    _parameters(request)
    try:
        return json.loads(request.body.decode("utf-8"))
    except ValueError as exc:
        raise InputError("", f"the body is not JSON: {exc}") from exc


__all__ = ["ROUTES", "ChangeSpec", "ClockSpec", "ControlApi", "RescheduleSpec", "Route", "Surroundings"]
