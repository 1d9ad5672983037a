# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One reading of a fleet: from Azure, or from facts. Each says what it could not read, too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.fact_cache import FactStore, read_facts
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.filters import Filters
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record, from_listing
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.snapshot import isotime
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import (
    calls,
    clouds,
    credentials,
    failures,
    listing,
    resource_graph,
    sign_in,
    subscriptions,
)
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.client import Client
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import SettingsError
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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


class AzureSettings(NamedTuple):
    """How to read a fleet from Azure; the options of the inventory plugin have the same names."""

    sign_in: credentials.Settings
    graph: bool = False
    cloud: str = "public"
    resource_manager: str | None = None
    authority: str | None = None
    audience: str | None = None
    subscriptions: tuple[str, ...] = ()
    details: frozenset[str] = frozenset(calls.DETAILS)
    filters: Filters = Filters()
    keep_raw: bool = False
    compute_api_version: str = calls.COMPUTE_API_VERSION
    network_api_version: str = calls.NETWORK_API_VERSION
    timeout: float = 120.0
    connections: int = 16


def read_azure(settings: AzureSettings, *, wall: Callable[[], float] = time.time) -> Reading:
    """Read the machines of all subscriptions.

    Raises:
        AzureError: nothing could be read; a part that cannot be is in the reading instead.
    """
    collected_at, started = wall(), time.monotonic()
    deadline = started + settings.timeout
    cloud = _cloud(settings, deadline)
    kind = credentials.choose(settings.sign_in, credentials.surroundings())
    transport = Transport(cloud.resource_manager, ca_path=settings.sign_in.ca_path)
    token = credentials.token_source(settings.sign_in, kind, cloud, deadline=deadline)
    client = Client(transport, token, timeout=settings.timeout)
    try:
        token()  # a sign-in that fails says so once, not once for each list
        query = listing.Query(
            subscriptions.resolve(client, settings.subscriptions),
            settings.details,
            settings.filters.keeps_set,
            settings.keep_raw,
            settings.compute_api_version,
            settings.network_api_version,
            settings.connections,
        )
        outcome = resource_graph.read_fleet(client, query) if settings.graph else listing.read_fleet(client, query)
    finally:
        client.close()
    records = from_listing(outcome.listing, environment=cloud.environment, collected_at=isotime(collected_at))
    spent = time.monotonic() - started
    every = len(query.subscriptions)
    return Reading(
        records,
        collected_at,
        failures.describe(outcome.failures),
        frozenset(_incomplete(outcome, query)),
        outcome.notes,
        f"{len(records)} machines of {every} subscription{'s' if every > 1 else ''} by {client.requests} requests"
        f" in {spent:.2f} s, signed in by {kind}",
    )


def _incomplete(outcome: listing.Outcome, query: listing.Query) -> set[str]:
    named = {failure.subscription for failure in outcome.failures}
    return named if named <= set(query.subscriptions) else set(query.subscriptions)


def _cloud(settings: AzureSettings, deadline: float) -> clouds.Cloud:
    name = settings.cloud
    if name != "stack":
        return clouds.choose(
            name,
            resource_manager=settings.resource_manager,
            authority=settings.authority,
            audience=settings.audience,
        )
    if not settings.resource_manager:
        raise SettingsError("cloud stack: resource_manager is not set")
    base = clouds.checked_url("resource_manager", settings.resource_manager)
    authority, audience = settings.authority, settings.audience
    if not (authority and audience):
        wire = sign_in.Wire(Transport(base, ca_path=settings.sign_in.ca_path), deadline)
        announced = sign_in.discover_stack(wire)
        authority, audience = authority or announced[0], audience or announced[1]
    return clouds.Cloud("AzureStack", base, clouds.checked_url("authority", authority), audience)


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


__all__ = ["AzureSettings", "Reading", "read_azure", "read_from_facts"]
