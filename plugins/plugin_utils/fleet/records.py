# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one shape in which every source describes a virtual machine, and how each comes to it. Pure.

A record survives JSON as it is. None means "not known, or does not apply"; an empty list or dict means "none".
What a source cannot know is None in all of its records:

=======================  ================================================  ===================
field                    Resource Manager, Resource Graph                  facts
=======================  ================================================  ===================
physical_zone            None                                              the zone
provisioning_state       known                                             None
power_state              known                                             None
public_fqdns             known                                             None
public_ipv6              known                                             None
redeploy_status          known                                             None
availability_set         known                                             as the facts have it
fault_domain,            None for a machine outside of any set,            a number for each
update_domain            and in a flexible set no update domain            machine
=======================  ================================================  ===================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.documents import integer, text
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.documents import (
    Interface,
    Machine,
    PublicAddress,
    Status,
    location,
    lowered,
    os_type,
    parse_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.maintenance import Maintenance


class Record(TypedDict):
    """A virtual machine. Domains are ints, everything else is a string, a list of strings or as said."""

    name: str  # the resource's name, which Scheduled Events use too (contract section 6.6)
    resource_id: str
    vm_id: str | None  # lower case
    subscription_id: str | None
    resource_group: str | None
    location: str | None  # westeurope
    environment: str | None  # AzurePublicCloud
    zone: str | None  # logical, means something within the subscription's region
    physical_zone: str | None
    size: str | None
    os_type: str | None  # Linux, Windows
    computer_name: str | None
    priority: str | None  # Spot, Low; None or Regular for an ordinary machine
    provisioning_state: str | None
    power_state: str | None  # running, deallocated, ...
    availability_set: str | None  # name
    scale_set: str | None  # name
    scale_set_instance_id: str | None  # a number in a uniform set, the name in a flexible one
    fault_domain: int | None
    update_domain: int | None
    tags: dict[str, str]
    private_ipv4: list[str] | None  # of the primary interface and configuration first
    private_ipv6: list[str] | None
    public_ipv4: list[str] | None
    public_ipv6: list[str] | None
    public_fqdns: list[str] | None
    redeploy_status: dict[str, Any] | None  # Azure's maintenanceRedeployStatus, verbatim
    maintenance: Maintenance | None
    problems: list[str]  # what is wrong with the machine, or could not be read
    collected_at: str  # when it was read: UTC, ISO 8601
    raw: dict[str, Any] | None  # the documents, if asked for


# What the facts of a machine say that is none of Azure's, or is not to be asked; any other error is a failure.
ELSEWHERE = ("not_on_azure", "disabled")

FIELDS: tuple[str, ...] = tuple(Record.__annotations__)


class Gap(NamedTuple):
    """A list that could not be read: of a subscription, or of one scale set of it (lower-case id)."""

    part: str
    subscription: str
    scale_set: str | None
    reason: str


class Listing(NamedTuple):
    """What the list calls brought; the dicts are by lower-case id."""

    machines: Sequence[Machine]
    statuses: Mapping[str, Status]
    interfaces: Mapping[str, Interface]
    public_addresses: Mapping[str, PublicAddress]
    gaps: Sequence[Gap] = ()
    parts: frozenset[str] = frozenset({"status", "interfaces", "public_addresses"})  # those that were asked for


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


def from_facts(facts: Mapping[str, Any], *, keep_raw: bool = False) -> Record | None:
    """The record in what ``instance_facts`` gathered on a machine, None when it said that it is not one of Azure.

    Args:
        facts: the value of ``ansible_facts.azure``, plain JSON.
        keep_raw: keep the facts themselves under ``raw``.

    Raises:
        ValueError: the facts could not be gathered, and say why.
    """
    name, identity = text(facts.get("name")), text(facts.get("resource_id"))
    if facts.get("available") is not True:
        if facts.get("error") in ELSEWHERE:
            return None
        raise ValueError(f"they were not gathered: {text(facts.get('reason')) or 'no reason given'}")
    if name is None:
        raise ValueError("they do not name the machine")
    tags = facts.get("tags")
    return {
        "name": name,
        "resource_id": identity or "",
        "vm_id": lowered(facts.get("vm_id")),
        "subscription_id": text(facts.get("subscription_id")),
        "resource_group": text(facts.get("resource_group")),
        "location": location(facts.get("location")),
        "environment": text(facts.get("environment")),
        "zone": text(facts.get("zone")),
        "physical_zone": text(facts.get("physical_zone")),
        "size": text(facts.get("size")),
        "os_type": os_type(facts.get("os_type")),
        "computer_name": text(facts.get("computer_name")),
        "priority": text(facts.get("priority")),
        "provisioning_state": None,
        "power_state": None,
        "availability_set": text(facts.get("availability_set")),
        "scale_set": text(facts.get("scale_set")),
        "scale_set_instance_id": text(facts.get("scale_set_instance_id")),
        "fault_domain": integer(facts.get("fault_domain")),
        "update_domain": integer(facts.get("update_domain")),
        "tags": {k: str(v) for k, v in tags.items()} if isinstance(tags, dict) else {},
        "private_ipv4": _strings(facts.get("private_ipv4")),
        "private_ipv6": _strings(facts.get("private_ipv6")),
        "public_ipv4": _strings(facts.get("public_ipv4")),
        "public_ipv6": None,
        "public_fqdns": None,
        "redeploy_status": None,
        "maintenance": None,
        "problems": [],
        "collected_at": text(facts.get("collected_at")) or "",
        "raw": {"facts": dict(facts)} if keep_raw else None,
    }


def _strings(value: Any) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


__all__ = ["FIELDS", "Gap", "Listing", "Record", "from_facts", "from_listing"]
