"""Instance documents for tests, written after the contract; and directory trees that look like an Azure VM."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SUBSCRIPTION = "8d10da13-8125-4ba9-a717-bf7490507b3d"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.Compute"
VM_ID = "5c08b38e-4d57-4c23-ac45-aca61037f084"
ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"

COMPUTE: dict[str, Any] = {
    "additionalCapabilities": {"hibernationEnabled": "false"},
    "azEnvironment": "AZUREPUBLICCLOUD",
    "customData": "c2VjcmV0IGN1c3RvbQ==",
    "evictionPolicy": "deallocate",
    "extendedLocation": {"name": "", "type": ""},
    "host": {"id": ""},
    "hostGroup": {"id": "group-of-hosts"},
    "licenseType": "",
    "location": "WestEurope",
    "name": "web-0",
    "offer": "0001-com-ubuntu-server-jammy",
    "osProfile": {
        "adminUsername": "azureuser",
        "computerName": "web-0-host",
        "disablePasswordAuthentication": "true",
    },
    "osType": "linux",
    "physicalZone": "westeurope-az2",
    "placementGroupId": "",
    "plan": {"name": "", "product": "", "publisher": ""},
    "platformFaultDomain": "0",
    "platformSubFaultDomain": "",
    "platformUpdateDomain": "42",
    "priority": "Spot",
    "provider": "Microsoft.Compute",
    "publicKeys": [{"keyData": "ssh-rsa AAAA\r\nBBBB me\r\n", "path": "/home/azureuser/.ssh/authorized_keys"}],
    "publisher": "Canonical",
    "resourceGroupName": "shop",
    "resourceId": f"{GROUP}/virtualMachines/web-0",
    "securityProfile": {
        "encryptionAtHost": "false",
        "secureBootEnabled": "true",
        "securityType": "TrustedLaunch",
        "virtualTpmEnabled": "true",
    },
    "sku": "22_04-lts-gen2",
    "storageProfile": {
        "dataDisks": [
            {
                "caching": "None",
                "diskSizeGB": "1024",
                "lun": "10",
                "managedDisk": {"id": f"{GROUP}/disks/log", "storageAccountType": "UltraSSD_LRS"},
                "name": "log",
            },
            {
                "caching": "ReadOnly",
                "diskSizeGB": "64",
                "lun": "0",
                "managedDisk": {"id": f"{GROUP}/disks/data", "storageAccountType": "Premium_LRS"},
                "name": "data",
            },
        ],
        "imageReference": {"exactVersion": "22.04.202607010", "id": "", "offer": "", "sku": "", "version": "latest"},
        "osDisk": {
            "caching": "ReadWrite",
            "diffDiskSettings": {"option": "Local"},
            "diskSizeGB": "30",
            "managedDisk": {"id": f"{GROUP}/disks/os", "storageAccountType": "Premium_LRS"},
            "name": "os",
        },
    },
    "subscriptionId": SUBSCRIPTION,
    "tags": "role:web",
    "tagsList": [
        {"name": "role", "value": "web"},
        {"name": "cost:center", "value": "42;7"},
        {"name": "template", "value": "{{ 1 + 1 }}"},
    ],
    "userData": "c2Vj cmV0\n",
    "version": "22.04.202607010",
    "virtualMachineScaleSet": {"id": ""},
    "vmId": VM_ID.upper(),
    "vmScaleSetName": "",
    "vmSize": "Standard_D2s_v3",
    "zone": "2",
}

NETWORK: dict[str, Any] = {
    "interface": [
        {
            "ipv4": {
                "ipAddress": [{"privateIpAddress": "10.2.0.4", "publicIpAddress": ""}],
                "subnet": [{"address": "10.2.0.0", "prefix": "24"}],
            },
            "ipv6": {"ipAddress": []},
            "macAddress": "000D3AF806ED",
        },
        {
            "ipv4": {
                "ipAddress": [
                    {"privateIpAddress": "10.1.0.4", "publicIpAddress": "20.0.0.4"},
                    {"privateIpAddress": "10.1.0.5", "publicIpAddress": ""},
                ],
                "subnet": [{"address": "10.1.0.0", "prefix": "24"}],
            },
            "ipv6": {"ipAddress": [{"privateIpAddress": "fd00::4"}]},
            "macAddress": "000D3AF806EC",
        },
    ]
}

EVENT: dict[str, Any] = {
    "EventId": "C7061BAC-AFDC-4513-B24B-AA5F13A16123",
    "EventStatus": "Scheduled",
    "EventType": "Reboot",
    "ResourceType": "VirtualMachine",
    "Resources": ["web-0"],
    "NotBefore": "Mon, 11 Apr 2022 22:26:58 GMT",
    "Description": "Host server is undergoing maintenance.",
    "EventSource": "Platform",
    "DurationInSeconds": -1,
}

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1\t00000000\t0100020A\t0003\t0\t0\t200\t00000000\t0\t0\t0
eth0\t00000000\t0100010A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t10813FA8\t0100010A\t0007\t0\t0\t100\tFFFFFFFF\t0\t0\t0
eth0\tFEA9FEA9\t0100010A\t0007\t0\t0\t100\tFFFFFFFF\t0\t0\t0
eth0\t0000010A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""


def instance(**compute: Any) -> dict[str, Any]:
    """A whole instance document; keywords replace parts of compute, and None removes one."""
    document = {"compute": copy.deepcopy(COMPUTE), "network": copy.deepcopy(NETWORK)}
    for name, value in compute.items():
        if value is None:
            document["compute"].pop(name, None)
        else:
            document["compute"][name] = value
    return document


def events(*found: dict[str, Any], incarnation: int = 2) -> dict[str, Any]:
    """An events document; each argument changes fields of the usual event."""
    return {"DocumentIncarnation": incarnation, "Events": [{**EVENT, **changes} for changes in found]}


def azure_root(root: Path, *, uuid: str | None = None, devices: bool = False, routes: str | None = None) -> str:
    """Fill a directory with what a file system on Azure has; the path."""
    dmi = root / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "chassis_asset_tag").write_text(ASSET_TAG + "\n")
    if uuid:
        (dmi / "product_uuid").write_text(uuid + "\n")
    if devices:
        # Accelerated networking: the virtual function has its synthetic interface's address, and that for a master.
        for name, mac in (("enP1", "00:0d:3a:f8:06:ec"), ("eth0", "00:0D:3A:F8:06:EC"), ("eth1", "00:0d:3a:f8:06:ed")):
            (root / "sys/class/net" / name).mkdir(parents=True)
            (root / "sys/class/net" / name / "address").write_text(mac + "\n")
        (root / "sys/class/net/enP1/master").symlink_to("../eth0")
    if devices or routes is not None:
        (root / "proc/net").mkdir(parents=True)
        (root / "proc/net/route").write_text(ROUTES if routes is None else routes)
    return str(root)
