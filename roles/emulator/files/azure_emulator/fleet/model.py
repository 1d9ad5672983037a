# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as it was resolved from its file: only a VM's tags and user data ever change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from azure_emulator.errors import NotFoundError
from azure_emulator.reading import did_you_mean

if TYPE_CHECKING:
    from azure_emulator.fleet.specification import (
        ApiSpec,
        AvailabilitySetSpec,
        LoadBalancerSpec,
        ScaleSetSpec,
        ServicePrincipalSpec,
        VmSpec,
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """A managed identity. ``resource_id`` is that of the identity, or of the VM for a system-assigned one."""

    name: str
    client_id: str
    object_id: str
    resource_id: str


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface. ``mac`` in IMDS' form; ``public_ip`` and ``ipv6`` are empty when there is none."""

    name: str
    resource_id: str
    mac: str
    private_ips: tuple[str, ...]
    subnet: str
    prefix: int
    public_ip: str
    ipv6: str
    primary: bool


@dataclass(frozen=True, slots=True)
class AvailabilitySet:
    """An availability set."""

    spec: AvailabilitySetSpec
    resource_id: str


@dataclass(frozen=True, slots=True)
class ScaleSet:
    """A scale set."""

    spec: ScaleSetSpec
    resource_id: str
    fault_domains: int

    @property
    def uniform(self) -> bool:
        """Whether its VMs are instances of the set, not VM resources of their own."""
        return self.spec.orchestration_mode == "Uniform"


@dataclass(slots=True)
class Vm:
    """A virtual machine.

    Attributes:
        key: its name on the control side.
        scope: who sees its events: VMs with the same scope do (contract section 6.5).
        instance_id: in its scale set; empty elsewhere.
        revision: moves when tags or user data change.
    """

    key: str
    spec: VmSpec
    index: int
    vm_id: str
    resource_id: str
    tags: dict[str, str]
    user_data: str
    availability_set: AvailabilitySet | None
    scale_set: ScaleSet | None
    instance_id: str
    placement_group_id: str
    scope: str
    fault_domain: int
    update_domain: int
    zone: str
    computer_name: str
    nics: tuple[Nic, ...]
    identities: tuple[Identity, ...]
    load_balancers: tuple[LoadBalancerSpec, ...]
    revision: int = 0

    @property
    def name(self) -> str:
        """The VM resource's name."""
        return self.spec.name

    @property
    def uniform(self) -> bool:
        """Whether it is an instance of a uniform scale set."""
        return self.scale_set is not None and self.scale_set.uniform

    @property
    def primary_nic(self) -> Nic:
        """The interface through which IMDS is reached."""
        return next(nic for nic in self.nics if nic.primary)


@dataclass(slots=True)
class Fleet:
    """The whole neighbourhood. VMs by key, sets by lower-case resource id, all in the file's order."""

    name: str
    seed: str
    location: str
    environment: str
    tenant_id: str
    api: ApiSpec
    vms: dict[str, Vm]
    availability_sets: dict[str, AvailabilitySet]
    scale_sets: dict[str, ScaleSet]
    identities: dict[str, Identity]
    service_principals: tuple[ServicePrincipalSpec, ...]
    subscriptions: tuple[str, ...]
    by_scope: dict[str, list[Vm]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for vm in self.vms.values():
            self.by_scope.setdefault(vm.scope, []).append(vm)

    def vm(self, key: str) -> Vm:
        """A VM by its key, in any case.

        Raises:
            NotFoundError: there is none, with the nearest name.
        """
        found = self.vms.get(key) or next((vm for name, vm in self.vms.items() if name.lower() == key.lower()), None)
        if found is None:
            near = did_you_mean(key, self.vms) if len(self.vms) <= 50 or _is_near(key, self.vms) else ""
            raise NotFoundError(f"no VM {key!r} in the fleet{near}")
        return found


def _is_near(key: str, names: Iterable[str]) -> bool:
    return "did you mean" in did_you_mean(key, names)


def arm_id(subscription: str, group: str, provider: str, *path: str) -> str:
    """A Resource Manager id."""
    return "/".join([f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}", *path])


Tags = Mapping[str, str]

__all__ = ["AvailabilitySet", "Fleet", "Identity", "Nic", "ScaleSet", "Tags", "Vm", "arm_id"]
