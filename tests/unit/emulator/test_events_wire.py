"""Scheduled events as VMs see them: document, scope, approval, outage, versions (contract section 6)."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from urllib.parse import urlsplit

import pytest
from emulator_wire import EVENTS, HEADER, approve, events, send

from azure_emulator.client import ControlError
from azure_emulator.testing import Emulator, running


def test_the_life_of_an_approved_reboot(emulator: Emulator) -> None:
    one, other, outside = (emulator.endpoint(name) for name in ("web-0", "web-1", "solo"))
    assert events(one) == {"DocumentIncarnation": 1, "Events": []}
    event = emulator.control.schedule("Reboot", ["web-0"], impact=90, settle=60)
    seen = events(one)
    assert seen == events(other)
    assert seen["DocumentIncarnation"] == 2
    assert seen["Events"] == [
        {
            "EventId": event["event_id"],
            "EventStatus": "Scheduled",
            "EventType": "Reboot",
            "ResourceType": "VirtualMachine",
            "Resources": ["web-0"],
            "NotBefore": "Mon, 05 Jan 2026 08:15:00 GMT",
            "Description": "Host server is undergoing maintenance.",
            "EventSource": "Platform",
            "DurationInSeconds": -1,
        }
    ]
    assert events(outside)["Events"] == []
    assert approve(one, event["event_id"].lower())[::2] == (200, b"")
    assert events(one) == seen  # approved is not a status
    emulator.control.advance(5)
    with pytest.raises(ConnectionRefusedError):
        send(one, EVENTS)
    started = events(other)
    assert (started["DocumentIncarnation"], started["Events"][0]["EventStatus"]) == (3, "Started")
    assert (started["Events"][0]["EventId"], started["Events"][0]["NotBefore"]) == (event["event_id"], "")
    emulator.control.advance(90)
    assert events(one) == started
    emulator.control.advance(60)
    assert events(one) == {"DocumentIncarnation": 4, "Events": []}
    history = emulator.control.event(event["event_id"])
    assert (history["status"], history["approved_by"]) == ("gone", "web-0")
    assert history["impacts"]["web-0"]["end"] - history["impacts"]["web-0"]["begin"] == 90
    assert [h["what"] for h in history["history"]] == [
        "scheduled", "approved", "started", "impact_began", "impact_ended", "gone",
    ]  # fmt: skip


def test_without_approval_it_starts_at_not_before(emulator: Emulator) -> None:
    emulator.control.schedule("Redeploy", ["web-0"], not_before=600)
    emulator.control.advance(599.9)
    assert events(emulator.endpoint("web-1"))["Events"][0]["EventStatus"] == "Scheduled"
    emulator.control.advance(0.1)
    assert events(emulator.endpoint("web-1"))["Events"][0]["EventStatus"] == "Started"
    assert emulator.control.vm("web-0")["state"] == "redeploying"


@pytest.mark.parametrize(
    ("event_type", "notice"), [("Freeze", 900), ("Reboot", 900), ("Redeploy", 600), ("Preempt", 30), ("Terminate", 300)]
)
def test_the_minimum_notice_of_each_type(emulator: Emulator, event_type: str, notice: int) -> None:
    event = emulator.control.schedule(event_type, "solo")
    assert event["not_before"] - event["scheduled_at"] == notice


def test_an_approval_is_for_all_resources_and_any_vm_in_scope_may_give_it(emulator: Emulator) -> None:
    event = emulator.control.schedule("Reboot", ["web-0"])
    assert approve(emulator.endpoint("web-1"), event["event_id"]).status == 200
    emulator.control.advance(10)
    assert emulator.control.vm("web-0")["state"] == "rebooting"
    assert emulator.control.event(event["event_id"])["approved_by"] == "web-1"


def test_approving_twice_and_too_late_is_fine_while_the_event_is_listed(emulator: Emulator) -> None:
    base = emulator.endpoint("web-1")
    event_id = emulator.control.schedule("Reboot", ["web-0"], impact=1, settle=5)["event_id"]
    assert [approve(base, event_id).status for _ in range(2)] == [200, 200]
    emulator.control.advance(5)
    assert approve(base, event_id).status == 200
    emulator.control.advance(10)
    assert approve(base, event_id).status == 400
    assert len(emulator.control.event(event_id)["approvals"]) == 2


def test_one_that_approves_for_ever_fills_no_memory(emulator: Emulator) -> None:
    base = emulator.endpoint("web-0")
    event_id = emulator.control.schedule("Reboot", ["web-0"], other_tenants=None)["event_id"]
    assert {approve(base, event_id).status for _ in range(120)} == {200}
    assert len(emulator.control.event(event_id)["approvals"]) == 100


def test_nobody_outside_of_the_scope_can_approve(emulator: Emulator) -> None:
    event_id = emulator.control.schedule("Reboot", ["web-0"])["event_id"]
    assert approve(emulator.endpoint("solo"), event_id).status == 400
    assert not emulator.control.event(event_id)["approvals"]


def test_several_are_approved_at_once_or_none(emulator: Emulator) -> None:
    base = emulator.endpoint("web-0")
    ids = [emulator.control.schedule("Freeze", [name])["event_id"] for name in ("web-0", "web-1")]
    assert approve(base, ids[0], "C7061BAC-AFDC-4513-B24B-AA5F13A16123").status == 400
    assert not any(event["approvals"] for event in emulator.control.events())
    assert approve(base, *ids).status == 200
    assert all(event["approvals"] for event in emulator.control.events())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"StartRequests":{}}', b'{"StartRequests":[]}', b'{"StartRequests":["x"]}',
     b'{"StartRequests":[{"EventId":1}]}', b'{"DocumentIncarnation":[],"StartRequests":[{"EventId":"x"}]}', b"\xff"],
)  # fmt: skip
def test_a_malformed_approval(emulator: Emulator, body: bytes) -> None:
    assert send(emulator.endpoint("web-0"), EVENTS, method="POST", body=body).status == 400


@pytest.mark.parametrize("incarnation", ['"5"', "5", None])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_the_incarnation_may_stand_beside_an_approval(
    emulator: Emulator, incarnation: str | None, content_type: str
) -> None:
    event_id = emulator.control.schedule("Freeze", "solo")["event_id"]
    beside = "" if incarnation is None else f'"DocumentIncarnation":{incarnation},'
    body = f'{{{beside}"StartRequests":[{{"EventId":"{event_id}"}}]}}'.encode()
    headers = {**HEADER, "Content-Type": content_type}
    assert send(emulator.endpoint("solo"), EVENTS, method="POST", body=body, headers=headers).status == 200


def test_versions_differ_in_fields_and_types(emulator: Emulator) -> None:
    base = emulator.endpoint("web-0")
    for event_type in ("Freeze", "Preempt", "Terminate"):
        emulator.control.schedule(event_type, ["web-0"])
    shown = {
        v: events(base, v)["Events"]
        for v in ("2017-03-01", "2017-11-01", "2019-01-01", "2019-04-01", "2019-08-01", "2020-07-01")
    }
    assert [len(listed) for listed in shown.values()] == [1, 2, 3, 3, 3, 3]
    assert shown["2017-03-01"][0]["Resources"] == ["_web-0"]
    assert shown["2017-11-01"][0]["Resources"] == ["web-0"]
    newer = {"Description": "2019-04-01", "EventSource": "2019-08-01", "DurationInSeconds": "2020-07-01"}
    for version, listed in shown.items():
        assert {name for name in newer if name in listed[0]} == {n for n, since in newer.items() if since <= version}


def test_a_cancelled_event_vanishes_without_having_started(emulator: Emulator) -> None:
    base = emulator.endpoint("web-0")
    event_id = emulator.control.schedule("Redeploy", ["web-0"])["event_id"]
    emulator.control.cancel(event_id)
    assert events(base) == {"DocumentIncarnation": 3, "Events": []}
    emulator.control.advance(3600)
    assert emulator.control.event(event_id)["started_at"] is None
    with pytest.raises(ControlError, match="only a scheduled one can be cancelled"):
        emulator.control.cancel(event_id)


def test_the_same_event_with_another_not_before(emulator: Emulator) -> None:
    base = emulator.endpoint("web-0")
    event_id = emulator.control.schedule("Redeploy", ["web-0"])["event_id"]
    emulator.control.reschedule(event_id, 7200)
    document = events(base)
    assert document["DocumentIncarnation"] == 3
    assert [(e["EventId"], e["NotBefore"]) for e in document["Events"]] == [(event_id, "Mon, 05 Jan 2026 10:00:00 GMT")]
    emulator.control.advance(7199)
    assert emulator.control.vm("web-0")["state"] == "running"
    emulator.control.advance(1)
    assert emulator.control.vm("web-0")["state"] == "redeploying"


def test_a_hardware_failure_appears_as_started(emulator: Emulator) -> None:
    emulator.control.schedule("Reboot", ["web-0"], started=True)
    document = events(emulator.endpoint("web-1"))
    assert document["DocumentIncarnation"] == 2
    assert (document["Events"][0]["EventStatus"], document["Events"][0]["NotBefore"]) == ("Started", "")
    assert emulator.control.vm("web-0")["state"] == "rebooting"


def test_a_reboot_that_turns_out_milder(emulator: Emulator) -> None:
    event_id = emulator.control.schedule("Reboot", ["web-0"], impact_type="Freeze", impact=7)["event_id"]
    emulator.control.advance(900)
    assert emulator.control.vm("web-0")["state"] == "frozen"
    assert events(emulator.endpoint("web-1"))["Events"][0]["EventType"] == "Reboot"
    emulator.control.advance(7)
    assert emulator.control.vm("web-0")["state"] == "running"
    assert emulator.control.event(event_id)["impacts"]["web-0"]["type"] == "Freeze"


def test_other_tenants_delay_the_start_but_not_beyond_not_before(emulator: Emulator) -> None:
    slow = emulator.control.schedule("Freeze", ["web-0"], other_tenants=300)["event_id"]
    never = emulator.control.schedule("Freeze", ["web-1"], other_tenants=None)["event_id"]
    approve(emulator.endpoint("web-0"), slow, never)
    emulator.control.advance(299)
    assert emulator.control.event(slow)["started_at"] is None
    emulator.control.advance(1)
    assert emulator.control.event(slow)["status"] == "started"
    emulator.control.advance(599)
    assert emulator.control.event(never)["status"] == "scheduled"
    emulator.control.advance(1)
    assert emulator.control.event(never)["status"] == "started"


def test_a_frozen_vm_answers_when_the_pause_is_over(emulator: Emulator) -> None:
    base = emulator.endpoint("web-0")
    emulator.control.schedule("Freeze", ["web-0"], not_before=1, duration=9)
    emulator.control.advance(1)
    replies: list[object] = []
    asking = threading.Thread(target=lambda: replies.append(events(base)["Events"][0]["EventStatus"]))
    asking.start()
    with socket.create_connection(urlsplit(base).netloc.split(":"), timeout=0.2) as raw:
        raw.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            raw.recv(1)
    assert not replies
    emulator.control.advance(9)
    asking.join(10)
    assert replies == ["Started"]


def _ask_again(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", EVENTS, headers=HEADER)
    connection.getresponse()


def test_a_reboot_breaks_connections_from_before(emulator: Emulator) -> None:
    parts = urlsplit(emulator.endpoint("web-0"))
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    connection.request("GET", EVENTS, headers=HEADER)
    connection.getresponse().read()
    emulator.control.schedule("Reboot", ["web-0"], not_before=1, impact=1)
    emulator.control.advance(100)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError)):
        _ask_again(connection)
    connection.close()
    assert send(emulator.endpoint("web-0"), EVENTS).status == 200


def test_preempt_takes_the_vm_away_for_good(emulator: Emulator) -> None:
    emulator.control.schedule("Preempt", ["web-0"])
    emulator.control.advance(30)
    assert emulator.control.vm("web-0")["state"] == "deallocated"
    emulator.control.advance(3600)
    with pytest.raises(ConnectionRefusedError):
        send(emulator.endpoint("web-0"), EVENTS)
    with pytest.raises(ControlError, match="web-0 is deallocated"):
        emulator.control.schedule("Reboot", ["web-0"])
    emulator.control.operate("start", "web-0")
    assert events(emulator.endpoint("web-0"))["Events"] == []


def test_coupled_deletions_wait_for_each_other(fleet: dict[str, object]) -> None:
    with running({**fleet, "defaults": {"terminate_notification": "PT10M"}}) as emulator:
        first, second = emulator.control.operate("delete", ["web-0", "web-1"])["events"]
        assert first["not_before"] - first["scheduled_at"] == 600
        approve(emulator.endpoint("web-0"), first["event_id"])
        emulator.control.advance(60)
        assert emulator.control.event(first["event_id"])["status"] == "scheduled"
        approve(emulator.endpoint("web-1"), second["event_id"])
        emulator.control.advance(5)
        assert {emulator.control.vm(name)["state"] for name in ("web-0", "web-1")} == {"terminated"}


def test_a_restart_waits_only_where_somebody_listens(emulator: Emulator) -> None:
    assert emulator.control.operate("restart", "solo")["events"] == []
    assert emulator.control.vm("solo")["state"] == "rebooting"
    emulator.control.advance(90)
    events(emulator.endpoint("solo"))
    (event,) = emulator.control.operate("restart", "solo")["events"]
    assert (event["type"], event["source"], event["not_before"] - event["scheduled_at"]) == ("Reboot", "User", 900)
    assert emulator.control.vm("solo")["state"] == "running"


def test_no_more_than_ten_user_operations_at_once_when_so_configured(fleet: dict[str, object]) -> None:
    with running({**fleet, "api": {"scheduled_events": {"user_operations": 2}}}) as emulator:
        events(emulator.endpoint("web-0"))
        emulator.control.operate("restart", ["web-0", "web-1"])
        events(emulator.endpoint("solo"))
        with pytest.raises(ControlError, match="no more than 2 can be at once"):
            emulator.control.operate("redeploy", "solo")


def test_a_long_silence_switches_the_service_off_and_counts_anew(fleet: dict[str, object]) -> None:
    with running({**fleet, "api": {"scheduled_events": {"disable_after": 86400}}}) as emulator:
        base = emulator.endpoint("web-0")
        events(base)
        emulator.control.schedule("Reboot", ["web-0"], not_before=900000)
        assert events(base)["DocumentIncarnation"] == 2
        emulator.control.advance(86401)
        assert events(base)["DocumentIncarnation"] == 1


def test_the_first_call_may_take_its_time_and_events_come_later(fleet: dict[str, object]) -> None:
    spec = {"scheduled_events": {"first_call_delay": 120, "delivery_delay": 300}}
    with running({**fleet, "api": spec}) as emulator:
        emulator.control.schedule("Reboot", ["web-0"], not_before=3600)
        base, first = emulator.endpoint("web-0"), []
        asking = threading.Thread(target=lambda: first.append(events(base)))
        asking.start()
        while not emulator.control.requests("web-0"):
            pass
        emulator.control.advance(119)
        assert not first
        emulator.control.advance(1)
        asking.join(10)
        assert first[0]["Events"] == []
        assert events(base)["Events"] == []
        emulator.control.advance(180)
        assert len(events(base)["Events"]) == 1


def test_events_of_uniform_instances_carry_their_names(emulator: Emulator) -> None:
    emulator.control.schedule("Freeze", ["db_0", "db_1"])
    assert events(emulator.endpoint("db_1"))["Events"][0]["Resources"] == ["db_0", "db_1"]
    name = send(emulator.endpoint("db_0"), "/metadata/instance/compute/name?api-version=2021-02-01&format=text")
    assert name.text == "db_0"


@pytest.mark.parametrize(
    ("body", "path", "problem"),
    [
        ({"type": "Rebot", "resources": ["solo"]}, "type", "did you mean Reboot?"),
        ({"type": "Reboot", "resources": []}, "resources", "at least one VM"),
        ({"type": "Reboot", "resources": ["sole"]}, "resources[0]", "did you mean solo?"),
        ({"type": "Reboot", "resources": ["solo", "solo"]}, "resources[1]", "comes twice"),
        ({"type": "Reboot", "resources": ["solo", "web-0"]}, "resources", "do not share"),
        ({"type": "Reboot", "resources": ["solo"], "notbefore": 1}, "notbefore", "did you mean not_before?"),
        ({"type": "Reboot", "resources": ["solo"], "not_before": -1}, "not_before", "-1 is less than 0"),
        ({"type": "Terminate", "resources": ["solo"], "impact": 5}, "impact", "does not come back"),
        ({"type": "Reboot", "resources": ["solo"], "event_id": "7"}, "event_id", "no GUID"),
    ],
)
def test_bad_events_are_refused_with_the_key(
    emulator: Emulator, body: dict[str, object], path: str, problem: str
) -> None:
    with pytest.raises(ControlError, match=re.escape(problem)) as caught:
        emulator.control.call("POST", "/events", body)
    assert (caught.value.status, caught.value.path) == (400, path)


def test_the_log_tells_the_story_in_order(emulator: Emulator) -> None:
    emulator.control.schedule("Freeze", "solo", not_before=10)
    emulator.control.advance(1000)
    log = emulator.control.log()
    assert [entry["seq"] for entry in log] == list(range(1, len(log) + 1))
    assert [entry["at"] for entry in log] == sorted(entry["at"] for entry in log)
    assert [entry["kind"] for entry in log] == [
        "event_scheduled", "event_started", "impact_began", "vm_state", "impact_ended", "vm_state", "event_gone",
        "clock_advanced",
    ]  # fmt: skip
    assert emulator.control.log(since=log[-2]["seq"]) == log[-1:]


def test_the_journal_shows_who_asked_what(emulator: Emulator) -> None:
    event_id = emulator.control.schedule("Freeze", "solo")["event_id"]
    approve(emulator.endpoint("solo"), event_id)
    send(emulator.endpoint("web-0"), "/metadata/versions")
    (entry,) = emulator.control.requests("solo")
    assert (entry["method"], entry["status"], entry["category"]) == ("POST", 200, "scheduledevents")
    assert json.loads(entry["body"]) == {"StartRequests": [{"EventId": event_id}]}
    assert [e["vm"] for e in emulator.control.requests()] == ["solo", "web-0"]
    emulator.control.clear_requests()
    assert emulator.control.requests() == []
