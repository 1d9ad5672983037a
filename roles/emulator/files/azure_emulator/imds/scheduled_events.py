# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduledevents category: who sees which document in which version, and what a POST says (contract section 6)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure_emulator.clock import http_date
from azure_emulator.events.model import STARTED, Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from azure_emulator.fleet.specification import EventsApiSpec

# The fields that came after the first version, in the order in which answers have them (contract section 6.1).
NEWER_FIELDS = {"Description": "2019-04-01", "EventSource": "2019-08-01", "DurationInSeconds": "2020-07-01"}
_PREVIEW = "2017-03-01"
FIELDS = (
    *("EventId", "EventStatus", "EventType", "ResourceType", "Resources", "NotBefore"),
    *NEWER_FIELDS,
)
"""The fields of an event, in the order in which answers have them."""


def events_document(events: Iterable[Event], incarnation: int, version: str) -> dict[str, Any]:
    """The document in an api-version: newer fields are left out, and so are events of a type that it does not know."""
    known = (event for event in events if event.kind.since <= version)
    return {"DocumentIncarnation": incarnation, "Events": [_entry(event, version) for event in known]}


def _entry(event: Event, version: str) -> dict[str, Any]:
    started = event.phase == STARTED
    entry = {
        "EventId": event.event_id,
        "EventStatus": "Started" if started else "Scheduled",
        "EventType": event.spec.type,
        "ResourceType": "VirtualMachine",
        # The preview put an underscore in front of the names of IaaS machines.
        "Resources": [f"_{name}" if version == _PREVIEW else name for name in event.names],
        "NotBefore": "" if started else http_date(event.not_before),
        "Description": event.description,
        "EventSource": event.source,
        "DurationInSeconds": event.duration,
    }
    return {name: value for name, value in entry.items() if NEWER_FIELDS.get(name, "") <= version}


def start_requests(body: bytes) -> list[str]:
    """The EventIds that a POST approves. ``DocumentIncarnation`` may stand beside them and means nothing.

    Raises:
        ValueError: what is wrong with the body.
    """
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise ValueError("the body is not JSON") from exc
    requests = document.get("StartRequests") if isinstance(document, dict) else None
    if not isinstance(requests, list) or not requests:
        raise ValueError("StartRequests is not a filled array")
    incarnation = document.get("DocumentIncarnation", 0)
    if not isinstance(incarnation, (int, str)) or isinstance(incarnation, bool):
        raise ValueError("DocumentIncarnation is neither a number nor text")
    ids = [entry.get("EventId") if isinstance(entry, dict) else None for entry in requests]
    if not all(isinstance(event_id, str) for event_id in ids):
        raise ValueError("a StartRequest without an EventId")
    return [str(event_id) for event_id in ids]


@dataclass(slots=True)
class Subscription:
    """Whether the service is on for a VM: the first call switches it on, a long silence off (contract section 1.5).

    Attributes:
        enabled_at: when it was switched on; None while it is off.
        last_call: when the VM last asked.
        offset: what to take from the scope's incarnation, which starts anew at 1 after a silence.
    """

    enabled_at: float | None = None
    last_call: float = 0.0
    offset: int = 0

    def is_on(self, now: float, spec: EventsApiSpec) -> bool:
        """Whether it is on."""
        silent = spec.disable_after is not None and now - self.last_call > spec.disable_after
        return self.enabled_at is not None and not silent

    def call(self, now: float, spec: EventsApiSpec, incarnation: int) -> float:
        """Note a call; returns how many seconds it takes to be answered."""
        was_ever_on, on = self.enabled_at is not None, self.is_on(now, spec)
        self.last_call = now
        if on:
            return 0.0
        if was_ever_on:
            self.restart(incarnation)
        self.enabled_at = now
        return spec.first_call_delay

    def restart(self, incarnation: int) -> None:
        """Count incarnations from 1 again."""
        self.offset = incarnation - 1

    def delivers(self, now: float, spec: EventsApiSpec) -> bool:
        """Whether events are shown yet."""
        return self.enabled_at is not None and now - self.enabled_at >= spec.delivery_delay


__all__ = ["FIELDS", "NEWER_FIELDS", "Subscription", "events_document", "start_requests"]
