"""Strings from the cloud are data on every supported core: never templates, never odd names, never secrets' way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import inventories
import pytest
import yaml

from azure_emulator.testing import Emulator, running

Inventory = "Callable[..., Fleet]"
ROOT = Path(__file__).parents[4]
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


PLAY = """
- hosts: azure_location_westeurope:!control
  gather_facts: false
  connection: ansible.builtin.local
  tasks:
    - ansible.builtin.debug:
        msg: "{{ [azure_tags.note, azure_name, azure_computer_name, azure_tags | list, indirect | default('')] }}"
    - ansible.builtin.set_fact:
        again: "{{ azure_tags | list }} {{ azure_tags.note | default('') }}"
    - ansible.builtin.debug:
        msg: "{{ again }} {{ inventory_hostname }} {{ groups | to_json }}"
"""


def test_nothing_is_evaluated_in_a_play(emulator: Emulator, tmp_path: Path) -> None:
    config = {
        "plugin": inventories.PLUGIN,
        "resource_manager": emulator.resource_manager,
        "imds_endpoint": emulator.endpoint("control"),
        "hostnames": ["tags.fqdn", "computer_name"],
        "connect_with": ["tags.fqdn"],
        "compose": {"indirect": "azure_tags.note"},
        "keyed_groups": [{"key": "azure_tags", "prefix": "t"}],
    }
    (tmp_path / "azure_fleet.yml").write_text(yaml.safe_dump(config))
    (tmp_path / "play.yml").write_text(PLAY)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        "ANSIBLE_INVENTORY_ENABLED": inventories.PLUGIN,
    }
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [program, "-i", "azure_fleet.yml", "play.yml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not (tmp_path / "EVALUATED").exists(), done.stdout
    assert "lookup('ansible.builtin.pipe'" in done.stdout, done.stderr
    assert "touch EVALUATED" in done.stdout
    assert done.returncode == 0, done.stdout
    assert "40404 + 2" in done.stdout
    assert "40406" not in done.stdout


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


def test_the_token_is_in_no_output(emulator: Emulator, tmp_path: Path) -> None:
    secret = "s3cret-of-a-test"
    principal = {"client_id": "00000000-0000-0000-0000-0000000000aa", "client_secret": secret}
    with running({"service_principals": [principal], "vms": [{"name": "a"}]}) as emulated:
        config = {
            "plugin": inventories.PLUGIN,
            "resource_manager": emulated.resource_manager,
            "authority": emulated.resource_manager,
            "tenant_id": emulated.fleet.tenant_id,
            **principal,
        }
        (tmp_path / "azure_fleet.yml").write_text(yaml.safe_dump(config))
        for wrong in (False, True):
            if wrong:
                emulated.control.add_fault(fault="forbidden", category="virtual_machines")
            said = everything_said(tmp_path)
            assert "azure_fleet" in said
            assert secret not in said
            assert "eyJ" not in said
            assert "Bearer" not in said


def everything_said(folder: Path) -> str:
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        "ANSIBLE_DEBUG": "1",
        "ANSIBLE_INVENTORY_ENABLED": inventories.PLUGIN,
    }
    program = str(Path(sys.executable).parent / "ansible-inventory")
    done = subprocess.run(
        [program, "-i", "azure_fleet.yml", "--list", "-vvvvv"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr
