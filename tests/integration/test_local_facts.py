"""The role: ansible_local.azure in an ordinary gathering of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_runs import Ansible, Run

ROLE = {"name": "Role", "ansible.builtin.include_role": {"name": "azure_guest.imds.local_facts"}}
SHOW = {"name": "Show", "ansible.builtin.debug": {"msg": "{{ ansible_facts.ansible_local.azure }}"}}
SETUP = {
    "name": "Setup",
    "ansible.builtin.setup": {"gather_subset": ["!all", "!min", "local"], "fact_path": "{{ local_facts_directory }}"},
}
TASK = "azure_guest.imds.local_facts : Install or remove the local fact"


def play(ansible: Ansible, *tasks: dict[str, Any], arguments: tuple[str, ...] = (), **variables: Any) -> Run:
    here = {"local_facts_directory": str(ansible.directory / "facts.d")}
    endpoint = {"local_facts_endpoint": "{{ ansible_azure_imds_endpoint | default('auto') }}"}
    return ansible.play(*tasks, hosts="web-0", vars={**here, **endpoint, **variables}, arguments=arguments)


def test_from_installation_to_removal(ansible: Ansible) -> None:
    run = play(ansible, ROLE, arguments=("--check", "--diff"))
    assert run.of(TASK).result["changed"] is True
    assert not (ansible.directory / "facts.d").exists()

    run = play(ansible, ROLE, SHOW)
    assert run.code == 0, run.output
    assert run.of(TASK).result["changed"] is True
    assert run.of("Show").result["msg"]["name"] == "web-0"
    assert run.of("Show").result["msg"]["tags"]["note"] == "{{ 1 + 1 }}"

    run = play(ansible, ROLE, SETUP, SHOW)
    assert run.of(TASK).result["changed"] is False
    assert run.of("azure_guest.imds.local_facts : Gather it").outcome == "skipped"
    assert run.of("Show").result["msg"]["available"] is True

    run = play(ansible, ROLE, SETUP, local_facts_state="absent")
    assert run.code == 0, run.output
    assert list((ansible.directory / "facts.d").iterdir()) == []
    assert run.of("Setup").result["ansible_facts"]["ansible_local"] == {}


def test_a_wrong_variable_is_refused(ansible: Ansible) -> None:
    run = play(ansible, ROLE, local_facts_enabled="perhaps")
    assert run.code != 0
    assert "value of local_facts_enabled must be one of" in run.said
