# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of Resource Manager that are played, as data (contract section 12.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

_COMPUTE = (
    *("2019-03-01", "2019-07-01", "2019-12-01", "2020-06-01", "2020-12-01", "2021-03-01", "2021-04-01", "2021-07-01"),
    *("2021-11-01", "2022-03-01", "2022-08-01", "2022-11-01", "2023-03-01", "2023-07-01", "2023-09-01"),
    *("2024-03-01", "2024-07-01", "2024-11-01", "2025-04-01", "2025-11-01", "2026-04-01"),
)
_NETWORK = (
    *("2020-05-01", "2020-11-01", "2021-05-01", "2021-08-01", "2022-01-01", "2022-07-01", "2022-09-01", "2022-11-01"),
    *("2023-02-01", "2023-05-01", "2023-09-01", "2023-11-01", "2024-01-01", "2024-03-01", "2024-05-01"),
    *("2024-07-01", "2024-10-01", "2025-01-01", "2025-03-01", "2025-05-01", "2025-07-01", "2025-09-01", "2026-01-01"),
    "2026-03-01",
)
_SUBSCRIPTIONS = ("2016-06-01", "2019-06-01", "2020-01-01", "2021-01-01", "2022-12-01")
_GRAPH = ("2021-03-01", "2022-10-01", "2024-04-01")


class Definition(NamedTuple):
    """A call.

    Attributes:
        name: under which faults choose it.
        path: regular expression, in any case as Resource Manager takes paths.
        versions: the api-versions that it takes.
        action: what the caller must be allowed to do.
        type: resource type, for error messages.
        cost: which of Compute's limits it counts against: ``high``, ``low`` or none.
        method: HTTP method.
    """

    name: str
    path: re.Pattern[str]
    versions: tuple[str, ...]
    action: str
    type: str
    cost: str = ""
    method: str = "GET"


def _path(text: str) -> re.Pattern[str]:
    named = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", text)
    return re.compile(named, re.IGNORECASE)


_SUBSCRIPTION = "/subscriptions/{subscription}"
_COMPUTE_LIST = _SUBSCRIPTION + "/providers/Microsoft.Compute"
_SET = _SUBSCRIPTION + "/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"
_VM = _SUBSCRIPTION + "/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}"
_UNIFORM = "Microsoft.Compute/virtualMachineScaleSets"

DEFINITIONS = (
    Definition("subscriptions", _path("/subscriptions"), _SUBSCRIPTIONS, "", "subscriptions"),
    Definition(
        "virtual_machines",
        _path(_COMPUTE_LIST + "/virtualMachines"),
        _COMPUTE,
        "Microsoft.Compute/virtualMachines/read",
        "virtualMachines",
        "high",
    ),
    Definition(
        "scale_sets",
        _path(_COMPUTE_LIST + "/virtualMachineScaleSets"),
        _COMPUTE,
        f"{_UNIFORM}/read",
        "virtualMachineScaleSets",
        "high",
    ),
    Definition(
        "availability_sets",
        _path(_COMPUTE_LIST + "/availabilitySets"),
        _COMPUTE,
        "Microsoft.Compute/availabilitySets/read",
        "availabilitySets",
        "high",
    ),
    Definition(
        "scale_set_virtual_machines",
        _path(_SET + "/virtualMachines"),
        _COMPUTE,
        f"{_UNIFORM}/virtualMachines/read",
        "virtualMachineScaleSets/virtualMachines",
        "high",
    ),
    Definition(
        "scale_set_network_interfaces",
        _path(_SET + "/networkInterfaces"),
        ("2018-10-01",),
        f"{_UNIFORM}/networkInterfaces/read",
        "virtualMachineScaleSets/networkInterfaces",
    ),
    Definition(
        "scale_set_public_ip_addresses",
        _path(_SET + "/publicIPAddresses"),
        ("2018-10-01",),
        f"{_UNIFORM}/publicIPAddresses/read",
        "virtualMachineScaleSets/publicIPAddresses",
    ),
    Definition(
        "instance_view",
        _path(_VM + "/instanceView"),
        _COMPUTE,
        "Microsoft.Compute/virtualMachines/instanceView/read",
        "virtualMachines/instanceView",
        "low",
    ),
    Definition(
        "network_interfaces",
        _path(_SUBSCRIPTION + "/providers/Microsoft.Network/networkInterfaces"),
        _NETWORK,
        "Microsoft.Network/networkInterfaces/read",
        "networkInterfaces",
    ),
    Definition(
        "public_ip_addresses",
        _path(_SUBSCRIPTION + "/providers/Microsoft.Network/publicIPAddresses"),
        _NETWORK,
        "Microsoft.Network/publicIPAddresses/read",
        "publicIPAddresses",
    ),
    Definition(
        "resource_graph",
        _path("/providers/Microsoft.ResourceGraph/resources"),
        _GRAPH,
        "Microsoft.ResourceGraph/resources/read",
        "resources",
        method="POST",
    ),
)
# Calls that have a name of their own for faults, though they are no entry of the table.
VIRTUAL_MACHINES_STATUS = "virtual_machines_status"
SIGN_IN = "sign_in"
ENDPOINTS = "endpoints"
CALLS = (*(definition.name for definition in DEFINITIONS), VIRTUAL_MACHINES_STATUS, SIGN_IN, ENDPOINTS)


def call_name(path: str) -> str:
    """The name of a path's call, for the journal and for faults; empty for an unknown path."""
    found = definition_of(path.rstrip("/"))
    if found is not None:
        return found[0].name
    if path.rstrip("/").lower() == "/metadata/endpoints":
        return ENDPOINTS
    return SIGN_IN if re.search(r"/oauth2/|/\.well-known/", path, re.IGNORECASE) else ""


def definition_of(path: str) -> tuple[Definition, dict[str, str]] | None:
    """The call of a path with what the path names; None for an unknown path."""
    for definition in DEFINITIONS:
        match = definition.path.fullmatch(path)
        if match:
            return definition, match.groupdict()
    return None


__all__ = [
    "CALLS",
    "DEFINITIONS",
    "ENDPOINTS",
    "SIGN_IN",
    "VIRTUAL_MACHINES_STATUS",
    "Definition",
    "call_name",
    "definition_of",
]
