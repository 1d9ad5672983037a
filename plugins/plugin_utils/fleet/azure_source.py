# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One reading of a fleet from Azure: sign-in, subscriptions, lists, records, and what could not be read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.joining import from_listing
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.policy import Reading
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.snapshot import isotime
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import (
    clouds,
    credentials,
    failures,
    listing,
    subscriptions,
)
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.client import Client
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import SettingsError
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.settings import AzureSettings


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
        outcome = _read_fleet(client, query, graph=settings.graph)
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


def _read_fleet(client: Client, query: listing.Query, *, graph: bool) -> listing.Outcome:
    if not graph:
        return listing.read_fleet(client, query)
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import (  # noqa: PLC0415 rare
        resource_graph,
    )

    return resource_graph.read_fleet(client, query)


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
        from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import (  # noqa: PLC0415 rare
            sign_in,
        )

        wire = sign_in.Wire(Transport(base, ca_path=settings.sign_in.ca_path), deadline)
        announced = sign_in.discover_stack(wire)
        authority, audience = authority or announced[0], audience or announced[1]
    return clouds.Cloud("AzureStack", base, clouds.checked_url("authority", authority), audience)


__all__ = ["read_azure"]
