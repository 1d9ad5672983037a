"""instance_facts among the fact modules of a play, as users will mostly have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import GATHERING, TEMPLATE, VMS

if TYPE_CHECKING:
    from ansible_runs import Ansible

    from azure_emulator.testing import Emulator

SHOW = {
    "name": "Show",
    "ansible.builtin.debug": {
        "msg": "{{ ansible_azure.name }} {{ ansible_facts.azure.update_domain }} {{ ansible_facts.azure.tags }}"
    },
    "when": "ansible_facts.azure.available",
}
GROUP = {
    "name": "Group",
    "ansible.builtin.group_by": {"key": "note_{{ ansible_facts.azure.tags.note | default('none') }}"},
}


def test_a_mixed_fleet(ansible: Ansible, emulator: Emulator) -> None:
    run = ansible.play(SHOW, GROUP, **GATHERING)
    assert run.code == 0, run.output
    assert "No Azure facts" not in run.output
    for vm in VMS:
        facts = run.facts(vm)
        assert (facts["available"], facts["name"], facts["location"]) == (True, vm, "westeurope")
        assert len(emulator.control.requests(vm)) == 1
    assert run.facts("web-1")["update_domain"] == 1
    assert run.facts("solo")["zone"] == "3"
    assert run.facts("db_0")["scale_set"] == "db"
    assert run.facts("elsewhere")["available"] is False
    assert run.of("Show", "elsewhere").outcome == "skipped"
    # A tag that looks like a template is text wherever it goes: in facts, in a message, in the name of a group.
    assert run.facts("web-0")["tags"]["note"] == TEMPLATE
    assert TEMPLATE in run.of("Show", "web-0").result["msg"]
    assert "note_2" not in run.output  # that Ansible leaves such a name as it is, with a warning, is its own affair
    assert run.of("Group", "web-0").result["add_group"] == "note_{{-1-+-1-}}"


@pytest.mark.parametrize("parallel", [False, True])
def test_beside_setup(ansible: Ansible, emulator: Emulator, parallel: bool) -> None:
    modules = ["ansible.builtin.setup", "azure_guest.imds.instance_facts"]
    variables = {"ansible_facts_modules": modules, "ansible_facts_parallel": parallel}
    show = {
        "name": "Show",
        "ansible.builtin.debug": {"msg": "{{ ansible_facts.system }} {{ ansible_facts.azure.name }}"},
    }
    run = ansible.play(show, **{**GATHERING, "vars": variables, "hosts": "web-0"})
    assert run.code == 0, run.output
    assert run.of("Show").result["msg"] == "Linux web-0"
    assert len(emulator.control.requests("web-0")) == 1


def test_from_the_configuration_and_in_check_mode(ansible: Ansible) -> None:
    (ansible.directory / "ansible.cfg").write_text("[defaults]\nfacts_modules = azure_guest.imds.instance_facts\n")
    play: dict[str, Any] = {**GATHERING, "hosts": "web-0,elsewhere"}
    del play["vars"]
    run = ansible.play(SHOW, arguments=("--check",), **play)
    assert run.code == 0, run.output
    assert run.facts("web-0")["name"] == "web-0"
    assert run.facts("elsewhere")["error"] == "not_on_azure"


def test_the_action_group_and_the_environment_of_a_play(ansible: Ansible, emulator: Emulator) -> None:
    group = {"group/azure_guest.imds.imds": {"api_version": "2021-02-01"}}
    play = {
        **GATHERING,
        "hosts": "web-0",
        "module_defaults": group,
        "environment": {"AZURE_IMDS_ENDPOINT": emulator.endpoint("web-0")},
    }
    run = ansible.play({"name": "Again", "azure_guest.imds.instance_facts": None}, **play)
    assert run.code == 0, run.output
    assert run.facts("web-0")["api_version"] == "2021-02-01"
    assert run.of("Again").result["ansible_facts"]["ansible_azure"]["api_version"] == "2021-02-01"


def test_proxies_of_the_environment_are_not_used(ansible: Ansible, emulator: Emulator) -> None:
    nobody = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"), nobody)
    run = ansible.play(SHOW, **{**GATHERING, "hosts": "web-0", "environment": proxies})
    assert run.code == 0, run.output
    assert run.facts("web-0")["name"] == "web-0"
    assert len(emulator.control.requests("web-0")) == 1


def test_a_service_that_fails_does_not_fail_the_play(ansible: Ansible, emulator: Emulator) -> None:
    emulator.control.add_fault(fault="portal", vms=["web-0"])
    run = ansible.play(SHOW, **{**GATHERING, "hosts": "web-0,web-1"})
    assert run.code == 0, run.output
    assert run.facts("web-0")["error"] == "bad_answer"
    assert run.facts("web-1")["available"] is True
    assert "No Azure facts: GET http" in run.said
    assert "an HTML page" in run.said


def test_required_facts_fail_the_play_with_the_reason(ansible: Ansible, emulator: Emulator) -> None:
    defaults = {"azure_guest.imds.instance_facts": {"required": True}}
    run = ansible.play(SHOW, **{**GATHERING, "hosts": "elsewhere", "module_defaults": defaults})
    assert run.code != 0
    assert "they are required: this machine is not an Azure VM" in run.said


class TestWhoseFacts:
    """The connection is local here, so that every host's facts would be this machine's."""

    WARNING = "are about the machine that Ansible runs on"

    @pytest.mark.parametrize("parallel", [False, True])
    def test_gather_facts_with_the_hosts_name(self, ansible: Ansible, parallel: bool) -> None:
        modules = ["azure_guest.imds.instance_facts", "ansible.builtin.ping"] if parallel else None
        variables = {"ansible_facts_modules": modules} if modules else GATHERING["vars"]
        defaults = {"azure_guest.imds.instance_facts": {"inventory_hostname": "{{ inventory_hostname }}"}}
        play = {**GATHERING, "hosts": "elsewhere", "vars": variables, "module_defaults": defaults}
        run = ansible.play(**play)
        assert run.code == 0, run.output
        assert f"recorded for elsewhere {self.WARNING}" in run.said

    def test_a_task(self, ansible: Ansible) -> None:
        run = ansible.play({"name": "Facts", "azure_guest.imds.instance_facts": None}, hosts="elsewhere")
        assert f"recorded for elsewhere {self.WARNING}" in run.said

    def test_a_delegated_task(self, ansible: Ansible) -> None:
        task = {"name": "Facts", "azure_guest.imds.instance_facts": None, "delegate_to": "localhost"}
        run = ansible.play(task, hosts="elsewhere")
        assert f"recorded for elsewhere {self.WARNING}" in run.said
        run = ansible.play({**task, "delegate_facts": True}, hosts="elsewhere")
        assert "[WARNING]" not in run.output

    def test_an_endpoint_is_about_its_vm(self, ansible: Ansible) -> None:
        task = {"azure_guest.imds.instance_facts": {"endpoint": "{{ ansible_azure_imds_endpoint }}"}}
        run = ansible.play({"name": "Facts", **task}, hosts="web-0")
        assert run.of("Facts").result["ansible_facts"]["ansible_azure"]["name"] == "web-0"
        assert "[WARNING]" not in run.output
