"""Faults: which requests they hit, what they do, and that only those feel them (contract section 14)."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path
from typing import Any

import pytest
from emulator_wire import SUBSCRIPTION, bearer, events, send, token

from azure_emulator.client import ControlError
from azure_emulator.distortions import DISTORTIONS
from azure_emulator.faults import FAULT_CATEGORIES, FAULTS, REPLACEMENTS
from azure_emulator.testing import Emulator, running

INSTANCE = "/metadata/instance?api-version=2023-11-15"
EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
VMS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines?api-version=2024-07-01"


def outcome(base: str, target: str = INSTANCE, **kwargs: Any) -> Any:
    """The status of an answer, or the name of the error that a client gets."""
    try:
        return send(base, target, **kwargs).status
    except (OSError, http.client.HTTPException) as exc:
        return type(exc).__name__


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("bad_request", 400), ("unauthorized", 401), ("forbidden", 403), ("not_found", 404), ("gone", 410),
     ("throttled", 429), ("server_error", 500), ("unavailable", 503), ("html", 504), ("redirect", 302),
     ("reset", "ConnectionResetError"), ("cut", "IncompleteRead"), ("garbage", "BadStatusLine")],
)  # fmt: skip
def test_each_fault_that_replaces_an_answer_hits_once_and_is_over(
    emulator: Emulator, fault: str, expected: int | str
) -> None:
    emulator.control.add_fault(fault=fault, vms=["web-0"], count=1)
    assert outcome(emulator.endpoint("web-1")) == 200
    assert outcome(emulator.endpoint("web-0")) == expected
    assert outcome(emulator.endpoint("web-0")) == 200
    (listed,) = emulator.control.faults()
    assert (listed["hits"], listed["active"]) == (1, False)
    journal = emulator.control.requests("web-0")
    assert [entry["fault"] for entry in journal] == ["fault-1", None]


@pytest.mark.parametrize(
    ("fault", "start"), [("portal", b"<!DOCTYPE html>"), ("not_json", b"It works"), ("empty", b"")]
)
def test_answers_that_only_look_right(emulator: Emulator, fault: str, start: bytes) -> None:
    emulator.control.add_fault(fault=fault)
    reply = send(emulator.endpoint("solo"), INSTANCE)
    assert reply.status == 200
    assert reply.body.startswith(start)
    assert bool(reply.body) == bool(start)


def test_the_error_bodies_have_the_shape_of_their_category(emulator: Emulator) -> None:
    emulator.control.add_fault(fault="gone", retry_after=7, error="Service is being updated")
    base = emulator.endpoint("solo")
    assert send(base, INSTANCE).json == {"error": "Service is being updated"}
    assert send(base, INSTANCE).headers["Retry-After"] == "7"
    assert set(token(base).json) == {"error", "error_description"}
    emulator.control.clear_faults()
    emulator.control.add_fault(fault="server_error", category="virtual_machines")
    reply = send(emulator.resource_manager, VMS, headers=bearer(base))
    assert (reply.status, reply.json["error"]["code"]) == (500, "InternalServerError")


def test_a_delay_waits_on_the_emulators_clock(emulator: Emulator) -> None:
    emulator.control.add_fault(fault="delay", seconds=120, vms=["solo"])
    got: list[Any] = []
    asking = threading.Thread(target=lambda: got.append(outcome(emulator.endpoint("solo"))))
    asking.start()
    while not emulator.control.requests("solo"):
        pass
    emulator.control.advance(119)
    assert not got
    emulator.control.advance(1)
    asking.join(10)
    assert got == [200]


def test_a_hang_ends_in_a_reset_when_so_asked(emulator: Emulator) -> None:
    emulator.control.add_fault(fault="hang", seconds=30)
    got: list[Any] = []
    asking = threading.Thread(target=lambda: got.append(outcome(emulator.endpoint("solo"))))
    asking.start()
    while not emulator.control.requests("solo"):
        pass
    emulator.control.advance(30)
    asking.join(10)
    assert got == ["ConnectionResetError"]


def test_a_hang_ends_with_the_emulator(fleet: dict[str, Any]) -> None:
    got: list[Any] = []
    with running(fleet) as emulator:
        emulator.control.add_fault(fault="hang")
        asking = threading.Thread(target=lambda: got.append(outcome(emulator.endpoint("solo"))))
        asking.start()
        while not emulator.control.requests("solo"):
            pass
    asking.join(10)
    assert got == ["ConnectionResetError"]


def test_category_method_skip_and_count_choose(emulator: Emulator) -> None:
    base = emulator.endpoint("solo")
    emulator.control.add_fault(fault="gone", category="scheduledevents", method="GET", skip=1, count=2)
    assert outcome(base) == 200
    assert outcome(base, EVENTS, method="POST", body=b"{}") == 400
    assert [outcome(base, EVENTS) for _ in range(5)] == [200, 410, 410, 200, 200]


def test_probability_is_repeatable_by_its_seed(fleet: dict[str, Any]) -> None:
    def run(seed: str) -> list[Any]:
        with running(fleet) as emulator:
            emulator.control.add_fault(fault="server_error", probability=0.5, seed=seed)
            return [outcome(emulator.endpoint("solo")) for _ in range(40)]

    first = run("a")
    assert first == run("a") != run("b")
    assert 8 < first.count(500) < 32


def test_a_fault_ends_by_the_clock_or_by_its_id(emulator: Emulator) -> None:
    base = emulator.endpoint("solo")
    emulator.control.add_fault(fault="gone", lasts=70)
    emulator.control.advance(69)
    assert outcome(base) == 410
    emulator.control.advance(1)
    assert outcome(base) == 200
    other = emulator.control.add_fault(fault="gone")
    emulator.control.remove_fault(other["id"])
    assert outcome(base) == 200


def test_faults_of_resource_manager_are_chosen_by_call_and_subscription(emulator: Emulator) -> None:
    headers = bearer(emulator.endpoint("solo"))
    control = emulator.control
    control.add_fault(fault="unavailable", category="virtual_machines_status", count=1)
    assert outcome(emulator.resource_manager, VMS, headers=headers) == 200
    assert outcome(emulator.resource_manager, VMS + "&statusOnly=true", headers=headers) == 503
    control.add_fault(
        fault="forbidden", category="resource_manager", subscription_id="11111111-1111-1111-1111-111111111111"
    )
    assert outcome(emulator.resource_manager, VMS, headers=headers) == 200
    control.add_fault(fault="throttled", category="resource_manager", retry_after=17, count=1)
    reply = send(emulator.resource_manager, VMS, headers=headers)
    assert (reply.status, reply.headers["Retry-After"]) == (429, "17")
    assert outcome(emulator.endpoint("solo")) == 200  # the metadata service never felt any of it


def test_region_lag_by_fault(emulator: Emulator) -> None:
    base = emulator.endpoint("solo")
    emulator.control.add_fault(fault="region_lag", value="2021-02-01")
    assert send(base, INSTANCE).json["newest-versions"] == ["2021-02-01", "2021-01-01", "2020-12-01"]
    assert outcome(base, "/metadata/instance?api-version=2021-02-01") == 200


def shown(emulator: Emulator, fault: str) -> dict[str, Any]:
    """The events document, or the instance document, of ``solo`` under a fault."""
    emulator.control.add_fault(fault=fault)
    category = DISTORTIONS[fault].category
    document: dict[str, Any] = send(
        emulator.endpoint("solo"), EVENTS if category == "scheduledevents" else INSTANCE
    ).json
    return document


@pytest.mark.parametrize(
    ("fault", "field", "value"),
    [
        ("iso_not_before", "NotBefore", "2026-01-05T08:15:00Z"),
        ("empty_not_before", "NotBefore", ""),
        ("empty_description", "Description", ""),
        ("unknown_duration", "DurationInSeconds", -1),
        ("unknown_type", "EventType", "Relocate"),
        ("without_self", "Resources", []),
        ("underscore_names", "Resources", ["_solo"]),
        ("lower_case_ids", "EventId", "0a0b0c0d-0000-4000-8000-000000000001"),
        ("upper_case_ids", "EventId", "0A0B0C0D-0000-4000-8000-000000000001"),
    ],
)
def test_distorted_events(emulator: Emulator, fault: str, field: str, value: Any) -> None:
    emulator.control.schedule("Freeze", "solo", event_id="0A0b0c0d-0000-4000-8000-000000000001")
    (event,) = shown(emulator, fault)["Events"]
    assert event[field] == value


def test_a_foreign_event_stands_before_our_own(emulator: Emulator) -> None:
    emulator.control.schedule("Freeze", "solo")
    foreign, own = shown(emulator, "foreign_event")["Events"]
    assert "solo" not in foreign["Resources"]
    assert own["Resources"] == ["solo"]


def test_an_incarnation_reset_counts_anew(emulator: Emulator) -> None:
    emulator.control.schedule("Freeze", "solo")
    base = emulator.endpoint("solo")
    assert events(base)["DocumentIncarnation"] == 2
    emulator.control.add_fault(fault="incarnation_reset", count=1)
    assert events(base)["DocumentIncarnation"] == 1
    emulator.control.schedule("Reboot", "solo")
    assert events(base)["DocumentIncarnation"] == 2


ODD = {
    "location": "westeurope",
    "tags": {"a": "b"},
    "vms": [
        {
            "name": "solo",
            "zone": "1",
            "public_keys": [{"key_data": "ssh-rsa AAAA", "path": "/keys"}],
            "nics": [{"public_ip": True}, {"ipv6": True}],
        }
    ],
}


@pytest.fixture
def odd() -> Any:
    with running(ODD) as emulator:
        yield emulator


@pytest.mark.parametrize(
    ("fault", "field", "value"),
    [
        ("empty_zone", "zone", ""),
        ("mixed_case_location", "location", "WestEurope"),
        ("upper_case_environment", "azEnvironment", "AZUREPUBLICCLOUD"),
        ("odd_tags", "tags", "a:b;odd:a:b;c"),
        (
            "carriage_returns",
            "publicKeys",
            [{"keyData": "ssh-rs\r\na AAAA\r\n", "path": "/keys"}],
        ),
        ("numbers", "platformFaultDomain", 0),
    ],
)
def test_distorted_compute(odd: Emulator, fault: str, field: str, value: Any) -> None:
    assert shown(odd, fault)["compute"][field] == value


def test_distorted_network(odd: Emulator) -> None:
    plain = send(odd.endpoint("solo"), INSTANCE).json["network"]["interface"]
    assert shown(odd, "interfaces_swapped")["network"]["interface"] == plain[::-1]
    odd.control.clear_faults()
    hidden = shown(odd, "without_public_addresses")["network"]["interface"]
    assert hidden[0]["ipv4"]["ipAddress"][0]["publicIpAddress"] == ""


def test_missing_parts_and_their_routes(odd: Emulator) -> None:
    assert set(shown(odd, "without_network")) == {"compute"}
    assert outcome(odd.endpoint("solo"), INSTANCE.replace("instance?", "instance/network?")) == 404
    odd.control.clear_faults()
    assert set(shown(odd, "without_compute")) == {"network"}


def test_a_distorted_value_is_found_by_its_route_too(odd: Emulator) -> None:
    odd.control.add_fault(fault="upper_case_environment")
    target = "/metadata/instance/compute/azEnvironment?api-version=2021-02-01&format=text"
    assert send(odd.endpoint("solo"), target).text == "AZUREPUBLICCLOUD"


def test_connections_are_refused_for_a_while(emulator: Emulator) -> None:
    base = emulator.endpoint("web-0")
    emulator.control.add_fault(fault="refused", vms=["WEB-0"], lasts=30)
    assert outcome(base) == "ConnectionRefusedError"
    assert outcome(emulator.endpoint("web-1")) == 200
    emulator.control.advance(30)
    assert outcome(base) == 200
    fault = emulator.control.add_fault(fault="refused")
    assert {outcome(vm["endpoint"]) for vm in emulator.control.fleet()["vms"]} == {"ConnectionRefusedError"}
    emulator.control.remove_fault(fault["id"])
    assert outcome(base) == 200
    emulator.control.add_fault(fault="refused", vms=["web-0"])
    emulator.control.clear_faults()
    assert outcome(base) == 200


def test_a_vm_is_meant_in_any_case(emulator: Emulator) -> None:
    assert emulator.control.add_fault(fault="gone", vms=["SOLO"])["vms"] == ["solo"]
    assert outcome(emulator.endpoint("solo")) == 410


def test_every_fault_has_been_seen_here() -> None:
    """A fault that no test names is one that nobody has seen work."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [fault for fault in FAULTS if f'"{fault}"' not in text] == []
    assert not set(REPLACEMENTS) & set(DISTORTIONS)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"fault": "delay"}, "seconds"),
        ({"fault": "region_lag"}, "value"),
        ({"fault": "gone", "vms": ["solo"], "category": "virtual_machines"}, "vms"),
        ({"fault": "empty_zone", "category": "resource_manager"}, "fault"),
        ({"fault": "gone", "category": "instanse"}, "category"),
        ({"fault": "gone", "probability": 2}, "probability"),
        ({"fault": "gone", "count": 0}, "count"),
        ({"fault": "refused", "count": 1}, "count"),
        ({"fault": "refused", "category": "instance"}, "category"),
    ],
)
def test_faults_that_mean_nothing_are_refused(emulator: Emulator, spec: dict[str, Any], path: str) -> None:
    with pytest.raises(ControlError) as caught:
        emulator.control.add_fault(**spec)
    assert caught.value.path == path
    assert "instance" in FAULT_CATEGORIES
