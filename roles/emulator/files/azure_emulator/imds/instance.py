# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instance document of a VM (contract section 3): every value is a string, and what does not apply is ``""``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure_emulator.fleet.model import Nic, Vm, arm_id
from azure_emulator.imds.fields import cut

if TYPE_CHECKING:
    from azure_emulator.fleet.specification import DataDiskSpec

_EXTENDED_SINCE = "2021-08-01"


def instance_document(vm: Vm, version: str, *, extended: bool = False) -> dict[str, Any]:
    """The document in an api-version.

    Args:
        vm: whose it is.
        version: a known api-version.
        extended: add what ``extended=true`` asks for, from 2021-08-01 on (contract section 2).
    """
    document: dict[str, Any] = {"compute": cut(compute_document(vm), version), "network": network_document(vm)}
    if extended and version >= _EXTENDED_SINCE:
        document["extended"] = {"compute": {"hasCustomData": vm.spec.has_custom_data, "ppsType": "None"}}
    return document


def compute_document(vm: Vm) -> dict[str, Any]:
    """All of ``compute``, with the keys in alphabetical order as they were observed."""
    document = {**_identity_part(vm), **_placement_part(vm), **_system_part(vm), **_commerce_part(vm)}
    return dict(sorted({**document, "storageProfile": _storage(vm)}.items()))


def _identity_part(vm: Vm) -> dict[str, Any]:
    spec = vm.spec
    return {
        "azEnvironment": spec.environment,
        "location": spec.location,
        "name": vm.name,
        "provider": "Microsoft.Compute",
        "resourceGroupName": spec.resource_group,
        "resourceId": vm.resource_id,
        "subscriptionId": spec.subscription_id,
        "tags": ";".join(f"{name}:{value}" for name, value in vm.tags.items()),
        "tagsList": [{"name": name, "value": value} for name, value in vm.tags.items()],
        "vmId": vm.vm_id,
        "vmSize": spec.size,
    }


def _placement_part(vm: Vm) -> dict[str, Any]:
    spec = vm.spec
    flexible = vm.scale_set is not None and not vm.uniform
    edge = {"type": "edgeZone", "name": spec.extended_location}
    return {
        "extendedLocation": edge if spec.extended_location else {"type": "", "name": ""},
        "host": {"id": spec.host_id},
        "hostGroup": {"id": spec.host_group_id},
        "isHostCompatibilityLayerVm": _boolean(spec.host_compatibility_layer),
        "physicalZone": _physical_zone(vm),
        "placementGroupId": vm.placement_group_id,
        "platformFaultDomain": str(vm.fault_domain),
        "platformSubFaultDomain": _number(spec.sub_fault_domain),
        "platformUpdateDomain": str(vm.update_domain),
        "virtualMachineScaleSet": {"id": vm.scale_set.resource_id if flexible and vm.scale_set else ""},
        "vmScaleSetName": vm.scale_set.spec.name if vm.scale_set else "",
        "zone": vm.zone,
    }


def _physical_zone(vm: Vm) -> str:
    if vm.spec.physical_zone is not None:
        return vm.spec.physical_zone
    return f"{vm.spec.location}-AZ0{vm.zone}" if vm.zone else ""


def _system_part(vm: Vm) -> dict[str, Any]:
    spec = vm.spec
    return {
        "additionalCapabilities": {"hibernationEnabled": _boolean(spec.hibernation)},
        "customData": "",
        "osProfile": {
            "adminUsername": spec.admin_username,
            "computerName": vm.computer_name,
            "disablePasswordAuthentication": _boolean(spec.disable_password_authentication),
        },
        "osType": spec.os_type,
        "publicKeys": [{"keyData": key.key_data, "path": key.path} for key in spec.public_keys],
        "securityProfile": {
            "encryptionAtHost": _boolean(spec.security.encryption_at_host),
            "secureBootEnabled": _boolean(spec.security.secure_boot),
            "securityType": spec.security.security_type,
            "virtualTpmEnabled": _boolean(spec.security.virtual_tpm),
        },
        "userData": vm.user_data,
    }


def _commerce_part(vm: Vm) -> dict[str, Any]:
    """What was bought; offer, publisher, SKU and version exist for gallery images only (contract section 1)."""
    spec, image = vm.spec, vm.spec.image
    gallery = not image.id
    spot = spec.priority != "Regular"
    return {
        "evictionPolicy": spec.eviction_policy if spot else "",
        "licenseType": spec.license_type,
        "offer": image.offer if gallery else "",
        "plan": {"name": spec.plan.name, "product": spec.plan.product, "publisher": spec.plan.publisher},
        "priority": spec.priority if spot else "",
        "publisher": image.publisher if gallery else "",
        "sku": image.sku if gallery else "",
        "version": image.version if gallery else "",
    }


def _storage(vm: Vm) -> dict[str, Any]:
    image, gallery = vm.spec.image, not vm.spec.image.id
    disks = enumerate(vm.spec.data_disks)
    kilobytes = vm.spec.resource_disk_kb
    return {
        "dataDisks": [_data_disk(vm, disk, index) for index, disk in disks],
        "imageReference": {
            "communityGalleryImageId": image.community_gallery_image_id,
            "exactVersion": image.version if gallery else "",
            "id": image.id,
            "offer": image.offer if gallery else "",
            "publisher": image.publisher if gallery else "",
            "sharedGalleryImageId": image.shared_gallery_image_id,
            "sku": image.sku if gallery else "",
            "version": "latest" if gallery else "",
        },
        "osDisk": _os_disk(vm),
        "resourceDisk": {"size": str(kilobytes) if kilobytes else ""},
    }


def _os_disk(vm: Vm) -> dict[str, Any]:
    disk = vm.spec.os_disk
    name = disk.name or f"{vm.name}-os"
    encryption = disk.encryption
    return {
        "caching": disk.caching,
        "createOption": disk.create_option,
        "diffDiskSettings": {"option": "Local" if disk.ephemeral else ""},
        "diskSizeGB": str(disk.size_gb),
        "encryptionSettings": {
            "diskEncryptionKey": {
                "secretUrl": encryption.disk_secret_url,
                "sourceVault": {"id": encryption.disk_vault},
            },
            "enabled": _boolean(encryption.enabled),
            "keyEncryptionKey": {"keyUrl": encryption.key_url, "sourceVault": {"id": encryption.key_vault}},
        },
        "image": {"uri": ""},
        "managedDisk": {"id": _disk_id(vm, name), "storageAccountType": disk.storage_account_type},
        "name": name,
        "osType": vm.spec.os_type,
        "vhd": {"uri": ""},
        "writeAcceleratorEnabled": _boolean(disk.write_accelerator),
    }


def _data_disk(vm: Vm, disk: DataDiskSpec, index: int) -> dict[str, Any]:
    """A data disk; the throttles are shown for Ultra disks only (contract section 3.4)."""
    name = disk.name or f"{vm.name}-data-{index}"
    return {
        "bytesPerSecondThrottle": _number(disk.bytes_per_second) if disk.ultra else "",
        "caching": disk.caching,
        "createOption": disk.create_option,
        "diskCapacityBytes": str(disk.size_gb * 2**30) if disk.ultra else "",
        "diskSizeGB": str(disk.size_gb),
        "image": {"uri": ""},
        "isSharedDisk": _boolean(disk.shared) if disk.ultra else "",
        "isUltraDisk": _boolean(disk.ultra),
        "lun": str(index if disk.lun is None else disk.lun),
        "managedDisk": {"id": _disk_id(vm, name), "storageAccountType": disk.storage_account_type},
        "name": name,
        "opsPerSecondThrottle": _number(disk.operations_per_second) if disk.ultra else "",
        "vhd": {"uri": ""},
        "writeAcceleratorEnabled": _boolean(disk.write_accelerator),
    }


def _disk_id(vm: Vm, name: str) -> str:
    return arm_id(vm.spec.subscription_id, vm.spec.resource_group, "Microsoft.Compute", "disks", name)


def network_document(vm: Vm) -> dict[str, Any]:
    """All of ``network``. Behind a Standard load balancer the public addresses are empty (contract section 11)."""
    behind = bool(vm.load_balancers)
    return {"interface": [_interface(nic, behind_load_balancer=behind) for nic in vm.nics]}


def _interface(nic: Nic, *, behind_load_balancer: bool) -> dict[str, Any]:
    public = "" if behind_load_balancer else nic.public_ip
    return {
        "ipv4": {
            "ipAddress": [
                {"privateIpAddress": address, "publicIpAddress": "" if index else public}
                for index, address in enumerate(nic.private_ips)
            ],
            "subnet": [{"address": nic.subnet, "prefix": str(nic.prefix)}],
        },
        "ipv6": {"ipAddress": [{"privateIpAddress": nic.ipv6}] if nic.ipv6 else []},
        "macAddress": nic.mac,
    }


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


__all__ = ["compute_document", "instance_document", "network_document"]
