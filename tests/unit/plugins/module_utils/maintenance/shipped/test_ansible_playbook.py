"""Playbooks of the administrator, run by ansible-playbook itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped_hooks import EVENT, HookHost

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped.ansible_playbook import as_yaml

COMMAND = str(Path(sys.executable).parent / "ansible-playbook")
NASTY = "{{ lookup('ansible.builtin.pipe', 'touch evaluated') }} \"quoted\" \\ \n\x07 \x85 é 😀 {% raw %}"


class UnsafeLoader(yaml.SafeLoader):
    """Reads !unsafe as text."""


UnsafeLoader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def test_any_text_is_read_back_as_it_was_and_never_without_its_tag() -> None:
    value = {"text": NASTY, "list": [NASTY, 1, 1.5, None, True, False], "nested": {"{{ key }}": "x"}, "bad": "\ud83d"}
    text = as_yaml(value)
    assert text.isascii()
    assert "\n" not in text
    assert yaml.load(text, UnsafeLoader) == {**value, "bad": "\ufffd"}
    assert text.count("!unsafe") == 4


def make(root: Path, *tasks: dict[str, Any], phase: str = "drain", **settings: Any) -> HookHost:
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": list(tasks)}
    path = root / "play.yml"
    path.write_text(yaml.safe_dump([play]))
    given = {"command": COMMAND, "playbooks": {phase: str(path)}, **settings}
    return HookHost(root / "host", "ansible_playbook", given)


def test_the_event_is_a_variable_and_never_a_template(tmp_path: Path) -> None:
    copy = {"content": "{{ azure_maintenance | to_json }}", "dest": str(tmp_path / "seen")}
    host = make(
        tmp_path,
        {"ansible.builtin.copy": {**copy, "mode": "0600"}, "name": "Write"},
        {"ansible.builtin.debug": {"msg": "{{ azure_maintenance.event.description }} {{ greeting }}"}, "name": "Say"},
        extra_vars={"ansible_python_interpreter": sys.executable, "greeting": "hello {{ 1 + 1 }}"},
    )
    document = {"why": NASTY, "state": "draining", "event": {**EVENT, "description": NASTY}}
    output = host.expect("drain", document=document, vm_name="web-0 {{ 1 }}", not_before="4102444800")
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen["event"]["description"] == seen["why"] == NASTY
    assert seen["vm_name"] == "web-0 {{ 1 }}"
    assert seen["not_before"] == 4102444800.0
    assert seen["phase"] == "drain"
    assert "hello 2" in output, "the administrator's own variables are templates"
    assert not list(tmp_path.rglob("evaluated"))
    assert not list(Path("/").glob("evaluated"))
    assert not Path(seen["try_later_file"]).parent.exists()


def test_how_a_playbook_ends(tmp_path: Path) -> None:
    python = {"extra_vars": {"ansible_python_interpreter": sys.executable}}
    later = {"path": "{{ azure_maintenance.try_later_file }}", "state": "touch", "mode": "0600"}
    host = make(tmp_path, {"ansible.builtin.file": later, "name": "Not yet"}, phase="ready", **python)
    host.expect("ready", 75, "asks to be tried again later")
    host.expect("drain")  # for which there is no playbook
    (tmp_path / "play.yml").write_text("- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.fail: {}}]\n")
    host.expect("ready", 1, "play.yml failed with exit status 2")
    (tmp_path / "play.yml").unlink()
    host.expect("ready", 1, "play.yml is not there; see the setting playbooks")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "playbooks: required, and not there"),
        ({"playbooks": {"drain": None}}, "playbooks: at least one expected"),
        ({"playbooks": {"drian": "/x"}}, "playbooks.drian: unknown key; did you mean 'drain'?"),
        ({"playbooks": {"drain": "x.yml"}}, "playbooks.drain: an absolute path expected"),
        ({"playbooks": {"drain": "/x"}, "inventory": "-e@x"}, "inventory: an inventory expected"),
        ({"playbooks": {"drain": "/x"}, "extra_vars": {"azure_maintenance": 1}}, "is the event's own variable"),
        ({"playbooks": {"drain": "/x"}, "extra_vars": ["x"]}, "an object of variables expected"),
    ],
)
def test_settings(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    HookHost(tmp_path, "ansible_playbook", given).expect("drain", 78, said)


def test_without_ansible(tmp_path: Path) -> None:
    host = make(tmp_path, command="/nonexistent/ansible-playbook")
    host.expect("drain", 1, "/nonexistent/ansible-playbook is not there; install it, or name its path in the settings")
