# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads maintenance states from where they are: the controller's own metadata service, the handlers' fleet document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.connection import ask, require_azure
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.documents import check_instance, text
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.errors import ImdsError
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.event_results import describe
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import ScheduledEvents
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.settings import Settings
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet import maintenance
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import AzureError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.azure_guest.imds.plugins.module_utils.imds.client import ImdsClient
    from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.store import Store
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record

Found = dict[int, maintenance.Maintenance]


class MaintenanceError(AzureError):
    """The maintenance states could not be read."""


def from_events(records: Sequence[Record], imds_endpoint: str | None) -> tuple[Found, list[str]]:
    """What the controller's own machine is shown.

    Raises:
        SettingsError: the endpoint is none. MaintenanceError: no Azure VM, or its service cannot be read.
    """
    try:
        settings = Settings.of({"endpoint": imds_endpoint})
        require_azure(settings)
        scope = ask(settings, _scope)
    except ValueError as exc:
        raise SettingsError(f"imds_endpoint: {exc}") from exc
    except ImdsError as exc:
        raise MaintenanceError(f"maintenance from events: {exc}") from exc
    described = [describe(event, None) for event in scope.events]
    return maintenance.from_scope(records, scope, described), []


def _scope(client: ImdsClient) -> maintenance.Scope:
    compute = check_instance(client.get_json("instance").value).get("compute", {})
    document = ScheduledEvents(client).read()
    return maintenance.Scope(
        text(compute.get("name")) or "",
        text(compute.get("subscriptionId")),
        text(compute.get("resourceGroupName")),
        document.events,
    )


def from_fleet(records: Sequence[Record], options: Mapping[str, Any]) -> tuple[Found, list[str]]:
    """What the maintenance handlers say in their fleet document.

    Raises:
        SettingsError: the store is not described properly. MaintenanceError: it cannot be read.
    """
    # The handlers' own reader: there is one definition of the document.
    from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.document import (  # noqa: PLC0415
        FleetFormatError,
    )
    from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.store import (  # noqa: PLC0415
        StoreError,
    )

    try:
        document, _version = open_store(options).load()
    except (StoreError, FleetFormatError) as exc:
        raise MaintenanceError(f"maintenance from fleet: {exc}") from exc
    found, ambiguous = maintenance.from_fleet(records, document)
    notes = [
        f"several machines are called {name}; the fleet document does not tell which it means" for name in ambiguous
    ]
    return found, notes


def open_store(options: Mapping[str, Any]) -> Store:
    """The store that options name, in the words of the handler's own configuration.

    Raises:
        SettingsError: an unknown or incomplete store.
    """
    from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.file import (  # noqa: PLC0415
        FileStore,
    )

    unknown = options.keys() - {"store", "path"}
    if unknown:
        raise SettingsError(f"maintenance_fleet: unknown key {min(unknown)}; it has store and path")
    if options.get("store", "file") != "file" or not isinstance(options.get("path"), str):
        raise SettingsError(
            "maintenance_fleet: a store that can be read from here is needed: store file, with its path"
        )
    return FileStore(options["path"])


__all__ = ["MaintenanceError", "from_events", "from_fleet", "open_store"]
