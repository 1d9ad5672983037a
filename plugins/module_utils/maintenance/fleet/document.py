# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The fleet document: who is out, who is ready for which event, opened windows, the hold. Pure functions on it.

A store only loads and saves it (compare and swap); every rule is here. VMs are named by ``compute.name`` in lower case.
"""

from __future__ import annotations

import typing as t

from ...imds.scheduled_events import Event, resource_key
from ..windows import Hold, Span

FORMAT = 1


class FleetFormatError(ValueError):
    """The stored bytes are no fleet document of this format; nothing may be written over them."""


class Member(t.NamedTuple):
    """A VM of the fleet: its domains as text (None where it has none), and when it last said so (epoch seconds)."""

    zone: str | None
    fault_domain: str | None
    update_domain: str | None
    seen: float


class Holder(t.NamedTuple):
    """A slot: since when (epoch seconds), for which event, taken beyond the limits or not, and by which VM."""

    since: float
    key: str
    forced: bool
    by: str


class Limits(t.NamedTuple):
    """How much of the fleet may be out at once.

    Attributes:
        max_unavailable: in total; a number, or a percentage of the members such as ``25%``, rounded down, at least 1.
        per_zone, per_fault_domain, per_update_domain: within one such domain; None is no limit.
        min_available: how many members must stay.
    """

    max_unavailable: int | str = 1
    per_zone: int | None = None
    per_fault_domain: int | None = None
    per_update_domain: int | None = None
    min_available: int = 0


class FleetWindow(t.NamedTuple):
    """A window that a person opened, for some VMs or (None) for all."""

    span: Span
    by: str
    vms: tuple[str, ...] | None


class FleetDocument(t.NamedTuple):
    """See the module."""

    members: t.Mapping[str, Member]
    holders: t.Mapping[str, Holder]
    ready: t.Mapping[str, t.Mapping[str, float]]
    windows: tuple[FleetWindow, ...] = ()
    hold: Hold | None = None


EMPTY = FleetDocument({}, {}, {})


class ClaimResult(t.NamedTuple):
    """The document after a claim, whether the slot was granted, and why (not)."""

    document: FleetDocument
    granted: bool
    why: str


def register(document: FleetDocument, vm: str, member: Member) -> FleetDocument:
    """Make a VM a member, or refresh what is known of it."""
    return document._replace(members={**document.members, resource_key(vm): member})


def allowed_out(limits: Limits, members: int) -> int:
    """How many VMs may be out at once, of so many members."""
    limit = limits.max_unavailable
    if isinstance(limit, str):
        limit = max(1, members * int(limit.rstrip("%")) // 100)
    return min(limit, members - limits.min_available) if limits.min_available else limit


def claim(
    document: FleetDocument, vm: str, event: Event, limits: Limits, *, now: float, forced: bool = False
) -> ClaimResult:
    """Take a slot for a VM.

    The other members that the event touches get theirs at the same time, or none does: they can only go together, so
    half of them holding slots would block the fleet. A forced claim takes one slot, beyond the limits if need be.
    """
    me = resource_key(vm)
    held = document.holders.get(me)
    if held is not None:
        holders = {**document.holders, me: held._replace(key=event.key)}
        return ClaimResult(document._replace(holders=holders), True, "this VM holds a slot")
    if forced:
        holders = {**document.holders, me: Holder(now, event.key, _beyond(document, [me], limits) is not None, me)}
        return ClaimResult(document._replace(holders=holders), True, "taken without asking: Azure goes ahead anyway")
    touched = [resource_key(name) for name in event.resources]
    wanted = [name for name in touched if name in document.members and name not in document.holders]
    wanted = wanted if me in wanted else [*wanted, me]
    refusal = _beyond(document, wanted, limits)
    if refusal:
        return ClaimResult(document, False, refusal)
    new = {name: Holder(now, event.key, False, me) for name in wanted}
    return ClaimResult(document._replace(holders={**document.holders, **new}), True, "a slot was free")


def _beyond(document: FleetDocument, wanted: t.Sequence[str], limits: Limits) -> str | None:
    """Why these VMs cannot go out in addition, or None."""
    out = [*document.holders, *wanted]
    members = len({*document.members, *out})
    allowed = allowed_out(limits, members)
    if len(out) > allowed:
        names = ", ".join(sorted(document.holders)) or "nobody"
        if len(wanted) > allowed:
            return f"the event takes {len(wanted)} VMs at once and {allowed} may be out"
        return f"{len(out)} of {members} would be out and {allowed} may be (out now: {names})"
    for field, limit in (
        ("zone", limits.per_zone),
        ("fault_domain", limits.per_fault_domain),
        ("update_domain", limits.per_update_domain),
    ):
        crowded = _crowded(document, out, wanted, field, limit)
        if crowded:
            return crowded
    return None


def _crowded(
    document: FleetDocument, out: t.Sequence[str], wanted: t.Sequence[str], field: str, limit: int | None
) -> str | None:
    if limit is None:
        return None
    domains = {name: getattr(document.members[name], field) for name in out if name in document.members}
    for domain in {domains.get(name) for name in wanted} - {None}:
        count = sum(value == domain for value in domains.values())
        if count > limit:
            return f"{count} VMs of {field.replace('_', ' ')} {domain} would be out and {limit} may be"
    return None


def release(document: FleetDocument, vm: str) -> FleetDocument:
    """Give a VM's slot back."""
    me = resource_key(vm)
    return document._replace(holders={name: slot for name, slot in document.holders.items() if name != me})


def report_ready(document: FleetDocument, vm: str, key: str, *, now: float) -> FleetDocument:
    """Note that a VM is drained and ready for an event. A second report keeps the time of the first."""
    ready = {resource_key(vm): now, **document.ready.get(key, {})}
    return document._replace(ready={**document.ready, key: ready})


def withdraw_ready(document: FleetDocument, vm: str, key: str) -> FleetDocument:
    """Take a report back; an event without any report leaves the document."""
    me = resource_key(vm)
    ready = {name: since for name, since in document.ready.get(key, {}).items() if name != me}
    others = {k: v for k, v in document.ready.items() if k != key}
    return document._replace(ready={**others, key: ready} if ready else others)


def missing(document: FleetDocument, event: Event, *, assume_ready: t.Collection[str] = ()) -> list[str]:
    """The VMs of an event that have not reported ready, by name as Azure writes it."""
    ready = document.ready.get(event.key, {})
    assumed = {resource_key(name) for name in assume_ready}
    return [name for name in event.resources if resource_key(name) not in ready and resource_key(name) not in assumed]


class Turn(t.NamedTuple):
    """Whether it is a VM's turn to approve, and why (not)."""

    mine: bool
    why: str


def approver(document: FleetDocument, event: Event, vm: str, *, now: float, takeover_after: float) -> Turn:
    """Whose turn it is to approve an event for which everybody is ready.

    The first ready VM in the event's Resources; each of the following ones takes over after one more ``takeover_after``
    seconds, counted from the moment at which the last of them became ready.
    """
    ready = document.ready.get(event.key, {})
    order = [name for name in map(resource_key, event.resources) if name in ready]
    me = resource_key(vm)
    if me not in order:
        return Turn(False, "this VM has not reported ready")
    position = order.index(me)
    if position == 0:
        return Turn(True, "this VM is the first ready one in Resources")
    waited = now - max(ready[name] for name in order)
    if waited >= position * takeover_after:
        return Turn(True, f"{order[0]} has not approved for {waited:.0f} s")
    return Turn(False, f"{order[0]} approves first")


def prune(document: FleetDocument, *, now: float, ready_for: float = 7 * 86400.0) -> FleetDocument:
    """The document without windows that are over and without reports of readiness that nobody took back for a week."""
    windows = tuple(window for window in document.windows if window.span.end > now)
    ready = {key: vms for key, vms in document.ready.items() if now - max(vms.values(), default=0.0) < ready_for}
    hold = document.hold if document.hold and (document.hold.until is None or now < document.hold.until) else None
    return document._replace(windows=windows, ready=ready, hold=hold)


def spans_for(document: FleetDocument, vm: str) -> list[Span]:
    """The opened windows that count for a VM."""
    me = resource_key(vm)
    return [w.span for w in document.windows if w.vms is None or me in map(resource_key, w.vms)]


__all__ = [
    "EMPTY",
    "FORMAT",
    "ClaimResult",
    "FleetDocument",
    "FleetFormatError",
    "FleetWindow",
    "Holder",
    "Limits",
    "Member",
    "Turn",
    "allowed_out",
    "approver",
    "claim",
    "missing",
    "prune",
    "register",
    "release",
    "report_ready",
    "spans_for",
    "withdraw_ready",
]
