# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resources as Resource Manager shows them (contract section 12): the same fleet, in other words.

Domains are numbers here, hardware addresses have dashes, and ids differ in case from call to call: the group's name
comes in upper case in the list of VMs, as Compute is known to do, so that callers learn to compare without case.
"""

from __future__ import annotations

from typing import Any

from azure_emulator.clock import iso
from azure_emulator.events.machines import OFF
from azure_emulator.fleet.model import AvailabilitySet, Nic, ScaleSet, Vm, arm_id

Document = dict[str, Any]


def virtual_machine(vm: Vm, created: float) -> Document:
    """A VM resource (not an instance of a uniform set): its model, without run-time status."""
    properties = {**_common_properties(vm, created), "vmId": vm.vm_id}
    if vm.availability_set is not None:
        properties["availabilitySet"] = {"id": shouted(vm.availability_set.resource_id)}
    if vm.scale_set is not None:
        properties["virtualMachineScaleSet"] = {"id": vm.scale_set.resource_id}
        if vm.spec.fault_domain is not None and vm.scale_set.fault_domains > 1:
            properties["platformFaultDomain"] = vm.fault_domain
    head = {"name": vm.name, "id": shouted(vm.resource_id), "type": "Microsoft.Compute/virtualMachines"}
    document = {**head, **_place(vm), "properties": properties}
    identity = _identity(vm)
    return {**document, "identity": identity} if identity else document


def graph_virtual_machine(vm: Vm, created: float, view: Document | None) -> Document:
    """A VM as Resource Graph has it: its model with a little of the run-time status, and no domains."""
    document = {**virtual_machine(vm, created), "id": vm.resource_id}
    power = next((s for s in (view or {}).get("statuses", []) if s["code"].startswith("PowerState/")), None)
    shown: Document = {"computerName": vm.computer_name} if view else {}
    if power is not None:
        shown["powerState"] = {"code": power["code"], "displayStatus": power["displayStatus"], "level": power["level"]}
    document["properties"]["extended"] = {"instanceView": shown}
    return document


def uniform_instance(vm: Vm, created: float, view: Document | None) -> Document:
    """An instance of a uniform scale set, with its run-time status when that is asked for."""
    properties = {"latestModelApplied": True, **_common_properties(vm, created), "vmId": vm.vm_id}
    if view is not None:
        properties["instanceView"] = view
    return {
        "name": vm.name,
        "id": vm.resource_id,
        "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
        "instanceId": vm.instance_id,
        "sku": {"name": vm.spec.size, "tier": "Standard"},
        **_place(vm),
        "properties": properties,
    }


def shouted(resource_id: str) -> str:
    """An id with its resource group in upper case."""
    head, mark, tail = resource_id.partition("/resourceGroups/")
    group, slash, rest = tail.partition("/")
    return head + mark + group.upper() + slash + rest


def _place(vm: Vm) -> Document:
    place: Document = {"location": vm.spec.location}
    if vm.tags:
        place["tags"] = dict(vm.tags)
    return {**place, "zones": [vm.zone]} if vm.zone else place


def _common_properties(vm: Vm, created: float) -> Document:
    spec = vm.spec
    nics = [{"id": nic.resource_id, "properties": {"primary": nic.primary}} for nic in vm.nics]
    if len(nics) == 1:
        del nics[0]["properties"]  # the only one need not say that it is the primary
    properties: Document = {
        "hardwareProfile": {"vmSize": spec.size},
        "provisioningState": spec.provisioning_state,
        "storageProfile": _storage(vm),
        "osProfile": {"computerName": vm.computer_name, "adminUsername": spec.admin_username},
        "networkProfile": {"networkInterfaces": nics},
        "timeCreated": iso(created),
    }
    if spec.priority != "Regular":
        properties |= {"priority": spec.priority, "evictionPolicy": spec.eviction_policy}
    return {**properties, "licenseType": spec.license_type} if spec.license_type else properties


def _storage(vm: Vm) -> Document:
    image, disk = vm.spec.image, vm.spec.os_disk
    gallery = {"publisher": image.publisher, "offer": image.offer, "sku": image.sku, "version": "latest"}
    data = [
        {"lun": index if d.lun is None else d.lun, "name": d.name or f"{vm.name}-data-{index}", "diskSizeGB": d.size_gb}
        for index, d in enumerate(vm.spec.data_disks)
    ]
    return {
        "imageReference": {"id": image.id} if image.id else {**gallery, "exactVersion": image.version},
        "osDisk": {"osType": vm.spec.os_type, "name": disk.name or f"{vm.name}-os", "diskSizeGB": disk.size_gb},
        "dataDisks": data,
    }


def _identity(vm: Vm) -> Document:
    own = next((i for i in vm.identities if not i.name), None)
    assigned = {i.resource_id: {"clientId": i.client_id, "principalId": i.object_id} for i in vm.identities if i.name}
    kinds = [*(["SystemAssigned"] if own else []), *(["UserAssigned"] if assigned else [])]
    identity: Document = {"type": ", ".join(kinds)} if kinds else {}
    if own:
        identity["principalId"] = own.object_id
    return {**identity, "userAssignedIdentities": assigned} if assigned else identity


def status_only(vm: Vm, view: Document | None) -> Document:
    """An entry of the list with ``statusOnly=true``; its shape is not documented: here id and status, no model."""
    properties: Document = {"provisioningState": vm.spec.provisioning_state}
    if view is not None:
        properties["instanceView"] = view
    return {
        "name": vm.name,
        "id": vm.resource_id,
        "type": "Microsoft.Compute/virtualMachines",
        "location": vm.spec.location,
        "properties": properties,
    }


def instance_view(vm: Vm, state: str, since: float, *, update_domain: bool = True) -> Document | None:
    """Run-time status; None for a VM that has none. One that is switched off runs in no domain.

    Args:
        vm: whose it is. state: as :class:`azure_emulator.events.machines.Machine` has it.
        since: when it took that state.
        update_domain: whether to name the update domain.
    """
    if vm.spec.instance_view == "absent":
        return None
    view: Document = {}
    if state not in OFF:
        view["platformFaultDomain"] = vm.fault_domain
        # Flexible sets have no update domains (contract section 12.1).
        if update_domain and (vm.scale_set is None or vm.uniform):
            view["platformUpdateDomain"] = vm.update_domain
        view |= {"computerName": vm.computer_name, "osName": vm.spec.image.offer, "osVersion": vm.spec.image.version}
    if vm.placement_group_id:
        view["placementGroupId"] = vm.placement_group_id
    if vm.spec.instance_view == "full":
        view["statuses"] = _statuses(vm, state, since)
    return view


def _statuses(vm: Vm, state: str, since: float) -> list[Document]:
    power = state if state in OFF else "running"
    provisioning = vm.spec.provisioning_state
    level = "Error" if provisioning == "Failed" else "Info"
    return [
        {
            "code": f"ProvisioningState/{provisioning.lower()}",
            "level": level,
            "displayStatus": f"Provisioning {provisioning.lower()}",
            "time": iso(since),
        },
        {"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"},
    ]


def availability_set(group: AvailabilitySet, members: list[Vm]) -> Document:
    """An availability set."""
    return {
        "name": group.spec.name,
        "id": group.resource_id,
        "type": "Microsoft.Compute/availabilitySets",
        "location": group.spec.location,
        "tags": dict(group.spec.tags),
        "sku": {"name": "Aligned"},
        "properties": {
            "platformFaultDomainCount": group.spec.fault_domains,
            "platformUpdateDomainCount": group.spec.update_domains,
            "virtualMachines": [{"id": shouted(vm.resource_id)} for vm in members],
        },
    }


def scale_set(group: ScaleSet, members: list[Vm]) -> Document:
    """A scale set."""
    spec = group.spec
    document: Document = {
        "name": spec.name,
        "id": group.resource_id,
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "location": spec.location,
        "tags": dict(spec.tags),
        "properties": {
            "orchestrationMode": spec.orchestration_mode,
            "platformFaultDomainCount": group.fault_domains,
            "provisioningState": "Succeeded",
            "singlePlacementGroup": group.uniform and spec.single_placement_group,
        },
    }
    if members:
        document["sku"] = {"name": members[0].spec.size, "tier": "Standard", "capacity": len(members)}
    return {**document, "zones": list(spec.zones)} if spec.zones else document


def network_interface(vm: Vm, nic: Nic) -> Document:
    """A network interface."""
    subnet = f"{nic.subnet.replace('.', '-')}-{nic.prefix}"
    network = arm_id(vm.spec.subscription_id, vm.spec.resource_group, "Microsoft.Network", "virtualNetworks", "vnet")
    addresses = [(address, "IPv4") for address in nic.private_ips] + ([(nic.ipv6, "IPv6")] if nic.ipv6 else [])
    configurations = []
    for index, (address, version) in enumerate(addresses):
        name = f"ipconfig{index + 1}"
        properties: Document = {
            "privateIPAddress": address,
            "privateIPAddressVersion": version,
            "primary": index == 0,
            "subnet": {"id": f"{network}/subnets/{subnet}"},
        }
        if nic.public_ip and index == 0:
            properties["publicIPAddress"] = {"id": public_ip_id(vm, nic)}
        place = f"{nic.resource_id}/ipConfigurations/{name}"
        configurations.append({"name": name, "id": place, "properties": properties})
    dashed = "-".join(nic.mac[i : i + 2] for i in range(0, 12, 2))
    return {
        "name": nic.name,
        "id": nic.resource_id,
        "type": "Microsoft.Network/networkInterfaces",
        "location": vm.spec.location,
        "properties": {
            "provisioningState": "Succeeded",
            "macAddress": dashed,
            "primary": nic.primary,
            "ipConfigurations": configurations,
            "virtualMachine": {"id": vm.resource_id},
        },
    }


def public_ip_id(vm: Vm, nic: Nic) -> str:
    """The id of the public address of an interface."""
    if vm.uniform:
        return f"{nic.resource_id}/ipConfigurations/ipconfig1/publicIPAddresses/{nic.name}-ip"
    place = (
        vm.spec.subscription_id,
        vm.spec.resource_group,
        "Microsoft.Network",
        "publicIPAddresses",
        f"{nic.name}-ip",
    )
    return arm_id(*place)


def public_ip_address(vm: Vm, nic: Nic, *, allocated: bool) -> Document:
    """A public address; without ``ipAddress`` while none is allocated, as for a VM that is deallocated."""
    properties: Document = {
        "provisioningState": "Succeeded",
        "publicIPAddressVersion": "IPv4",
        "publicIPAllocationMethod": "Dynamic",
        "ipConfiguration": {"id": f"{nic.resource_id}/ipConfigurations/ipconfig1"},
    }
    if allocated:
        properties["ipAddress"] = nic.public_ip
    return {
        "name": f"{nic.name}-ip",
        "id": public_ip_id(vm, nic),
        "type": "Microsoft.Network/publicIPAddresses",
        "location": vm.spec.location,
        "properties": properties,
    }


__all__ = [
    "availability_set",
    "graph_virtual_machine",
    "instance_view",
    "network_interface",
    "public_ip_address",
    "public_ip_id",
    "scale_set",
    "shouted",
    "status_only",
    "uniform_instance",
    "virtual_machine",
]
