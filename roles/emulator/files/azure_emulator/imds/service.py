# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata services of all VMs: from a VM and a request to an answer, without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from azure_emulator.distortions import DISTORTIONS
from azure_emulator.errors import NotFoundError
from azure_emulator.failures import SPOILING, failed_answer
from azure_emulator.faults import REPLACEMENTS, Fault, Faults, Target
from azure_emulator.fleet.model import Fleet, Vm
from azure_emulator.imds.answers import error
from azure_emulator.imds.attestation import attested_document
from azure_emulator.imds.checks import Call, Rules, check, endpoint_of
from azure_emulator.imds.identity import IN_FLIGHT, IdentityService
from azure_emulator.imds.instance import instance_document
from azure_emulator.imds.loadbalancer import loadbalancer_document
from azure_emulator.imds.routes import RouteError, as_text, walk
from azure_emulator.imds.scheduled_events import Subscription, events_document, start_requests
from azure_emulator.imds.versions import versions_of
from azure_emulator.limits import Buckets, Rate
from azure_emulator.messages import TEXT, Answer, RefusedError, Request, compact, json_answer

if TYPE_CHECKING:
    from azure_emulator.certificates import Authority
    from azure_emulator.clock import Clock
    from azure_emulator.events.engine import Engine
    from azure_emulator.tokens import TokenIssuer

# Contract section 1.4.
_GENERAL = Rate(5, 5)
_IDENTITY = Rate(20, 20)
_CACHE_LIMIT = 8192
_NO_LOAD_BALANCER = "No load balancer metadata is found. Please check that the VM is behind a Standard load balancer"
Handler = Callable[[Vm, Call], Answer]


class MetadataService:
    """Answers for every VM of the fleet.

    Args:
        fleet: the VMs. clock: tells the time. engine: the events. faults: what is to go wrong.
        issuer: signs tokens. authority: signs attested documents. rate_limit: whether requests are counted.
    """

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        engine: Engine,
        faults: Faults,
        issuer: TokenIssuer,
        authority: Authority,
        *,
        rate_limit: bool,
    ) -> None:
        self._authority = authority
        self._fleet, self._clock, self._engine, self._faults = fleet, clock, engine, faults
        self._buckets = Buckets(enabled=rate_limit)
        self._identity = IdentityService(issuer, fleet.api.identity)
        self._in_flight: dict[str, int] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._cache: dict[tuple[object, ...], Answer] = {}
        self._handlers: dict[str, Handler] = {
            "instance": self._instance,
            "versions": self._versions,
            "scheduledevents": self._scheduled_events,
            "attested": self._attested,
            "identity": self._token_or_info,
            "loadbalancer": self._loadbalancer,
            "v1": self._instance_info,
        }

    def answer(self, vm: Vm, request: Request) -> Answer:
        """The answer to a request that reached a VM's service."""
        found = endpoint_of(request.path)
        category = found[0].category if found else ""
        chosen = self._choose(vm, category, request.method) if self._faults else []
        replacing = next((fault for fault in chosen if fault.spec.fault in REPLACEMENTS), None)
        if replacing is not None and replacing.spec.fault not in SPOILING:
            return failed_answer(replacing, None, category=category)
        answer = self._proper_answer(vm, request, chosen)
        if replacing is not None:
            return failed_answer(replacing, answer, category=category)
        return answer

    def sent(self, vm: Vm) -> None:
        """An answer with ``in_flight`` has left."""
        self._in_flight[vm.key] -= 1

    def scope_is_watched(self, vm: Vm) -> bool:
        """Whether any VM of the scope has scheduled events switched on, so that a user's restart waits for approval."""
        now, spec = self._clock.now(), self._fleet.api.scheduled_events
        subscriptions = (self._subscriptions.get(other.key) for other in self._fleet.by_scope[vm.scope])
        return any(subscription.is_on(now, spec) for subscription in subscriptions if subscription)

    def _choose(self, vm: Vm, category: str, method: str) -> list[Fault]:
        return self._faults.choose(Target(vm.key, (category,), method), self._clock.now())

    def _proper_answer(self, vm: Vm, request: Request, distortions: list[Fault]) -> Answer:
        newest = self._fleet.api.newest_version
        for fault in distortions:
            if fault.spec.fault == "region_lag" and fault.spec.value:
                newest = min(newest, fault.spec.value)
        rules = Rules(self._fleet.api, newest, lambda category: self._grant(vm, category))
        try:
            call = check(request, rules)
            if any(fault.spec.fault == "incarnation_reset" for fault in distortions):
                self._subscription(vm).restart(self._engine.incarnation(vm.scope))
            answer = self._handlers[call.endpoint.category](vm, call)
        except RefusedError as exc:
            return exc.answer
        changing = [fault for fault in distortions if fault.spec.fault in DISTORTIONS]
        return self._distorted(vm, call, answer, changing) if changing else answer

    def _grant(self, vm: Vm, category: str) -> bool:
        now = self._clock.now()
        if category == "identity":
            busy = self._buckets.enabled and self._in_flight.get(vm.key, 0) >= IN_FLIGHT
            return not busy and self._buckets.take((vm.key, "identity"), _IDENTITY, now)
        return self._buckets.take((vm.key,), _GENERAL, now)

    def _distorted(self, vm: Vm, call: Call, answer: Answer, faults: list[Fault]) -> Answer:
        """Change a document as faults say. For a route into the instance document, the whole of it is changed first."""
        category = call.endpoint.category
        chosen = [f for f in faults if DISTORTIONS[f.spec.fault].category == category]
        if answer.status != 200 or call.request.method != "GET" or not chosen:
            return answer
        whole = self._whole_instance(vm, call) if category == "instance" else json.loads(answer.body)
        for fault in chosen:
            whole = DISTORTIONS[fault.spec.fault].change(whole, vm.name)
        try:
            changed = _routed(whole, call) if category == "instance" else json_answer(whole)
        except RefusedError as exc:
            changed = exc.answer
        changed.wait, changed.fault = answer.wait, chosen[0].id
        return changed

    def _whole_instance(self, vm: Vm, call: Call) -> dict[str, object]:
        document = instance_document(vm, call.version, extended=call.request.parameter("extended") == "true")
        whole: dict[str, object] = json.loads(compact(document))
        return whole

    def _instance(self, vm: Vm, call: Call) -> Answer:
        place = (vm.key, vm.revision, call.version, call.request.path, call.request.query)
        known = self._cache.get(place)
        if known is None:
            known = _routed(self._whole_instance(vm, call), call)
            if len(self._cache) >= _CACHE_LIMIT:
                self._cache.clear()
            self._cache[place] = known
        return Answer(known.status, known.body, known.content_type)

    def _versions(self, _vm: Vm, _call: Call) -> Answer:
        return json_answer({"apiVersions": list(versions_of("instance", self._fleet.api.newest_version))})

    def _attested(self, vm: Vm, call: Call) -> Answer:
        nonce = call.request.parameter("nonce")
        return attested_document(self._authority, vm, call.version, nonce, self._clock.now())

    def _token_or_info(self, vm: Vm, call: Call) -> Answer:
        if call.endpoint.path.endswith("/info"):
            return self._identity.info()
        answer = self._identity.token(vm, call.request, self._clock.now())
        self._in_flight[vm.key] = self._in_flight.get(vm.key, 0) + 1
        return answer

    def _loadbalancer(self, vm: Vm, _call: Call) -> Answer:
        document = loadbalancer_document(vm)
        if document is None:
            raise RefusedError(error("loadbalancer", 404, _NO_LOAD_BALANCER))
        return json_answer(document)

    def _instance_info(self, vm: Vm, _call: Call) -> Answer:
        """The legacy document of placement (contract section 2)."""
        return json_answer({"ID": f"_{vm.name}", "UD": str(vm.update_domain), "FD": str(vm.fault_domain)})

    def _subscription(self, vm: Vm) -> Subscription:
        return self._subscriptions.setdefault(vm.key, Subscription())

    def _scheduled_events(self, vm: Vm, call: Call) -> Answer:
        now, spec = self._clock.now(), self._fleet.api.scheduled_events
        subscription = self._subscription(vm)
        wait = subscription.call(now, spec, self._engine.incarnation(vm.scope))
        if call.request.method == "POST":
            answer = self._approve(vm, call.request)
        else:
            incarnation = self._engine.incarnation(vm.scope) - subscription.offset
            events = self._engine.open_events(vm.scope) if subscription.delivers(now + wait, spec) else []
            answer = json_answer(events_document(events, incarnation, call.version))
        answer.wait = wait
        return answer

    def _approve(self, vm: Vm, request: Request) -> Answer:
        """Approve what a POST names: all of it or, when something is wrong, none."""
        try:
            ids = start_requests(request.body)
            events = [self._engine.event(event_id) for event_id in ids]
        except (ValueError, NotFoundError) as exc:
            raise RefusedError(error("scheduledevents", 400, f"Bad request. {exc}")) from exc
        stray = next((e for e in events if e.scope != vm.scope or not e.is_open), None)
        if stray is not None:
            raise RefusedError(error("scheduledevents", 400, f"Bad request. no event {stray.event_id!r}"))
        for event in events:
            self._engine.approve(event.event_id, vm.key, self._clock.now())
        return Answer(200, b"")


def _routed(document: object, call: Call) -> Answer:
    """An element of the instance document in JSON or text: the route first (404), then the format (400)."""
    try:
        value = walk(document, call.route)
    except RouteError as exc:
        raise RefusedError(error("instance", 404)) from exc
    form = call.request.parameter("format") or "json"
    if form == "text":
        return Answer(200, as_text(value).encode(), TEXT)
    if form != "json":
        raise RefusedError(error("instance", 400, "Bad request. format is neither json nor text"))
    if not isinstance(value, (dict, list)):
        raise RefusedError(error("instance", 400, "Bad request. This value is only available with format=text"))
    return json_answer(value)


__all__ = ["MetadataService"]
