# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as the facts of an earlier run tell it: Ansible's fact cache, whatever its plugin."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.documents import integer, text
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.maintenance import of_facts
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.policy import Reading
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.snapshot import epoch
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.resource_ids import (
    location,
    lowered,
    os_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record

# What the facts of a machine say that is none of Azure's, or is not to be asked; any other error is a failure.
ELSEWHERE = ("not_on_azure", "disabled")
KEYS = ("azure", "ansible_azure")


class EntryError(Exception):
    """The facts of one host cannot be read."""


class FactStore(Protocol):
    """What is needed of a fact cache plugin."""

    def keys(self) -> Iterable[str]:
        """Names of the hosts that it has facts of."""

    def get(self, key: str) -> Any:
        """The facts of a host. Raises EntryError."""


class FactsReading(NamedTuple):
    """What a fact cache says.

    Attributes:
        found: each machine with the name of its host in the inventory of that run.
        elsewhere: hosts that said that they are no machines of Azure.
        without: hosts whose facts were gathered without ``instance_facts``.
        unreadable: hosts whose facts could not be read, and why.
        too_old: hosts whose facts are older than they may be, or of unknown age, with their records.
    """

    found: list[tuple[str, Record]]
    elsewhere: list[str]
    without: list[str]
    unreadable: dict[str, str]
    too_old: list[tuple[str, Record]]


def read_facts(
    store: FactStore,
    *,
    max_age: float,
    now: float,
    keep_raw: bool = False,
) -> FactsReading:
    """Read the facts of all hosts; one that cannot be read does not hide the others.

    Args:
        store: the fact cache.
        max_age: seconds that facts may be old, 0 for any age. now: epoch seconds.
        keep_raw: keep the facts themselves in the records.
    """
    reading = FactsReading([], [], [], {}, [])
    for host in sorted(store.keys()):
        try:
            facts = azure_facts(store.get(host))
        except EntryError as exc:
            reading.unreadable[host] = str(exc)
            continue
        if facts is None:
            reading.without.append(host)
            continue
        try:
            record = from_facts(facts, keep_raw=keep_raw)
        except ValueError as exc:
            reading.unreadable[host] = str(exc)
            continue
        if record is None:
            reading.elsewhere.append(host)
        elif _is_too_old(record, max_age, now):
            reading.too_old.append((host, record))
        else:
            reading.found.append((host, record))
    return reading


def azure_facts(facts: Any) -> dict[str, Any] | None:
    """The facts of ``instance_facts`` among all facts of a host, as plain JSON; None when they are not there.

    The way through JSON takes off whatever marks the cache plugin has kept with the strings: what another machine said
    is never a template here.
    """
    if not isinstance(facts, dict):
        raise EntryError("the entry holds something other than facts")
    for key in KEYS:
        if isinstance(facts.get(key), dict):
            plain = json.loads(json.dumps(facts[key], default=str))
            return plain if isinstance(plain, dict) else None
    return None


def _is_too_old(record: Record, max_age: float, now: float) -> bool:
    if not max_age:
        return False
    collected = epoch(record["collected_at"])
    return collected is None or now - collected > max_age


def from_facts(facts: Mapping[str, Any], *, keep_raw: bool = False) -> Record | None:
    """The record in what ``instance_facts`` gathered on a machine, None when it said that it is not one of Azure.

    Args:
        facts: the value of ``ansible_facts.azure``, plain JSON.
        keep_raw: keep the facts themselves under ``raw``.

    Raises:
        ValueError: the facts could not be gathered, and say why.
    """
    name, identity = text(facts.get("name")), text(facts.get("resource_id"))
    if facts.get("available") is not True:
        if facts.get("error") in ELSEWHERE:
            return None
        raise ValueError(f"they were not gathered: {text(facts.get('reason')) or 'no reason given'}")
    if name is None:
        raise ValueError("they do not name the machine")
    tags = facts.get("tags")
    return {
        "name": name,
        "resource_id": identity or "",
        "vm_id": lowered(facts.get("vm_id")),
        "subscription_id": text(facts.get("subscription_id")),
        "resource_group": text(facts.get("resource_group")),
        "location": location(facts.get("location")),
        "environment": text(facts.get("environment")),
        "zone": text(facts.get("zone")),
        "physical_zone": text(facts.get("physical_zone")),
        "size": text(facts.get("size")),
        "os_type": os_type(facts.get("os_type")),
        "computer_name": text(facts.get("computer_name")),
        "priority": text(facts.get("priority")),
        "provisioning_state": None,
        "power_state": None,
        "availability_set": text(facts.get("availability_set")),
        "scale_set": text(facts.get("scale_set")),
        "scale_set_instance_id": text(facts.get("scale_set_instance_id")),
        "fault_domain": integer(facts.get("fault_domain")),
        "update_domain": integer(facts.get("update_domain")),
        "tags": {k: str(v) for k, v in tags.items()} if isinstance(tags, dict) else {},
        "private_ipv4": _strings(facts.get("private_ipv4")),
        "private_ipv6": _strings(facts.get("private_ipv6")),
        "public_ipv4": _strings(facts.get("public_ipv4")),
        "public_ipv6": None,
        "public_fqdns": None,
        "redeploy_status": None,
        "maintenance": of_facts(facts),
        "problems": [],
        "collected_at": text(facts.get("collected_at")) or "",
        "raw": {"facts": dict(facts)} if keep_raw else None,
    }


def _strings(value: Any) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


def read_from_facts(
    store: FactStore,
    *,
    max_age: float,
    keep_raw: bool,
    wall: Callable[[], float] = time.time,
) -> Reading:
    """Read the machines whose facts are in a fact cache. Raises what the store raises when it cannot be read at all."""
    now = wall()
    found = read_facts(store, max_age=max_age, now=now, keep_raw=keep_raw)
    missing = [f"the facts of {host} cannot be read: {reason}" for host, reason in sorted(found.unreadable.items())]
    if found.too_old:
        names = ", ".join(host for host, _record in found.too_old[:10]) + (" ..." if len(found.too_old) > 10 else "")
        missing.append(
            f"the facts of {len(found.too_old)} hosts are older than max_age ({max_age:g} s), or do not say how old"
            f" they are: {names}; gather them again"
        )
    notes = []
    if not found.found and not found.too_old and found.without:
        notes.append(
            f"the fact cache has {len(found.without)} hosts, and of none the facts of azure_guest.imds.instance_facts;"
            " gather them first"
        )
    summary = (
        f"{len(found.found)} machines in the fact cache, {len(found.elsewhere)} hosts outside Azure,"
        f" {len(found.without)} without its facts"
    )
    return Reading(
        [record for _host, record in found.found],
        now,
        "; ".join(missing),
        notes=notes,
        summary=summary,
        inventory_names=[host for host, _record in found.found],
        fallback=found.too_old,
    )


__all__ = ["EntryError", "FactStore", "FactsReading", "azure_facts", "from_facts", "read_facts", "read_from_facts"]
