# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What Prometheus is told: counters that the agent keeps, and gauges read off its snapshot, in text format 0.0.4."""

from __future__ import annotations

import typing as t

from ..imds.version import VERSION
from . import model as m

Labels = t.Tuple[t.Tuple[str, str], ...]


class Metric(t.NamedTuple):
    """A metric: its kind (counter or gauge) and what it means."""

    kind: str
    text: str


METRICS: t.Mapping[str, Metric] = {
    "up": Metric("gauge", "1 while the handler runs."),
    "info": Metric("gauge", "Version of the handler and name of the VM, as labels."),
    "last_poll_timestamp_seconds": Metric("gauge", "When the events document was last read."),
    "polls_total": Metric("counter", "Reads of the events document that succeeded."),
    "poll_errors_total": Metric("counter", "Reads of the events document that failed, by kind of error."),
    "service_state": Metric("gauge", "1 for the state that this VM is in."),
    "events": Metric("gauge", "Events at hand, by type and state."),
    "event_not_before_timestamp_seconds": Metric("gauge", "Earliest start of each event that has not started."),
    "slot": Metric("gauge", "1 for the slot of the fleet that this VM has: none, held, or forced beyond the limits."),
    "fleet_members": Metric("gauge", "Members of the fleet document."),
    "fleet_unavailable": Metric("gauge", "Members that hold a slot."),
    "hold": Metric("gauge", "1 while a person holds approvals, here or for the fleet."),
    "hook_runs_total": Metric("counter", "Phases of hooks that were run, by phase and outcome."),
    "hook_last_duration_seconds": Metric("gauge", "How long the last run of a phase took."),
    "approvals_total": Metric("counter", "Approvals that were sent, by outcome."),
    "events_total": Metric(
        "counter", "What became of events: done, cancelled; and overrun, when Azure went ahead of this VM."
    ),
    "journal_errors_total": Metric("counter", "Times that the journal could not be written."),
    "fleet_errors_total": Metric("counter", "Times that the fleet document could not be used."),
    "errors": Metric("gauge", "1 for each thing that does not work now."),
}
PREFIX = "azure_maintenance_"
ERRORS = ("metadata_service", "fleet_document", "journal")


class Counters:
    """Counters, and the last duration of each phase of hooks."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, Labels], float] = {}

    def add(self, name: str, **labels: str) -> None:
        """Count one more."""
        key = (name, tuple(sorted(labels.items())))
        self.values[key] = self.values.get(key, 0.0) + 1.0

    def set(self, name: str, value: float, **labels: str) -> None:
        """Note a value."""
        self.values[name, tuple(sorted(labels.items()))] = value


def samples(status: t.Mapping[str, t.Any], counters: Counters) -> dict[tuple[str, Labels], float]:
    """Every sample, by name (without the prefix) and labels, from a snapshot of the agent."""
    found: dict[tuple[str, Labels], float] = dict(counters.values)

    def gauge(name: str, value: float, **labels: str) -> None:
        found[name, tuple(sorted(labels.items()))] = value

    gauge("up", 1)
    gauge("info", 1, version=VERSION, vm_name=status["vm_name"] or "")
    if status["last_read"] is not None:
        gauge("last_poll_timestamp_seconds", status["last_read"])
    for state in (m.IN_SERVICE, m.HOST_DRAINING, m.HOST_DRAINED, m.HOST_RESUMING):
        gauge("service_state", float(status["service"] == state), state=state)
    for kind in ("none", "held", "forced"):
        gauge("slot", float((status["slot"] or "none") == kind), kind=kind)
    for what in ERRORS:
        gauge("errors", float(what in status["errors"]), what=what)
    gauge("hold", float(bool(status["hold"])))
    if status["fleet"] is not None:
        gauge("fleet_members", len(status["fleet"]["members"]))
        gauge("fleet_unavailable", len(status["fleet"]["holders"]))
    for event in status["events"]:
        if event["state"] == m.DONE:
            continue
        key = ("events", (("state", event["state"]), ("type", event["event_type"])))
        found[key] = found.get(key, 0.0) + 1.0
        if event["not_before"] is not None:
            gauge(
                "event_not_before_timestamp_seconds",
                event["not_before"],
                event_id=event["event_id"],
                type=event["event_type"],
            )
    return found


def render(status: t.Mapping[str, t.Any], counters: Counters) -> str:
    """The page for Prometheus."""
    found = samples(status, counters)
    lines = []
    for name, metric in METRICS.items():
        mine = sorted((labels, value) for (n, labels), value in found.items() if n == name)
        if not mine:
            continue
        lines.append(f"# HELP {PREFIX}{name} {metric.text}")
        lines.append(f"# TYPE {PREFIX}{name} {metric.kind}")
        for labels, value in mine:
            pairs = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
            lines.append(f"{PREFIX}{name}{'{' + pairs + '}' if pairs else ''} {value:.17g}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


__all__ = ["METRICS", "PREFIX", "Counters", "Metric", "render", "samples"]
