"""Reading the events document, and approving an event on a service that loses answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import FakeClock, ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import errors
from ansible_collections.azure_guest.imds.plugins.module_utils.imds import scheduled_events as se
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.client import ImdsClient, RetryPolicy

EVENT = {
    "EventId": "C7061BAC-AFDC-4513-B24B-AA5F13A16123",
    "EventStatus": "Scheduled",
    "EventType": "Freeze",
    "ResourceType": "VirtualMachine",
    "Resources": ["WestNO_0", "WestNO_1"],
    "NotBefore": "Mon, 11 Apr 2022 22:26:58 GMT",
    "Description": "Virtual machine is being paused because of a memory-preserving Live Migration operation.",
    "EventSource": "Platform",
    "DurationInSeconds": 5,
}


def document(*events: dict) -> dict:
    return {"DocumentIncarnation": 2, "Events": list(events)}


def test_the_documents_own_sample() -> None:
    parsed = se.parse_document(document(EVENT))
    assert parsed.incarnation == 2
    assert parsed.problems == ()
    event = parsed.events[0]
    assert event.not_before == 1649716018.0
    assert event.resources == ("WestNO_0", "WestNO_1")
    assert event.duration_in_seconds == 5
    assert event.key == EVENT["EventId"].lower()
    assert event.event_id == EVENT["EventId"]
    assert json.loads(json.dumps(event.as_dict()))["event_source"] == "Platform"


def test_an_old_version_lacks_fields() -> None:
    old = {k: v for k, v in EVENT.items() if k not in ("Description", "EventSource", "DurationInSeconds")}
    event = se.parse_document(document(old)).events[0]
    assert (event.description, event.event_source, event.duration_in_seconds) == ("", None, None)


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("Mon, 19 Sep 2016 18:29:47 GMT", 1474309787.0),
        ("19 Sep 2016 18:29:47 GMT", 1474309787.0),
        ("2016-09-19T18:29:47Z", 1474309787.0),
        ("2016-09-19T18:29:47.123Z", 1474309787.0),
        ("", None),
        ("soon", None),
        ("Mon, 19 Foo 2016 18:29:47 GMT", None),
        ("2016-13-19T18:29:47Z", None),
        ("Mon, 39 Sep 2016 18:29:47 GMT", None),
        ("Mon, 19 Sep 2016 25:29:47 GMT", None),
    ],
)
def test_not_before_in_both_forms(text: str, epoch: float | None) -> None:
    assert se.parse_not_before(text) == epoch


@pytest.mark.parametrize(
    ("vm", "mine"), [("westno_0", True), ("WestNO_1", True), ("WestNO_10", False), ("WestNO", False), ("", False)]
)
def test_mine_is_an_exact_name_in_any_case(vm: str, mine: bool) -> None:
    assert se.parse_document(document(EVENT)).events[0].touches(vm) is mine


def test_the_underscore_of_the_preview_is_no_part_of_the_name() -> None:
    event = se.parse_document(document({**EVENT, "Resources": ["_web-0"]})).events[0]
    assert event.touches("web-0")


@pytest.mark.parametrize("value", [None, [], "x", {}, {"Events": None}, {"DocumentIncarnation": 1}, {"Events": {}}])
def test_another_shape_is_no_events_document(value: object) -> None:
    with pytest.raises(errors.BadAnswerError):
        se.parse_document(value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"EventId": None}, "EventId is missing"),
        ({"EventId": ""}, "EventId is ''"),
        ({"EventStatus": 3}, "EventStatus is 3"),
        ({"Resources": None}, "Resources is not an array of names"),
        ({"Resources": [1]}, "Resources is not an array of names"),
    ],
)
def test_a_broken_entry_is_named_and_the_others_kept(change: dict, problem: str) -> None:
    parsed = se.parse_document(document({**EVENT, **change}, EVENT))
    assert [event.event_id for event in parsed.events] == [EVENT["EventId"]]
    assert parsed.problems == (f"Events[0]: {problem}",)


def test_an_unreadable_not_before_is_named_and_the_event_kept() -> None:
    parsed = se.parse_document(document({**EVENT, "NotBefore": "tomorrow"}))
    assert parsed.events[0].not_before is None
    assert parsed.problems == ("Events[0]: NotBefore 'tomorrow' is no known date form",)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*EVENT, "x"]), inner, max_size=9),
    max_leaves=20,
)


@given(st.fixed_dictionaries({}, optional={"DocumentIncarnation": json_values, "Events": json_values}) | json_values)
def test_whatever_comes_is_a_document_or_one_error(value: object) -> None:
    try:
        parsed = se.parse_document(value)
    except errors.BadAnswerError:
        return
    assert len(parsed.events) + len(parsed.problems) >= len(value["Events"])


class TestApprove:
    @pytest.fixture
    def events(self, server: ScriptedServer, clock: FakeClock) -> se.ScheduledEvents:
        policy = RetryPolicy(attempt=0.2, retries=0)
        return se.ScheduledEvents(ImdsClient(server.endpoint, policy=policy, clock=clock, sleep=clock.sleep))

    def test_the_id_is_posted_as_received(self, server: ScriptedServer, events: se.ScheduledEvents) -> None:
        server.script = [answer(200, document(EVENT)), answer(200)]
        approval = events.approve(EVENT["EventId"].lower())
        assert approval.sent
        assert server.requests[1].endswith(b'{"StartRequests": [{"EventId": "C7061BAC-AFDC-4513-B24B-AA5F13A16123"}]}')

    @pytest.mark.parametrize("known", [document(), document({**EVENT, "EventStatus": "Started"})])
    def test_nothing_is_posted_for_what_started_or_is_gone(self, server, events, known: dict) -> None:
        server.script = [answer(200, known)]
        assert not events.approve(EVENT["EventId"]).sent
        assert len(server.requests) == 1

    def test_a_lost_answer_is_looked_up_and_the_event_had_started(self, server, events) -> None:
        started = document({**EVENT, "EventStatus": "Started", "NotBefore": ""})
        server.script = [answer(200, document(EVENT)), "close", answer(200, started)]
        approval = events.approve(EVENT["EventId"])
        assert approval.event is not None
        assert approval.event.event_status == "Started"
        assert [r.split(b" ")[0] for r in server.requests] == [b"GET", b"POST", b"GET"]

    def test_a_lost_answer_is_looked_up_and_the_event_still_waits(self, server, events) -> None:
        server.script = [answer(200, document(EVENT)), "close", answer(200, document(EVENT)), answer(200)]
        assert events.approve(EVENT["EventId"]).sent
        assert [r.split(b" ")[0] for r in server.requests] == [b"GET", b"POST", b"GET", b"POST"]

    def test_two_lost_answers_are_an_error(self, server: ScriptedServer, events: se.ScheduledEvents) -> None:
        server.script = [answer(200, document(EVENT)), "close", answer(200, document(EVENT)), "close"]
        with pytest.raises(errors.UncertainError):
            events.approve(EVENT["EventId"])

    def test_the_first_read_waits_for_a_service_that_wakes_up(self, server, events) -> None:
        assert se.FIRST_CALL_POLICY.attempt >= 120
        server.script = [answer(200, document()), "hang"]
        events.read()
        with pytest.raises(errors.UnreachableError):  # the second has the client's own, short patience
            events.read()
