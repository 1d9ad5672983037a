"""Gathering: one request on Azure, none elsewhere, and a reason in place of an exception."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import azure_documents as azure
import pytest
from scripted_server import ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import client as client_module
from ansible_collections.azure_guest.imds.plugins.module_utils.imds import facts
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.facts import Gathered, Wish

if TYPE_CHECKING:
    from pathlib import Path

LATER = 1_795_374_240.0


def gather(root: Path | str = "/nowhere", **wish: object) -> Gathered:
    return facts.gather(Wish(**wish), root=str(root), now=lambda: LATER)


def at(server: ScriptedServer, **options: object) -> dict:
    return {"endpoint": server.endpoint, "retries": 0, **options}


class TestElsewhere:
    def test_a_machine_that_is_no_azure_vm(self, tmp_path: Path) -> None:
        (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
        (tmp_path / "sys/class/dmi/id/chassis_asset_tag").write_text("5000-1234\n")
        (tmp_path / "sys/class/dmi/id/sys_vendor").write_text("Microsoft Corporation\n")  # Hyper-V at home
        found = gather(tmp_path)
        assert found.facts["available"] is False
        assert found.facts["error"] == "not_on_azure"
        assert "'5000-1234', not Azure's" in found.facts["reason"]
        assert found.facts["collected_at"] == "2026-11-22T19:04:00Z"
        assert found.warnings == ()
        assert found.error is None

    def test_the_client_is_not_even_imported(self) -> None:
        code = (
            "import sys\n"
            "from ansible_collections.azure_guest.imds.plugins.module_utils.imds import facts\n"
            "assert not facts.gather(facts.Wish(), root='/nowhere').facts['available']\n"
            "print([m for m in sys.modules if m.endswith(('.client', '.wire', '.gathering'))])\n"
        )
        got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert got.stdout == "[]\n"

    def test_switched_off(self, tmp_path: Path, server: ScriptedServer) -> None:
        found = gather(azure.azure_root(tmp_path), enabled="false", options=at(server))
        assert (found.facts["available"], found.facts["error"]) == (False, "disabled")
        assert server.requests == []


class TestOnAzure:
    def test_one_request(self, server: ScriptedServer, tmp_path: Path) -> None:
        server.script = [answer(200, azure.instance())]
        root = azure.azure_root(tmp_path, uuid=azure.VM_ID, devices=True)
        found = gather(root, options=at(server))
        assert server.heads() == ["GET /metadata/instance?api-version=2023-11-15 HTTP/1.1"]
        assert found.facts["available"] is True
        assert found.facts["reason"] is None
        assert found.facts["endpoint"] == server.endpoint
        assert found.facts["api_version"] == "2023-11-15"
        assert found.facts["vm_id_verified"] is True
        assert found.facts["interfaces"][0]["device"] == "eth0"
        assert found.warnings == ()
        assert found.user_data is None
        assert list(found.facts) == list(facts.blank(now=0))
        json.dumps(found.facts)

    @pytest.mark.parametrize("enabled", ["auto", "true"])
    def test_an_endpoint_is_asked_wherever_this_is(self, server: ScriptedServer, enabled: str) -> None:
        server.script = [answer(200, azure.instance())]
        assert gather(enabled=enabled, options=at(server)).facts["available"]

    def test_the_address_of_azure_is_asked_on_azure(self, server, tmp_path: Path, monkeypatch) -> None:
        server.script = [answer(200, azure.instance())]
        monkeypatch.setattr(client_module, "DEFAULT_ENDPOINT", server.endpoint)
        root = azure.azure_root(tmp_path, uuid="11111111-2222-3333-4444-555555555555")
        found = gather(root)
        assert found.facts["available"]
        assert found.facts["vm_id_verified"] is False
        assert "describes another machine than this one" in found.warnings[0]

    def test_keys_and_user_data_on_request(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance())]
        found = gather(options=at(server), public_keys=True, user_data=True)
        assert found.facts["public_keys"][0]["key_data"] == "ssh-rsa AAAABBBB me"
        assert found.user_data == "c2VjcmV0"
        assert "c2Vj" not in json.dumps(found.facts)

    def test_a_service_that_knows_no_user_data(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance(userData=None))]
        found = gather(options=at(server), user_data=True)
        assert found.user_data is None
        assert "User data is not known to api-version 2023-11-15" in found.warnings[0]

    def test_an_older_service(self, server: ScriptedServer) -> None:
        refusal = {"error": "Bad request. api-version is invalid", "newest-versions": ["2017-12-01", "2017-10-01"]}
        server.script = [answer(400, refusal), answer(200, {"compute": {"name": "old", "tags": "a:b"}})]
        found = gather(options=at(server))
        assert (found.facts["api_version"], found.facts["name"], found.facts["tags"]) == (
            "2017-12-01",
            "old",
            {"a": "b"},
        )

    def test_a_version_that_is_kept_to(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance())]
        assert gather(options=at(server, api_version="2021-02-01")).facts["api_version"] == "2021-02-01"


FAILURES = [
    (answer(400, {"error": "Bad request"}), "bad_request", "answered 400"),
    (answer(403, {"error": "Forbidden"}), "blocked", "a guest proxy agent, a local firewall"),
    (answer(404, {"error": "Not found"}), "absent", "answered 404"),
    (answer(410), "gone", "being updated"),
    (answer(429), "throttled", "more than five times a second"),
    (answer(500), "service", "answered 500"),
    (answer(504, b"<html>Gateway</html>"), "bad_answer", "a proxy, a captive portal"),
    (answer(302, Location="http://127.0.0.1:1/"), "bad_answer", "never redirects"),
    (answer(200, b"<html>Sign in</html>"), "bad_answer", "an HTML page"),
    (answer(200, b'{"compute": '), "bad_answer", "other than JSON"),
    (answer(200, b'{"compute": "\xff"}'), "bad_answer", "other than JSON"),
    (answer(200, {"error": "x"}), "bad_answer", "no instance document"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", "bad_answer", "999999999 bytes"),
    ((answer(200, azure.instance())[:-10], "close"), "unreachable", "in the middle of its answer"),
    ("close", "unreachable", "without an answer"),
]


@pytest.mark.parametrize(("item", "error", "says"), FAILURES)
def test_whatever_goes_wrong_is_a_fact_a_warning_and_an_error(server, item: object, error: str, says: str) -> None:
    server.script = [item] * 3
    # A 410 is waited out as long as the timeout allows: here for less than two tries.
    found = gather(options=at(server, timeout=1 if error == "gone" else 30))
    assert found.facts["available"] is False
    assert found.facts["error"] == error
    assert says in found.facts["reason"]
    assert found.warnings == (f"No Azure facts: {found.facts['reason']}",)
    assert found.error is not None
    assert set(found.facts) == set(facts.blank(now=0))


def test_a_wrong_option_is_an_exception(server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="timeout"):
        gather(options=at(server, timeout=-1))


BALANCER = {
    "loadbalancer": {
        "publicIpAddresses": [
            {"frontendIpAddress": "51.0.0.1", "privateIpAddress": "10.1.0.5"},
            {"frontendIpAddress": "20.0.0.4", "privateIpAddress": "10.1.0.4"},
            {"frontendIpAddress": "[2603::1]", "privateIpAddress": "[fd00::4]"},
        ],
        "inboundRules": [
            {
                "frontendIpAddress": "50.0.0.1",
                "protocol": "Tcp",
                "frontendPort": 80,
                "backendPort": 443,
                "privateIpAddress": "10.1.0.4",
            }
        ],
        "outboundRules": [{"frontendIpAddress": "50.0.0.1", "privateIpAddress": "10.1.0.4"}],
    }
}


class TestParts:
    def parts(self, server: ScriptedServer, *names: str) -> Gathered:
        return gather(options=at(server), parts=names)

    def test_public_addresses_behind_a_load_balancer(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance()), answer(200, BALANCER)]
        found = self.parts(server, "load_balancer").facts
        assert found["public_ipv4"] == ["20.0.0.4", "51.0.0.1"]
        assert found["interfaces"][1]["public_ipv4"] == ["20.0.0.4", "51.0.0.1"]
        balancer = found["load_balancer"]
        assert balancer["available"] is True
        assert balancer["public_addresses"][2] == {"frontend_address": "2603::1", "private_address": "fd00::4"}
        assert balancer["inbound_rules"] == [
            {
                "frontend_address": "50.0.0.1",
                "private_address": "10.1.0.4",
                "protocol": "tcp",
                "frontend_port": 80,
                "backend_port": 443,
            }
        ]

    def test_no_load_balancer_is_no_news(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance()), answer(404, {"error": "No load balancer metadata is found"})]
        found = self.parts(server, "load_balancer")
        assert found.facts["load_balancer"]["available"] is False
        assert "404" in found.facts["load_balancer"]["reason"]
        assert found.facts["load_balancer"]["inbound_rules"] == []
        assert found.warnings == ()

    def test_events_versions_and_the_attested_document(self, server: ScriptedServer) -> None:
        server.script = [
            answer(200, azure.instance()),
            answer(200, azure.events({"Resources": ["WEB-0"]}, {"Resources": ["web-1"]})),
            answer(200, {"encoding": "pkcs7", "signature": "MIIB"}),
            answer(200, {"apiVersions": ["2017-03-01", "2017-04-02"]}),
        ]
        found = self.parts(server, "scheduled_events", "attested", "versions").facts
        assert [event["mine"] for event in found["scheduled_events"]["events"]] == [True, False]
        assert found["scheduled_events"]["document_incarnation"] == 2
        assert found["attested"] == {"available": True, "reason": None, "encoding": "pkcs7", "signature": "MIIB"}
        assert found["versions"]["api_versions"] == ["2017-03-01", "2017-04-02"]
        assert len(server.requests) == 4
        json.dumps(found)

    @pytest.mark.parametrize("item", [answer(200, {}), answer(200, []), answer(403)])
    @pytest.mark.parametrize("name", facts.PARTS)
    def test_a_part_that_fails_leaves_the_rest_alone(self, server: ScriptedServer, name: str, item: object) -> None:
        server.script = [answer(200, azure.instance()), item]
        found = self.parts(server, name)
        assert found.facts["available"] is True
        assert found.facts[name]["available"] is False
        assert found.facts[name]["reason"]
        assert found.warnings[0].startswith(f"No Azure facts about {name}: ")

    def test_an_event_that_cannot_be_read_is_not_left_out_silently(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance()), answer(200, azure.events({"EventId": ""}))]
        found = self.parts(server, "scheduled_events")
        assert "Events[0]: EventId is ''" in found.facts["scheduled_events"]["reason"]
