# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Scheduled events as results of modules: their form, which are wanted, and which may be approved. Pure functions."""

from __future__ import annotations

import time
import typing as t

from .scheduled_events import SCHEDULED, Event, resource_key

TYPES = ("Freeze", "Reboot", "Redeploy", "Preempt", "Terminate")
SOURCES = ("Platform", "User")
STATUSES = ("Scheduled", "Started")


class Filter(t.NamedTuple):
    """Which events are wanted; an empty tuple or None does not narrow.

    Attributes:
        mine: True: those that touch this VM; False: those that do not.
    """

    types: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    mine: bool | None = None

    @classmethod
    def of(cls, options: t.Mapping[str, t.Any]) -> Filter:
        """The filter among a module's options; an option that is absent or None does not narrow."""
        lists = {name: tuple(options.get(name) or ()) for name in ("types", "sources", "statuses")}
        return cls(**lists, mine=options.get("mine"))

    def admits(self, event: Event, vm_name: str | None) -> bool:
        """Whether an event is wanted; ``vm_name`` may only be None when ``mine`` is."""
        return (
            (not self.types or event.event_type in self.types)
            and (not self.sources or event.event_source in self.sources)
            and (not self.statuses or event.event_status in self.statuses)
            and (self.mine is None or event.touches(vm_name or "") is self.mine)
        )


def describe(event: Event, vm_name: str | None) -> dict[str, t.Any]:
    """An event for a result or a fact.

    Returns:
        Azure's fields in snake_case; ``not_before`` as ISO 8601 in UTC, ``not_before_epoch`` as seconds, and
        ``not_before_text`` as received; ``mine``, None when the VM's name is not known.
    """
    result = event.as_dict()
    result["not_before_epoch"] = None if event.not_before is None else int(event.not_before)
    result["not_before"] = iso(event.not_before)
    result["mine"] = None if vm_name is None else event.touches(vm_name)
    return result


def iso(epoch: float | None) -> str | None:
    """``2022-04-11T22:26:58Z`` for epoch seconds."""
    return None if epoch is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


class Approvals(t.NamedTuple):
    """What asking for approvals comes to, before anything is sent.

    Attributes:
        approve: events to approve now.
        started: events that have started: approved by somebody, or nobody waited for.
        gone: asked-for EventIds that are not in the document: finished, cancelled, or never there.
        refused: events that other VMs share which are not known to be ready, and the names of those VMs.
    """

    approve: tuple[Event, ...]
    started: tuple[Event, ...]
    gone: tuple[str, ...]
    refused: tuple[tuple[Event, tuple[str, ...]], ...]


def plan_approvals(
    events: t.Iterable[Event],
    *,
    vm_name: str,
    event_ids: t.Sequence[str] | None = None,
    wanted: Filter | None = None,
    ready: t.Iterable[str] = (),
    force: bool = False,
) -> Approvals:
    """Decide what to approve. An approval holds for every VM of an event, not only for the one that sends it.

    Args:
        events: the events document's.
        vm_name: this VM's ``compute.name``; it is ready, or nobody would approve on it.
        event_ids: the events to approve; None for all that touch this VM.
        wanted: narrows the latter.
        ready: names of other VMs that are known to be ready.
        force: approve whatever the others are doing.
    """
    by_key = {event.key: event for event in events}
    if event_ids is None:
        wanted = (wanted or Filter())._replace(mine=True)
        chosen = [event for event in by_key.values() if wanted.admits(event, vm_name)]
        gone: tuple[str, ...] = ()
    else:
        asked = {event_id.strip().lower(): event_id.strip() for event_id in event_ids}
        chosen = [by_key[key] for key in asked if key in by_key]
        gone = tuple(asked[key] for key in asked if key not in by_key)
    approve: list[Event] = []
    refused: list[tuple[Event, tuple[str, ...]]] = []
    for event in chosen:
        waiting = () if force else not_ready(event, (vm_name, *ready))
        if event.event_status != SCHEDULED:
            continue
        if waiting:
            refused.append((event, waiting))
        else:
            approve.append(event)
    started = tuple(event for event in chosen if event.event_status != SCHEDULED)
    return Approvals(tuple(approve), started, gone, tuple(refused))


def not_ready(event: Event, ready: t.Iterable[str]) -> tuple[str, ...]:
    """The VMs of an event that are not among the ready ones."""
    keys = {resource_key(name) for name in ready}
    return tuple(name for name in event.resources if resource_key(name) not in keys)


__all__ = ["SOURCES", "STATUSES", "TYPES", "Approvals", "Filter", "describe", "iso", "not_ready", "plan_approvals"]
