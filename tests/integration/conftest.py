"""A neighbourhood of four VMs, and hosts that stand for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_runs import Ansible

from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE = "{{ 1 + 1 }}"
FLEET: dict[str, Any] = {
    "availability_sets": [{"name": "web", "fault_domains": 2, "update_domains": 5}],
    "scale_sets": [{"name": "db", "instances": 1, "zones": ["1"]}],
    "vms": [
        {
            "name": "web-0",
            "availability_set": "web",
            "tags": {"role": "web", "note": TEMPLATE},
            "user_data": "c2VjcmV0",
            "public_keys": [{"path": "/home/azureuser/.ssh/authorized_keys", "key_data": "ssh-rsa AAAA me"}],
        },
        {"name": "web-1", "availability_set": "web", "tags": {"role": "web"}},
        {"name": "solo", "zone": "3", "tags": {"role": "db"}},
    ],
}
VMS = ("web-0", "web-1", "solo", "db_0")
# What a play with these facts needs: the endpoint by module_defaults, and both modules one after the other.
GATHERING: dict[str, Any] = {
    "gather_facts": True,
    "vars": {
        "ansible_facts_modules": ["azure_guest.imds.instance_facts"],
    },
    "module_defaults": {
        "azure_guest.imds.instance_facts": {
            "endpoint": "{{ ansible_azure_imds_endpoint | default('auto') }}",
        }
    },
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running(FLEET) as found:
        yield found


@pytest.fixture
def hosts(emulator: Emulator) -> dict[str, dict[str, Any]]:
    """The emulated VMs, and a machine that is none."""
    emulator.control.clear_requests()
    emulator.control.clear_faults()
    found = {name: {"ansible_azure_imds_endpoint": emulator.endpoint(name)} for name in VMS}
    return {**found, "elsewhere": {}}


@pytest.fixture
def ansible(tmp_path: Path, hosts: dict[str, dict[str, Any]]) -> Ansible:
    return Ansible(tmp_path, hosts)
