# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the handler remembers and what it may do: events, the host, steps, and the table of transitions.

Everything here is immutable data. ``decide`` reads it and returns steps; the agent runs a step and journals the state
that :func:`apply` makes of it.
"""

from __future__ import annotations

import typing as t

from ..imds.scheduled_events import Event

# --- states of an event -------------------------------------------------------------------------------------------
SEEN = "seen"
NOTED = "noted"
WAITING_LEAD = "waiting_lead"
WAITING_WINDOW = "waiting_window"
WAITING_SLOT = "waiting_slot"
DRAINING = "draining"
DRAINED = "drained"
HELD = "held"
APPROVED = "approved"
STARTED = "started"
OVERRUN = "overrun"
GONE = "gone"
CANCELLED = "cancelled"
RESUMING = "resuming"
DONE = "done"

WAITING = (WAITING_LEAD, WAITING_WINDOW, WAITING_SLOT)
# The event is over for Azure, or for us.
FINISHING = (GONE, CANCELLED, RESUMING)
# The host must stay drained for the sake of these.
NEED_DRAINED = (DRAINING, DRAINED, HELD, APPROVED, STARTED)
# While an event is in one of these, this VM counts as out.
OUT = (*NEED_DRAINED, OVERRUN, *FINISHING)


class Transition(t.NamedTuple):
    """One line of the state machine: from, to, and when."""

    source: str
    target: str
    when: str


_VANISHED = "it is no longer in the document, and was never approved, Started or past NotBefore"
_OVER = "it is no longer in the document, after approval, Started or NotBefore"
_AHEAD = "Azure started it before this VM was drained"
_BACK = "the same EventId is in the document again"

TRANSITIONS: tuple[Transition, ...] = (
    Transition(SEEN, NOTED, "the policy says ignore or notify"),
    Transition(
        SEEN, WAITING_LEAD, "it is too early: NotBefore is further off than the lead time, and no window is open"
    ),
    Transition(
        SEEN, WAITING_WINDOW, "the window is closed or a hold is set, and the latest start of the drain is not reached"
    ),
    Transition(SEEN, WAITING_SLOT, "no slot is free, and the latest start of the drain is not reached"),
    Transition(
        SEEN, DRAINING, "a slot is held; or the latest start of the drain is reached; or the rule skips the queue"
    ),
    Transition(SEEN, OVERRUN, _AHEAD),
    *(Transition(a, b, "the reason for waiting changed") for a in WAITING for b in WAITING if a != b),
    *(
        Transition(a, DRAINING, "a slot is held; or the latest start of the drain is reached; or force is set")
        for a in WAITING
    ),
    *(
        Transition(a, NOTED, "the configuration or the event changed, and the policy now says ignore or notify")
        for a in WAITING
    ),
    *(Transition(a, OVERRUN, _AHEAD) for a in (*WAITING, DRAINING, HELD)),
    Transition(NOTED, SEEN, "the configuration or the event changed, and the policy now says to drain"),
    Transition(NOTED, DONE, "it is no longer in the document"),
    Transition(
        DRAINING, DRAINED, "the drain hooks are done; or they failed until the deadline and the policy says proceed"
    ),
    Transition(DRAINING, HELD, "the drain hooks failed until the deadline and the policy says hold: never approve"),
    Transition(DRAINED, DRAINING, "the ready hooks say that the host is no longer drained"),
    Transition(DRAINED, APPROVED, "the StartRequest was taken"),
    Transition(DRAINED, STARTED, "Azure started it: approved by another VM, or NotBefore was reached"),
    Transition(HELD, DRAINED, "the drain succeeded after all"),
    Transition(APPROVED, STARTED, "Azure started it"),
    *(Transition(a, CANCELLED, _VANISHED) for a in (SEEN, *WAITING, DRAINING, DRAINED, HELD)),
    *(Transition(a, GONE, _OVER) for a in (SEEN, *WAITING, DRAINING, DRAINED, HELD, APPROVED, STARTED, OVERRUN)),
    Transition(GONE, RESUMING, "settled, healthy, and no other event needs the drain: the resume hooks are run"),
    Transition(CANCELLED, RESUMING, "settled, healthy, and no other event needs the drain: the resume hooks are run"),
    Transition(GONE, DONE, "the host is in service, or another event still needs it drained"),
    Transition(CANCELLED, DONE, "the host is in service, or another event still needs it drained"),
    Transition(RESUMING, DONE, "the resume hooks are done and the slot is released"),
    *(Transition(a, SEEN, _BACK) for a in (*FINISHING, DONE)),
    *(Transition(a, STARTED, _BACK + ", Started") for a in FINISHING),
)
ALLOWED = frozenset((line.source, line.target) for line in TRANSITIONS)

# --- the host -----------------------------------------------------------------------------------------------------
IN_SERVICE = "in_service"
HOST_DRAINING = "draining"
HOST_DRAINED = "drained"
HOST_RESUMING = "resuming"

# --- phases of hooks, and how a run of one ends ----------------------------------------------------------------------
DRAIN = "drain"
READY = "ready"
RESUME = "resume"
HEALTH = "health"
PHASES = (DRAIN, READY, RESUME, HEALTH)

OK = "done"
LATER = "later"
FAILED = "failed"


class EventRecord(t.NamedTuple):
    """One event of ours. Times are epoch seconds.

    Attributes:
        event: as last read.
        state: one of the states above. why: the reason of the last transition.
        action: what the policy says: ignore, notify, drain or drain_and_approve. rule: which rule said so.
        present: whether the last document had it.
        approving: an approval was begun and its outcome is not known.
        incomplete: drained only because the policy says to proceed after a failed drain.
    """

    event: Event
    state: str
    why: str
    action: str
    rule: str
    first_seen: float
    changed: float
    present: bool = True
    approving: bool = False
    approved: float | None = None
    started: float | None = None
    incomplete: bool = False


class Job(t.NamedTuple):
    """A running phase of hooks. ``handle`` is how its launcher finds the current hook again."""

    phase: str
    key: str
    started: float
    hooks: tuple[str, ...] = ()
    current: int = 0
    handle: str | None = None


class JobResult(t.NamedTuple):
    """How a phase of hooks ended: done, later (exit code 75) or failed, and what there is to say."""

    phase: str
    outcome: str
    detail: str
    ended: float


class Host(t.NamedTuple):
    """This VM.

    Attributes:
        service: in_service, draining, drained or resuming; anything but in_service means that we drained it.
        attempts: drains tried for the events at hand.
        slot: None, ``held``, or ``forced`` (taken beyond the limits because Azure goes ahead anyway).
        job: the hooks that run now. last: how the last ones ended.
    """

    service: str = IN_SERVICE
    attempts: int = 0
    slot: str | None = None
    job: Job | None = None
    last: JobResult | None = None


class State(t.NamedTuple):
    """All that the handler remembers: events by their key, the host, and its own VM name."""

    events: t.Mapping[str, EventRecord]
    host: Host
    vm_name: str | None = None


EMPTY = State({}, Host())

# --- steps --------------------------------------------------------------------------------------------------------


class Observe(t.NamedTuple):
    """Remember an event as it is now in the document; new ones start as ``seen``."""

    key: str
    event: Event
    action: str
    rule: str
    why: str


class Vanish(t.NamedTuple):
    """An event that is remembered is no longer in the document; a Move says what that means."""

    key: str
    why: str


class Move(t.NamedTuple):
    """An event changes its state."""

    key: str
    state: str
    why: str
    incomplete: bool = False


class Claim(t.NamedTuple):
    """Ask the fleet for slots, for this VM and the other ones that the event touches; forced ones are never refused."""

    key: str
    forced: bool
    why: str


class Release(t.NamedTuple):
    """Give the slot back."""

    why: str


class Report(t.NamedTuple):
    """Tell the fleet that this VM is ready for an event."""

    key: str
    why: str


class Withdraw(t.NamedTuple):
    """Take a report of readiness back."""

    key: str
    why: str


class Run(t.NamedTuple):
    """Start the hooks of a phase on behalf of an event."""

    phase: str
    key: str
    why: str


class Abort(t.NamedTuple):
    """End the running hooks: something more urgent came."""

    why: str


class Approve(t.NamedTuple):
    """POST a StartRequest."""

    key: str
    why: str


class Serve(t.NamedTuple):
    """The host's own state changes."""

    service: str
    why: str


class Forget(t.NamedTuple):
    """Drop an old event from memory."""

    key: str
    why: str


Step = t.Union[Observe, Vanish, Move, Claim, Release, Report, Withdraw, Run, Abort, Approve, Serve, Forget]


def apply(state: State, step: Step, now: float) -> State:
    """The state once a step that needs nobody else is taken, or once one that does has begun.

    Claim, Release, Report and Withdraw change the state by their outcome only (see the agent), so nothing here.
    """
    host, events = state.host, dict(state.events)
    if isinstance(step, Observe):
        events[step.key] = _observed(events.get(step.key), step, now)
    elif isinstance(step, Vanish):
        events[step.key] = events[step.key]._replace(present=False)
    elif isinstance(step, Move):
        events[step.key] = _moved(events[step.key], step, now)
    elif isinstance(step, Approve):
        events[step.key] = events[step.key]._replace(approving=True)
    elif isinstance(step, Run):
        attempts = host.attempts + (step.phase == DRAIN)
        service = {DRAIN: HOST_DRAINING, RESUME: HOST_RESUMING}.get(step.phase, host.service)
        host = host._replace(service=service, attempts=attempts, job=Job(step.phase, step.key, now))
    elif isinstance(step, Abort) and host.job is not None:
        host = host._replace(job=None, last=JobResult(host.job.phase, LATER, step.why, now))
    elif isinstance(step, Serve):
        attempts = 0 if step.service == IN_SERVICE else host.attempts
        host = host._replace(service=step.service, attempts=attempts)
    elif isinstance(step, Forget):
        events.pop(step.key, None)
    return state._replace(events=events, host=host)


def _observed(record: EventRecord | None, step: Observe, now: float) -> EventRecord:
    if record is None:
        return EventRecord(step.event, SEEN, step.why, step.action, step.rule, now, now)
    return record._replace(event=step.event, action=step.action, rule=step.rule, present=True)


def _moved(record: EventRecord, step: Move, now: float) -> EventRecord:
    record = record._replace(
        state=step.state, why=step.why, changed=now, incomplete=step.incomplete or record.incomplete
    )
    if step.state == SEEN:
        return record._replace(approving=False, approved=None, started=None, incomplete=False)
    if step.state == APPROVED:
        return record._replace(approving=False, approved=now)
    if step.state in (STARTED, OVERRUN):
        return record._replace(approving=False, started=record.started or now)
    return record


def finish_job(state: State, outcome: str, detail: str, now: float) -> State:
    """The state once the running hooks have ended."""
    job = state.host.job
    if job is None:
        return state
    return state._replace(host=state.host._replace(job=None, last=JobResult(job.phase, outcome, detail, now)))
