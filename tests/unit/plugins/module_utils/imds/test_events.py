"""What is shown of events, which may be approved, and what is sent for it."""

from __future__ import annotations

import json

import azure_documents as azure
import pytest
from scripted_server import ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import errors, event_results, events
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.event_results import Filter
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import Event, parse_document
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.settings import Settings

ONE, TWO, THREE = (f"{n}7061BAC-AFDC-4513-B24B-AA5F13A16123" for n in "ABC")
NAME = answer(200, b"web-0")


def parsed(*changes: dict) -> tuple[Event, ...]:
    return parse_document(azure.events(*changes)).events


def test_an_event_as_a_result() -> None:
    shown = event_results.describe(parsed({})[0], "WEB-0")
    assert shown["mine"] is True
    assert shown["not_before"] == "2022-04-11T22:26:58Z"
    assert shown["not_before_epoch"] == 1649716018
    assert shown["not_before_text"] == "Mon, 11 Apr 2022 22:26:58 GMT"
    assert shown["duration_in_seconds"] == -1
    json.dumps(shown)


def test_a_started_event_has_no_not_before_and_an_unknown_vm_no_mine() -> None:
    shown = event_results.describe(parsed({"NotBefore": "", "EventStatus": "Started"})[0], None)
    assert (shown["not_before"], shown["not_before_epoch"], shown["mine"]) == (None, None, None)


@pytest.mark.parametrize(
    ("wanted", "admitted"),
    [
        ({}, [True, True, True]),
        ({"types": ["Freeze"]}, [False, True, False]),
        ({"types": ["Freeze", "Reboot"]}, [True, True, False]),
        ({"sources": ["User"]}, [False, True, False]),
        ({"statuses": ["Started"]}, [False, False, True]),
        ({"mine": True}, [True, False, True]),
        ({"mine": False}, [False, True, False]),
        ({"mine": True, "types": ["Preempt"], "statuses": None}, [False, False, True]),
    ],
)
def test_filters(wanted: dict, admitted: list) -> None:
    found = parsed(
        {},
        {"EventType": "Freeze", "EventSource": "User", "Resources": ["web-1"]},
        {"EventType": "Preempt", "EventStatus": "Started", "EventSource": None},
    )
    assert [Filter.of(wanted).admits(event, "web-0") for event in found] == admitted


class TestPlan:
    def plan(self, *changes: dict, **options: object) -> event_results.Approvals:
        return event_results.plan_approvals(parsed(*changes), vm_name="web-0", **options)

    def ids(self, found: tuple[Event, ...]) -> list[str]:
        return [event.event_id for event in found]

    def test_all_that_are_mine(self) -> None:
        plan = self.plan({"EventId": ONE}, {"EventId": TWO, "Resources": ["web-1"]})
        assert self.ids(plan.approve) == [ONE]
        assert plan.refused == ()

    def test_a_shared_event_is_refused(self) -> None:
        plan = self.plan({"Resources": ["web-0", "web-1", "web-2"]}, ready=["web-2"])
        assert plan.approve == ()
        assert [names for _event, names in plan.refused] == [("web-1",)]

    @pytest.mark.parametrize("options", [{"ready": ["WEB-1"]}, {"ready": ["web-1", "x"]}, {"force": True}])
    def test_a_shared_event_whose_vms_are_ready(self, options: dict) -> None:
        assert len(self.plan({"Resources": ["web-0", "web-1"]}, **options).approve) == 1

    def test_an_event_of_others_needs_them_ready(self) -> None:
        other = {"EventId": ONE, "Resources": ["web-1"]}
        assert self.plan(other, event_ids=[ONE]).refused
        assert self.plan(other, event_ids=[ONE.lower()], ready=["web-1"]).approve

    def test_what_started_needs_nobody_ready(self) -> None:
        plan = self.plan({"EventStatus": "Started", "Resources": ["web-0", "web-1"]})
        assert len(plan.started) == 1
        assert plan.refused == ()

    def test_ids_that_are_not_there(self) -> None:
        plan = self.plan({"EventId": ONE}, event_ids=[f" {ONE} ", TWO, TWO.lower()])
        assert self.ids(plan.approve) == [ONE]
        assert plan.gone == (TWO.lower(),)

    def test_the_filter_narrows_mine_only(self) -> None:
        changes = ({"EventId": ONE}, {"EventId": TWO, "EventType": "Freeze"})
        assert self.ids(self.plan(*changes, wanted=Filter(types=("Freeze",))).approve) == [TWO]
        assert self.plan(*changes, wanted=Filter(types=("Freeze",), mine=False)).approve

    def test_no_ids_is_not_all(self) -> None:
        assert self.plan({}, event_ids=[]) == event_results.Approvals((), (), (), ())


def settings(server: ScriptedServer) -> Settings:
    return Settings(endpoint=server.endpoint, retries=0, timeout=2.0)


class TestRead:
    def test_the_name_is_asked_for_when_there_are_events(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events({})), NAME]
        read = events.read_events(settings(server))
        assert read.vm_name == "web-0"
        assert read.api_version == "2020-07-01"
        assert server.heads()[1].startswith("GET /metadata/instance/compute/name?api-version=2023-11-15&format=text")

    def test_no_event_no_name(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events())]
        assert events.read_events(settings(server)).vm_name is None
        assert len(server.requests) == 1

    def test_a_given_name_is_taken(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events({}))]
        assert events.read_events(settings(server), vm_name="x").vm_name == "x"
        assert len(server.requests) == 1

    @pytest.mark.parametrize("item", [answer(404, {"error": "Not found"}), answer(200, b"")])
    def test_a_classic_vm_has_no_name(self, server: ScriptedServer, item: bytes) -> None:
        server.script = [answer(200, azure.events({})), item]
        with pytest.raises(errors.AbsentError, match="give its name as vm_name"):
            events.read_events(settings(server))

    def test_off_azure_nothing_is_sent(self) -> None:
        with pytest.raises(errors.NotOnAzureError):
            events.read_events(Settings(), root="/nowhere")
        with pytest.raises(errors.NotOnAzureError):
            events.approve(Settings(), root="/nowhere")


class TestApprove:
    def test_several_events_by_one_request(self, server: ScriptedServer) -> None:
        found = azure.events({"EventId": ONE}, {"EventId": TWO}, {"EventId": THREE, "EventStatus": "Started"})
        server.script = [answer(200, found), NAME, answer(200)]
        done = events.approve(settings(server))
        assert [(o["event_id"], o["outcome"]) for o in done.outcomes()] == [
            (ONE, "approved"),
            (TWO, "approved"),
            (THREE, "started"),
        ]
        body = json.loads(server.requests[2].partition(b"\r\n\r\n")[2])
        assert body == {"StartRequests": [{"EventId": ONE}, {"EventId": TWO}]}

    def test_one_refusal_stops_all(self, server: ScriptedServer) -> None:
        found = azure.events({"EventId": ONE}, {"EventId": TWO, "Resources": ["web-0", "web-1"]})
        server.script = [answer(200, found), NAME]
        done = events.approve(settings(server))
        assert len(done.plan.refused) == 1
        assert len(server.requests) == 2

    def test_a_dry_run_sends_nothing(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events({})), NAME]
        done = events.approve(settings(server), dry_run=True)
        assert [o["outcome"] for o in done.outcomes()] == ["approved"]
        assert len(server.requests) == 2

    def test_an_answer_that_was_lost_for_one_of_two(self, server: ScriptedServer) -> None:
        """After the loss the first event runs and the second still waits: only that one is asked for again."""
        before = azure.events({"EventId": ONE}, {"EventId": TWO})
        after = azure.events({"EventId": ONE, "EventStatus": "Started", "NotBefore": ""}, {"EventId": TWO})
        server.script = [answer(200, before), "close", answer(200, after), answer(200)]
        done = events.approve(settings(server), vm_name="web-0")
        assert [(o["outcome"], o["event"]["event_status"]) for o in done.outcomes()] == [
            ("approved", "Started"),
            ("approved", "Scheduled"),
        ]
        assert json.loads(server.requests[3].partition(b"\r\n\r\n")[2]) == {"StartRequests": [{"EventId": TWO}]}

    def test_an_answer_that_was_lost_and_the_event_is_gone(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events({})), "close", answer(200, azure.events())]
        done = events.approve(settings(server), vm_name="web-0")
        assert [approval.event for approval in done.approvals] == [None]
        assert done.outcomes()[0]["outcome"] == "approved"
        assert done.outcomes()[0]["event"]["event_id"] == azure.EVENT["EventId"]

    def test_ids_that_are_gone_are_reported(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.events())]
        done = events.approve(settings(server), event_ids=[ONE])
        assert done.outcomes() == [{"event_id": ONE, "outcome": "gone", "event": None}]
