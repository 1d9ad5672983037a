# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What to do next: a pure function of the time, the events document, what is remembered, the settings and the fleet.

It returns steps and, for each event that waits, a sentence that says for what. It is asked again after every step that
touches the world, so it never has to foresee an outcome.
"""

from __future__ import annotations

import time
import typing as t

from ..imds.scheduled_events import STARTED as AZURE_STARTED
from ..imds.scheduled_events import Event, EventsDocument, resource_key
from . import model as m
from . import policy, windows
from .config import Config
from .fleet.document import FleetDocument, approver, claim, missing, spans_for

# How old the last "yes, still drained" may be at the moment of approval, in seconds.
READY_AT_APPROVAL = 5.0
# How long a slot that another VM took for us is kept before we have seen the event ourselves, in seconds.
RESERVATION_GRACE = 120.0
# How many finished events are remembered, for status and for an EventId that comes back.
REMEMBERED = 20


class Moment(t.NamedTuple):
    """Now: wall clock in epoch seconds, for NotBefore and for people; monotonic seconds, for waiting."""

    wall: float
    mono: float


class Operator(t.NamedTuple):
    """What a person ordered on this host: a hold, opened windows, and keys of events to force (``*`` is all)."""

    hold: windows.Hold | None = None
    windows: tuple[windows.Span, ...] = ()
    force: frozenset[str] = frozenset()


class Inputs(t.NamedTuple):
    """All that a decision depends on.

    Attributes:
        document: the events as read just now; None when they could not be read, which says nothing about them.
        timers: monotonic readings of this process by name: ``ended:<phase>`` when hooks last ended, ``ok:<phase>`` when
            they last succeeded, ``vanished:<key>``, ``approve:<key>``. One that is missing counts as long ago.
        fleet: the fleet document as read just now; None when the store cannot be read.
    """

    now: Moment
    document: EventsDocument | None
    state: m.State
    timers: t.Mapping[str, float]
    config: Config
    fleet: FleetDocument | None
    operator: Operator = Operator()


class Decision(t.NamedTuple):
    """Steps in order, and by event key what is being waited for."""

    steps: tuple[m.Step, ...]
    reasons: t.Mapping[str, str]


class _Verdict(t.NamedTuple):
    steps: tuple[m.Step, ...] = ()
    reason: str = ""


def decide(inputs: Inputs) -> Decision:
    """The next steps. An empty tuple means: wait for something to change."""
    if inputs.state.vm_name is None:
        return Decision((), {})
    observed = _observe(inputs)
    if observed:
        return Decision(tuple(observed), {})
    look = _Look(inputs)
    steps: list[m.Step] = []
    reasons: dict[str, str] = {}
    for key, record in sorted(inputs.state.events.items(), key=lambda item: look.urgency(item[1])):
        verdict = _RULES[record.state](look, key, record)
        steps += verdict.steps
        if verdict.reason:
            reasons[key] = verdict.reason
    if not steps:
        steps = _about_host(look)
    return Decision(tuple(steps), reasons)


# --- what the document says -----------------------------------------------------------------------------------------


def _observe(inputs: Inputs) -> list[m.Step]:
    """Bring what is remembered in line with the document."""
    document, state = inputs.document, inputs.state
    if document is None:
        return []
    mine = {e.key: e for e in document.events if e.touches(t.cast("str", state.vm_name))}
    steps: list[m.Step] = []
    for key, event in mine.items():
        steps += _observe_event(inputs, key, event)
    for key, record in state.events.items():
        if record.present and key not in mine:
            steps += [m.Vanish(key, "not in the document"), *_over(inputs.now, key, record)]
    return steps


def _observe_event(inputs: Inputs, key: str, event: Event) -> list[m.Step]:
    record = inputs.state.events.get(key)
    rule = policy.choose(inputs.config.policy, event)
    steps: list[m.Step] = []
    known = None if record is None else (record.event, record.action, record.rule, record.present)
    if known != (event, rule.action, rule.name, True):
        why = "new" if record is None else "changed" if record.present else "back in the document"
        steps.append(m.Observe(key, event, rule.action, rule.name, why))
    if record is None:
        return steps
    if record.state == m.DONE:
        steps.append(m.Move(key, m.SEEN, "the same EventId is in the document again"))
    elif event.event_status == AZURE_STARTED:
        if record.state in (m.DRAINED, m.APPROVED, *m.FINISHING):
            steps.append(m.Move(key, m.STARTED, "Azure started it"))
        elif record.state in (m.SEEN, *m.WAITING, m.DRAINING, m.HELD) and _drains_before_start(rule):
            steps.append(m.Move(key, m.OVERRUN, "Azure started it before this VM was drained"))
    elif record.state in m.FINISHING:
        steps.append(m.Move(key, m.SEEN, "the same EventId is in the document again"))
    return steps


def _drains_before_start(rule: policy.Rule) -> bool:
    return rule.action not in (policy.IGNORE, policy.NOTIFY) and not rule.drain_after_start


def _over(now: Moment, key: str, record: m.EventRecord) -> list[m.Step]:
    if record.state in (*m.FINISHING, m.DONE):
        return []
    if record.state == m.NOTED:
        return [m.Move(key, m.DONE, "it is no longer in the document")]
    not_before = record.event.not_before
    if record.approved or record.approving or record.started or (not_before is not None and now.wall >= not_before):
        return [m.Move(key, m.GONE, "it is no longer in the document: finished")]
    return [m.Move(key, m.CANCELLED, "it is no longer in the document and never started: cancelled")]


# --- a look at everything, with the questions that the rules ask -----------------------------------------------------


class _Look:
    def __init__(self, inputs: Inputs) -> None:
        self.now, self.config, self.state, self.timers = inputs.now, inputs.config, inputs.state, inputs.timers
        self.host, self.fleet, self.operator = inputs.state.host, inputs.fleet, inputs.operator
        self.me = t.cast("str", inputs.state.vm_name)
        holder = self.fleet.holders.get(resource_key(self.me)) if self.fleet else None
        self.holder = holder
        # Without the store, what it last said counts.
        self.has_slot = holder is not None if self.fleet else self.host.slot is not None

    def urgency(self, record: m.EventRecord) -> tuple[bool, float, str]:
        return (not self.rule(record).skip_queue, self.not_before(record), record.event.key)

    def rule(self, record: m.EventRecord) -> policy.Rule:
        return policy.choose(self.config.policy, record.event)

    def not_before(self, record: m.EventRecord) -> float:
        """The start that Azure named; without one the least notice of the type, counted from first sight."""
        if record.event.not_before is not None:
            return record.event.not_before
        if record.event.event_status == AZURE_STARTED:
            return record.first_seen
        return record.first_seen + policy.MINIMUM_NOTICE.get(record.event.event_type, 900.0)

    def deadline(self, record: m.EventRecord) -> float:
        return self.not_before(record) - self.config.margin

    def latest_start(self, record: m.EventRecord) -> float:
        return self.deadline(record) - self.config.drain_time

    def forced(self, key: str) -> bool:
        return key in self.operator.force or "*" in self.operator.force

    def opening(self, key: str) -> windows.Opening:
        fleet_windows = spans_for(self.fleet, self.me) if self.fleet else []
        holds = [hold for hold in (self.operator.hold, self.fleet.hold if self.fleet else None) if hold]
        return windows.opening(
            self.config.schedule,
            self.now.wall,
            extra=(*self.operator.windows, *fleet_windows),
            holds=holds,
            force=self.forced(key),
        )

    def since(self, timer: str) -> float:
        """Seconds since a timer was set; long ago when it never was."""
        return self.now.mono - self.timers.get(timer, float("-inf"))

    def others(self, key: str, states: t.Collection[str]) -> list[str]:
        return [k for k, record in self.state.events.items() if k != key and record.state in states]

    def retry_due(self, phase: str, *, urgent: bool = False) -> bool:
        return self.since(f"ended:{phase}") >= (1.0 if urgent else self.config.retry_interval)


def _at(epoch: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(epoch))


# --- rules: one for each state ---------------------------------------------------------------------------------------


def _queue(look: _Look, key: str, record: m.EventRecord) -> _Verdict:
    """Seen or waiting: may the drain begin?"""
    rule = look.rule(record)
    if rule.action in (policy.IGNORE, policy.NOTIFY):
        return _Verdict((m.Move(key, m.NOTED, f"rule {rule.name!r} says {rule.action}"),))
    if rule.skip_queue:
        return _begin(look, key, f"rule {rule.name!r} skips the queue")
    latest = look.latest_start(record)
    if look.now.wall >= latest:
        goes_ahead = _at(look.not_before(record))
        return _begin(look, key, f"the latest start of the drain is reached: Azure goes ahead at {goes_ahead}")
    if rule.action == policy.DRAIN_ONLY:
        return _wait(key, record, m.WAITING_LEAD, f"not to be approved, so the drain starts at {_at(latest)}")
    opening = look.opening(key)
    lead = look.not_before(record) - look.config.lead_time
    invited = opening.open and (bool(look.config.schedule.windows) or look.forced(key))
    if look.now.wall < lead and not invited:
        return _wait(key, record, m.WAITING_LEAD, f"NotBefore is far off; the lead time begins at {_at(lead)}")
    if not opening.open:
        return _wait(key, record, m.WAITING_WINDOW, f"{opening.why}; the drain starts at {_at(latest)} at the latest")
    if look.has_slot:
        return _Verdict((m.Move(key, m.DRAINING, "this VM holds a slot"),))
    if look.fleet is None:
        return _wait(key, record, m.WAITING_SLOT, "the fleet document cannot be read")
    asked = claim(look.fleet, look.me, record.event, look.config.fleet.limits, now=look.now.wall)
    if not asked.granted:
        return _wait(key, record, m.WAITING_SLOT, asked.why)
    return _Verdict((m.Claim(key, False, "the drain may begin"),))


def _begin(look: _Look, key: str, why: str) -> _Verdict:
    """Drain without asking for leave; the fleet is told if it can be."""
    if look.fleet is not None and not look.has_slot:
        return _Verdict((m.Claim(key, True, why),))
    return _Verdict((m.Move(key, m.DRAINING, why),))


def _wait(key: str, record: m.EventRecord, state: str, why: str) -> _Verdict:
    return _Verdict(() if record.state == state else (m.Move(key, state, why),), why)


def _noted(look: _Look, key: str, record: m.EventRecord) -> _Verdict:
    rule = look.rule(record)
    if rule.action not in (policy.IGNORE, policy.NOTIFY):
        return _Verdict((m.Move(key, m.SEEN, f"rule {rule.name!r} now says {rule.action}"),))
    return _Verdict((), f"rule {rule.name!r} says {rule.action}")


def _draining(look: _Look, key: str, record: m.EventRecord) -> _Verdict:
    """Draining or held: run the hooks until they succeed; at the deadline the policy says what then."""
    host, rule = look.host, look.rule(record)
    if host.service == m.HOST_DRAINED:
        return _Verdict((m.Move(key, m.DRAINED, "this VM is drained"),))
    if host.job is not None:
        if rule.skip_queue and host.job.phase != m.DRAIN:
            return _Verdict((m.Abort(f"{record.event.event_type} cannot wait for the {host.job.phase} hooks"),))
        return _Verdict((), f"the {host.job.phase} hooks are running")
    last = host.last
    if host.service != m.HOST_DRAINING or last is None or last.phase != m.DRAIN:
        return _Verdict((m.Run(m.DRAIN, key, "the drain begins"),))
    if last.outcome == m.OK:
        return _Verdict((m.Serve(m.HOST_DRAINED, "the drain hooks are done"),))
    if look.now.wall >= look.deadline(record) and record.state == m.DRAINING:
        if rule.on_failed_drain == policy.PROCEED:
            why = f"the drain failed and the policy says proceed: {last.detail}"
            return _Verdict((m.Serve(m.HOST_DRAINED, why), m.Move(key, m.DRAINED, why, incomplete=True)))
        return _Verdict((m.Move(key, m.HELD, f"the drain failed and the policy says hold: {last.detail}"),))
    if look.retry_due(m.DRAIN, urgent=rule.skip_queue):
        return _Verdict((m.Run(m.DRAIN, key, f"again, after: {last.detail}"),))
    return _Verdict((), f"the drain is tried again soon, after: {last.detail}")


def _drained(look: _Look, key: str, record: m.EventRecord) -> _Verdict:
    """Drained: approve once everything allows it."""
    host = look.host
    if host.job is not None:
        return _Verdict((), f"the {host.job.phase} hooks are running")
    if not record.incomplete and host.last and host.last.phase == m.READY and host.last.outcome != m.OK:
        why = f"no longer drained: {host.last.detail}"
        back = (m.Serve(m.HOST_DRAINING, why), m.Move(key, m.DRAINING, why))
        reported = look.fleet is not None and resource_key(look.me) in look.fleet.ready.get(key, {})
        return _Verdict((*back, m.Withdraw(key, why)) if reported else back)
    if record.action != policy.DRAIN_AND_APPROVE:
        return _Verdict((), "drained; the policy says not to approve")
    if look.fleet is None:
        return _Verdict((), "drained; the fleet document cannot be read")
    if resource_key(look.me) not in look.fleet.ready.get(key, {}):
        return _Verdict((m.Report(key, "drained"),))
    if not record.incomplete and min(look.since("ok:ready"), look.since("ok:drain")) > look.config.ready_interval:
        return _Verdict((m.Run(m.READY, key, "is this VM still drained?"),))
    obstacle = _obstacle(look, key, record, look.fleet)
    if obstacle:
        return _Verdict((), obstacle)
    if look.since(f"approve:{key}") < look.config.retry_interval:
        return _Verdict((), "the last approval failed; it is tried again soon")
    if not record.incomplete and min(look.since("ok:ready"), look.since("ok:drain")) > READY_AT_APPROVAL:
        return _Verdict((m.Run(m.READY, key, "still drained, right before the approval?"),))
    again = " again: the outcome of the last try is not known" if record.approving else ""
    return _Verdict((m.Approve(key, f"drained, and every VM of the event is ready{again}"),))


def _obstacle(look: _Look, key: str, record: m.EventRecord, fleet: FleetDocument) -> str:
    """What stands against approving now, or nothing."""
    rule, event = look.rule(record), record.event
    if not look.has_slot and not rule.skip_queue:
        return "drained, without a slot"
    opening = look.opening(key)
    if not opening.open and not rule.skip_queue:
        return f"drained; {opening.why}"
    awaited = missing(fleet, event, assume_ready=look.config.assume_ready)
    if awaited:
        if look.config.fleet.store != "memory":
            return f"drained; waiting until {', '.join(awaited)} is ready"
        if look.config.multi_resource != "approve_if_first":
            return f"drained; left to NotBefore: no fleet store tells whether {', '.join(awaited)} is ready"
        if resource_key(event.resources[0]) != resource_key(look.me):
            return f"drained; {event.resources[0]} is the first in Resources and approves"
        return ""
    turn = approver(fleet, event, look.me, now=look.now.wall, takeover_after=look.config.fleet.takeover_after)
    return "" if turn.mine else f"drained and everybody is ready; {turn.why}"


def _approved(_look: _Look, _key: str, record: m.EventRecord) -> _Verdict:
    return _Verdict((), f"approved at {_at(record.approved or 0)}; Azure starts it when it can")


def _underway(_look: _Look, _key: str, _record: m.EventRecord) -> _Verdict:
    return _Verdict((), "under way; over when it leaves the document")


def _finishing(look: _Look, key: str, _record: m.EventRecord) -> _Verdict:
    """Gone or cancelled: settle, check health, and resume unless something else needs the drain."""
    if look.since(f"vanished:{key}") < look.config.settle:
        return _Verdict((), f"over; settling for {look.config.settle:g} s")
    if look.host.service == m.IN_SERVICE:
        return _Verdict((m.Move(key, m.DONE, "nothing to resume"),))
    if look.others(key, (*m.NEED_DRAINED, m.OVERRUN)):
        return _Verdict((m.Move(key, m.DONE, "another event needs this VM drained"),))
    unsettled = [k for k in look.others(key, (m.GONE, m.CANCELLED)) if look.since(f"vanished:{k}") < look.config.settle]
    if unsettled:
        return _Verdict((), "over; another event is settling")
    if look.host.job is not None:
        return _Verdict((), f"over; the {look.host.job.phase} hooks are running")
    if look.since("ok:health") < look.since(f"vanished:{key}"):
        return _Verdict((m.Move(key, m.RESUMING, "over, settled and healthy"),))
    last = look.host.last
    if last and last.phase == m.HEALTH and last.outcome != m.OK and not look.retry_due(m.HEALTH):
        return _Verdict((), f"over, and not healthy yet: {last.detail}")
    return _Verdict((m.Run(m.HEALTH, key, "is this VM healthy?"),))


def _resuming(look: _Look, key: str, _record: m.EventRecord) -> _Verdict:
    host = look.host
    if host.service == m.IN_SERVICE:
        return _Verdict((m.Move(key, m.DONE, "in service"),))
    if host.job is not None:
        return _Verdict((), f"the {host.job.phase} hooks are running")
    if host.service != m.HOST_RESUMING and look.others(key, m.NEED_DRAINED):
        return _Verdict((m.Move(key, m.DONE, "another event needs this VM drained"),))
    last = host.last
    if host.service == m.HOST_RESUMING and last and last.phase == m.RESUME:
        if last.outcome == m.OK:
            return _Verdict((m.Serve(m.IN_SERVICE, "the resume hooks are done"),))
        if not look.retry_due(m.RESUME):
            return _Verdict((), f"the resume is tried again soon, after: {last.detail}")
    return _Verdict((m.Run(m.RESUME, key, "over: back into service"),))


def _done(look: _Look, key: str, record: m.EventRecord) -> _Verdict:
    if look.fleet is not None and resource_key(look.me) in look.fleet.ready.get(key, {}):
        return _Verdict((m.Withdraw(key, "over"),))
    finished = sorted((r.changed, k) for k, r in look.state.events.items() if r.state == m.DONE and not r.present)
    if not record.present and (record.changed, key) in finished[:-REMEMBERED]:
        return _Verdict((m.Forget(key, "long over"),))
    return _Verdict()


_RULES: t.Mapping[str, t.Callable[[_Look, str, m.EventRecord], _Verdict]] = {
    m.SEEN: _queue,
    m.NOTED: _noted,
    m.WAITING_LEAD: _queue,
    m.WAITING_WINDOW: _queue,
    m.WAITING_SLOT: _queue,
    m.DRAINING: _draining,
    m.DRAINED: _drained,
    m.HELD: _draining,
    m.APPROVED: _approved,
    m.STARTED: _underway,
    m.OVERRUN: _underway,
    m.GONE: _finishing,
    m.CANCELLED: _finishing,
    m.RESUMING: _resuming,
    m.DONE: _done,
}


# --- the host and its slot, when no event asks for anything -----------------------------------------------------------


def _about_host(look: _Look) -> list[m.Step]:
    host = look.host
    out = [key for key, record in look.state.events.items() if record.state in m.OUT]
    if not out and host.service != m.IN_SERVICE and host.job is None:
        return _resume_orphan(look)
    if look.fleet is None:
        return []
    if out and look.holder is None:
        return [m.Claim(out[0], True, "this VM is out")]
    if not out and look.holder is not None and host.service == m.IN_SERVICE:
        awaited = look.state.events.get(look.holder.key)
        expected = awaited is not None and awaited.present and awaited.state not in (m.DONE, m.NOTED)
        taken_for_us = look.holder.by != resource_key(look.me)
        fresh = taken_for_us and look.now.wall - look.holder.since < RESERVATION_GRACE
        if not (taken_for_us and expected) and not (fresh and awaited is None):
            return [m.Release("in service")]
    return []


def _resume_orphan(look: _Look) -> list[m.Step]:
    """The host is drained by us and no event is remembered that wanted it: the journal was lost."""
    last = look.host.last
    if look.host.service == m.HOST_RESUMING and last and last.phase == m.RESUME:
        if last.outcome == m.OK:
            return [m.Serve(m.IN_SERVICE, "the resume hooks are done")]
        if not look.retry_due(m.RESUME):
            return []
    return [m.Run(m.RESUME, "", "no event needs this VM drained")]


__all__ = ["Decision", "Inputs", "Moment", "Operator", "decide"]
