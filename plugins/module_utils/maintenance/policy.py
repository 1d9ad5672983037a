# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which events matter, and how: a table of rules by type, source and duration.

Never by Description, which is free text (contract section 6.9).
"""

from __future__ import annotations

import typing as t

from ..imds.scheduled_events import Event

IGNORE = "ignore"
NOTIFY = "notify"
DRAIN_ONLY = "drain"
DRAIN_AND_APPROVE = "drain_and_approve"
ACTIONS = (IGNORE, NOTIFY, DRAIN_ONLY, DRAIN_AND_APPROVE)
HOLD = "hold"
PROCEED = "proceed"

# Minimum notice by type in seconds (contract section 6.3): when NotBefore cannot be read, this much from first sight.
MINIMUM_NOTICE: t.Mapping[str, float] = {
    "Freeze": 900.0,
    "Reboot": 900.0,
    "Redeploy": 600.0,
    "Preempt": 30.0,
    "Terminate": 300.0,
}


class Rule(t.NamedTuple):
    """One line of the policy; the first that matches an event decides.

    Attributes:
        name: for status and journal.
        types, sources: names that match, in any case; empty matches all.
        min_duration, max_duration: seconds of DurationInSeconds, both inclusive; a rule that names one does not match
            an event whose duration is unknown (-1 or not given).
        action: ignore, notify, drain, or drain_and_approve.
        skip_queue: drain at once: no lead time, no window, no slot.
        on_failed_drain: hold (never approve) or proceed, once the deadline is reached.
        drain_after_start: drain even when the event is first seen after it started.
    """

    name: str
    types: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    min_duration: int | None = None
    max_duration: int | None = None
    action: str = DRAIN_AND_APPROVE
    skip_queue: bool = False
    on_failed_drain: str = HOLD
    drain_after_start: bool = False


DEFAULT_RULES: tuple[Rule, ...] = (
    Rule(
        "going away", ("Preempt",), action=DRAIN_ONLY, skip_queue=True, on_failed_drain=PROCEED, drain_after_start=True
    ),
    Rule("going away on request", ("Terminate",), skip_queue=True, on_failed_drain=PROCEED, drain_after_start=True),
    Rule("short freeze", ("Freeze",), max_duration=10, action=NOTIFY),
    Rule("interruption", ("Freeze", "Reboot", "Redeploy")),
    Rule("unknown type", action=NOTIFY),
)


def matches(rule: Rule, event: Event) -> bool:
    """Whether a rule speaks of an event."""
    if rule.types and event.event_type.lower() not in {name.lower() for name in rule.types}:
        return False
    if rule.sources and (event.event_source or "").lower() not in {name.lower() for name in rule.sources}:
        return False
    if rule.min_duration is None and rule.max_duration is None:
        return True
    duration = event.duration_in_seconds
    if duration is None or duration < 0:
        return False
    return (rule.min_duration or 0) <= duration and (rule.max_duration is None or duration <= rule.max_duration)


def choose(rules: t.Sequence[Rule], event: Event) -> Rule:
    """The rule for an event: the first of the user's that matches, else the first default one (one always does)."""
    return next(rule for rule in (*rules, *DEFAULT_RULES) if matches(rule, event))


__all__ = [
    "ACTIONS",
    "DEFAULT_RULES",
    "DRAIN_AND_APPROVE",
    "DRAIN_ONLY",
    "HOLD",
    "IGNORE",
    "MINIMUM_NOTICE",
    "NOTIFY",
    "PROCEED",
    "Rule",
    "choose",
    "matches",
]
