"""Both lookups in templates, with options from variables, the environment and the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_runs import Ansible
from conftest import TEMPLATE

if TYPE_CHECKING:
    from pathlib import Path

    from azure_emulator.testing import Emulator

LOOKUP = "lookup('azure_guest.imds.metadata', {})"


def show(expression: str) -> dict[str, Any]:
    return {"name": "Show", "ansible.builtin.debug": {"msg": "{{ " + expression + " }}"}}


def test_each_hosts_variable_is_its_endpoint(ansible: Ansible) -> None:
    run = ansible.play(show(LOOKUP.format("'instance/compute/name'")), hosts="web-0,solo")
    assert run.code == 0, run.output
    assert [run.of("Show", vm).result["msg"] for vm in ("web-0", "solo")] == ["web-0", "solo"]


def test_the_configuration(ansible: Ansible, emulator: Emulator) -> None:
    endpoint = emulator.endpoint("solo")
    (ansible.directory / "ansible.cfg").write_text(f"[azure_imds]\nendpoint = {endpoint}\ntimeout = 20\n")
    run = ansible.play(show(LOOKUP.format("'instance/compute/zone', format='text'")), hosts="elsewhere")
    assert run.of("Show").result["msg"] == "3"


def test_the_environment(tmp_path: Path, emulator: Emulator) -> None:
    ansible = Ansible(tmp_path, {"elsewhere": {}}, AZURE_IMDS_ENDPOINT=emulator.endpoint("solo"))
    run = ansible.play(show("query('azure_guest.imds.metadata', 'versions', 'identity/info')"))
    versions, identity = run.of("Show").result["msg"]
    assert "2021-02-01" in versions["apiVersions"]
    assert set(identity) == {"tenantId"}


def test_a_tag_that_looks_like_a_template_is_text(ansible: Ansible) -> None:
    run = ansible.play(show(LOOKUP.format("'instance/compute/tagsList'")), hosts="web-0")
    assert {"name": "note", "value": TEMPLATE} in run.of("Show").result["msg"]


def test_a_controller_that_is_no_azure_vm(ansible: Ansible) -> None:
    run = ansible.play(show(LOOKUP.format("'instance'")), hosts="elsewhere")
    assert run.code != 0
    assert "asks about the controller, which is where lookups run" in run.said


def test_missing_with_ansibles_own_means(ansible: Ansible) -> None:
    missing = LOOKUP.format("'instance/compute/nope', errors='ignore'") + " | default('none', true)"
    run = ansible.play(show(missing), hosts="web-0")
    assert run.of("Show").result["msg"] == "none"


def test_a_token_is_not_shown(ansible: Ansible) -> None:
    token = "lookup('azure_guest.imds.access_token', 'https://management.azure.com/')"
    tasks = [
        {"name": "Keep", "ansible.builtin.set_fact": {"token": "{{ " + token + " }}"}, "no_log": True},
        show("token | length"),
        {"name": "Fails", "ansible.builtin.command": {"argv": ["false", "{{ " + token + " }}"]}, "no_log": True},
    ]
    run = ansible.play(*tasks, hosts="solo", arguments=("-vvvvv",))
    assert int(run.of("Show").result["msg"]) > 20  # text before ansible-core 2.19
    assert run.code != 0
    assert "eyJ" not in run.output
