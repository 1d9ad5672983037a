# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which field of the instance document came with which api-version (contract sections 3.3 to 3.5), as data.

A document is built whole and then cut down to a version: what is newer than the version is absent. The one field that
went away again is in :data:`WITHDRAWN`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_DISK = "storageProfile.dataDisks[]"
_IMAGE = "storageProfile.imageReference"
_OS_DISK = "storageProfile.osDisk"

# First api-version of each path below ``compute``; ``[]`` stands for every entry of an array.
COMPUTE_FIELDS: dict[str, tuple[str, ...]] = {
    "2017-04-02": (
        *("location", "name", "offer", "osType", "platformFaultDomain", "platformUpdateDomain"),
        *("publisher", "sku", "version", "vmId", "vmSize"),
    ),
    "2017-08-01": ("placementGroupId", "resourceGroupName", "subscriptionId", "tags"),
    "2017-12-01": ("vmScaleSetName", "zone"),
    "2018-04-02": ("plan.name", "plan.product", "plan.publisher", "publicKeys[].keyData", "publicKeys[].path"),
    "2018-10-01": ("azEnvironment", "provider"),
    "2019-02-01": ("customData",),
    "2019-03-11": ("resourceId",),
    "2019-06-01": (
        *(f"{_IMAGE}.{name}" for name in ("id", "offer", "publisher", "sku", "version")),
        *(f"{_OS_DISK}.{name}" for name in ("caching", "createOption", "diskSizeGB", "name", "osType")),
        *(f"{_OS_DISK}.{name}" for name in ("writeAcceleratorEnabled", "image.uri", "vhd.uri")),
        *(f"{_OS_DISK}.{name}" for name in ("managedDisk.id", "managedDisk.storageAccountType")),
        f"{_OS_DISK}.encryptionSettings.enabled",
        *(f"{_DISK}.{name}" for name in ("caching", "createOption", "diskSizeGB", "lun", "name")),
        *(f"{_DISK}.{name}" for name in ("writeAcceleratorEnabled", "image.uri", "vhd.uri")),
        *(f"{_DISK}.{name}" for name in ("managedDisk.id", "managedDisk.storageAccountType")),
    ),
    "2019-06-04": ("tagsList[].name", "tagsList[].value"),
    "2019-08-01": (f"{_OS_DISK}.diffDiskSettings.option",),
    "2020-06-01": (
        *("isHostCompatibilityLayerVm", "securityProfile.secureBootEnabled", "securityProfile.virtualTpmEnabled"),
    ),
    "2020-07-15": ("osProfile.adminUsername", "osProfile.computerName"),
    "2020-09-01": ("licenseType",),
    "2020-10-01": ("osProfile.disablePasswordAuthentication",),
    "2020-12-01": ("evictionPolicy", "priority"),
    "2021-01-01": ("userData",),
    "2021-02-01": ("storageProfile.resourceDisk.size",),
    "2021-03-01": ("extendedLocation.type", "extendedLocation.name", "virtualMachineScaleSet.id"),
    "2021-05-01": (
        *(f"{_DISK}.{name}" for name in ("isUltraDisk", "bytesPerSecondThrottle", "diskCapacityBytes")),
        *(f"{_DISK}.{name}" for name in ("isSharedDisk", "opsPerSecondThrottle")),
    ),
    "2021-10-01": ("platformSubFaultDomain",),
    "2021-11-01": (
        *("additionalCapabilities.hibernationEnabled", "securityProfile.encryptionAtHost"),
        f"{_OS_DISK}.encryptionSettings.diskEncryptionKey.sourceVault.id",
        f"{_OS_DISK}.encryptionSettings.diskEncryptionKey.secretUrl",
        f"{_OS_DISK}.encryptionSettings.keyEncryptionKey.sourceVault.id",
        f"{_OS_DISK}.encryptionSettings.keyEncryptionKey.keyUrl",
    ),
    "2021-11-15": ("host.id", "hostGroup.id"),
    "2021-12-13": ("securityProfile.securityType",),
    "2023-07-01": (
        *(f"{_IMAGE}.{name}" for name in ("communityGalleryImageId", "sharedGalleryImageId", "exactVersion")),
    ),
    "2023-11-15": ("physicalZone",),
}

WITHDRAWN = {"compute.customData": "2019-04-30"}
"""The last api-version of a field that went away again."""

# The preview of March 2017 is accepted; it shows what the first version after it does (contract section 2).
_FIRST = "2017-04-02"


class Node:
    """An element of the document: from when it is there, until when, and what is below it."""

    __slots__ = ("children", "since", "until")

    def __init__(self) -> None:
        self.since = "9999"
        self.until = "9999"
        self.children: dict[str, Node] = {}

    def visible(self, version: str) -> bool:
        """Whether the version has it."""
        return self.since <= version <= self.until


@cache
def tree() -> Node:
    """All elements below ``compute``. An object is as old as its oldest field."""
    root = Node()
    for version, paths in COMPUTE_FIELDS.items():
        for path in paths:
            node = root
            node.since = min(node.since, version)
            for name in path.replace("[]", "").split("."):
                node = node.children.setdefault(name, Node())
                node.since = min(node.since, version)
            node.until = WITHDRAWN.get(f"compute.{path}", node.until)
    return root


def cut(compute: dict[str, Any], version: str) -> dict[str, Any]:
    """The compute document as a version has it.

    Raises:
        KeyError: the document has a field that the table does not know.
    """
    result: dict[str, Any] = _cut(compute, tree(), max(version, _FIRST))
    return result


def _cut(value: Any, node: Node, version: str) -> Any:
    if isinstance(value, list):
        return [_cut(item, node, version) for item in value]
    if not isinstance(value, dict):
        return value
    children = ((name, item, node.children[name]) for name, item in value.items())
    return {name: _cut(item, child, version) for name, item, child in children if child.visible(version)}


__all__ = ["COMPUTE_FIELDS", "WITHDRAWN", "Node", "cut", "tree"]
