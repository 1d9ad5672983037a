"""Both modules for scheduled events, through their real main()."""

from __future__ import annotations

import json

import azure_documents as azure
import module_runs
import pytest
from scripted_server import ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.modules import scheduled_event, scheduled_events_info

ONE, TWO = (f"{n}7061BAC-AFDC-4513-B24B-AA5F13A16123" for n in "AB")
NAME = answer(200, b"web-0")


class TestInfo:
    def run(self, server: ScriptedServer, **arguments: object) -> dict:
        return module_runs.run(scheduled_events_info, endpoint=server.endpoint, retries=0, **arguments)

    @pytest.mark.parametrize("check", [False, True])
    def test_events(self, server: ScriptedServer, check: bool) -> None:
        server.script = [answer(200, azure.events({}, {"Resources": ["web-1"]})), NAME]
        result = self.run(server, check=check)
        assert result["failed"] is False
        assert [event["mine"] for event in result["events"]] == [True, False]
        assert result["vm_name"] == "web-0"
        assert result["total"] == 2
        assert result["document_incarnation"] == 2

    def test_filters(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events({}, {"EventType": "Freeze"})), NAME]
        result = self.run(server, types=["Freeze"], mine=True)
        assert [event["event_type"] for event in result["events"]] == ["Freeze"]
        assert result["total"] == 2

    def test_a_type_that_does_not_exist_is_refused(self, server: ScriptedServer) -> None:
        result = self.run(server, types=["Reboots"])
        assert result["failed"] is True
        assert "value of types must be one or more of" in result["msg"]
        assert server.requests == []

    def test_an_entry_that_cannot_be_read_is_a_warning(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events({}, {"EventId": None})), NAME]
        assert "Events[1]: EventId is missing" in self.run(server)["warnings"][0]

    def test_a_failure_has_a_kind(self, server: ScriptedServer) -> None:
        server.script = [answer(400, {"error": "Bad request. api-version is invalid"})] * 9
        result = self.run(server)
        assert result["failed"] is True
        assert result["failure"] == {"kind": "bad_request", "status": 400, "retryable": False}

    def test_a_wrong_option_is_named(self) -> None:
        result = module_runs.run(scheduled_events_info, endpoint="nonsense")
        assert result["failed"] is True
        assert "endpoint 'nonsense'" in result["msg"]


class TestApprove:
    def run(self, server: ScriptedServer, **arguments: object) -> dict:
        return module_runs.run(scheduled_event, endpoint=server.endpoint, retries=0, **arguments)

    def test_check_do_check_do(self, server: ScriptedServer) -> None:
        waiting, started = azure.events({}), azure.events({"EventStatus": "Started", "NotBefore": ""})
        server.script = [answer(200, waiting), NAME]
        assert self.run(server, check=True)["changed"] is True
        assert len(server.requests) == 2
        server.script = [answer(200, waiting), NAME, answer(200)]
        result = self.run(server, diff=True)
        assert result["changed"] is True
        assert result["events"][0]["outcome"] == "approved"
        event_id = azure.EVENT["EventId"]
        assert result["diff"] == {"before": {event_id: "Scheduled"}, "after": {event_id: "approved"}}
        assert server.requests[-1].startswith(b"POST ")
        for check in (True, False):
            server.script = [answer(200, started), NAME]
            result = self.run(server, check=check, diff=True)
            assert result["changed"] is False
            assert result["events"][0]["outcome"] == "started"
            assert result["diff"] == {"before": {event_id: "Started"}, "after": {event_id: "Started"}}
        for check in (True, False):
            server.script = [answer(200, azure.events())]
            result = self.run(server, check=check, event_id=event_id, diff=True)
            assert (result["changed"], result["events"][0]["outcome"]) == (False, "gone")
            assert result["diff"]["after"] == {event_id: "gone"}
        assert sum(request.startswith(b"POST ") for request in server.requests) == 1

    def test_a_shared_event_is_refused_and_nothing_is_sent(self, server: ScriptedServer) -> None:
        server.script = [
            answer(200, azure.events({"EventId": ONE}, {"EventId": TWO, "Resources": ["web-0", "web-1"]})),
            NAME,
        ]
        result = self.run(server)
        assert result["failed"] is True
        assert result["refused"] == [{"event_id": TWO, "not_ready": ["web-1"]}]
        assert f"{TWO} also touches web-1" in result["msg"]
        assert result["failure"]["kind"] == "not_ready"
        assert len(server.requests) == 2

    @pytest.mark.parametrize("arguments", [{"force": True}, {"ready_resources": ["web-0", "web-1"]}])
    def test_a_shared_event_with_consent(self, server: ScriptedServer, arguments: dict) -> None:
        server.script = [answer(200, azure.events({"Resources": ["web-0", "web-1"]})), NAME, answer(200)]
        assert self.run(server, **arguments)["changed"] is True

    def test_one_id_or_a_list(self, server: ScriptedServer) -> None:
        found = answer(200, azure.events({"EventId": ONE}, {"EventId": TWO}))
        server.script = [found, answer(200), found, answer(200)]
        self.run(server, event_id=TWO.lower(), vm_name="web-0")
        self.run(server, event_ids=[TWO, ONE], vm_name="web-0")
        sent = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests if request[:4] == b"POST"]
        assert sent == [
            {"StartRequests": [{"EventId": TWO}]},
            {"StartRequests": [{"EventId": TWO}, {"EventId": ONE}]},
        ]

    def test_ids_and_filters_exclude_each_other(self, server: ScriptedServer) -> None:
        assert "mutually exclusive" in self.run(server, event_id=ONE, types=["Reboot"])["msg"]

    def test_a_refusal_of_the_service_is_a_failure(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events({})), NAME, answer(400, {"error": "Bad request"})]
        result = self.run(server)
        assert result["failed"] is True
        assert result["failure"]["kind"] == "bad_request"
