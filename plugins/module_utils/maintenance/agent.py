# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The loop around :func:`decide`: reads the world, takes steps, journals each before and after, and never gives up."""

from __future__ import annotations

import collections
import typing as t

from ..imds.errors import ImdsError, ThrottledError, UncertainError
from ..imds.scheduled_events import EventsDocument, resource_key
from . import model as m
from .clock import Clock
from .config import Config
from .decide import Inputs, Moment, Operator, decide
from .fleet import document as fleet
from .fleet.store import Store, StoreError, update
from .hooks import HookError, Runner
from .journal import Journal
from .metrics import Counters
from .notices import Notices, hook_document, hook_environment
from .orders import OperatorFile

# Decisions in one cycle, and in addition for each event; more is a bug that must not spin.
MAX_ROUNDS, ROUNDS_PER_EVENT = 50, 10
LONGEST_BACKOFF = 30.0
FLEET_REFRESH = 3600.0
# All processes of a VM share five requests a second (contract section 1.4); this one never makes more than two.
REQUESTS, PER_SECONDS = 2, 1.0


class EventsSource(t.Protocol):
    """Reads and approves scheduled events; raises ImdsError."""

    def read(self) -> EventsDocument:
        """The current document."""

    def request_start(self, event_id: str) -> None:
        """Approve an event."""

    def close(self) -> None:
        """End its connection."""


class Identity(t.NamedTuple):
    """Who this VM is: ``compute.name``, and the domains that the fleet's limits count by."""

    name: str
    member: fleet.Member


class Parts(t.NamedTuple):
    """What an agent is made of; each is replaced by another in tests and rehearsals.

    Attributes:
        identify: asks the service who this VM is; raises ImdsError.
        log: a level (info, warning, error), a sentence, and fields for machines.
    """

    config: Config
    clock: Clock
    events: EventsSource
    identify: t.Callable[[], Identity]
    store: Store
    journal: Journal
    runner: Runner
    notices: Notices
    operator: OperatorFile
    log: t.Callable[[str, str, t.Mapping[str, t.Any]], None]


class Agent:
    """One VM's maintenance handler. Call :meth:`start` once, then :meth:`cycle` for ever."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.config = parts.config
        self.state = m.EMPTY
        self.reasons: t.Mapping[str, str] = {}
        self.document: EventsDocument | None = None
        self.last_read: float | None = None
        self.read_error: str | None = None
        self.failures = 0
        self.fleet: fleet.FleetDocument | None = None
        self.fleet_error: str | None = None
        self.journal_error: str | None = None
        self.timers: dict[str, float] = {}
        self.counters = Counters()
        self.orders = Operator()
        self._next_read = float("-inf")
        self._asked: collections.deque[float] = collections.deque(maxlen=REQUESTS)
        self._saved: m.State | None = m.EMPTY  # what is on disk; None when that is not to be relied on
        self._identified = False
        self._registered = float("-inf")

    # --- the outside of the loop --------------------------------------------------------------------------------

    def start(self) -> None:
        """Remember. Hooks that outlived a restart are taken up again; what it interrupted counts as "try again"."""
        loaded = self.parts.journal.load()
        self.state = loaded.state
        self._saved = None if loaded.problems else loaded.state
        for problem in loaded.problems:
            self._say("error", problem)
        if self.config.vm_name:
            self.state = self.state._replace(vm_name=self.config.vm_name)
            self._identified = False
        now = self._now()
        if self.state.host.job is not None:
            self._take_up(self.state.host.job, rebooted=loaded.rebooted)
        for key, record in self.state.events.items():
            if record.state in m.FINISHING:
                self.timers[f"vanished:{key}"] = now.mono  # how long ago is not known: settle once more

    def cycle(self) -> float:
        """Look once and do what is to be done. Returns the seconds (of the agent's clock) until the next look."""
        now = self._now()
        self._reap(now)
        self.parts.notices.poll()
        fresh = None
        if now.mono >= self._next_read and self._may_ask(now.mono) <= 0:
            fresh = self._look(now)
        self._load_fleet()
        wait = self._act(fresh)
        self._flush(now.wall)
        busy = self.parts.runner.job is not None or self.parts.notices.busy
        mono = self.parts.clock.mono()
        until_read = max(0.0, self._next_read - mono, self._may_ask(mono))
        return min(until_read, wait, self.parts.runner.pause if busy else until_read)

    def reconfigure(self, parts: Parts) -> None:
        """Go on with other parts, also in the middle of an event: rules are applied anew to events that are known."""
        if parts.events is not self.parts.events:
            self.parts.events.close()
            self._identified = False
        self.config, self.parts = parts.config, parts
        if self.config.vm_name:
            self.state = self.state._replace(vm_name=self.config.vm_name)
        self._next_read = self._registered = float("-inf")

    def stop(self, *, leave_hooks: bool = False) -> None:
        """End what runs in this process. The journal knows; the next start goes on from there.

        Args:
            leave_hooks: let those go on that can outlive this process; the next start takes them up again.
        """
        for part in (self.parts.runner, self.parts.notices):
            if leave_hooks:
                part.leave()
            else:
                part.abort()
        self.parts.events.close()

    def _take_up(self, job: m.Job, *, rebooted: bool) -> None:
        environment, document = self._briefing(job.key, f"the {job.phase} hooks are taken up again")
        runner = self.parts.runner
        if not rebooted and runner.adopt(job, environment, document, remember=self._remember_job):
            self._say("info", f"the {job.phase} hooks that ran before the restart are taken up again")
            return
        what = "a reboot" if rebooted else "a restart of the handler"
        self.state = m.finish_job(self.state, m.LATER, f"interrupted by {what}", self._now().wall)
        self._say("warning", f"the {job.phase} hooks were interrupted by {what}")

    def _remember_job(self, job: m.Job) -> None:
        """Journal which hook is about to run, so that the next start finds it."""
        self.state = self.state._replace(host=self.state.host._replace(job=job))
        self._flush(self._now().wall)

    def _briefing(self, key: str, why: str) -> tuple[dict[str, str], dict[str, t.Any]]:
        record = self.state.events.get(key)
        return hook_environment(record, self.state), hook_document(record, self.state, why)

    # --- reading the world ----------------------------------------------------------------------------------------

    def _now(self) -> Moment:
        return Moment(self.parts.clock.wall(), self.parts.clock.mono())

    def _may_ask(self, mono: float) -> float:
        """Seconds until another request may be made; none or less: now."""
        if len(self._asked) < REQUESTS:
            return 0.0
        return self._asked[0] + PER_SECONDS - mono

    def _look(self, now: Moment) -> EventsDocument | None:
        """Ask who this VM is until that is known, and then for the events."""
        if not self._identified:
            self._asked.append(now.mono)
            self._identify(now)
            if not self._identified:
                return None
        self._asked.append(now.mono)
        return self._read(now)

    def _identify(self, now: Moment) -> None:
        try:
            identity = self.parts.identify()
        except ImdsError as exc:
            self._read_failed(exc, now)
            return
        self._identified = True
        name = self.config.vm_name or identity.name
        if self.state.vm_name not in (None, name):
            self._say("warning", f"this VM is {name} now; the journal is of {self.state.vm_name}")
        self.state = self.state._replace(vm_name=name)
        self._member = identity.member

    def _read(self, now: Moment) -> EventsDocument | None:
        try:
            document = self.parts.events.read()
        except ImdsError as exc:
            self._read_failed(exc, now)
            return None
        if self.read_error is not None:
            self._say("info", "the metadata service answers again")
        if self.document is None or document.problems != self.document.problems:
            for problem in document.problems:
                self._say("warning", f"the events document has an entry that cannot be read: {problem}")
        self.document, self.last_read, self.read_error, self.failures = document, now.wall, None, 0
        self.counters.add("polls_total")
        self._next_read = now.mono + self.config.poll_interval
        return document

    def _read_failed(self, exc: ImdsError, now: Moment) -> None:
        """Degrade: keep what is known, ask less often while the service is asked too much or is silent."""
        self.failures += 1
        self.counters.add("poll_errors_total", kind=exc.kind)
        if self.read_error is None:
            self._say("warning", f"the metadata service cannot be read: {exc}")
        self.read_error = str(exc)
        # A silent service costs time by itself; only a throttled one must be asked less.
        backoff = 2.0 ** min(self.failures, 5) if isinstance(exc, ThrottledError) else 1.0
        self._next_read = now.mono + min(LONGEST_BACKOFF, self.config.poll_interval * backoff)

    def _load_fleet(self) -> None:
        try:
            self.fleet = self.parts.store.load()[0]
            if self._identified and self._now().mono - self._registered >= FLEET_REFRESH:
                self._register()
        except (StoreError, fleet.FleetFormatError) as exc:
            self._fleet_failed(exc)
        else:
            if self.fleet_error is not None:
                self._say("info", "the fleet document can be read again")
            self.fleet_error = None

    def _fleet_failed(self, exc: Exception) -> None:
        self.counters.add("fleet_errors_total")
        if self.fleet_error is None:
            self._say("warning", f"the fleet document cannot be used: {exc}")
        self.fleet_error = str(exc)
        self.fleet = None

    def _register(self) -> None:
        now = self._now()
        member = self._member._replace(seen=now.wall)
        name = t.cast("str", self.state.vm_name)
        self._change_fleet(lambda d: fleet.prune(fleet.register(d, name, member), now=now.wall))
        self._registered = now.mono

    def _change_fleet(self, change: t.Callable[[fleet.FleetDocument], fleet.FleetDocument]) -> None:
        self.fleet, _result = update(self.parts.store, lambda document: (change(document), None))

    def _reap(self, now: Moment) -> None:
        """Take note of hooks that have ended."""
        job = self.state.host.job
        try:
            ended = self.parts.runner.poll()
        except HookError as exc:
            ended = (m.FAILED, str(exc))
            self.parts.runner.abort()
        if job is None or ended is None:
            return
        self._job_ended(job, *ended, now)

    def _job_ended(self, job: m.Job, outcome: str, detail: str, now: Moment) -> None:
        self.timers[f"ended:{job.phase}"] = now.mono
        if outcome == m.OK:
            self.timers[f"ok:{job.phase}"] = now.mono
        self.state = m.finish_job(self.state, outcome, detail, now.wall)
        took = now.wall - job.started
        self.counters.add("hook_runs_total", phase=job.phase, outcome=outcome)
        self.counters.set("hook_last_duration_seconds", max(0.0, took), phase=job.phase)
        why = f"{job.phase}: {outcome} after {took:.1f} s: {detail}"
        self._record("hooks", job.key, why, now.wall, outcome=outcome)

    # --- acting ---------------------------------------------------------------------------------------------------

    def _act(self, fresh: EventsDocument | None) -> float:
        """Take steps until there are none. Returns the seconds after which to ask again, beside the next read."""
        for _round in range(MAX_ROUNDS + ROUNDS_PER_EVENT * len(self.document.events if self.document else ())):
            now = self._now()
            self.orders = self.parts.operator.read(now.wall)
            decision = decide(Inputs(now, fresh, self.state, self.timers, self.config, self.fleet, self.orders))
            self._explain(decision.reasons)
            if not decision.steps:
                return float("inf")
            for step in decision.steps:
                if isinstance(step, m.Approve) and self._may_ask(now.mono) > 0:
                    return self._may_ask(now.mono)
                if self._take(step):
                    break  # what it changed may change what comes next: ask again
        self._say("error", "no end of steps in one cycle; this is a bug, please report it with history.jsonl")
        return self.config.poll_interval

    def _explain(self, reasons: t.Mapping[str, str]) -> None:
        for key, reason in reasons.items():
            if self.reasons.get(key) != reason:
                self._record("waits", key, reason, self._now().wall)
        self.reasons = reasons

    def _take(self, step: m.Step) -> bool:
        """Journal a step, take it, journal what came of it. Returns whether to ask again before the next.

        What is begun (hooks, an approval) is on disk before it begins. All else is written together, before the next
        thing is begun and at the end of a cycle: to have lost it would be as if it had not happened yet.
        """
        now = self._now()
        self.state = m.apply(self.state, step, now.wall)
        self._note(step, now)
        handler = _WORLD.get(type(step))
        if handler is None:
            return False
        if isinstance(step, (m.Run, m.Approve)):
            self._flush(now.wall)
        handler(self, step)
        return not isinstance(step, (m.Report, m.Withdraw)) or self.fleet is None

    def _note(self, step: m.Step, now: Moment) -> None:
        key = getattr(step, "key", "")
        kind = type(step).__name__.lower()
        fields = {
            name: value for name, value in step._asdict().items() if name in ("state", "service", "phase", "forced")
        }
        if isinstance(step, m.Vanish):
            self.timers[f"vanished:{key}"] = now.mono
        self._record(kind, key, step.why, now.wall, **fields)
        if isinstance(step, m.Move):
            record = self.state.events[key]
            self.parts.notices.add(step.state, record, self.state, step.why)
            if step.state in (m.GONE, m.CANCELLED, m.OVERRUN):
                outcome = {m.GONE: "done", m.CANCELLED: "cancelled", m.OVERRUN: "overrun"}[step.state]
                self.counters.add("events_total", type=record.event.event_type, outcome=outcome)

    def _claim(self, step: m.Claim) -> None:
        now = self._now()
        event = self.state.events[step.key].event
        name, limits = t.cast("str", self.state.vm_name), self.config.fleet.limits

        def change(document: fleet.FleetDocument) -> tuple[fleet.FleetDocument, fleet.ClaimResult]:
            result = fleet.claim(document, name, event, limits, now=now.wall, forced=step.forced)
            return result.document, result

        try:
            self.fleet, result = update(self.parts.store, change)
        except (StoreError, fleet.FleetFormatError) as exc:
            self._fleet_failed(exc)
            return
        if result.granted:
            beyond = self.fleet.holders[resource_key(name)].forced
            self.state = self.state._replace(host=self.state.host._replace(slot="forced" if beyond else "held"))
        self._record("slot", step.key, result.why, now.wall, granted=result.granted)

    def _release(self, _step: m.Release) -> None:
        if self._try_fleet(lambda d: fleet.release(d, t.cast("str", self.state.vm_name))):
            self.state = self.state._replace(host=self.state.host._replace(slot=None))

    def _report(self, step: m.Report) -> None:
        name, now = t.cast("str", self.state.vm_name), self._now().wall
        self._try_fleet(lambda d: fleet.report_ready(d, name, step.key, now=now))

    def _withdraw(self, step: m.Withdraw) -> None:
        self._try_fleet(lambda d: fleet.withdraw_ready(d, t.cast("str", self.state.vm_name), step.key))

    def _try_fleet(self, change: t.Callable[[fleet.FleetDocument], fleet.FleetDocument]) -> bool:
        try:
            self._change_fleet(change)
        except (StoreError, fleet.FleetFormatError) as exc:
            self._fleet_failed(exc)
            return False
        return True

    def _run(self, step: m.Run) -> None:
        record = self.state.events.get(step.key)
        job = t.cast("m.Job", self.state.host.job)
        environment, document = self._briefing(step.key, step.why)
        urgent = record is not None and record.event.event_type in ("Preempt", "Terminate")
        try:
            self.parts.runner.start(job, environment, document, urgent=urgent, remember=self._remember_job)
        except HookError as exc:
            self.parts.runner.abort()
            self._job_ended(job, m.FAILED, str(exc), self._now())
            return
        self._reap(self._now())  # a phase without hooks is over at once

    def _abort(self, _step: m.Abort) -> None:
        self.parts.runner.abort()

    def _approve(self, step: m.Approve) -> None:
        record = self.state.events[step.key]
        self._asked.append(self.parts.clock.mono())
        try:
            self.parts.events.request_start(record.event.event_id)
        except ImdsError as exc:
            now = self._now()
            self.timers[f"approve:{step.key}"] = now.mono
            if not isinstance(exc, UncertainError):
                events = {**self.state.events, step.key: record._replace(approving=False)}
                self.state = self.state._replace(events=events)
            self.counters.add("approvals_total", outcome="uncertain" if isinstance(exc, UncertainError) else "failed")
            self._say("warning", f"event {record.event.event_id} could not be approved: {exc}")
            self._record("approval_failed", step.key, str(exc), now.wall)
            return
        self.counters.add("approvals_total", outcome="taken")
        self._take(m.Move(step.key, m.APPROVED, "the StartRequest was taken"))

    # --- telling --------------------------------------------------------------------------------------------------

    def _say(self, level: str, text: str, **fields: t.Any) -> None:
        self.parts.log(level, text, fields)

    def _record(self, kind: str, key: str, why: str, wall: float, **fields: t.Any) -> None:
        record = self.state.events.get(key)
        what = f"{record.event.event_type} {record.event.event_id}" if record else "host"
        extra = "".join(f" {name}={value}" for name, value in fields.items())
        self._say(
            "info", f"{what}: {kind}{extra}: {why}", event_id=record.event.event_id if record else None, step=kind
        )
        entry = {"time": wall, "step": kind, "event": key, "why": why, "vm": self.state.vm_name, **fields}
        try:
            self.parts.journal.log(entry)
        except OSError as exc:
            self._journal_failed(exc)

    def _flush(self, wall: float) -> None:
        """Put the state on disk if it is another than the one there; one that could not be written is tried again."""
        state = self.state
        if state is self._saved:
            return
        try:
            self.parts.journal.save(state, now=wall)
        except OSError as exc:
            self._journal_failed(exc)
            return
        self._saved = state
        if self.journal_error is not None:
            self._say("info", "the journal can be written again")
        self.journal_error = None

    def _journal_failed(self, exc: OSError) -> None:
        """A full or read-only disk must not keep a VM from draining before it is taken away."""
        self.counters.add("journal_errors_total")
        if self.journal_error is None:
            self._say("error", f"the journal cannot be written ({exc.strerror}); going on from memory")
        self.journal_error = exc.strerror or str(exc)


_WORLD: t.Mapping[type, t.Callable[[Agent, t.Any], None]] = {
    m.Claim: Agent._claim,
    m.Release: Agent._release,
    m.Report: Agent._report,
    m.Withdraw: Agent._withdraw,
    m.Run: Agent._run,
    m.Abort: Agent._abort,
    m.Approve: Agent._approve,
}

__all__ = ["Agent", "EventsSource", "Identity", "Parts"]
