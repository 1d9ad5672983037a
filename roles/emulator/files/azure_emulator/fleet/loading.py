# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a fleet file to a fleet: what the file leaves open is filled in, and what cannot be is refused."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from azure_emulator.errors import InputError
from azure_emulator.fleet.identifiers import base36, made_up_guid
from azure_emulator.fleet.model import AvailabilitySet, Fleet, Identity, ScaleSet, Vm, arm_id
from azure_emulator.fleet.network import AddressBook, make_nics
from azure_emulator.fleet.specification import (
    AvailabilitySetSpec,
    FleetSpec,
    LoadBalancerSpec,
    ScaleSetSpec,
    UserIdentitySpec,
    VmSpec,
)
from azure_emulator.reading import did_you_mean, keys_of, read, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACEMENT_GROUP_SIZE = 100
_SHARED = ("location", "environment", "subscription_id", "resource_group")


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that comes twice, of which YAML readers silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for name_node, _value in node.value:
            if name_node.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(name_node, deep=True)
            if isinstance(name, str):
                if name in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {name} comes twice", name_node.start_mark
                    )
                seen.add(name)
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str, source: str) -> Any:
    """Read YAML.

    Raises:
        InputError: it is none, with the line.
    """
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 - derived from the safe loader
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        raise InputError(where, f"not valid YAML: {getattr(exc, 'problem', None) or exc}") from exc


def read_yaml_file(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        InputError: it is not there, cannot be read, is no UTF-8 or no YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as exc:
        raise InputError(str(path), f"cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise InputError(str(path), "is not UTF-8 text") from exc


def load_fleet(source: Any) -> Fleet:
    """Make the fleet.

    Args:
        source: what a fleet file holds, the path of one, or its text.

    Raises:
        InputError: with the path of the key that cannot be used.
    """
    if isinstance(source, str) and "\n" not in source:
        source = Path(source)
    if isinstance(source, str):
        source = parse_yaml(source, "fleet")
    elif isinstance(source, Path):
        content = read_yaml_file(source)
        try:
            return _Loader(read(FleetSpec, content, "")).fleet()
        except InputError as exc:
            raise exc.inside(str(source)) from exc
    return _Loader(read(FleetSpec, source, "")).fleet()


@dataclasses.dataclass(slots=True)
class _Draft:
    """A VM on its way: its specification, where it stands, and the path that errors name."""

    path: str
    spec: VmSpec
    availability_set: AvailabilitySet | None
    scale_set: ScaleSet | None
    position: int


class _Loader:
    """Resolves one fleet file."""

    def __init__(self, spec: FleetSpec) -> None:
        self.spec = spec
        self.shared = {name: getattr(spec, name) for name in _SHARED}
        self.paths: dict[str, str] = {}
        self.availability_sets = self._availability_sets()
        self.scale_sets = self._scale_sets()
        self.identities = {i.name: self._identity(i) for i in spec.identities}
        self.balancers = {b.name: b for b in spec.load_balancers}
        self.members: dict[int, int] = {}
        self.callers: dict[str, str] = {}
        self.addresses = AddressBook()
        self.resource_ids: set[str] = set()

    def fleet(self) -> Fleet:
        drafts = [self._draft(mapping, f"vms[{index}]") for index, mapping in enumerate(self.spec.vms)]
        drafts += self._generated(drafts)
        if not drafts:
            raise InputError("vms", "the fleet has no VM; list some, or give a scale set instances")
        for draft in drafts:
            self.addresses.reserve(draft.spec, draft.path)
        vms: dict[str, Vm] = {}
        for index, draft in enumerate(drafts):
            vm = self._vm(index, draft)
            self._refuse_twin(vms, vm, draft.path)
            self._refuse_shared_callers(vm, draft.path)
            vms[vm.key] = vm
        return self._assemble(vms)

    def _assemble(self, vms: dict[str, Vm]) -> Fleet:
        used = [self.spec.subscription_id, *(vm.spec.subscription_id for vm in vms.values())]
        used += [group.spec.subscription_id for group in self.availability_sets.values()]
        used += [group.spec.subscription_id for group in self.scale_sets.values()]
        return Fleet(
            name=self.spec.name,
            seed=self.spec.seed,
            location=self.spec.location,
            environment=self.spec.environment,
            tenant_id=self.spec.tenant_id,
            api=self.spec.api,
            vms=vms,
            availability_sets={s.resource_id.lower(): s for s in self.availability_sets.values()},
            scale_sets={s.resource_id.lower(): s for s in self.scale_sets.values()},
            identities=self.identities,
            service_principals=self.spec.service_principals,
            subscriptions=tuple(dict.fromkeys(used)),
        )

    def _availability_sets(self) -> dict[str, AvailabilitySet]:
        sets: dict[str, AvailabilitySet] = {}
        for index, value in enumerate(self.spec.availability_sets):
            path = f"availability_sets[{index}]"
            spec = read(AvailabilitySetSpec, value, path, missing=_known(AvailabilitySetSpec, self.shared))
            _refuse_second(sets, spec.name, path)
            parts = ("Microsoft.Compute", "availabilitySets", spec.name)
            sets[spec.name] = AvailabilitySet(spec, arm_id(spec.subscription_id, spec.resource_group, *parts))
        return sets

    def _scale_sets(self) -> dict[str, ScaleSet]:
        sets: dict[str, ScaleSet] = {}
        for index, value in enumerate(self.spec.scale_sets):
            path = f"scale_sets[{index}]"
            spec = read(ScaleSetSpec, value, path, missing=_known(ScaleSetSpec, self.shared))
            _refuse_second(sets, spec.name, path)
            self.paths[spec.name] = path
            refuse_unknown(spec.vm, keys_of(VmSpec), f"{path}.vm")
            uniform = spec.orchestration_mode == "Uniform"
            domains = spec.fault_domains or (5 if uniform else 1)
            parts = ("Microsoft.Compute", "virtualMachineScaleSets", spec.name)
            sets[spec.name] = ScaleSet(spec, arm_id(spec.subscription_id, spec.resource_group, *parts), domains)
        return sets

    def _identity(self, spec: UserIdentitySpec) -> Identity:
        group = spec.resource_group or self.spec.resource_group
        parts = ("Microsoft.ManagedIdentity", "userAssignedIdentities", spec.name)
        resource_id = arm_id(self.spec.subscription_id, group, *parts)
        client_id = spec.client_id or made_up_guid(self.spec.seed, "client", resource_id)
        object_id = spec.object_id or made_up_guid(self.spec.seed, "object", resource_id)
        return Identity(spec.name, client_id, object_id, resource_id)

    def _draft(self, value: Any, path: str) -> _Draft:
        mapping = refuse_unknown(value, keys_of(VmSpec), path)
        mapping = {**refuse_unknown(self.spec.defaults, keys_of(VmSpec), "defaults"), **mapping}
        availability_set = _named(self.availability_sets, mapping.get("availability_set"), f"{path}.availability_set")
        scale_set = _named(self.scale_sets, mapping.get("scale_set"), f"{path}.scale_set")
        if availability_set is not None and scale_set is not None:
            raise InputError(path, "a VM is in an availability set or in a scale set, not in both")
        of_set = dict(scale_set.spec.vm) if scale_set else {}
        group: AvailabilitySet | ScaleSet | None = availability_set or scale_set
        home = group.spec if group else None
        place = {name: getattr(home, name) for name in _SHARED if hasattr(home, name)}
        missing = {**self.shared, **place, **self.spec.defaults, **of_set}
        places = {name: f"defaults.{name}" for name in self.spec.defaults}
        if scale_set is not None:
            places |= {name: f"{self.paths[scale_set.spec.name]}.vm.{name}" for name in of_set}
        layers = (self.spec.defaults, of_set, value)
        tags = {k: v for layer in ({"tags": self.spec.tags}, *layers) for k, v in (_tags(layer, path)).items()}
        spec = read(VmSpec, {**value, "tags": tags}, path, missing=missing, places=places)
        if home is not None and spec.subscription_id.lower() != home.subscription_id.lower():
            raise InputError(f"{path}.subscription_id", f"the set {home.name} is in {home.subscription_id}")
        if home is not None:
            self.members[id(home)] = self.members.get(id(home), 0) + 1
        position = self.members[id(home)] - 1 if home is not None else 0
        return _Draft(path, spec, availability_set, scale_set, position)

    def _generated(self, drafts: list[_Draft]) -> list[_Draft]:
        """The VMs that scale sets ask for by number; instance numbers that the file already uses are left out."""
        taken = {draft.spec.name for draft in drafts}
        made: list[_Draft] = []
        for index, scale_set in enumerate(self.scale_sets.values()):
            spec = scale_set.spec
            number = 0
            for _instance in range(spec.instances):
                while (name := self._instance_name(scale_set, number)) in taken:
                    number += 1
                taken.add(name)
                made.append(self._draft({"name": name, "scale_set": spec.name}, f"scale_sets[{index}].instances"))
        return made

    def _instance_name(self, scale_set: ScaleSet, number: int) -> str:
        """``set_7`` in a uniform set, ``set_0a1b2c3d`` in a flexible one (contract section 6.6)."""
        if scale_set.uniform:
            return f"{scale_set.spec.name}_{number}"
        return f"{scale_set.spec.name}_{made_up_guid(self.spec.seed, 'flex', scale_set.resource_id, str(number))[:8]}"

    def _vm(self, index: int, draft: _Draft) -> Vm:
        spec, position = draft.spec, draft.position
        instance_id = _instance_id(draft)
        resource_id = _vm_resource_id(draft, instance_id)
        placement_group = self._placement_group(draft)
        fault_domain, update_domain = _domains(draft)
        nics = make_nics(self.addresses, spec, draft.path, resource_id, uniform=bool(instance_id))
        zones = draft.scale_set.spec.zones if draft.scale_set else ()
        return Vm(
            key=spec.alias or spec.name,
            spec=spec,
            index=index,
            vm_id=made_up_guid(self.spec.seed, "vm", resource_id.lower()),
            resource_id=resource_id,
            tags=dict(spec.tags),
            user_data=spec.user_data,
            availability_set=draft.availability_set,
            scale_set=draft.scale_set,
            instance_id=instance_id,
            placement_group_id=placement_group,
            scope=_scope(draft, resource_id, placement_group),
            fault_domain=fault_domain,
            update_domain=update_domain,
            zone=spec.zone or (zones[position % len(zones)] if zones else ""),
            computer_name=spec.computer_name or _computer_name(draft, instance_id),
            nics=nics,
            identities=self._identities(draft, resource_id),
            load_balancers=self._balancers(draft),
        )

    def _placement_group(self, draft: _Draft) -> str:
        scale_set = draft.scale_set
        if scale_set is None or not scale_set.uniform:
            return ""
        number = draft.position // _PLACEMENT_GROUP_SIZE
        if number and scale_set.spec.single_placement_group:
            raise InputError(
                draft.path,
                f"the scale set {scale_set.spec.name} has more than {_PLACEMENT_GROUP_SIZE} VMs;"
                " set its single_placement_group to false",
            )
        return made_up_guid(self.spec.seed, "placement", scale_set.resource_id.lower(), str(number))

    def _identities(self, draft: _Draft, resource_id: str) -> tuple[Identity, ...]:
        spec, found = draft.spec.identity, []
        if spec.system_assigned:
            client_id = made_up_guid(self.spec.seed, "client", resource_id.lower())
            object_id = made_up_guid(self.spec.seed, "object", resource_id.lower())
            found.append(Identity("", client_id, object_id, resource_id))
        for index, name in enumerate(spec.user_assigned):
            path = f"{draft.path}.identity.user_assigned[{index}]"
            identity = _named(self.identities, name, path)
            if identity is not None:
                found.append(identity)
        return tuple(found)

    def _balancers(self, draft: _Draft) -> tuple[LoadBalancerSpec, ...]:
        paths = [f"{draft.path}.load_balancers[{index}]" for index in range(len(draft.spec.load_balancers))]
        found = [
            _named(self.balancers, name, path) for name, path in zip(draft.spec.load_balancers, paths, strict=True)
        ]
        return tuple(balancer for balancer in found if balancer is not None)

    def _refuse_shared_callers(self, vm: Vm, path: str) -> None:
        for index, address in enumerate(vm.spec.client_addresses):
            place = f"{path}.client_addresses[{index}]"
            if address in self.callers:
                raise InputError(place, f"{address} already stands for a VM at {self.callers[address]}")
            self.callers[address] = place

    def _refuse_twin(self, vms: Mapping[str, Vm], vm: Vm, path: str) -> None:
        if vm.key in vms:
            raise InputError(
                path,
                f"a second VM {vm.key!r}; give it another name, or an alias where the two are in different groups",
            )
        if vm.resource_id.lower() in self.resource_ids:
            raise InputError(path, f"a second VM with the resource id {vm.resource_id}")
        self.resource_ids.add(vm.resource_id.lower())


def _known(specification: type, values: Mapping[str, Any]) -> dict[str, Any]:
    known = keys_of(specification)
    return {name: value for name, value in values.items() if name in known}


def _tags(layer: Mapping[str, Any], path: str) -> dict[str, Any]:
    tags = layer.get("tags", {})
    if not isinstance(tags, dict):
        raise InputError(f"{path}.tags", "expected a mapping")
    return tags


def _refuse_second(known: Mapping[str, Any], name: str, path: str) -> None:
    if name in known:
        raise InputError(f"{path}.name", f"a second {name!r}")


def _named(known: Mapping[str, Any], name: Any, path: str) -> Any:
    """What has that name; None for no name."""
    if name is None:
        return None
    if name not in known:
        hint = did_you_mean(str(name), known) if known else "; the fleet defines none"
        raise InputError(path, f"no {name!r}{hint}")
    return known[name]


def _instance_id(draft: _Draft) -> str:
    """The number of a uniform instance, which its name ends in; empty for every other VM."""
    if draft.scale_set is None or not draft.scale_set.uniform:
        return ""
    match = re.fullmatch(re.escape(draft.scale_set.spec.name) + r"_(\d+)", draft.spec.name)
    if match is None:
        raise InputError(
            f"{draft.path}.name",
            f"a VM of the uniform scale set {draft.scale_set.spec.name} is named {draft.scale_set.spec.name}_<number>",
        )
    return match[1]


def _vm_resource_id(draft: _Draft, instance_id: str) -> str:
    if draft.scale_set is not None and instance_id:
        return f"{draft.scale_set.resource_id}/virtualMachines/{instance_id}"
    spec = draft.spec
    return arm_id(spec.subscription_id, spec.resource_group, "Microsoft.Compute", "virtualMachines", spec.name)


def _computer_name(draft: _Draft, instance_id: str) -> str:
    """A host name is not the VM's name: a uniform set makes its own; ``_`` is not allowed (contract section 6.6)."""
    if draft.scale_set is not None and instance_id:
        return draft.scale_set.spec.name.replace("_", "")[:9] + base36(int(instance_id), 6).upper()
    return draft.spec.name.replace("_", "-")


def _domains(draft: _Draft) -> tuple[int, int]:
    """Fault and update domain: as the file says, else the set's in turn, else 0."""
    spec = draft.spec
    if draft.availability_set is not None:
        faults, updates = draft.availability_set.spec.fault_domains, draft.availability_set.spec.update_domains
    elif draft.scale_set is not None:
        # Flexible sets have no update domains; the metadata service has a value all the same (contract section 12.1).
        faults, updates = draft.scale_set.fault_domains, 5 if draft.scale_set.uniform else 1
    else:
        return spec.fault_domain or 0, spec.update_domain or 0
    for name, value, count in (
        ("fault_domain", spec.fault_domain, faults),
        ("update_domain", spec.update_domain, updates),
    ):
        if value is not None and value >= count:
            raise InputError(f"{draft.path}.{name}", f"{value} is beyond the set's {count} (they count from 0)")
    fault = spec.fault_domain if spec.fault_domain is not None else draft.position % faults
    update = spec.update_domain if spec.update_domain is not None else draft.position % updates
    return fault, update


def _scope(draft: _Draft, resource_id: str, placement_group: str) -> str:
    """Who sees the VM's events: its availability set, its placement group, or itself alone (contract section 6.5)."""
    if draft.availability_set is not None:
        return draft.availability_set.resource_id
    if draft.scale_set is None:
        return resource_id
    if draft.spec.size.lower().startswith("standard_n") and draft.scale_set.fault_domains == 1:
        return resource_id  # a GPU size in a scale set with one fault domain
    return draft.scale_set.resource_id + (f"#{placement_group}" if placement_group else "")


__all__ = ["load_fleet", "parse_yaml", "read_yaml_file"]
