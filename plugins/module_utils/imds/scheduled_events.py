# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Scheduled Events: the document, its events, and approving one (contract section 6)."""

from __future__ import annotations

import calendar
import re
import typing as t

from . import api_versions
from .client import ImdsClient, RetryPolicy
from .errors import AbsentError, BadAnswerError, UncertainError

SCHEDULED = "Scheduled"
STARTED = "Started"
PATH = "scheduledevents"
# The first call on a VM enables the service and may take two minutes (contract section 1.5).
FIRST_CALL_POLICY = RetryPolicy(total=150.0, attempt=130.0)

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RFC1123 = re.compile(r"(?:\w{3}, )?(\d{1,2}) (\w{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) (?:GMT|UTC|\+0000)")
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(?:Z|\+00:?00)?")


class Event(t.NamedTuple):
    """One scheduled event. Field names follow Azure's, in snake_case.

    Attributes:
        event_id: as received; compare by :attr:`key`.
        event_status: ``Scheduled`` or ``Started``.
        event_type: ``Freeze``, ``Reboot``, ``Redeploy``, ``Preempt``, ``Terminate``, or one that is still to come.
        resources: names of the VMs that it touches.
        not_before: earliest start in epoch seconds; None once started, or when it cannot be read.
        not_before_text: the same as received.
        event_source: ``Platform`` or ``User``; None from api-versions before 2019-08-01.
        duration_in_seconds: expected interruption; 0 is none, -1 is unknown, None is not said.
    """

    event_id: str
    event_status: str
    event_type: str
    resource_type: str
    resources: tuple[str, ...]
    not_before: float | None
    not_before_text: str
    description: str
    event_source: str | None
    duration_in_seconds: int | None

    @property
    def key(self) -> str:
        """What identifies the event: EventIds compare case-insensitively."""
        return self.event_id.lower()

    def touches(self, vm_name: str) -> bool:
        """Whether a VM (its ``compute.name``, never its host name) is among the resources."""
        wanted = resource_key(vm_name)
        return any(resource_key(name) == wanted for name in self.resources)

    def as_dict(self) -> dict[str, t.Any]:
        """JSON-able form, for results and hooks."""
        return {**self._asdict(), "resources": list(self.resources)}


class EventsDocument(t.NamedTuple):
    """The events that this VM is shown.

    Attributes:
        incarnation: changes whenever the events do, and may start anew: compare with ``!=`` only.
        problems: one sentence for each entry that could not be read, so that nothing is dropped silently.
    """

    incarnation: int | None
    events: tuple[Event, ...]
    problems: tuple[str, ...] = ()


class Approval(t.NamedTuple):
    """What became of an approval.

    Attributes:
        sent: whether a StartRequest was posted and, as far as can be known, taken.
        event: the event as last read; None when it is no longer in the document.
    """

    sent: bool
    event: Event | None


def resource_key(name: str) -> str:
    """A VM's name for comparison: case does not count, nor the ``_`` that api-version 2017-03-01 puts in front."""
    return (name[1:] if name.startswith("_") else name).lower()


def parse_not_before(value: str) -> float | None:
    """Epoch seconds of a NotBefore in RFC 1123 form, or in the ISO form of the 2017 samples; None for any other."""
    match = _RFC1123.fullmatch(value.strip())
    if match:
        day, month, year = match[1], match[2].title(), match[3]
        if month not in _MONTHS:
            return None
        numbers = [int(year), _MONTHS.index(month) + 1, int(day), *(int(match[i]) for i in (4, 5, 6))]
    else:
        match = _ISO.fullmatch(value.strip())
        if not match:
            return None
        numbers = [int(group) for group in match.groups()]
    year, _month, day, hour, minute, second = numbers
    if not (year >= 1970 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    try:
        return float(calendar.timegm((*numbers, 0, 0, 0)))
    except ValueError:
        return None


def parse_document(value: t.Any) -> EventsDocument:
    """The events in an answer of ``/metadata/scheduledevents``.

    An entry that has no usable EventId, status or resources is left out and named in ``problems``.

    Raises:
        BadAnswerError: the answer is no events document at all.
    """
    if not isinstance(value, dict) or not isinstance(value.get("Events"), list):
        raise BadAnswerError("the answer is JSON but no scheduled-events document: it has no Events array")
    incarnation = value.get("DocumentIncarnation")
    events: list[Event] = []
    problems: list[str] = []
    for index, entry in enumerate(value["Events"]):
        try:
            event = _parse_event(entry)
        except ValueError as exc:
            problems.append(f"Events[{index}]: {exc}")
        else:
            events.append(event)
            if event.not_before is None and event.not_before_text and event.event_status != STARTED:
                problems.append(f"Events[{index}]: NotBefore {event.not_before_text[:60]!r} is no known date form")
    usable = isinstance(incarnation, int) and not isinstance(incarnation, bool)
    return EventsDocument(incarnation if usable else None, tuple(events), tuple(problems))


def _parse_event(entry: t.Any) -> Event:
    if not isinstance(entry, dict):
        raise ValueError("not an object")

    def string(name: str, *, required: bool = False) -> str:
        value = entry.get(name)
        if isinstance(value, str) and (value or not required):
            return value
        if value is None and not required:
            return ""
        raise ValueError(f"{name} is {'missing' if value is None else repr(value)[:60]}")

    resources = entry.get("Resources")
    if not isinstance(resources, list) or not all(isinstance(name, str) for name in resources):
        raise ValueError("Resources is not an array of names")
    duration = entry.get("DurationInSeconds")
    not_before = string("NotBefore")
    return Event(
        event_id=string("EventId", required=True),
        event_status=string("EventStatus", required=True),
        event_type=string("EventType", required=True),
        resource_type=string("ResourceType"),
        resources=tuple(resources),
        not_before=parse_not_before(not_before),
        not_before_text=not_before,
        description=string("Description"),
        event_source=string("EventSource") or None,
        duration_in_seconds=duration if isinstance(duration, int) and not isinstance(duration, bool) else None,
    )


class ScheduledEvents:
    """Reads and approves scheduled events through a client.

    The first read waits long enough for a service that has to wake up.

    Args:
        client: speaks to the service.
        api_version: ``auto``, or one version.
        first_policy: how long the first read may take; ``FIRST_CALL_POLICY`` by default.
    """

    def __init__(
        self, client: ImdsClient, *, api_version: str = "auto", first_policy: RetryPolicy | None = None
    ) -> None:
        self._client = client
        self._requested = api_version
        self._first_policy = first_policy or FIRST_CALL_POLICY
        self._answered: str | None = None

    @property
    def api_version(self) -> str | None:
        """The api-version of the last answer, None before the first."""
        return self._answered

    def read(self) -> EventsDocument:
        """The current document. Raises ImdsError."""
        policy = self._first_policy if self._answered is None else None
        answer = self._client.get_json(PATH, api_version=self._requested, policy=policy)
        self._answered = answer.api_version
        return parse_document(answer.value)

    def vm_name(self) -> str:
        """This VM's name as events have it: ``compute.name`` (contract section 6.6), in one request.

        Raises:
            AbsentError: the service has none, as on a classic VM.
            ImdsError: it could not be read.
        """
        name = str(self._client.get_text("instance/compute/name").value).strip()
        if not name:
            raise AbsentError(f"{self._client.endpoint} knows no name of this VM (compute.name is empty)")
        return name

    def approve(self, event_id: str) -> Approval:
        """Let an event start now, for every VM in its resources (contract section 6.7). See :meth:`start`."""
        wanted = event_id.lower()
        event = next((event for event in self.read().events if event.key == wanted), None)
        return Approval(False, None) if event is None else self.start([event])[0]

    def start(self, events: t.Sequence[Event]) -> list[Approval]:
        """Let events start now, all by one request.

        Nothing is sent for an event that has started already. When the answer is lost, the document is read again: an
        event may have started or gone; for those that still wait the request is sent once more, which is harmless.

        Args:
            events: as last read by this object.

        Returns:
            What became of each, in the same order.

        Raises:
            ImdsError: the document could not be read, or the service refused.
        """
        now: list[Event | None] = list(events)
        asked = {event.key for event in events if event.event_status == SCHEDULED}
        for last_try in (False, True):
            waiting = [event for event in now if event is not None and event.event_status == SCHEDULED]
            if not waiting:
                break
            try:
                self.request_start(*(event.event_id for event in waiting))
            except UncertainError:
                if last_try:
                    raise
                read = {event.key: event for event in self.read().events}
                now = [read.get(event.key) for event in events]
            else:
                break
        return [Approval(event.key in asked, latest) for event, latest in zip(events, now)]

    def request_start(self, *event_ids: str) -> None:
        """POST StartRequests for events that a read showed, with their EventIds as received there. Reads nothing.

        Raises:
            UncertainError: the answer was lost; the next read tells.
            ImdsError: any other; nothing was approved.
        """
        document = {"StartRequests": [{"EventId": event_id} for event_id in event_ids]}
        self._client.post_json(PATH, document, api_version=self._answered or api_versions.preferred(PATH) or "")


__all__ = [
    "FIRST_CALL_POLICY",
    "SCHEDULED",
    "STARTED",
    "Approval",
    "Event",
    "EventsDocument",
    "ScheduledEvents",
    "parse_document",
    "parse_not_before",
    "resource_key",
]
