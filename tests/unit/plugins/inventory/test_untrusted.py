"""Strings from the cloud are data: never templates, never odd names. On real runs: see the integration tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from azure_emulator.testing import Emulator

Inventory = "Callable[..., Fleet]"
EVIL = "{{ lookup('ansible.builtin.pipe', 'touch EVALUATED') }}"
KEY = "{{ 40404 + 2 }}"


@pytest.fixture
def fleet() -> dict[str, Any]:
    return {
        "vms": [
            {"name": "control"},
            {"name": EVIL[:60], "computer_name": EVIL, "tags": {"note": EVIL, KEY: "{% raw %}", "fqdn": EVIL}},
        ]
    }


@pytest.fixture
def evil(emulator: Emulator) -> str:
    return next(vm.name for vm in emulator.fleet.vms.values() if vm.name != "control")


def test_what_comes_from_the_cloud_stays_text(inventory: Inventory, evil: str) -> None:
    found = inventory(
        compose={"note": "azure_tags.note"},
        groups={"noted": "'pipe' in azure_tags.note | default('')"},
        keyed_groups=[{"key": "azure_tags", "prefix": "t"}],
        strict=False,
    )
    host = next(name for name in found.hosts if name != "control")
    variables = found.hosts[host]
    assert variables["azure_name"] == evil
    assert variables["azure_computer_name"] == EVIL
    assert variables["azure_tags"] == {"note": EVIL, KEY: "{% raw %}", "fqdn": EVIL}
    assert variables["note"] == EVIL
    assert found.groups["noted"] == [host]


def test_names_hold_nothing_but_harmless_characters(inventory: Inventory) -> None:
    found = inventory(hostnames=["tags.fqdn", "name"], group_by=["tag", "resource_group"])
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") for name in found.hosts
    )
    assert all(name.isidentifier() for name in found.groups)
    assert not any("{" in name for name in (*found.hosts, *found.groups))


def test_no_variable_has_a_reserved_name(inventory: Inventory) -> None:
    from ansible.vars.reserved import get_reserved_names

    for variables in inventory().hosts.values():
        assert not variables.keys() & get_reserved_names()
        assert all(name.startswith("azure_") or name == "ansible_host" for name in variables)
