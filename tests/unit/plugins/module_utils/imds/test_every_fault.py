"""The other readers - events, any path, tokens - under everything that an emulated service can do wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import connection, errors, facts
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.facts import Wish
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.identity import fetch_token
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.metadata import MetadataReader
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.settings import Settings
from azure_emulator.distortions import DISTORTIONS
from azure_emulator.faults import REPLACEMENTS
from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.azure_guest.imds.plugins.module_utils.imds.client import ImdsClient

FLEET: dict[str, Any] = {
    "availability_sets": [{"name": "web", "fault_domains": 2, "update_domains": 5}],
    "vms": [{"name": "web-0", "availability_set": "web"}, {"name": "web-1", "availability_set": "web"}],
}
KINDS = {
    **dict.fromkeys(("garbage", "html", "portal", "redirect", "not_json", "empty"), errors.BadAnswerError),
    **dict.fromkeys(("reset", "hang", "cut"), errors.UnreachableError),
    **dict.fromkeys(("unauthorized", "forbidden"), errors.BlockedError),
    **dict.fromkeys(("server_error", "unavailable"), errors.ServiceError),
    "bad_request": errors.BadRequestError,
    "not_found": errors.AbsentError,
    "gone": errors.GoneError,
    "throttled": errors.ThrottledError,
}
READERS: dict[str, Callable[[ImdsClient], Any]] = {
    "path": lambda client: MetadataReader(client).get("instance/compute/name"),
    "text": lambda client: MetadataReader(client, form="text").get("instance/compute/name"),
    "token": lambda client: fetch_token(client, "https://management.azure.com/"),
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running(FLEET, clock="real") as found:
        yield found


@pytest.fixture(autouse=True)
def _no_faults(emulator: Emulator) -> None:
    emulator.control.clear_faults()


# As text, any body is an answer.
CASES = [
    (reader, fault) for reader in READERS for fault in KINDS if reader != "text" or fault not in ("not_json", "empty")
]


@pytest.mark.parametrize(("reader", "fault"), CASES)
def test_every_failure_is_an_error_of_its_kind(emulator: Emulator, reader: str, fault: str) -> None:
    emulator.control.add_fault(fault=fault)
    # What says "later" is not waited for here, a hang and a 410 only for a moment.
    timeout = 0.5 if fault in ("hang", "gone", "not_found") else 20
    settings = Settings(endpoint=emulator.endpoint("web-0"), retries=0, timeout=timeout)
    with pytest.raises(KINDS[fault]) as caught:
        connection.ask(settings, READERS[reader])
    assert caught.type is KINDS[fault]
    assert "web-0" not in str(caught.value)
    assert "eyJ" not in str(caught.value)


def test_no_failure_is_left_out() -> None:
    assert set(KINDS) == set(REPLACEMENTS) - {"delay"}


@pytest.mark.parametrize("fault", [name for name, what in DISTORTIONS.items() if what.category == "scheduledevents"])
def test_every_oddity_of_events(emulator: Emulator, fault: str) -> None:
    event_id = emulator.control.schedule("Freeze", ["web-0", "web-1"], duration=9)["event_id"]
    try:
        emulator.control.add_fault(fault=fault)
        options = {"endpoint": emulator.endpoint("web-0"), "retries": 0}
        gathered = facts.gather(Wish(options=options, parts=("scheduled_events",)), root="/nowhere")
    finally:
        emulator.control.clear_faults()
        emulator.control.cancel(event_id)
    found = gathered.facts["scheduled_events"]
    assert found["available"] is True, found["reason"]
    assert gathered.warnings == ()
    event = next(e for e in found["events"] if e["event_id"].lower() == event_id.lower())
    usual = {
        "event_type": "Freeze",
        "resources": ["web-0", "web-1"],
        "mine": True,
        "duration_in_seconds": 9,
    }
    odd: dict[str, dict[str, Any]] = {
        "unknown_duration": {"duration_in_seconds": -1},
        # As received; what is compared is the name without it.
        "underscore_names": {"resources": ["_web-0", "_web-1"]},
        "unknown_type": {"event_type": "Relocate"},
        "without_self": {"resources": ["web-1"], "mine": False},
    }
    expected = {**usual, **odd.get(fault, {})}
    assert {name: event[name] for name in expected} == expected
    assert len(found["events"]) == (2 if fault == "foreign_event" else 1)
    assert (event["not_before"] is None) == (fault == "empty_not_before")
