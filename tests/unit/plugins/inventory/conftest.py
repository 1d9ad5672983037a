"""A fleet with one of each kind of machine, run by the emulator, and the inventory of it."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

import inventories
import pytest

from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIRST = "00000000-0000-0000-0000-000000000001"
SECOND = "00000000-0000-0000-0000-000000000002"
FLEET: dict[str, Any] = {
    "subscription_id": FIRST,
    "tags": {"project": "shop"},
    "api": {"resource_manager": {"page_size": 3}},
    "availability_sets": [{"name": "db", "fault_domains": 2, "update_domains": 5}],
    "scale_sets": [
        {"name": "web", "instances": 4, "zones": ["1", "2"], "vm": {"public_ip": True, "tags": {"role": "web"}}},
        {"name": "api", "orchestration_mode": "Flexible", "fault_domains": 3, "instances": 2},
    ],
    "vms": [
        {"name": "control", "tags": {"role": "control"}, "zone": "3"},
        {"name": "db-0", "availability_set": "db", "tags": {"role": "db"}},
        {"name": "db-1", "availability_set": "db", "tags": {"role": "db", "empty": ""}},
        {"name": "win", "os_type": "Windows", "location": "northeurope", "zone": "1", "public_ip": True, "ipv6": True},
        {"name": "off", "state": "deallocated", "public_ip": True, "priority": "Spot"},
        {"name": "far", "subscription_id": SECOND, "resource_group": "rg-far"},
    ],
}
Inventory = "Callable[..., inventories.Fleet]"


@pytest.fixture
def fleet() -> dict[str, Any]:
    """The fleet file's content; a test may take its own."""
    return copy.deepcopy(FLEET)


@pytest.fixture
def emulator(fleet: dict[str, Any]) -> Iterator[Emulator]:
    with running(fleet) as emulated:
        yield emulated


@pytest.fixture
def inventory(emulator: Emulator, tmp_path: Path) -> Callable[..., inventories.Fleet]:
    """The inventory of the emulated fleet, read with further options; signed in as the machine ``control``."""
    return functools.partial(
        inventories.run,
        tmp_path / "azure_fleet.yml",
        resource_manager=emulator.resource_manager,
        imds_endpoint=emulator.endpoint("control"),
    )
