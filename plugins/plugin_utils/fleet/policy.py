# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which snapshot Ansible gets: the one in the cache, a fresh one, or an older one for want of a better. Never a partial
one that looks whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.snapshot import (
    CorruptError,
    Snapshot,
    SnapshotCache,
)
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import (
    AzureError,
    SettingsError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record


class Reading(NamedTuple):
    """What a source said.

    Attributes:
        records: the machines.
        collected_at: epoch seconds when the reading began.
        missing: what could not be read, in words; empty when everything was.
        incomplete: the subscriptions that something is missing of.
        notes: what else a user should see.
        summary: one line on how it went.
        inventory_names: for each record the host that it was cached under; None where there is no such thing.
        fallback: older records that may stand in for what is missing, with their names.
    """

    records: Sequence[Record]
    collected_at: float
    missing: str = ""
    incomplete: frozenset[str] = frozenset()
    notes: Sequence[str] = ()
    summary: str = ""
    inventory_names: Sequence[str | None] | None = None
    fallback: Sequence[tuple[str, Record]] = ()


class PartialError(AzureError):
    """Something could not be read, and a partial answer is not wanted."""


class Policy(NamedTuple):
    """What the user wants in bad times.

    Attributes:
        on_partial: ``fail``, ``warn`` or ``stale``.
        cache_timeout: seconds that a cached snapshot is good for, 0 for ever.
        stale_if_error: seconds that it may stand in when Azure cannot be read, 0 for never.
    """

    on_partial: str = "fail"
    cache_timeout: float = 3600
    stale_if_error: float = 0


class Report(NamedTuple):
    """Where to tell the user: a warning, or a line for those who ask for more."""

    warn: Callable[[str], None]
    say: Callable[[str], None]


def take(
    read: Callable[[], Reading],
    policy: Policy,
    *,
    cache: SnapshotCache | None,
    may_use_cached: bool,
    now: float,
    report: Report,
) -> Snapshot:
    """The snapshot to use.

    Args:
        read: reads the fleet anew.
        policy: the user's will.
        cache: None when there is no caching.
        may_use_cached: False when the user asked for fresh data; what is read is cached all the same.
        now: epoch seconds.
        report: where warnings go.

    Raises:
        AzureError: there is no snapshot that the policy allows.
    """
    if policy.on_partial == "stale" and not (cache and policy.stale_if_error):
        raise SettingsError("on_partial stale: needs cache and stale_if_error, for that is where stale data come from")
    cached = _cached(cache, report) if cache and may_use_cached else None
    age = max(0.0, now - cached.collected_at) if cached else 0.0
    if cached and (not policy.cache_timeout or age <= policy.cache_timeout):
        report.say(f"{len(cached.records)} machines from the cache, {age:.0f} s old")
        return cached
    spare = cached if cached and age <= policy.stale_if_error else None
    try:
        reading = read()
        report.say(reading.summary)
        if not reading.missing:
            fresh = Snapshot(reading.records, reading.collected_at, None, reading.inventory_names)
            if cache:
                cache.store(fresh)
            return _noted(fresh, reading, report)
        return _noted(_partial(reading, policy, spare, report), reading, report)
    except SettingsError:
        raise  # nothing that waiting would mend
    except AzureError as exc:
        if spare is None:
            raise
        report.warn(f"{exc} Going on with the inventory of {age:.0f} s ago (option stale_if_error).")
        return spare._replace(stale=str(exc))


def _noted(snapshot: Snapshot, reading: Reading, report: Report) -> Snapshot:
    for note in reading.notes:
        report.warn(note)
    return snapshot


def _cached(cache: SnapshotCache, report: Report) -> Snapshot | None:
    try:
        return cache.load()
    except CorruptError as exc:
        report.warn(f"what the inventory cache holds cannot be used, {exc}; reading it anew")
        return None


def _partial(reading: Reading, policy: Policy, spare: Snapshot | None, report: Report) -> Snapshot:
    """What to make of an incomplete reading; it is never cached."""
    if policy.on_partial == "warn":
        report.warn(f"The inventory is incomplete. {reading.missing}")
        return Snapshot(reading.records, reading.collected_at, None, reading.inventory_names)
    if policy.on_partial == "stale" and spare is not None:
        report.warn(f"{reading.missing} Going on with what was cached of it (option on_partial).")
        kept = [r for r in reading.records if (r["subscription_id"] or "").lower() not in reading.incomplete]
        old = [r for r in spare.records if (r["subscription_id"] or "").lower() in reading.incomplete]
        return Snapshot([*kept, *old], reading.collected_at, reading.missing)
    raise PartialError(reading.missing)


def take_from_facts(read: Callable[[], Reading], policy: Policy, *, report: Report) -> Snapshot:
    """The snapshot in the fact cache; with ``stale``, facts that are too old are used, too.

    Raises:
        PartialError: facts are missing that should be there.
    """
    reading = read()
    report.say(reading.summary)
    names = list(reading.inventory_names or ())
    records = list(reading.records)
    if reading.missing:
        if policy.on_partial == "fail":
            raise PartialError(f"{reading.missing}.")
        if policy.on_partial == "stale":
            names += [name for name, _record in reading.fallback]
            records += [record for _name, record in reading.fallback]
        report.warn(f"The inventory is incomplete: {reading.missing}.")
    return _noted(Snapshot(records, reading.collected_at, None, names), reading, report)


__all__ = ["PartialError", "Policy", "Report", "take", "take_from_facts"]
