# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as the facts of an earlier run tell it: Ansible's fact cache, whatever its plugin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record, from_facts
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.snapshot import epoch

if TYPE_CHECKING:
    from collections.abc import Iterable

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


__all__ = ["EntryError", "FactStore", "FactsReading", "azure_facts", "read_facts"]
