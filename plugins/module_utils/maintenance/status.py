# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How things stand, for people and programs: a snapshot of the agent, and its rendering as text."""

from __future__ import annotations

import time
import typing as t

from . import model as m
from .agent import Agent
from .fleet.document import FleetDocument


def snapshot(agent: Agent, *, pid: int) -> dict[str, t.Any]:
    """JSON-able form of all that a person would ask. Times are epoch seconds."""
    state = agent.state
    return {
        "time": agent.parts.clock.wall(),
        "pid": pid,
        "vm_name": state.vm_name,
        "service": state.host.service,
        "slot": state.host.slot,
        "hooks": None if state.host.job is None else state.host.job.phase,
        "hooks_survive": agent.parts.runner.outside,  # a restart of the handler
        "last_hooks": None if state.host.last is None else state.host.last._asdict(),
        "last_read": agent.last_read,
        "incarnation": agent.document.incarnation if agent.document else None,
        "errors": {
            name: error
            for name, error in (
                ("metadata_service", agent.read_error),
                ("fleet_document", agent.fleet_error),
                ("journal", agent.journal_error),
            )
            if error is not None
        },
        "events": [_event(key, record, agent.reasons.get(key)) for key, record in state.events.items()],
        "fleet": _fleet(agent.fleet),
        "hold": _hold(agent),
    }


def _event(_key: str, record: m.EventRecord, reason: str | None) -> dict[str, t.Any]:
    return {
        **record.event.as_dict(),
        "state": record.state,
        "since": record.changed,
        "why": record.why,
        "waits_for": reason,
        "action": record.action,
        "rule": record.rule,
        "first_seen": record.first_seen,
        "approved": record.approved,
        "started": record.started,
    }


def _hold(agent: Agent) -> dict[str, t.Any] | None:
    """The hold that counts: this host's, else the fleet's."""
    hold = agent.orders.hold or (agent.fleet.hold if agent.fleet else None)
    if hold is None or (hold.until is not None and hold.until <= agent.parts.clock.wall()):
        return None
    return hold._asdict()


def _fleet(document: FleetDocument | None) -> dict[str, t.Any] | None:
    if document is None:
        return None
    return {
        "members": sorted(document.members),
        "holders": {name: holder._asdict() for name, holder in document.holders.items()},
        "hold": None if document.hold is None else document.hold._asdict(),
    }


def render(status: t.Mapping[str, t.Any], *, now: float) -> str:
    """The snapshot as text."""
    lines = [
        f"{status['vm_name'] or 'name not known yet'}: {status['service'].replace('_', ' ')}"
        + (f", slot {status['slot']}" if status["slot"] else "")
        + (f", {status['hooks']} hooks running" if status["hooks"] else ""),
        _reading(status, now),
    ]
    lines += [f"{name.replace('_', ' ')}: {error}" for name, error in status["errors"].items()]
    fleet = status["fleet"]
    if fleet and fleet["holders"]:
        out = ", ".join(f"{name} for {ago(now - held['since'])}" for name, held in sorted(fleet["holders"].items()))
        lines.append(f"out of {len(fleet['members'])} members: {out}")
    lines += _event_lines(status["events"], now)
    return "\n".join(lines) + "\n"


def one_line(status: t.Mapping[str, t.Any]) -> str:
    """The snapshot in one sentence that changes only when something does, for the service manager."""
    parts = [status["service"].replace("_", " ") + (f", {status['hooks']} hooks running" if status["hooks"] else "")]
    parts += [f"{name.replace('_', ' ')}: {error}" for name, error in status["errors"].items()]
    live = [event for event in status["events"] if event["state"] != m.DONE]
    parts += [f"{event['event_type']} {event['state'].replace('_', ' ')}" for event in live[:3]]
    if len(live) > 3:
        parts.append(f"{len(live) - 3} more events")
    return "; ".join(parts if live else [*parts, "no event at hand"])


def _reading(status: t.Mapping[str, t.Any], now: float) -> str:
    if status["last_read"] is None:
        return "events were never read yet"
    return f"events read {ago(now - status['last_read'])} ago, incarnation {status['incarnation']}"


def _event_lines(events: t.Sequence[t.Mapping[str, t.Any]], now: float) -> list[str]:
    live = [event for event in events if event["state"] != m.DONE]
    if not live:
        return ["no event at hand"]
    lines = []
    for event in live:
        start = "started" if event["not_before"] is None else f"not before {moment(event['not_before'])}"
        lines.append(f"{event['event_type']} {event['event_id']} ({', '.join(event['resources'])}), {start}")
        lines.append(f"  {event['state']} for {ago(now - event['since'])}: {event['why']}")
        if event["waits_for"]:
            lines.append(f"  {event['waits_for']}")
    return lines


def moment(epoch: float) -> str:
    """A moment for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(epoch))


def ago(seconds: float) -> str:
    """A stretch of time for people."""
    seconds = max(0, int(seconds))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h"


__all__ = ["ago", "moment", "one_line", "render", "snapshot"]
