# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network interfaces of the fleet's VMs, with made-up addresses where the file gives none."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from azure_emulator.errors import InputError
from azure_emulator.fleet.identifiers import mac, normal_mac, private_ipv4, private_ipv6, public_ipv4
from azure_emulator.fleet.model import Nic, arm_id
from azure_emulator.fleet.specification import NicSpec, VmSpec


class AddressBook:
    """Which addresses are taken; those of the file first, made-up ones between them."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self._next = {"private": 0, "public": 0, "ipv6": 0, "mac": 0}
        self._makers = {"private": private_ipv4, "public": public_ipv4, "ipv6": private_ipv6, "mac": mac}

    def reserve(self, spec: VmSpec, path: str) -> None:
        """Take the addresses that a VM names.

        Raises:
            InputError: another VM has one of them. Private addresses may be the same in different subscriptions.
        """
        for nic in nic_specs(spec):
            named = [(a, f"{spec.subscription_id}/{a}") for a in nic.private_ips]
            named += [(a, a) for a in (nic.public_ip, nic.ipv6) if isinstance(a, str)]
            for address, taken_as in named:
                if taken_as in self._taken:
                    raise InputError(path, f"the address {address} is already that of {self._taken[taken_as]}")
                self._taken[taken_as] = path

    def made_up(self, kind: str, subscription: str = "") -> str:
        """The next free address of a kind."""
        while True:
            address = self._makers[kind](self._next[kind])
            self._next[kind] += 1
            if address not in self._taken and f"{subscription}/{address}" not in self._taken:
                return address


def nic_specs(spec: VmSpec) -> tuple[NicSpec, ...]:
    """A VM's interfaces as the file has them: the list, or one out of the short keys."""
    if spec.nics:
        return spec.nics
    private = (spec.private_ip,) if spec.private_ip else ()
    return (NicSpec(private_ips=private, public_ip=spec.public_ip, ipv6=spec.ipv6),)


def make_nics(book: AddressBook, spec: VmSpec, path: str, vm_resource_id: str, *, uniform: bool) -> tuple[Nic, ...]:
    """A VM's interfaces.

    Raises:
        InputError: both forms are used, none or several are primary, or a hardware address is none.
    """
    if spec.nics and (spec.private_ip or spec.public_ip or spec.ipv6):
        raise InputError(path, "give the addresses in nics, or as private_ip, public_ip and ipv6, not both")
    nics = tuple(
        _make_nic(book, spec, nic, index, f"{path}.nics[{index}]", vm_resource_id, uniform=uniform)
        for index, nic in enumerate(nic_specs(spec))
    )
    primaries = sum(nic.primary for nic in nics)
    if not primaries and all(nic.primary is None for nic in nic_specs(spec)):
        return (replace(nics[0], primary=True), *nics[1:])
    if primaries != 1:
        raise InputError(f"{path}.nics", f"{primaries} of the interfaces are primary; one must be")
    return nics


def _make_nic(
    book: AddressBook, spec: VmSpec, nic: NicSpec, index: int, path: str, vm_resource_id: str, *, uniform: bool
) -> Nic:
    hardware = normal_mac(nic.mac) if nic.mac else book.made_up("mac")
    if hardware is None:
        raise InputError(f"{path}.mac", f"{nic.mac!r} is no hardware address such as 00-0D-3A-F8-06-EC")
    private = nic.private_ips or (book.made_up("private", spec.subscription_id),)
    subnet = ipaddress.ip_network(f"{private[0]}/{nic.prefix}", strict=False)
    name = f"{spec.name}-nic-{index}"
    place = (spec.subscription_id, spec.resource_group, "Microsoft.Network", "networkInterfaces", name)
    return Nic(
        name=f"nic-{index}" if uniform else name,
        resource_id=f"{vm_resource_id}/networkInterfaces/nic-{index}" if uniform else arm_id(*place),
        mac=hardware,
        private_ips=private,
        subnet=str(subnet.network_address),
        prefix=nic.prefix,
        public_ip=_address(book, "public", nic.public_ip),
        ipv6=_address(book, "ipv6", nic.ipv6),
        primary=bool(nic.primary),
    )


def _address(book: AddressBook, kind: str, wanted: bool | str) -> str:
    if isinstance(wanted, str):
        return wanted
    return book.made_up(kind) if wanted else ""


__all__ = ["AddressBook", "make_nics", "nic_specs"]
