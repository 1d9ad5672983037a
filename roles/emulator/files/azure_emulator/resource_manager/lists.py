# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each list call of Resource Manager lists, in a fixed order; entries are made for the page that is asked for."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from azure_emulator.events.machines import OFF, TERMINATED, Machines
from azure_emulator.failures import resource_manager_error
from azure_emulator.messages import RefusedError, Request
from azure_emulator.resource_manager import documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from azure_emulator.fleet.model import Fleet, Nic, ScaleSet, Vm

_SET_FILTER = re.compile(r"'virtualMachineScaleSet/id'\s+eq\s+'([^']+)'", re.IGNORECASE)
_POWER_FILTER = re.compile(r"startswith\(instanceView/statuses/code, ?'PowerState'\) eq true", re.IGNORECASE)
_FILTER_SINCE, _EXPAND_SINCE, _STATUS_SINCE = "2021-11-01", "2023-03-01", "2019-07-01"


class Entries:
    """The entries of a list. Ten thousand documents for each page of a hundred would be the caller's waiting time.

    Args:
        resources: what is listed. show: makes an entry of one of them. identify: gives the id that it will have.
    """

    def __init__(
        self,
        resources: Sequence[Any],
        show: Callable[[Any], dict[str, Any]],
        identify: Callable[[Any], str] = lambda resource: str(resource.resource_id),
    ) -> None:
        self._resources, self._show, self._identify = resources, show, identify

    def __len__(self) -> int:
        return len(self._resources)

    def page(self, start: int, end: int) -> list[dict[str, Any]]:
        """The entries from one number to before another."""
        return [self._show(resource) for resource in self._resources[start:end]]

    def identified(self) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
        """The id of each entry, and what makes it."""
        for resource in self._resources:
            yield self._identify(resource), functools.partial(self._show, resource)


class Lists:
    """The lists of one fleet. ``created`` is when the neighbourhood came to be, in epoch seconds."""

    def __init__(self, fleet: Fleet, machines: Machines, created: float) -> None:
        self._fleet, self.machines, self._created = fleet, machines, created
        self._by_subscription: dict[str, list[Vm]] = {}
        self._by_set: dict[str, list[Vm]] = {}
        for vm in fleet.vms.values():
            self._by_subscription.setdefault(vm.spec.subscription_id.lower(), []).append(vm)
            if vm.scale_set is not None:
                self._by_set.setdefault(vm.scale_set.resource_id, []).append(vm)
        self._population = machines.population
        self._kept: dict[tuple[str, str], list[Any]] = {}

    def virtual_machines(self, subscription: str, request: Request) -> Entries:
        """VMs of a subscription, uniform instances not among them (calls A, B and C)."""
        vms = self._alone(subscription)
        expand, condition = request.parameter("$expand"), request.parameter("$filter")
        if condition is not None:
            vms = self._of_flexible_set(vms, condition, request)
        if expand is not None:
            _require_expand(expand, request, allowed=condition is not None)
        if _true(request.parameter("statusOnly")):
            _require_version(request, "statusOnly", _STATUS_SINCE)
            shows = self._fleet.api.resource_manager.status_shows_update_domain
            return Entries(vms, lambda vm: documents.status_only(vm, self._view(vm, update_domain=shows)))
        return Entries(vms, lambda vm: self._model(vm, with_view=expand is not None))

    def _model(self, vm: Vm, *, with_view: bool) -> dict[str, Any]:
        model = documents.virtual_machine(vm, self._created)
        if with_view:
            model["properties"]["instanceView"] = self._view(vm)
        return model

    def scale_sets(self, subscription: str) -> Entries:
        """Scale sets of a subscription (call D)."""
        sets = [group for group in self._fleet.scale_sets.values() if _same(group.spec.subscription_id, subscription)]
        return Entries(sets, lambda group: documents.scale_set(group, self._members(group)))

    def availability_sets(self, subscription: str) -> Entries:
        """Availability sets of a subscription (call J)."""
        sets = [g for g in self._fleet.availability_sets.values() if _same(g.spec.subscription_id, subscription)]
        members = {g.resource_id: [vm for vm in self._all() if vm.availability_set is g] for g in sets}
        return Entries(sets, lambda group: documents.availability_set(group, members[group.resource_id]))

    def scale_set_virtual_machines(self, group: ScaleSet, request: Request) -> Entries:
        """Instances of a uniform set (call E); a flexible one has none of its own."""
        expand = request.parameter("$expand")
        if expand is not None and expand.lower() != "instanceview":
            raise _bad_parameter("$expand", expand)
        select, condition = request.parameter("$select"), request.parameter("$filter")
        if select is not None and select.lower() != "instanceview":
            raise _bad_parameter("$select", select)
        if condition is not None and not _POWER_FILTER.fullmatch(condition.strip()):
            raise _bad_parameter("$filter", condition)
        expanded = expand is not None or select is not None
        with_power = [vm for vm in self._members(group) if vm.uniform and (not condition or _has_power(vm))]
        return Entries(
            with_power,
            lambda vm: documents.uniform_instance(vm, self._created, self._view(vm) if expanded else None),
        )

    def network_interfaces(self, subscription: str) -> Entries:
        """Interfaces of a subscription, those of uniform instances not among them (call F)."""
        return _interfaces(self._keep("interfaces", subscription, lambda: _with_nics(self._alone(subscription))))

    def public_ip_addresses(self, subscription: str) -> Entries:
        """Public addresses of a subscription, those of uniform instances not among them (call G)."""
        return self._public(self._keep("addresses", subscription, lambda: _with_public(self._alone(subscription))))

    def scale_set_network_interfaces(self, group: ScaleSet) -> Entries:
        """Interfaces of a uniform set's instances (call H)."""
        return _interfaces(_with_nics(vm for vm in self._members(group) if vm.uniform))

    def scale_set_public_ip_addresses(self, group: ScaleSet) -> Entries:
        """Public addresses of a uniform set's instances (call I)."""
        return self._public(_with_public(vm for vm in self._members(group) if vm.uniform))

    def instance_view(self, resource_id: str) -> dict[str, Any]:
        """Run-time status of one VM (call K)."""
        vm = next((vm for vm in self._all() if vm.resource_id.lower() == resource_id.lower()), None)
        if vm is None:
            raise RefusedError(_not_found(resource_id))
        return self._view(vm) or {}

    def graph_scope(self, subscriptions: Iterable[str]) -> list[Vm]:
        """The VMs that Resource Graph's main table has for some subscriptions."""
        wanted = {subscription.lower() for subscription in subscriptions}
        return [vm for vm in self._all() if vm.spec.subscription_id.lower() in wanted and not vm.uniform]

    def graph_documents(self, resource_type: str, subscription: str) -> Entries:
        """What Resource Graph's main table has of a type, with whole documents; the types are those of calls A to G."""
        if resource_type == "microsoft.compute/virtualmachines":
            vms = self._alone(subscription)
            return Entries(vms, lambda vm: documents.graph_virtual_machine(vm, self._created, self._view(vm)))
        lists: dict[str, Callable[[str], Entries]] = {
            "microsoft.compute/virtualmachinescalesets": self.scale_sets,
            "microsoft.network/networkinterfaces": self.network_interfaces,
            "microsoft.network/publicipaddresses": self.public_ip_addresses,
        }
        return lists[resource_type](subscription)

    def scale_set(self, subscription: str, group: str, name: str) -> ScaleSet:
        """A scale set by its path.

        Raises:
            RefusedError: 404.
        """
        parts = f"resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"
        found = self._fleet.scale_sets.get(f"/subscriptions/{subscription}/{parts}".lower())
        if found is None:
            raise RefusedError(_not_found(f"/subscriptions/{subscription}/{parts}"))
        return found

    def _all(self) -> list[Vm]:
        return [vm for vm in self._fleet.vms.values() if self._exists(vm)]

    def _alone(self, subscription: str) -> list[Vm]:
        """The VMs of a subscription that are no instances of uniform sets."""
        members = self._by_subscription.get(subscription.lower(), [])
        return self._keep("alone", subscription, lambda: [vm for vm in members if not vm.uniform and self._exists(vm)])

    def _keep(self, kind: str, of: str, make: Callable[[], list[Any]]) -> list[Any]:
        """A list that only changes when VMs come or go: a caller asks for it page by page."""
        if self._population != self.machines.population:
            self._population = self.machines.population
            self._kept.clear()
        key = (kind, of.lower())
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _exists(self, vm: Vm) -> bool:
        return self.machines.state(vm.key) != TERMINATED

    def _members(self, group: ScaleSet) -> list[Vm]:
        return [vm for vm in self._by_set.get(group.resource_id, []) if self._exists(vm)]

    def _view(self, vm: Vm, *, update_domain: bool = True) -> dict[str, Any] | None:
        return documents.instance_view(vm, self.machines.state(vm.key), self._created, update_domain=update_domain)

    def _public(self, pairs: list[tuple[Vm, Nic]]) -> Entries:
        return Entries(
            pairs,
            lambda pair: documents.public_ip_address(*pair, allocated=self.machines.state(pair[0].key) not in OFF),
            lambda pair: documents.public_ip_id(*pair),
        )

    def _of_flexible_set(self, vms: list[Vm], condition: str, request: Request) -> list[Vm]:
        _require_version(request, "$filter", _FILTER_SINCE)
        match = _SET_FILTER.fullmatch(condition.strip())
        if match is None:
            raise _bad_parameter("$filter", condition)
        wanted = match[1].lower()
        return [vm for vm in vms if vm.scale_set is not None and vm.scale_set.resource_id.lower() == wanted]


def _with_nics(vms: Iterable[Vm]) -> list[tuple[Vm, Nic]]:
    return [(vm, nic) for vm in vms for nic in vm.nics]


def _with_public(vms: Iterable[Vm]) -> list[tuple[Vm, Nic]]:
    return [(vm, nic) for vm in vms for nic in vm.nics if nic.public_ip]


def _interfaces(pairs: list[tuple[Vm, Nic]]) -> Entries:
    return Entries(
        pairs,
        lambda pair: documents.network_interface(*pair),
        lambda pair: str(pair[1].resource_id),
    )


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _has_power(vm: Vm) -> bool:
    return vm.spec.instance_view == "full"


def _true(value: str | None) -> bool:
    return value is not None and value.lower() == "true"


def _bad_parameter(name: str, value: str) -> RefusedError:
    message = f"The value '{value}' of the query parameter '{name}' is not supported."
    return RefusedError(resource_manager_error(400, "InvalidParameter", message))


def _require_version(request: Request, name: str, since: str) -> None:
    if (request.parameter("api-version") or "") < since:
        message = f"The query parameter '{name}' is supported from api-version {since} on."
        raise RefusedError(resource_manager_error(400, "InvalidParameter", message))


def _require_expand(expand: str, request: Request, *, allowed: bool) -> None:
    """On this list ``$expand`` is legal only together with the filter for one flexible set (contract section 12.2)."""
    if expand.lower() != "instanceview":
        raise _bad_parameter("$expand", expand)
    if not allowed:
        message = "'$expand' is only supported together with a '$filter' on 'virtualMachineScaleSet/id'."
        raise RefusedError(resource_manager_error(400, "InvalidParameter", message))
    _require_version(request, "$expand", _EXPAND_SINCE)


def _not_found(resource_id: str) -> Any:
    return resource_manager_error(404, "ResourceNotFound", f"The Resource '{resource_id}' was not found.")


__all__ = ["Entries", "Lists"]
