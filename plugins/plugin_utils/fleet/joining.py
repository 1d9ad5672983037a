# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the lists of Azure to records. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.resource_ids import parse_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.documents import (
        Interface,
        Machine,
        Status,
    )
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.listing import Listing


class _Addresses(NamedTuple):
    private: list[str] | None
    public: list[str] | None
    fqdns: list[str] | None
    problems: list[str]


def from_listing(listing: Listing, *, environment: str, collected_at: str) -> list[Record]:
    """Join the lists into one record for each machine, in the order of the machines."""
    by_machine: dict[str, list[Interface]] = {}
    for nic in listing.interfaces.values():
        if nic.machine:
            by_machine.setdefault(nic.machine, []).append(nic)
    gaps: dict[tuple[str, str | None], dict[str, str]] = {}
    for gap in listing.gaps:
        gaps.setdefault((gap.subscription.lower(), gap.scale_set), {})[gap.part] = gap.reason
    join = _Join(listing, by_machine, gaps, environment, collected_at)
    return [_joined(machine, join) for machine in listing.machines]


class _Join(NamedTuple):
    listing: Listing
    by_machine: Mapping[str, list[Interface]]
    gaps: Mapping[tuple[str, str | None], Mapping[str, str]]
    environment: str
    collected_at: str


def _joined(machine: Machine, join: _Join) -> Record:
    identity = parse_id(machine.id)
    key = machine.id.lower()
    uniform = key.rpartition("/virtualmachines/")[0] if machine.uniform else None
    gaps = join.gaps.get(((identity.subscription or "").lower(), uniform), {})
    status, problems = _status(machine, key, join, gaps)
    addresses = _addresses(machine, key, join, gaps)
    problems += addresses.problems
    if (machine.provisioning_state or "").lower() == "failed":
        problems.append("provisioning failed" + (f": {status.problem}" if status.problem else ""))
    return {
        "name": machine.name,
        "resource_id": machine.id,
        "vm_id": machine.vm_id,
        "subscription_id": identity.subscription,
        "resource_group": identity.group,
        "location": machine.location,
        "environment": join.environment,
        "zone": machine.zone,
        "physical_zone": None,
        "size": machine.size,
        "os_type": machine.os_type,
        "computer_name": machine.computer_name or status.computer_name,
        "priority": machine.priority,
        "provisioning_state": machine.provisioning_state,
        "power_state": status.power_state,
        "availability_set": machine.availability_set,
        "scale_set": machine.scale_set,
        "scale_set_instance_id": machine.instance_id,
        "fault_domain": status.fault_domain,
        "update_domain": status.update_domain,
        "tags": machine.tags,
        "private_ipv4": _of_version(addresses.private, six=False),
        "private_ipv6": _of_version(addresses.private, six=True),
        "public_ipv4": _of_version(addresses.public, six=False),
        "public_ipv6": _of_version(addresses.public, six=True),
        "public_fqdns": addresses.fqdns,
        "redeploy_status": status.redeploy,
        "maintenance": None,
        "problems": problems,
        "collected_at": join.collected_at,
        "raw": _raw(machine, status, key, join),
    }


def _status(machine: Machine, key: str, join: _Join, gaps: Mapping[str, str]) -> tuple[Status, list[str]]:
    """The machine's own status (a uniform instance brings it along), or that of the status list."""
    if machine.uniform:
        return machine.status, []
    found = join.listing.statuses.get(key)
    if found is not None:
        if found.fault_domain is None and machine.status.fault_domain is not None:
            found = found._replace(fault_domain=machine.status.fault_domain)
        return found, []
    if "status" in gaps:
        return machine.status, [f"the run-time status could not be read: {gaps['status']}"]
    if "status" in join.listing.parts:
        return machine.status, ["no run-time status: created or deleted while the lists were read"]
    return machine.status, []


def _addresses(machine: Machine, key: str, join: _Join, gaps: Mapping[str, str]) -> _Addresses:
    listing = join.listing
    if "interfaces" in gaps:
        problem = f"the network interfaces could not be read: {gaps['interfaces']}"
        return _Addresses(None, None, None, [problem])
    if "interfaces" not in listing.parts:
        return _Addresses(None, None, None, [])
    problems: list[str] = []
    nics = [listing.interfaces[i] for i in machine.nics if i in listing.interfaces]
    problems += [
        f"the network interface {i.rpartition('/')[2]} is not in the list: deleted while it was read, or not readable"
        for i in machine.nics
        if i not in listing.interfaces
    ]
    if not machine.nics:
        nics = sorted(join.by_machine.get(key, ()), key=lambda nic: not nic.primary)
    if not nics and not problems:
        problems.append("no network interface")
    configurations = [address for nic in nics for address in nic.addresses]
    private = [address.private for address in configurations if address.private]
    if "public_addresses" in gaps:
        problems.append(f"the public addresses could not be read: {gaps['public_addresses']}")
    if "public_addresses" in gaps or "public_addresses" not in listing.parts:
        return _Addresses(private, None, None, problems)
    public = [
        listing.public_addresses[a.public] for a in configurations if a.public and a.public in listing.public_addresses
    ]
    return _Addresses(private, [p.address for p in public if p.address], [p.fqdn for p in public if p.fqdn], problems)


def _of_version(addresses: Iterable[str] | None, *, six: bool) -> list[str] | None:
    return None if addresses is None else [a for a in addresses if (":" in a) is six]


def _raw(machine: Machine, status: Status, key: str, join: _Join) -> dict[str, Any] | None:
    if machine.raw is None:
        return None
    nics = [join.listing.interfaces[i] for i in machine.nics if i in join.listing.interfaces]
    nics = nics or join.by_machine.get(key, [])
    public = {a.public for nic in nics for a in nic.addresses if a.public}
    return {
        "virtual_machine": machine.raw,
        "status": status.raw,
        "network_interfaces": [nic.raw for nic in nics if nic.raw],
        "public_addresses": [
            p.raw for i in sorted(public) if (p := join.listing.public_addresses.get(i)) is not None and p.raw
        ],
    }


__all__ = ["from_listing"]
