# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What really happened, from two witnesses that know nothing of the handler's own account: the emulator's history of
its events, and the diaries that the hooks wrote. From them: the stretches of each VM, and every broken promise.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DRAINING, DRAINED, DOWN, FROZEN, RESUMING = "draining", "drained", "down", "frozen", "resuming"


class Note(NamedTuple):
    """A line of a diary: a hook of a phase began or ended, at a moment of the emulator's clock (epoch seconds)."""

    at: float
    vm: str
    phase: str
    what: str


class Stretch(NamedTuple):
    """A VM was something from one moment to another."""

    vm: str
    kind: str
    start: float
    end: float


class Event(NamedTuple):
    """An event of the emulator's history; moments in epoch seconds of its clock, None for what never happened."""

    event_id: str
    type: str
    source: str
    resources: tuple[str, ...]
    scheduled: float
    not_before: float
    approvals: tuple[tuple[float, str], ...]
    started: float | None
    impacts: tuple[tuple[str, str, float, float | None], ...]
    gone: float | None

    @property
    def interrupts(self) -> bool:
        """Whether it takes its VMs down, rather than pausing them for a moment."""
        return self.type in ("Reboot", "Redeploy")


class Account(NamedTuple):
    """Everything, over the time from the first event to the end."""

    vms: tuple[str, ...]
    events: tuple[Event, ...]
    notes: tuple[Note, ...]
    start: float
    end: float


def read_diary(path: Path, *, to_virtual: Callable[[float], float]) -> list[Note]:
    """The notes in a diary; none when there is no diary, for then no hook ran. Raises ValueError for a torn line."""
    if not path.exists():
        return []
    notes = []
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        notes.append(Note(to_virtual(entry["real"]), entry["vm"], entry["phase"], entry["what"]))
    return notes


def read_event(entry: Mapping[str, Any]) -> Event:
    """An event as the emulator's control side gives it."""
    return Event(
        event_id=entry["event_id"],
        type=entry["type"],
        source=entry["source"],
        resources=tuple(entry["resources"]),
        scheduled=entry["scheduled_at"],
        not_before=entry["not_before"],
        approvals=tuple((approval["at"], approval["by"]) for approval in entry["approvals"]),
        started=entry["started_at"],
        impacts=tuple((vm, impact["type"], impact["begin"], impact["end"]) for vm, impact in entry["impacts"].items()),
        gone=entry["gone_at"],
    )


def make_account(events: Iterable[Event], diaries: Iterable[Note], vms: Iterable[str], *, end: float) -> Account:
    """Put the witnesses together."""
    ordered = tuple(sorted(events, key=lambda event: event.scheduled))
    start = ordered[0].scheduled if ordered else end
    return Account(tuple(vms), ordered, tuple(sorted(diaries)), start, end)


def stretches(account: Account) -> list[Stretch]:
    """What each VM was when, in the order of time: draining, drained, down or frozen, resuming; else in service."""
    found = [
        Stretch(vm, FROZEN if kind == "Freeze" else DOWN, began, ended if ended is not None else account.end)
        for event in account.events
        for vm, kind, began, ended in event.impacts
    ]
    for vm in account.vms:
        notes = [note for note in account.notes if note.vm == vm]
        moments = [note.at for note in notes] + [account.end]
        for note, until in zip(notes, moments[1:], strict=True):
            kind = {
                ("drain", "begin"): DRAINING,
                ("drain", "end"): DRAINED,
                ("resume", "begin"): RESUMING,
            }.get((note.phase, note.what))
            if kind:
                found.append(Stretch(vm, kind, note.at, until))
    return sorted(found, key=lambda stretch: (stretch.start, stretch.vm))


def outages(account: Account) -> list[Stretch]:
    """When each VM was out of service: from the first moment of a drain to the last of the resume, and when down."""
    out = []
    for vm in account.vms:
        began = None
        for note in (note for note in account.notes if note.vm == vm):
            if (note.phase, note.what) == ("drain", "begin") and began is None:
                began = note.at
            elif (note.phase, note.what) == ("resume", "end") and began is not None:
                out.append(Stretch(vm, "out", began, note.at))
                began = None
        if began is not None:
            out.append(Stretch(vm, "out", began, account.end))
    down = [stretch for stretch in stretches(account) if stretch.kind == DOWN]
    return sorted(out + down, key=lambda stretch: stretch.start)


def drained_at(account: Account, vm: str, moment: float) -> bool:
    """Whether a VM's last drain was over, and no resume begun, at a moment."""
    state = False
    for note in account.notes:
        if note.vm == vm and note.at <= moment:
            state = (note.phase, note.what) == ("drain", "end")
    return state


def violations(account: Account, limits: Mapping[str, int], tier_of: Callable[[str], str]) -> list[str]:
    """A sentence for each broken promise."""
    problems: list[str] = []
    for event in account.events:
        problems += _approval_problems(account, event)
        problems += _course_problems(account, event)
    problems += _crowding_problems(account, limits, tier_of)
    for vm in account.vms:
        notes = [note for note in account.notes if note.vm == vm and note.phase in ("drain", "resume")]
        if notes and (notes[-1].phase, notes[-1].what) != ("resume", "end"):
            problems.append(f"{vm} was drained and is not resumed")
        problems += _order_problems(vm, notes)
    return problems


def _approval_problems(account: Account, event: Event) -> list[str]:
    problems = []
    name = f"{event.type} of {', '.join(event.resources)}"
    for at, by in event.approvals:
        if by not in event.resources:
            problems.append(f"{name}: approved by {by}, whose event it is not")
        elif not drained_at(account, by, at):
            problems.append(f"{name}: {by} approved before it was drained")
        problems += [
            f"{name}: {by} approved while {vm} was not ready"
            for vm in event.resources
            if vm != by and not drained_at(account, vm, at)
        ]
    if len(event.approvals) > 1:
        problems.append(f"{name}: approved {len(event.approvals)} times")
    return problems


def _course_problems(account: Account, event: Event) -> list[str]:
    name = f"{event.type} of {', '.join(event.resources)}"
    if event.gone is None:
        return [f"{name}: not over"]
    if not event.interrupts:
        return []
    if not event.approvals:
        return [f"{name}: never approved, Azure went ahead at NotBefore"]
    return [
        f"{name}: {vm} went down without being drained"
        for vm, _kind, began, _ended in event.impacts
        if not drained_at(account, vm, began)
    ]


def _order_problems(vm: str, notes: Sequence[Note]) -> list[str]:
    resumes = [(note.phase, note.what) for note in notes if note.what == "end"]
    doubled = any(a == b == ("resume", "end") for a, b in itertools.pairwise(resumes))
    return [f"{vm} was resumed twice after one drain"] if doubled else []


def most_out(account: Account, tier: str, tier_of: Callable[[str], str]) -> int:
    """The largest number of VMs of a tier that were out at the same moment."""
    spans = [span for span in outages(account) if tier_of(span.vm) == tier]
    return max((len({s.vm for s in spans if s.start <= span.start < s.end}) for span in spans), default=0)


def _crowding_problems(account: Account, limits: Mapping[str, int], tier_of: Callable[[str], str]) -> list[str]:
    problems = []
    for tier, limit in limits.items():
        most = most_out(account, tier, tier_of)
        if most > limit:
            problems.append(f"{most} VMs of the tier {tier} were out at once, and {limit} may be")
    return problems


__all__ = [
    "Account",
    "Event",
    "Note",
    "Stretch",
    "make_account",
    "most_out",
    "outages",
    "read_diary",
    "read_event",
    "stretches",
    "violations",
]
