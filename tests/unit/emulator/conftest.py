"""A fleet with one of each kind of VM, and an emulator that runs it on the virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

FLEET: dict[str, Any] = {
    "tags": {"project": "demo"},
    "availability_sets": [{"name": "web", "fault_domains": 2, "update_domains": 5}],
    "scale_sets": [
        {"name": "db", "instances": 2, "zones": ["1", "2"], "vm": {"public_ip": True}},
        {"name": "cache", "orchestration_mode": "Flexible", "fault_domains": 2, "instances": 2},
    ],
    "vms": [
        {"name": "web-0", "availability_set": "web", "tags": {"role": "web"}, "public_ip": "203.0.113.10"},
        {"name": "web-1", "availability_set": "web"},
        {"name": "solo", "zone": "3", "size": "Standard_E4s_v5"},
    ],
}


@pytest.fixture
def fleet() -> dict[str, Any]:
    """The fleet file's content."""
    return FLEET


@pytest.fixture
def emulator(fleet: dict[str, Any]) -> Iterator[Emulator]:
    with running(fleet) as running_emulator:
        yield running_emulator
