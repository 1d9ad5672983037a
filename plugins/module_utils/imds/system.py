# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What this machine knows of itself that the service's answer is compared with: its network devices and its UUID."""

from __future__ import annotations

import os
import typing as t


class System(t.NamedTuple):
    """One reading of the machine.

    Attributes:
        devices: network device by MAC address, ``00:0d:3a:f8:06:ec``.
        primary: device of the primary network interface, None when it cannot be told.
        uuid: SMBIOS system UUID in lower case; None when it cannot be read (only root may).
    """

    devices: t.Mapping[str, str] = {}
    primary: str | None = None
    uuid: str | None = None

    def is_vm(self, vm_id: str | None) -> bool | None:
        """Whether a vmId is this machine's UUID, in either byte order; None when one of them is unknown.

        A Gen1 VM's firmware has the first three groups byte by byte in reverse (contract section 3.7).
        """
        if not vm_id or not self.uuid:
            return None
        return vm_id.lower() in (self.uuid, swapped(self.uuid))


def swapped(uuid: str) -> str:
    """A UUID with the bytes of its first three groups reversed."""
    groups = uuid.split("-")
    turned = ["".join(reversed([group[i : i + 2] for i in range(0, len(group), 2)])) for group in groups[:3]]
    return "-".join(turned + groups[3:])


def read(root: str = "/", *, interfaces: int = 2) -> System:
    """Read the machine below a root directory; what cannot be read is left out.

    Args:
        root: where the file system begins.
        interfaces: how many network interfaces there are to tell apart; which is the primary one only matters from two
            on.
    """
    base = root.rstrip("/")
    uuid = (_line(base + "/sys/class/dmi/id/product_uuid") or "").lower() or None
    devices = _devices(base + "/sys/class/net") if interfaces else {}
    return System(devices, _primary(root) if interfaces > 1 else None, uuid)


def _primary(root: str) -> str | None:
    from . import routes

    table = routes.read(root)
    return routes.primary_device(table) if table else None


def _devices(directory: str) -> dict[str, str]:
    """Devices by MAC. Accelerated networking shows each NIC twice; the virtual function is the one with a master."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return {}
    found: dict[str, str] = {}
    for name in names:
        mac = _line(f"{directory}/{name}/address")
        if mac and not os.path.lexists(f"{directory}/{name}/master"):
            found.setdefault(mac.lower(), name)
    return found


def _line(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.readline(256).strip() or None
    except OSError:
        return None


__all__ = ["System", "read", "swapped"]
