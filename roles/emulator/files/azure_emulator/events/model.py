# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An event, and what may be asked of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azure_emulator.clock import Handle, http_date, iso
from azure_emulator.events.kinds import EVENT_TYPES, KINDS, Kind
from azure_emulator.reading import boolean, choice, guid, integer, key, list_of, number, optional, text

SCHEDULED = "scheduled"
STARTED = "started"
GONE = "gone"
CANCELLED = "cancelled"
VIEW = (
    *("event_id", "type", "status", "open", "source", "resources", "scope", "description", "duration", "coupled"),
    *("not_before", "not_before_text", "scheduled_at", "approved_by", "approved_at", "approvals", "started_at"),
    *("impacts", "gone_at", "cancelled_at", "history"),
)
"""What the control side shows of an event."""
_seconds = optional(number(minimum=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSpec:
    """What ``POST /events`` takes. All times in seconds."""

    type: str = key(choice(*EVENT_TYPES), "Freeze, Reboot, Redeploy, Preempt or Terminate.")
    resources: tuple[str, ...] = key(list_of(text()), "The VMs that it touches, all of one scope.")
    not_before: float | None = key(
        _seconds, "Earliest start from now; null for the type's minimum notice.", default=None
    )
    duration: int | None = key(
        optional(integer(minimum=-1)), "DurationInSeconds as shown; null for what is usual.", default=None
    )
    source: str | None = key(optional(choice("Platform", "User")), "EventSource; null for what is usual.", default=None)
    description: str | None = key(
        optional(text(empty=True)), "Description; null for what Azure usually says.", default=None
    )
    impact: float | None = key(_seconds, "How long each VM is really away; null for what is usual.", default=None)
    impact_after: float = key(number(minimum=0), "From the start to the begin of the impact.", default=0.0)
    impact_type: str | None = key(
        optional(choice(*EVENT_TYPES, "None")),
        "What really happens, where it is milder than announced: Freeze, or None for nothing.",
        default=None,
    )
    settle: float | None = key(
        _seconds, "From the end of the impact to the event leaving the document; null for what is usual.", default=None
    )
    start_after_approval: float = key(number(minimum=0), "From the approval to the start.", default=5.0)
    other_tenants: float | None = key(
        _seconds,
        "When, from now, the last other tenant of the host approves; null: never, they wait for NotBefore.",
        default=0.0,
    )
    started: bool = key(boolean, "Appear as Started at once, as a sudden hardware failure does.", default=False)
    coupled: str | None = key(
        optional(text()), "Events with the same word wait for each other's approval, as deletions do.", default=None
    )
    event_id: str | None = key(optional(guid), "EventId; null for a made-up one.", default=None)


@dataclass(slots=True)
class Impact:
    """What an event does to one VM: epoch seconds of begin and end, None while still to come."""

    kind: str
    begin: float | None = None
    end: float | None = None


@dataclass(slots=True)
class Event:
    """An event and its whole history.

    Attributes:
        resources: keys of VMs.
        names: what the document calls them.
        not_before: epoch seconds.
        phase: ``scheduled``, ``started``, ``gone`` or ``cancelled``.
        approvals: who approved, in order: key of the VM, epoch seconds.
        timers: what is due for it.
    """

    event_id: str
    spec: EventSpec
    resources: tuple[str, ...]
    names: tuple[str, ...]
    scope: str
    source: str
    description: str
    duration: int
    impact: float | None
    settle: float
    not_before: float
    scheduled_at: float
    phase: str = SCHEDULED
    approvals: list[tuple[str, float]] = field(default_factory=list)
    started_at: float | None = None
    ended_at: float | None = None
    impacts: dict[str, Impact] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    timers: list[Handle] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """What its type means."""
        return KINDS[self.spec.type]

    @property
    def is_open(self) -> bool:
        """Whether it stands in the document."""
        return self.phase in (SCHEDULED, STARTED)

    @property
    def approved(self) -> bool:
        """Whether somebody approved it."""
        return bool(self.approvals)

    def view(self) -> dict[str, Any]:
        """What the control side shows of it."""
        gone = self.ended_at if self.phase == GONE else None
        cancelled = self.ended_at if self.phase == CANCELLED else None
        first = self.approvals[0] if self.approvals else (None, None)
        return {
            "event_id": self.event_id,
            "type": self.spec.type,
            "status": self.phase,
            "open": self.is_open,
            "source": self.source,
            "resources": list(self.resources),
            "scope": self.scope,
            "description": self.description,
            "duration": self.duration,
            "coupled": self.spec.coupled,
            "not_before": self.not_before,
            "not_before_text": http_date(self.not_before),
            "scheduled_at": self.scheduled_at,
            "approved_by": first[0],
            "approved_at": first[1],
            "approvals": [{"by": by, "at": at} for by, at in self.approvals],
            "started_at": self.started_at,
            "impacts": {vm: {"type": i.kind, "begin": i.begin, "end": i.end} for vm, i in self.impacts.items()},
            "gone_at": gone,
            "cancelled_at": cancelled,
            "history": self.history,
        }

    def note(self, at: float, what: str, **details: Any) -> None:
        """Add a line to its history."""
        self.history.append({"at": at, "at_text": iso(at), "what": what, **details})


__all__ = ["CANCELLED", "GONE", "SCHEDULED", "STARTED", "VIEW", "Event", "EventSpec", "Impact"]
