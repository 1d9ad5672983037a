"""Nothing that comes from the cloud is evaluated, and nothing secret is said, by whatever Ansible runs these tests.

``ANSIBLE_BIN`` names the directory of the commands of another ansible-core to prove it on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import inventories
import pytest
import yaml

from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = "{{ lookup('ansible.builtin.pipe', 'touch EVALUATED') }}"
SUM = "{{ 40404 + 2 }}"
NAME = EVIL[:60]
TAGS = {"note": EVIL, SUM: "{% raw %}", "sum": SUM, "fqdn": EVIL}
SECRET = "s3cret-of-a-test"
CLIENT = "00000000-0000-0000-0000-0000000000aa"
FLEET: dict[str, Any] = {
    "service_principals": [{"client_id": CLIENT, "client_secret": SECRET}],
    "scale_sets": [{"name": "set", "instances": 1, "vm": {"computer_name": "{{7*6}}", "tags": TAGS}}],
    "vms": [{"name": "control"}, {"name": NAME, "computer_name": EVIL, "tags": TAGS, "location": "westeurope"}],
}
GROUPING = {
    "hostnames": ["tags.fqdn", "computer_name", "name"],
    "connect_with": ["tags.fqdn", "computer_name"],
    "compose": {"indirect": "azure_tags.note | default('')", "named": "azure_name"},
    "groups": {"noted": "'pipe' in azure_tags.note | default('')"},
    "keyed_groups": [{"key": "azure_tags", "prefix": "t"}, {"key": "azure_name", "prefix": "n"}],
    "group_by": ["location", "tag", "maintenance"],
}
PLAY = """
- hosts: noted
  gather_facts: false
  connection: ansible.builtin.local
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - name: Show
      ansible.builtin.debug:
        msg: "{{ [azure_tags.note, azure_name, azure_computer_name, azure_tags | list, indirect, named] }}"
    - name: Keep
      ansible.builtin.set_fact:
        again: "{{ azure_tags | list }} {{ azure_tags.sum }} {{ hostvars[inventory_hostname].azure_tags.note }}"
      when: azure_tags.note == hostvars[inventory_hostname]['azure_tags']['note']
    - name: Show what was kept
      ansible.builtin.debug:
        msg: "{{ again }} {{ inventory_hostname }} {{ ansible_host }} {{ groups | to_json }} {{ group_names }}"
    - name: Write
      ansible.builtin.template:
        src: note.j2
        dest: "{{ playbook_dir }}/note"
        mode: "0600"
      run_once: true
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running(FLEET) as found:
        yield found


def write(folder: Path, emulator: Emulator, **options: Any) -> None:
    given = {
        "plugin": inventories.PLUGIN,
        "resource_manager": emulator.resource_manager,
        "imds_endpoint": emulator.endpoint("control"),
        **options,
    }
    (folder / "azure_fleet.yml").write_text(yaml.safe_dump(given), encoding="utf-8")


def gather_facts(folder: Path, emulator: Emulator) -> dict[str, str]:
    """Have a play keep the facts of every machine in a fact cache; gives the options to read them by."""
    hosts = {
        f"m{number}": {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "endpoint": emulator.endpoint(vm.name),
        }
        for number, vm in enumerate(emulator.fleet.vms.values())
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
    task = {"azure_guest.imds.instance_facts": {"endpoint": "{{ endpoint }}", "gather": ["scheduled_events"]}}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    (folder / "gather.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    done = inventories.command(
        folder,
        "ansible-playbook",
        "-i",
        "hosts.yml",
        "gather.yml",
        ANSIBLE_CACHE_PLUGIN="ansible.builtin.jsonfile",
        ANSIBLE_CACHE_PLUGIN_CONNECTION=str(folder / "facts"),
    )
    assert done.code == 0, done
    return {
        "source": "facts",
        "fact_cache_plugin": "ansible.builtin.jsonfile",
        "fact_cache_connection": str(folder / "facts"),
    }


SOURCES = ["resource_manager", "resource_graph", "facts", "warm cache"]


def prepare(folder: Path, emulator: Emulator, source: str) -> None:
    """A configuration by which the machines come from a source."""
    if source == "facts":
        write(folder, emulator, **gather_facts(folder, emulator), **GROUPING)
        return
    if source != "warm cache":
        write(folder, emulator, source=source, **GROUPING)
        return
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(folder / "kept")}
    write(folder, emulator, **cache, **GROUPING)
    assert inventories.command(folder, "ansible-inventory", "-i", "azure_fleet.yml", "--list").code == 0
    write(folder, emulator, **cache, **GROUPING, connections=1)  # no other question, so it is answered by the cache
    emulator.control.clear_requests()


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_is_evaluated_in_a_play(emulator: Emulator, tmp_path: Path, source: str) -> None:
    prepare(tmp_path, emulator, source)
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    (tmp_path / "note.j2").write_text("{{ azure_tags.note }} {{ azure_tags | to_json }}\n", encoding="utf-8")
    done = inventories.command(tmp_path, "ansible-playbook", "-i", "azure_fleet.yml", "play.yml")
    assert not list(tmp_path.rglob("EVALUATED")), done
    assert done.code == 0, done
    assert "lookup('ansible.builtin.pipe', 'touch EVALUATED')" in done.out
    assert "40404 + 2" in done.out
    assert "40406" not in done.out + done.said
    assert EVIL in (tmp_path / "note").read_text(encoding="utf-8")
    if source == "warm cache":
        assert emulator.control.requests() == []


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("form", ["--list", "--graph", "--yaml"])
def test_nothing_is_evaluated_by_ansible_inventory(emulator: Emulator, tmp_path: Path, source: str, form: str) -> None:
    prepare(tmp_path, emulator, source)
    arguments = ["--list", "--yaml"] if form == "--yaml" else [form, *(["--vars"] if form == "--graph" else [])]
    done = inventories.command(tmp_path, "ansible-inventory", "-i", "azure_fleet.yml", *arguments)
    assert not list(tmp_path.rglob("EVALUATED")), done
    assert done.code == 0, done
    assert "40406" not in done.out + done.said
    if form != "--list":
        return
    found = inventories.plain(json.loads(done.out))
    hosts = found["_meta"]["hostvars"]
    alone = next(v for v in hosts.values() if v.get("azure_name") == NAME)
    assert (alone["azure_computer_name"], alone["indirect"], alone["named"]) == (EVIL, EVIL, NAME)
    assert alone["azure_tags"] == TAGS
    groups = found.keys() - {"_meta", "all", "ungrouped"}
    assert all(name.isidentifier() for name in groups), groups
    assert not any(set(name) & set("{}%' ") for name in hosts)
    assert len(found["noted"]["hosts"]) == 2


@pytest.mark.parametrize("wrong", [False, True])
def test_no_secret_is_said_even_when_asked_for_everything(tmp_path: Path, wrong: bool) -> None:
    with running(FLEET) as emulated:
        if wrong:
            emulated.control.add_fault(fault="forbidden", category="virtual_machines")
        write(tmp_path, emulated, **principal(emulated), client_secret=SECRET, imds_endpoint=None)
        done = inventories.command(
            tmp_path, "ansible-inventory", "-i", "azure_fleet.yml", "--list", "-vvvvv", ANSIBLE_DEBUG="1"
        )
    assert (done.code != 0) is wrong, done
    for secret in (SECRET, "eyJ", "Bearer"):
        assert secret not in done.out + done.said


def principal(emulated: Emulator) -> dict[str, str]:
    return {
        "auth": "service_principal",
        "authority": emulated.resource_manager,
        "tenant_id": emulated.fleet.tenant_id,
        "client_id": CLIENT,
    }


@pytest.mark.parametrize("kind", ["vault", "template"])
def test_a_secret_may_be_encrypted_or_looked_up(emulator: Emulator, tmp_path: Path, kind: str) -> None:
    write(tmp_path, emulator, **principal(emulator), imds_endpoint=None)
    (tmp_path / "password").write_text("open sesame\n", encoding="utf-8")
    if kind == "vault":
        done = inventories.command(
            tmp_path,
            "ansible-vault",
            *("encrypt_string", "--vault-password-file", "password", "--name", "client_secret", SECRET),
        )
        assert done.code == 0, done
        option = done.out
    else:
        option = "client_secret: \"{{ lookup('ansible.builtin.env', 'FLEET_SECRET') }}\"\n"
    with (tmp_path / "azure_fleet.yml").open("a", encoding="utf-8") as stream:
        stream.write(option)
    done = inventories.command(
        tmp_path,
        "ansible-inventory",
        *("-i", "azure_fleet.yml", "--list", "--vault-password-file", "password", "-vvv"),
        FLEET_SECRET=SECRET,
    )
    assert done.code == 0, done
    listed = done.out[done.out.index("\n{") :]  # after what -vvv says of the program itself
    assert len(json.loads(listed)["_meta"]["hostvars"]) == 3
    assert SECRET not in done.out + done.said
