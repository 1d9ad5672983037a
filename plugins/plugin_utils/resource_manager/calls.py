# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list calls of the inventory: what they ask, what permission they need, how their items are read.

The letters are those of contract section 12.2. None of them is a call per machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import documents

if TYPE_CHECKING:
    from collections.abc import Callable

COMPUTE_API_VERSION = "2024-07-01"
NETWORK_API_VERSION = "2024-01-01"
# Interfaces and addresses of uniform scale sets are listed with this version only (contract section 12.2, H and I).
SCALE_SET_NETWORK_API_VERSION = "2018-10-01"
SUBSCRIPTIONS_API_VERSION = "2022-12-01"
RESOURCE_GRAPH_API_VERSION = "2022-10-01"


class Call(NamedTuple):
    """One kind of list.

    Attributes:
        part: what it brings, as messages and gaps name it.
        title: the same for people.
        path: below the subscription's path or the scale set's id.
        api: which api-version it takes: ``compute``, ``network`` or ``scale_set_network``.
        query: further parameters.
        action: the permission that it needs.
        brings_machines: whether machines are missing when it fails, and not only some of their fields.
    """

    part: str
    title: str
    path: str
    api: str
    query: tuple[tuple[str, str], ...]
    action: str
    brings_machines: bool = False


MACHINES = Call(  # A
    "machines",
    "virtual machines",
    "/providers/Microsoft.Compute/virtualMachines",
    "compute",
    (),
    "Microsoft.Compute/virtualMachines/read",
    brings_machines=True,
)
STATUS = Call(  # B
    "status",
    "run-time status of virtual machines",
    "/providers/Microsoft.Compute/virtualMachines",
    "compute",
    (("statusOnly", "true"),),
    "Microsoft.Compute/virtualMachines/read",
)
SCALE_SETS = Call(  # D
    "scale_sets",
    "scale sets",
    "/providers/Microsoft.Compute/virtualMachineScaleSets",
    "compute",
    (),
    "Microsoft.Compute/virtualMachineScaleSets/read",
    brings_machines=True,
)
INTERFACES = Call(  # F
    "interfaces",
    "network interfaces",
    "/providers/Microsoft.Network/networkInterfaces",
    "network",
    (),
    "Microsoft.Network/networkInterfaces/read",
)
PUBLIC_ADDRESSES = Call(  # G
    "public_addresses",
    "public IP addresses",
    "/providers/Microsoft.Network/publicIPAddresses",
    "network",
    (),
    "Microsoft.Network/publicIPAddresses/read",
)
INSTANCES = Call(  # E
    "instances",
    "instances",
    "/virtualMachines",
    "compute",
    (("$expand", "instanceView"),),
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
    brings_machines=True,
)
SET_INTERFACES = Call(  # H
    "interfaces",
    "network interfaces",
    "/networkInterfaces",
    "scale_set_network",
    (),
    "Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read",
)
SET_PUBLIC_ADDRESSES = Call(  # I
    "public_addresses",
    "public IP addresses",
    "/publicipaddresses",
    "scale_set_network",
    (),
    "Microsoft.Compute/virtualMachineScaleSets/publicIPAddresses/read",
)

# What a user may do without, in exchange for fewer permissions and calls; the machines themselves always come.
DETAILS = ("status", "scale_sets", "interfaces", "public_addresses")


def subscription_calls(details: frozenset[str]) -> list[Call]:
    """The lists of one subscription; that of the scale sets first, for others follow from it."""
    calls = [SCALE_SETS, MACHINES, STATUS, INTERFACES, PUBLIC_ADDRESSES]
    return [call for call in calls if call is MACHINES or call.part in details]


def scale_set_calls(details: frozenset[str]) -> list[Call]:
    """The lists of one uniform scale set."""
    calls = [INSTANCES, SET_INTERFACES, SET_PUBLIC_ADDRESSES]
    return [call for call in calls if call is INSTANCES or call.part in details]


def reader(call: Call, *, scale_set: str | None, keep_raw: bool) -> Callable[[documents.Json], Any]:
    """What makes a tuple of one item of a call's list, or None of an item without an id."""
    if call in (MACHINES, INSTANCES):
        return lambda item: documents.read_machine(item, scale_set=scale_set, keep_raw=keep_raw)
    if call is STATUS:
        return lambda item: documents.read_status(item, keep_raw=keep_raw)
    if call is SCALE_SETS:
        return documents.read_scale_set
    if call in (INTERFACES, SET_INTERFACES):
        return lambda item: documents.read_interface(item, keep_raw=keep_raw)
    return lambda item: documents.read_public_address(item, keep_raw=keep_raw)


__all__ = [
    "COMPUTE_API_VERSION",
    "DETAILS",
    "INSTANCES",
    "INTERFACES",
    "MACHINES",
    "NETWORK_API_VERSION",
    "PUBLIC_ADDRESSES",
    "RESOURCE_GRAPH_API_VERSION",
    "SCALE_SETS",
    "SCALE_SET_NETWORK_API_VERSION",
    "SET_INTERFACES",
    "SET_PUBLIC_ADDRESSES",
    "STATUS",
    "SUBSCRIPTIONS_API_VERSION",
    "Call",
    "reader",
    "scale_set_calls",
    "subscription_calls",
]
