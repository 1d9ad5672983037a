# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a machine's coming or running maintenance, in the one shape that the inventory gives. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import Event
    from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.document import FleetDocument
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record

NONE, OUT, READY = "none", "out", "ready"


class Maintenance(TypedDict):
    """What Azure has scheduled for a machine, and what its maintenance handler is doing; None where not known.

    ``event`` is ``none``, ``scheduled`` or ``started``, with the event's own fields beside it. ``handler`` is ``none``
    (in service), ``out`` (holds a slot of the fleet: being drained, down, or being resumed) or ``ready`` (drained, and
    ready for Azure to go ahead).
    """

    event: str | None
    event_id: str | None
    event_type: str | None
    not_before: str | None
    handler: str | None


class Scope(NamedTuple):
    """The events that one machine is shown, and which machine that is."""

    name: str
    subscription_id: str | None
    resource_group: str | None
    events: Sequence[Event]


def states(maintenance: Maintenance) -> list[str]:
    """The words for groups: each that is known, and ``none`` only when there is nothing else."""
    known = [word for word in (maintenance["event"], maintenance["handler"]) if word]
    busy = [word for word in known if word != NONE]
    return busy or known[:1]


def of_events(events: Iterable[Mapping[str, Any]]) -> Maintenance:
    """The most pressing of a machine's own events: one that has started, else the one that may start first.

    Args:
        events: as the modules of the collection describe them; only those of the machine itself.
    """
    waiting = sorted(events, key=lambda e: (e.get("event_status") != "Started", e.get("not_before") or "9999"))
    if not waiting:
        return _only(event=NONE)
    first = waiting[0]
    return {
        "event": str(first.get("event_status") or "scheduled").lower(),
        "event_id": first.get("event_id"),
        "event_type": first.get("event_type"),
        "not_before": first.get("not_before"),
        "handler": None,
    }


def of_facts(facts: Mapping[str, Any]) -> Maintenance | None:
    """What the facts say, None when they were gathered without scheduled events."""
    part = facts.get("scheduled_events")
    if not isinstance(part, dict) or part.get("available") is not True or not isinstance(part.get("events"), list):
        return None
    return of_events(e for e in part["events"] if isinstance(e, dict) and e.get("mine") is True)


def from_scope(
    records: Sequence[Record], scope: Scope, described: Sequence[Mapping[str, Any]]
) -> dict[int, Maintenance]:
    """What one machine's view of the events says of each machine, by its place among the records.

    Events are shared inside an availability set or a scale set (contract section 6.5), so the others of the viewer's
    set are known to have no event when none names them. A machine elsewhere is never named: nothing is known of it.

    Args:
        records: the machines. scope: who sees what. described: the same events, as results have them.
    """
    near = {n: record for n, record in enumerate(records) if _is_near(record, scope)}
    viewer = next((r for r in near.values() if r["name"].lower() == scope.name.lower()), None)
    found: dict[int, Maintenance] = {}
    for number, record in near.items():
        mine = [d for event, d in zip(scope.events, described, strict=True) if event.touches(record["name"])]
        if mine or _share(record, viewer):
            found[number] = of_events(mine)
    return found


def _is_near(record: Record, scope: Scope) -> bool:
    """Whether a machine is in the viewer's resource group, in which names are unique."""
    mine = (record["subscription_id"], record["resource_group"])
    theirs = (scope.subscription_id, scope.resource_group)
    return all((a or "").lower() == (b or "").lower() for a, b in zip(mine, theirs, strict=True))


def _share(record: Record, viewer: Record | None) -> bool:
    if viewer is None:
        return False
    same_set = any(
        record[kind] is not None and (record[kind] or "").lower() == (viewer[kind] or "").lower()
        for kind in ("availability_set", "scale_set")
    )
    return record is viewer or same_set


def from_fleet(records: Sequence[Record], document: FleetDocument) -> tuple[dict[int, Maintenance], list[str]]:
    """What the handlers' fleet document says of each machine, and names in it that several machines have.

    The document knows machines by name alone, so nothing is said of machines that share one.
    """
    by_name: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        by_name.setdefault(record["name"].lower(), []).append(number)
    ready = {name for reports in document.ready.values() for name in reports}
    found: dict[int, Maintenance] = {}
    ambiguous: list[str] = []
    for name in sorted({*document.members, *document.holders, *ready}):
        numbers = by_name.get(name, [])
        if len(numbers) == 1:
            found[numbers[0]] = _only(handler=READY if name in ready else OUT if name in document.holders else NONE)
        elif numbers:
            ambiguous.append(name)
    return found, ambiguous


def merged(known: Maintenance | None, further: Maintenance) -> Maintenance:
    """Both together; the later word counts where both know."""
    if known is None:
        return further
    with_event = further if further["event"] is not None else known
    return {**with_event, "handler": further["handler"] or known["handler"]}


def _only(*, event: str | None = None, handler: str | None = None) -> Maintenance:
    return {"event": event, "event_id": None, "event_type": None, "not_before": None, "handler": handler}


__all__ = ["Maintenance", "Scope", "from_fleet", "from_scope", "merged", "of_events", "of_facts", "states"]
