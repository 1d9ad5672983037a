# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The instance document turned into facts: pure functions, no I/O (contract sections 3 and 11)."""

from __future__ import annotations

import typing as t

from . import environments
from .documents import JsonObject, boolean, integer, objects, parse_tags, text, walk

if t.TYPE_CHECKING:
    from .system import System

# What never leaves the document (custom data) or only as a value of its own, when asked for.
WITHHELD = ("customData", "userData", "publicKeys")
# Old services answer in other cases (contract section 3.2); these are Azure's own spellings.
_SPELLINGS = {
    word.lower(): word for word in ("Linux", "Windows", "Regular", "Low", "Spot", "Deallocate", "Delete", "Uniform")
}


def derive(document: JsonObject, system: System) -> dict[str, t.Any]:
    """The facts in an instance document, by the names and types that ``facts.blank`` lists.

    Args:
        document: as ``documents.check_instance`` lets through.
        system: the machine that this runs on, for the devices' names and the primary interface.
    """
    compute, network = document.get("compute") or {}, document.get("network") or {}
    return {
        **_identity(compute),
        **_place(compute),
        **_scale_set(compute),
        **_kind(compute),
        **_disks(compute),
        **_addresses(network, system),
        "tags": parse_tags(compute),
        "vm_id_verified": system.is_vm(text(compute.get("vmId"))),
        "compute": {name: value for name, value in compute.items() if name not in WITHHELD},
        "network": network,
    }


def _identity(compute: JsonObject) -> dict[str, t.Any]:
    vm_id = text(compute.get("vmId"))
    return {
        "name": text(compute.get("name")),
        "vm_id": vm_id.lower() if vm_id else None,
        "resource_id": text(compute.get("resourceId")) or _resource_id(compute),
        "subscription_id": text(compute.get("subscriptionId")),
        "resource_group": text(compute.get("resourceGroupName")),
        "computer_name": text(walk(compute, "osProfile", "computerName")),
    }


def _place(compute: JsonObject) -> dict[str, t.Any]:
    location = text(compute.get("location"))
    environment = environments.identify(text(compute.get("azEnvironment")), location)
    return {
        "location": environments.normal_location(location) if location else None,
        "extended_location": text(walk(compute, "extendedLocation", "name")),
        "environment": environment.name if environment else None,
        "resource_manager": environment.resource_manager if environment else None,
        "fault_domain": integer(compute.get("platformFaultDomain")),
        "update_domain": integer(compute.get("platformUpdateDomain")),
        "sub_fault_domain": integer(compute.get("platformSubFaultDomain")),
        "zone": text(compute.get("zone")),
        "physical_zone": text(compute.get("physicalZone")),
        "placement_group_id": text(compute.get("placementGroupId")),
        "dedicated_host_id": text(walk(compute, "host", "id")),
        "dedicated_host_group_id": text(walk(compute, "hostGroup", "id")),
    }


def id_part(resource_id: str | None, kind: str) -> str | None:
    """The name that follows a kind, such as ``virtualMachineScaleSets``, in a Resource Manager id."""
    parts = (resource_id or "").split("/")
    for index, part in enumerate(parts[:-1]):
        if part.lower() == kind.lower():
            return parts[index + 1] or None
    return None


def _scale_set(compute: JsonObject) -> dict[str, t.Any]:
    """The set's name and mode. A uniform set's instance has the set in its own id, a flexible set's one a field."""
    own_id = text(compute.get("resourceId"))
    set_id = text(walk(compute, "virtualMachineScaleSet", "id"))
    name = text(compute.get("vmScaleSetName"))
    inside = id_part(own_id, "virtualMachineScaleSets")
    if inside or (name and not own_id):  # services that give no resourceId are older than flexible sets
        return _uniform(compute, inside or name, own_id)
    if set_id or name:
        name = id_part(set_id, "virtualMachineScaleSets") or name
        set_id = set_id or _sibling_id(compute, f"virtualMachineScaleSets/{name}")
        return _set_facts(name, set_id, "Flexible", text(compute.get("name")))
    return _set_facts(None, None, None, None)


def _uniform(compute: JsonObject, name: str | None, own_id: str | None) -> dict[str, t.Any]:
    vm_name = text(compute.get("name")) or ""
    start = f"{name}_"
    instance = id_part(own_id, "virtualMachines")
    if instance is None and vm_name.lower().startswith(start.lower()):
        instance = vm_name[len(start) :] or None
    return _set_facts(name, _sibling_id(compute, f"virtualMachineScaleSets/{name}"), "Uniform", instance)


def _set_facts(name: str | None, set_id: str | None, mode: str | None, instance: str | None) -> dict[str, t.Any]:
    return {
        "scale_set": name,
        "scale_set_id": set_id,
        "scale_set_mode": mode,
        "scale_set_instance_id": instance,
        # The service does not tell; only Resource Manager does.
        "availability_set": None,
    }


def _sibling_id(compute: JsonObject, end: str) -> str | None:
    """The Resource Manager id of something in this VM's resource group; None when subscription or group is unknown."""
    subscription, group = text(compute.get("subscriptionId")), text(compute.get("resourceGroupName"))
    if not (subscription and group):
        return None
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/{end}"


def _resource_id(compute: JsonObject) -> str | None:
    """The VM's id as Resource Manager would write it, for services older than 2019-03-11 that do not give it."""
    name = text(compute.get("name"))
    scale_set = text(compute.get("vmScaleSetName"))
    if not name:
        return None
    if not scale_set:
        return _sibling_id(compute, f"virtualMachines/{name}")
    if name.lower().startswith(scale_set.lower() + "_"):
        return _sibling_id(compute, f"virtualMachineScaleSets/{scale_set}/virtualMachines/{name[len(scale_set) + 1 :]}")
    return None


def _spelling(value: t.Any) -> str | None:
    word = text(value)
    return _SPELLINGS.get(word.lower(), word) if word else None


def _kind(compute: JsonObject) -> dict[str, t.Any]:
    reference = walk(compute, "storageProfile", "imageReference") or {}
    plan = compute.get("plan")
    security = compute.get("securityProfile")
    return {
        "size": text(compute.get("vmSize")),
        "os_type": _spelling(compute.get("osType")),
        "priority": _spelling(compute.get("priority")),
        "eviction_policy": _spelling(compute.get("evictionPolicy")),
        "license_type": text(compute.get("licenseType")),
        "hibernation_enabled": boolean(walk(compute, "additionalCapabilities", "hibernationEnabled")),
        "image": {
            **{name: text(compute.get(name)) for name in ("publisher", "offer", "sku", "version")},
            "exact_version": text(walk(reference, "exactVersion")),
            "id": _image_id(reference),
        },
        "plan": {name: text(walk(plan, name)) for name in ("name", "product", "publisher")},
        "security": {
            "type": text(walk(security, "securityType")),
            "secure_boot": boolean(walk(security, "secureBootEnabled")),
            "virtual_tpm": boolean(walk(security, "virtualTpmEnabled")),
            "encryption_at_host": boolean(walk(security, "encryptionAtHost")),
        },
    }


def _image_id(reference: t.Any) -> str | None:
    """The id of a custom or gallery image; a marketplace image has none."""
    names = ("id", "sharedGalleryImageId", "communityGalleryImageId")
    return next((value for value in (text(walk(reference, name)) for name in names) if value), None)


def _disks(compute: JsonObject) -> dict[str, t.Any]:
    profile = compute.get("storageProfile")
    os_disk = walk(profile, "osDisk") or {}
    data_disks = [{"lun": integer(disk.get("lun")), **_disk(disk)} for disk in objects(walk(profile, "dataDisks"))]
    return {
        "os_disk": {**_disk(os_disk), "ephemeral": _ephemeral(os_disk)},
        "data_disks": sorted(data_disks, key=lambda disk: -1 if disk["lun"] is None else disk["lun"]),
    }


def _disk(disk: JsonObject) -> dict[str, t.Any]:
    return {
        "name": text(walk(disk, "name")),
        "id": text(walk(disk, "managedDisk", "id")),
        "size_gb": integer(walk(disk, "diskSizeGB")),
        "storage_type": text(walk(disk, "managedDisk", "storageAccountType")),
        "caching": text(walk(disk, "caching")),
    }


def _ephemeral(os_disk: JsonObject) -> bool | None:
    """Whether the disk lives on the host; None on services older than 2019-08-01."""
    if not isinstance(walk(os_disk, "diffDiskSettings"), dict):
        return None
    return bool(walk(os_disk, "diffDiskSettings", "option") == "Local")


def _addresses(network: JsonObject, system: System) -> dict[str, t.Any]:
    interfaces = [_interface(entry, system) for entry in objects(network.get("interface"))]
    _mark_primary(interfaces, system)
    # The service's order means nothing (contract section 3.5); a stable sort keeps the rest of it.
    interfaces.sort(key=lambda interface: interface["primary"] is not True)
    return {
        "mac_address": interfaces[0]["mac_address"] if interfaces else None,
        **{
            name: [address for interface in interfaces for address in interface[name]]
            for name in ("private_ipv4", "public_ipv4", "private_ipv6")
        },
        "interfaces": interfaces,
    }


def _interface(entry: JsonObject, system: System) -> dict[str, t.Any]:
    mac = normal_mac(text(entry.get("macAddress")))
    ipv4 = objects(walk(entry, "ipv4", "ipAddress"))
    return {
        "mac_address": mac,
        "device": system.devices.get(mac) if mac else None,
        "primary": None,
        "private_ipv4": _texts(ipv4, "privateIpAddress"),
        "public_ipv4": _texts(ipv4, "publicIpAddress"),
        "ipv4_subnets": _subnets(walk(entry, "ipv4", "subnet")),
        "private_ipv6": _texts(objects(walk(entry, "ipv6", "ipAddress")), "privateIpAddress"),
        "ipv6_subnets": _subnets(walk(entry, "ipv6", "subnet")),
    }


def _mark_primary(interfaces: list[dict[str, t.Any]], system: System) -> None:
    """The only interface is the primary one; of several, the one whose device has Azure's routes."""
    known = len(interfaces) == 1 or any(i["device"] and i["device"] == system.primary for i in interfaces)
    for interface in interfaces:
        if known:
            interface["primary"] = len(interfaces) == 1 or interface["device"] == system.primary


def normal_mac(mac: str | None) -> str | None:
    """``00:0d:3a:f8:06:ec``, as Ansible's own facts have it, for ``000D3AF806EC``; what is no MAC stays as it is."""
    digits = (mac or "").replace("-", "").replace(":", "").lower()
    if len(digits) != 12:
        return mac or None
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def _texts(entries: list[JsonObject], name: str) -> list[str]:
    return [value for value in (text(entry.get(name)) for entry in entries) if value]


def _subnets(value: t.Any) -> list[str]:
    pairs = ((text(subnet.get("address")), text(subnet.get("prefix"))) for subnet in objects(value))
    return [f"{address}/{prefix}" for address, prefix in pairs if address and prefix]


def public_keys(document: JsonObject) -> list[dict[str, t.Any]]:
    """The SSH keys, without the line ends that some documents have inside of them (contract section 11)."""
    keys = objects(walk(document, "compute", "publicKeys"))
    return [
        {
            "path": text(key.get("path")),
            "key_data": "".join((text(key.get("keyData")) or "").splitlines()).strip() or None,
        }
        for key in keys
    ]


def user_data(document: JsonObject) -> str | None:
    """User data in base64 without white space; None when the VM has none."""
    return "".join((text(walk(document, "compute", "userData")) or "").split()) or None


__all__ = ["WITHHELD", "derive", "id_part", "normal_mac", "public_keys", "user_data"]
