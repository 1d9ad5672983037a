# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of any size, to have something to start with."""

from __future__ import annotations

from typing import Any

import yaml

_SIZES = ("Standard_D2s_v5", "Standard_D4s_v5", "Standard_E4s_v5")


def generate(vms: int, *, location: str = "westeurope", zones: int = 3) -> dict[str, Any]:
    """A fleet file's content: half of the VMs in availability sets, a quarter in a uniform scale set, the rest alone.

    Args:
        vms: how many, at least one.
        location: region.
        zones: the VMs that stand alone are dealt out to so many.
    """
    in_sets, uniform = vms // 2, vms // 4
    sets = [{"name": f"web-set-{n}", "fault_domains": 3, "update_domains": 5} for n in range(-(-in_sets // 20))]
    machines: list[dict[str, Any]] = [
        {"name": f"web-{n}", "size": _SIZES[0], "availability_set": f"web-set-{n // 20}", "tags": {"tier": "web"}}
        for n in range(in_sets)
    ]
    machines += [
        {"name": f"db-{n}", "size": _SIZES[n % 3], "zone": str(n % zones + 1) if zones else "", "tags": {"tier": "db"}}
        for n in range(vms - in_sets - uniform)
    ]
    fleet: dict[str, Any] = {"name": f"generated-{vms}", "location": location, "tags": {"project": "demo"}}
    if sets:
        fleet["availability_sets"] = sets
    if uniform:
        worker = {"size": _SIZES[1], "tags": {"tier": "worker"}}
        one_group = uniform <= 100
        fleet["scale_sets"] = [
            {"name": "worker", "instances": uniform, "single_placement_group": one_group, "vm": worker}
        ]
    return {**fleet, "vms": machines}


def as_yaml(fleet: dict[str, Any]) -> str:
    """The text of a fleet file."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(fleet, Dumper=dumper, sort_keys=False, default_flow_style=None, width=160)
    return text


__all__ = ["as_yaml", "generate"]
