"""The module through its real main(): arguments in, JSON out."""

from __future__ import annotations

import json

import azure_documents as azure
import module_runs
import pytest
import yaml
from scripted_server import ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import detection, whereabouts
from ansible_collections.azure_guest.imds.plugins.modules import instance_facts


def run(server: ScriptedServer | None = None, **arguments: object) -> dict:
    if server is not None:
        arguments = {"endpoint": server.endpoint, "retries": 0, **arguments}
    return module_runs.run(instance_facts, **arguments)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is no Azure VM, wherever the tests run."""
    verdict = detection.Detection(False, "the chassis asset tag is empty: x")
    monkeypatch.setattr(
        "ansible_collections.azure_guest.imds.plugins.module_utils.imds.facts.detect", lambda _: verdict
    )


@pytest.mark.parametrize("check", [False, True])
def test_facts(server: ScriptedServer, check: bool) -> None:
    server.script = [answer(200, azure.instance())]
    result = run(server, check=check)
    assert result["failed"] is False
    assert result["warnings"] == []
    facts = result["ansible_facts"]["ansible_azure"]
    assert list(result["ansible_facts"]) == ["ansible_azure"]
    assert (facts["name"], facts["update_domain"], facts["tags"]["role"]) == ("web-0", 42, "web")
    assert len(server.requests) == 1
    assert "user_data" not in result


def test_another_machine(elsewhere: None) -> None:
    result = run()
    assert result["failed"] is False
    assert result["warnings"] == []
    assert result["ansible_facts"]["ansible_azure"]["available"] is False


def test_another_machine_where_facts_are_required(elsewhere: None) -> None:
    result = run(required=True)
    assert result["failed"] is True
    assert "they are required: this machine is not an Azure VM" in result["msg"]
    assert result["failure"]["kind"] == "not_on_azure"


def test_a_failing_service_is_a_warning(server: ScriptedServer) -> None:
    server.script = [answer(403, {"error": "Forbidden"})]
    result = run(server)
    assert result["failed"] is False
    assert "a guest proxy agent" in result["warnings"][0]


def test_a_failing_service_where_facts_are_required(server: ScriptedServer) -> None:
    server.script = [answer(403, {"error": "Forbidden"})]
    result = run(server, required=True)
    assert result["failed"] is True
    assert result["failure"] == {"kind": "blocked", "status": 403, "retryable": False}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"endpoint": "https://a"}, "plain http only"),
        ({"timeout": -1}, "timeout is -1"),
        ({"retries": "many"}, "retries"),
        ({"gather": ["everything"]}, "value of gather must be one or more of"),
        ({"gathr": []}, "Unsupported parameters"),
    ],
)
def test_a_wrong_option_fails_and_is_named(arguments: dict, says: str) -> None:
    result = run(**arguments)
    assert result["failed"] is True
    assert says in result["msg"]


def test_user_data_is_beside_the_facts(server: ScriptedServer) -> None:
    server.script = [answer(200, azure.instance())]
    result = run(server, user_data=True, public_keys=True)
    assert result["user_data"] == "c2VjcmV0"
    assert "c2Vj" not in json.dumps(result["ansible_facts"])
    assert result["ansible_facts"]["ansible_azure"]["public_keys"]


def test_the_environment_of_the_target_is_the_second_choice(server: ScriptedServer, monkeypatch) -> None:
    server.script = [answer(200, azure.instance())] * 2
    monkeypatch.setenv("AZURE_IMDS_ENDPOINT", server.endpoint)
    monkeypatch.setenv("AZURE_IMDS_API_VERSION", "2021-02-01")
    assert run()["ansible_facts"]["ansible_azure"]["api_version"] == "2021-02-01"
    assert run(api_version="2020-06-01")["ansible_facts"]["ansible_azure"]["api_version"] == "2020-06-01"


def test_an_empty_variable_of_the_environment_is_none(elsewhere: None, monkeypatch) -> None:
    monkeypatch.setenv("AZURE_IMDS_ENDPOINT", "")
    assert run()["ansible_facts"]["ansible_azure"]["error"] == "not_on_azure"


@pytest.mark.parametrize("value", [False, True, "auto"])
def test_enabled_takes_yamls_own_booleans(server: ScriptedServer, value: object) -> None:
    server.script = [answer(200, azure.instance())]
    assert run(server, enabled=value)["ansible_facts"]["ansible_azure"]["available"] is (value is not False)


class TestWhoseFacts:
    def test_the_controllers_facts_are_told(self, elsewhere: None, monkeypatch) -> None:
        monkeypatch.setattr(whereabouts, "ansible_runs_here", lambda *_: True)
        result = run(inventory_hostname="web-7.example.com")
        assert "recorded for web-7.example.com are about the machine that Ansible runs on" in result["warnings"][0]

    def test_a_remote_host_is_no_controller(self, elsewhere: None, monkeypatch) -> None:
        monkeypatch.setattr(whereabouts, "ansible_runs_here", lambda *_: False)
        assert run(inventory_hostname="web-7")["warnings"] == []

    def test_a_configured_endpoint_is_about_its_vm(self, server: ScriptedServer, monkeypatch) -> None:
        monkeypatch.setattr(whereabouts, "ansible_runs_here", lambda *_: True)
        server.script = [answer(200, azure.instance())]
        assert run(server, inventory_hostname="web-7")["warnings"] == []


def test_the_documentation_lists_exactly_these_facts(server: ScriptedServer) -> None:
    """Names, nesting and types of the documented facts are those of real ones."""
    server.script = [
        answer(200, azure.instance()),
        answer(200, {"loadbalancer": {}}),
        answer(200, azure.events()),
        answer(200, {"encoding": "pkcs7", "signature": "x"}),
        answer(200, {"apiVersions": []}),
    ]
    result = run(server, gather=["load_balancer", "scheduled_events", "attested", "versions"], public_keys=True)
    documented = yaml.safe_load(instance_facts.RETURN)["ansible_facts"]["contains"]["ansible_azure"]["contains"]
    _compare(result["ansible_facts"]["ansible_azure"], documented, "azure")


def _compare(found: dict, documented: dict, where: str) -> None:
    kinds = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}
    assert set(found) == set(documented), where
    for name, value in found.items():
        here = f"{where}.{name}"
        assert value is None or type(value) is kinds[documented[name]["type"]], here
        inner = documented[name].get("contains")
        for item in value if isinstance(value, list) else [value]:
            if inner and isinstance(item, dict):
                _compare(item, inner, here)
