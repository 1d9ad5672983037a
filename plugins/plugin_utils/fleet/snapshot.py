# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet at a moment: its records and their age; how it survives in a cache. Pure, but for the cache it is given."""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import FIELDS, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Changes with the shape of a record, so that what another version wrote is not taken for ours.
FORMAT = 1


class Snapshot(NamedTuple):
    """Records that were read together.

    Attributes:
        records: the machines.
        collected_at: epoch seconds when the reading began.
        stale: why the records are older than they should be, None when they are not.
        inventory_names: the name of each machine in the inventory that its facts came from, None where there is none.
    """

    records: Sequence[Record]
    collected_at: float
    stale: str | None = None
    inventory_names: Sequence[str | None] | None = None


class CacheStore(Protocol):
    """What is needed of Ansible's wrapper of cache plugins."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value kept under a key, or the default."""

    def __setitem__(self, key: str, value: Any) -> None: ...

    def set_cache(self) -> None:
        """Write what was set."""


class CorruptError(Exception):
    """What is in the cache was not written by this version of the plugin, or not completely."""


class SnapshotCache:
    """Keeps one snapshot in a cache plugin.

    The records are kept as one string of JSON: whatever the cache plugin does to values, strings from the cloud come
    back as the plain strings they were, and fast. Nothing expires by itself: the age decides, and what is too old may
    still help when Azure does not answer.
    """

    def __init__(self, store: CacheStore, key: str) -> None:
        self._store, self._key = store, key

    def load(self) -> Snapshot | None:
        """What is kept, None when there is nothing.

        Raises:
            CorruptError: there is something else.
        """
        entry = self._store.get(self._key)
        if entry is None:
            return None
        try:
            if entry["format"] != FORMAT:
                raise CorruptError(f"it has the format {entry['format']!r}")
            collected_at, records = float(entry["collected_at"]), json.loads(entry["records"])
        except (KeyError, TypeError, ValueError) as exc:
            raise CorruptError(f"it is damaged ({type(exc).__name__})") from exc
        wanted = set(FIELDS)
        if not isinstance(records, list) or any(not isinstance(r, dict) or r.keys() != wanted for r in records):
            raise CorruptError("it holds something other than records")
        return Snapshot(cast("list[Record]", records), collected_at)

    def store(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one before."""
        self._store[self._key] = {
            "format": FORMAT,
            "collected_at": snapshot.collected_at,
            "records": json.dumps(snapshot.records, separators=(",", ":")),
        }
        self._store.set_cache()


def shape_key(shape: Mapping[str, Any]) -> str:
    """A short text that differs when what shapes the query does."""
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:12]


def isotime(epoch: float) -> str:
    """A moment in UTC, to the second: ``2026-01-31T12:00:00Z``."""
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str) -> float | None:
    """Epoch seconds of such a text, None for anything else."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


__all__ = ["FORMAT", "CacheStore", "CorruptError", "Snapshot", "SnapshotCache", "epoch", "isotime", "shape_key"]
