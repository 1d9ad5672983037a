# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory needs of Azure's documents (contract section 12.2), read without trust in their shape. Pure.

Each reader takes one item of a list and gives a small tuple, so that a page of documents can be forgotten as soon as it
was read. An item that is broken gives nulls, never an error; one that cannot even be named gives None.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.documents import integer, objects, text, walk
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.resource_ids import (
    location,
    lowered,
    os_type,
    parse_id,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
_SCALE_SET = re.compile(
    r"/subscriptions/[\w-]+/resourceGroups/[^/?#]*[^/?#.]/providers/Microsoft\.Compute"
    r"/virtualMachineScaleSets/[^/?#]*[^/?#.]",
    re.IGNORECASE,
)


class Status(NamedTuple):
    """The run-time status of a virtual machine; ``power_state`` is Azure's word after ``PowerState/``."""

    id: str
    fault_domain: int | None = None
    update_domain: int | None = None
    power_state: str | None = None
    computer_name: str | None = None
    redeploy: Json | None = None
    problem: str | None = None
    raw: Json | None = None


class Machine(NamedTuple):
    """A virtual machine: standalone, in an availability set or flexible scale set, or an instance of a uniform one."""

    id: str
    name: str
    location: str | None
    zone: str | None
    tags: dict[str, str]
    vm_id: str | None
    size: str | None
    os_type: str | None
    computer_name: str | None
    priority: str | None
    provisioning_state: str | None
    availability_set: str | None
    scale_set: str | None
    instance_id: str | None  # in its scale set
    uniform: bool  # an instance of a uniform set, which brings its status along
    nics: tuple[str, ...]  # lower-case ids, the primary first
    status: Status
    raw: Json | None = None


class ScaleSet(NamedTuple):
    """A scale set; one without an orchestration mode is uniform."""

    id: str
    name: str
    location: str | None
    tags: dict[str, str]
    uniform: bool


class Address(NamedTuple):
    """One IP configuration of a network interface; ``public`` is a lower-case id or None."""

    private: str | None
    public: str | None


class Interface(NamedTuple):
    """A network interface: lower-case ids of itself and of its machine, the primary IP configuration first."""

    id: str
    machine: str | None
    primary: bool
    mac: str | None
    addresses: tuple[Address, ...]
    raw: Json | None = None


class PublicAddress(NamedTuple):
    """A public IP address; ``address`` is None while none is allocated."""

    id: str
    address: str | None
    fqdn: str | None
    raw: Json | None = None


def read_tags(item: Mapping[str, Any]) -> dict[str, str]:
    """Tags by name, verbatim; a value that is no string is given as one."""
    tags = item.get("tags")
    if not isinstance(tags, dict):
        return {}
    return {name: value if isinstance(value, str) else str(value) for name, value in tags.items() if value is not None}


def read_status(item: Json, *, keep_raw: bool = False) -> Status | None:
    """A list item's run-time status, from ``properties.instanceView``."""
    identity = lowered(item.get("id"))
    if identity is None:
        return None
    view = walk(item, "properties", "instanceView")
    if not isinstance(view, dict):
        return Status(identity, raw=item if keep_raw else None)
    return _read_view(identity, view, raw=item if keep_raw else None)


def _read_view(identity: str, view: Json, *, raw: Json | None = None) -> Status:
    power, problem = None, None
    for state in objects(view.get("statuses")):
        kind, _slash, value = (text(state.get("code")) or "").partition("/")
        if kind.lower() == "powerstate":
            power = value.lower() or None
        elif kind.lower() == "provisioningstate" and value.lower().startswith("failed"):
            problem = text(state.get("message"))
    redeploy = view.get("maintenanceRedeployStatus")
    return Status(
        identity,
        integer(view.get("platformFaultDomain")),
        integer(view.get("platformUpdateDomain")),
        power,
        text(view.get("computerName")),
        redeploy if isinstance(redeploy, dict) and redeploy else None,
        problem,
        raw,
    )


def read_machine(item: Json, *, scale_set: str | None = None, keep_raw: bool = False) -> Machine | None:
    """A virtual machine of a list; ``scale_set`` is the name of the uniform set that the list was of."""
    identity, name = text(item.get("id")), text(item.get("name"))
    if identity is None or name is None:
        return None
    properties = item.get("properties")
    if not isinstance(properties, dict):
        properties = {}
    status = read_status(item)
    if status is None or status == Status(identity.lower()):
        status = _model_status(identity.lower(), properties)
    zones = item.get("zones")
    size = walk(properties, "hardwareProfile", "vmSize") or walk(item, "sku", "name")
    flexible = walk(properties, "virtualMachineScaleSet", "id")
    available = walk(properties, "availabilitySet", "id")
    return Machine(
        id=identity,
        name=name,
        location=location(item.get("location")),
        zone=text(zones[0]) if isinstance(zones, list) and zones else None,
        tags=read_tags(item),
        vm_id=lowered(properties.get("vmId")),
        size=text(size),
        os_type=os_type(walk(properties, "storageProfile", "osDisk", "osType")),
        computer_name=text(walk(properties, "osProfile", "computerName")),
        priority=text(properties.get("priority")),
        provisioning_state=text(properties.get("provisioningState")),
        availability_set=parse_id(available).name if isinstance(available, str) else None,
        scale_set=scale_set or (parse_id(flexible).name if isinstance(flexible, str) else None),
        instance_id=_instance_id(item, name, scale_set, flexible),
        uniform=scale_set is not None,
        nics=_nic_ids(properties),
        status=status,
        raw=item if keep_raw else None,
    )


def _model_status(identity: str, properties: Json) -> Status:
    """What a model says of the run-time status: a domain that was chosen by hand, and Resource Graph's extension."""
    extended = walk(properties, "extended", "instanceView") or {}
    power = lowered(walk(extended, "powerState", "code")) or ""
    return Status(
        identity,
        integer(properties.get("platformFaultDomain")),
        power_state=power.rpartition("/")[2] or None,
        computer_name=text(walk(extended, "computerName")),
    )


def _instance_id(item: Json, name: str, scale_set: str | None, flexible: Any) -> str | None:
    """In a uniform set a number; in a flexible one the name of the machine."""
    if scale_set is not None:
        return text(item.get("instanceId"))
    return name if isinstance(flexible, str) else None


def _nic_ids(properties: Json) -> tuple[str, ...]:
    references = objects(walk(properties, "networkProfile", "networkInterfaces"))
    references.sort(key=lambda nic: walk(nic, "properties", "primary") is not True)
    return tuple(i for i in (lowered(nic.get("id")) for nic in references) if i)


def read_scale_set(item: Json) -> ScaleSet | None:
    """A scale set of a list. Its id becomes part of further requests, so it has to be one."""
    identity, name = text(item.get("id")), text(item.get("name"))
    if identity is None or name is None or not _SCALE_SET.fullmatch(identity):
        return None
    mode = lowered(walk(item, "properties", "orchestrationMode"))
    return ScaleSet(identity, name, location(item.get("location")), read_tags(item), mode != "flexible")


def read_interface(item: Json, *, keep_raw: bool = False) -> Interface | None:
    """A network interface of a list, of virtual machines' own or of a uniform set's."""
    identity = lowered(item.get("id"))
    if identity is None:
        return None
    configurations = [
        c["properties"]
        for c in objects(walk(item, "properties", "ipConfigurations"))
        if isinstance(c.get("properties"), dict)
    ]
    configurations.sort(key=lambda c: c.get("primary") is not True)
    return Interface(
        identity,
        lowered(walk(item, "properties", "virtualMachine", "id")),
        walk(item, "properties", "primary") is True,
        text(walk(item, "properties", "macAddress")),
        tuple(
            Address(text(c.get("privateIPAddress")), lowered(walk(c, "publicIPAddress", "id"))) for c in configurations
        ),
        item if keep_raw else None,
    )


def read_public_address(item: Json, *, keep_raw: bool = False) -> PublicAddress | None:
    """A public IP address of a list."""
    identity = lowered(item.get("id"))
    if identity is None:
        return None
    return PublicAddress(
        identity,
        text(walk(item, "properties", "ipAddress")),
        text(walk(item, "properties", "dnsSettings", "fqdn")),
        item if keep_raw else None,
    )


__all__ = [
    "Address",
    "Interface",
    "Json",
    "Machine",
    "PublicAddress",
    "ScaleSet",
    "Status",
    "read_interface",
    "read_machine",
    "read_public_address",
    "read_scale_set",
    "read_status",
    "read_tags",
]
