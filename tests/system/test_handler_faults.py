"""The handler through everything that can go wrong around it, one story each, on the emulator's clock.

``HandledVm.check`` holds the promises at every second: never an approval before the drain or of another VM's event,
one resume for each drain. Each story ends with the handler alive and the VM back in service.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from handled_vm import HandledVm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import errors
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import parse_document
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config as configuration
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.service import renewed_parts
from azure_emulator.testing import Emulator, running

FLEET = {
    "availability_sets": [{"name": "web"}],
    "vms": [{"name": "web-0", "availability_set": "web"}, {"name": "web-1", "availability_set": "web"}],
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running(FLEET, clock="virtual") as running_emulator:
        yield running_emulator


@pytest.fixture
def vm(tmp_path: Path, emulator: Emulator) -> Iterator[HandledVm]:
    handled = HandledVm("web-0", tmp_path, emulator)
    yield handled
    handled.stop()


def reboot(vm: HandledVm, **details: object) -> str:
    details = {"impact": 20, "settle": 5, **details}
    return vm.emulator.control.schedule("Reboot", ["web-0"], **details)["event_id"]


def finish(vm: HandledVm, *, limit: int = 300) -> None:
    """Until everything is over, and this VM in service."""
    for _second in range(limit):
        vm.run(1)
        over = not any(event["open"] for event in vm.emulator.control.events())
        if over and vm.agent.state.host.service == m.IN_SERVICE and not vm.agent.state.host.slot:
            return
    raise AssertionError(f"not over after {limit} s: {vm.states()} {vm.log[-5:]}")


# --- the metadata service (contract section 14) ---------------------------------------------------

TRANSIENT = [
    "bad_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "gone",
    "throttled",
    "server_error",
    "unavailable",
    "reset",
    "hang",
    "cut",
    "garbage",
    "html",
    "portal",
    "redirect",
    "not_json",
    "empty",
]


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize("skip", [0, 2, 5])
def test_answers_that_are_none(vm: HandledVm, fault: str, skip: int) -> None:
    """Eight bad answers at each phase of an event: nothing is concluded from them, and the work goes on after."""
    vm.run(2)
    reboot(vm)
    lasting = {"seconds": 0.5} if fault == "hang" else {}
    vm.emulator.control.add_fault(fault=fault, vms=["web-0"], category="scheduledevents", skip=skip, count=8, **lasting)
    finish(vm)
    assert vm.diary() == ["drain", "resume"]


def test_silence_at_boot(tmp_path: Path, emulator: Emulator) -> None:
    fault = emulator.control.add_fault(fault="reset", vms=["web-0"])
    vm = HandledVm("web-0", tmp_path, emulator)
    event = reboot(vm)
    vm.run(60)
    assert vm.agent.state.vm_name is None
    assert emulator.control.event(event)["approved_by"] is None
    assert sum("cannot be read" in line for line in vm.log) == 1, "said once, not sixty times"
    emulator.control.clear_faults()
    assert fault
    finish(vm)
    vm.stop()


@pytest.mark.parametrize(
    "oddity",
    [
        "upper_case_ids",
        "lower_case_ids",
        "iso_not_before",
        "empty_not_before",
        "empty_description",
        "unknown_duration",
        "underscore_names",
        "foreign_event",
        "incarnation_reset",
    ],
)
def test_documents_with_oddities(vm: HandledVm, oddity: str) -> None:
    vm.emulator.control.add_fault(fault=oddity, vms=["web-0"])
    event = reboot(vm)
    finish(vm)
    assert vm.emulator.control.event(event)["approved_by"] == "web-0"
    assert vm.diary() == ["drain", "resume"]


def test_an_id_that_changes_its_case_is_the_same_event(vm: HandledVm) -> None:
    reboot(vm)
    vm.emulator.control.add_fault(fault="lower_case_ids", vms=["web-0"], skip=4)
    finish(vm)
    assert len(vm.agent.state.events) == 1


def test_an_event_without_this_vm_is_none_of_ours(vm: HandledVm) -> None:
    vm.emulator.control.add_fault(fault="without_self", vms=["web-0"])
    event = reboot(vm, not_before=900)
    vm.run(30)
    assert vm.diary() == []
    assert vm.emulator.control.event(event)["approved_by"] is None


def test_a_type_yet_to_come_is_only_noted(vm: HandledVm) -> None:
    vm.emulator.control.add_fault(fault="unknown_type", vms=["web-0"])
    reboot(vm)
    vm.run(10)
    assert vm.states() == {"Relocate": m.NOTED}


def test_a_service_that_was_never_asked_and_wakes_up_slowly(tmp_path: Path) -> None:
    fleet = {**FLEET, "api": {"scheduled_events": {"disable_after": 60}}}
    with running(fleet, clock="virtual") as emulator:
        vm = HandledVm("web-0", tmp_path, emulator)
        vm.run(3)
        incarnation = vm.agent.document.incarnation  # type: ignore[union-attr]
        emulator.control.advance(3600)  # nobody asked for an hour: switched off, and its counting starts anew
        reboot(vm)
        finish(vm)
        assert incarnation is not None
        assert vm.diary() == ["drain", "resume"]
        vm.stop()


def test_an_older_service(tmp_path: Path) -> None:
    with running(FLEET, clock="virtual") as emulator:
        vm = HandledVm("web-0", tmp_path, emulator, api_version="2017-08-01")
        event = reboot(vm)
        finish(vm)
        assert emulator.control.event(event)["approved_by"] == "web-0"
        vm.stop()


def test_an_answer_to_the_approval_that_is_lost(vm: HandledVm) -> None:
    vm.emulator.control.add_fault(fault="reset", vms=["web-0"], category="scheduledevents", method="POST", count=1)
    event = reboot(vm)
    finish(vm)
    assert vm.emulator.control.event(event)["approvals"], "asked again, for nothing was known of the first"


# --- turns that Azure takes -----------------------------------------------------------------------


def test_a_cancelled_event(vm: HandledVm) -> None:
    vm.hook("ready.d/10", "exit 75")
    event = reboot(vm)
    vm.run(5)
    vm.emulator.control.cancel(event)
    finish(vm)
    assert vm.states() == {"Reboot": m.DONE}
    assert "cancelled" in str(vm.agent.state.events[event.lower()].why) or vm.diary()[-1:] == ["resume"]


def test_a_failure_of_hardware_that_comes_started(vm: HandledVm) -> None:
    vm.run(2)
    vm.emulator.control.schedule("Reboot", ["web-0"], started=True, impact=20, settle=5)
    finish(vm)
    assert vm.diary() == [], "too late to drain, so there is nothing to resume"


def test_a_thousand_events(vm: HandledVm) -> None:
    entry = {
        "EventStatus": "Scheduled",
        "EventType": "Reboot",
        "ResourceType": "VirtualMachine",
        "NotBefore": "Mon, 19 Sep 2050 18:29:47 GMT",
        "Description": "",
        "EventSource": "Platform",
        "DurationInSeconds": -1,
    }
    events = [{**entry, "EventId": f"E{i}", "Resources": ["web-0" if i % 2 else "web-1"]} for i in range(1000)]
    document = parse_document({"DocumentIncarnation": 1, "Events": events})
    vm.run(1)
    vm.agent.parts.events.read = lambda: document  # type: ignore[method-assign]
    vm.emulator.control.advance(1)
    vm.settle()
    assert len(vm.agent.state.events) == 500
    assert not any("no end of steps" in line for line in vm.log)


# --- this VM --------------------------------------------------------------------------------------


def test_a_disk_that_is_full_for_a_while(vm: HandledVm) -> None:
    vm.run(2)
    state = vm.root / "state"
    (state / "state.json").unlink(missing_ok=True)
    (state / "state.json").mkdir()  # root may write anything, but not this
    reboot(vm)
    vm.run(10)
    assert vm.diary() == ["drain"]
    assert any("the journal cannot be written" in line for line in vm.log)
    (state / "state.json").rmdir()
    finish(vm)
    assert vm.saved()["host"]["service"] == "in_service"


@pytest.mark.parametrize("after", range(1, 12))
def test_killed_at_any_second_it_ends_the_same(tmp_path: Path, emulator: Emulator, after: int) -> None:
    vm = HandledVm("web-0", tmp_path, emulator)
    reboot(vm)
    vm.run(after)
    vm.crash()
    finish(vm)
    assert vm.diary()[0] == "drain"
    assert vm.diary()[-1] == "resume"
    assert vm.diary().count("resume") == 1
    vm.stop()


@pytest.mark.parametrize("damage", ["", "{", '{"format": 99}', "\0" * 500])
def test_a_journal_that_is_torn_in_the_middle_of_an_event(vm: HandledVm, damage: str) -> None:
    reboot(vm)
    vm.run(4)
    (vm.root / "state" / "state.json").write_text(damage)
    vm.crash()
    finish(vm)
    assert any("was set aside as" in line for line in vm.log)
    assert vm.diary()[-1] == "resume"


def test_a_journal_that_is_lost_wholly_while_drained(vm: HandledVm) -> None:
    event = reboot(vm)
    vm.run(4)
    for path in (vm.root / "state").glob("state.json*"):
        path.unlink()
    vm.crash()
    finish(vm)
    assert vm.emulator.control.event(event)["approved_by"] == "web-0"
    assert vm.diary()[-1] == "resume"


def test_a_configuration_that_changes_in_the_middle_of_an_event(vm: HandledVm) -> None:
    vm.hook("ready.d/10", "exit 75")  # something to wait for
    vm.settings["freezes"] = [{"from": "2000-01-01", "until": "2060-01-01"}]
    vm.crash()
    event = reboot(vm, not_before=3000)
    vm.run(5)
    assert vm.states() == {"Reboot": m.WAITING_WINDOW}

    def reload(**settings: object) -> None:
        config = configuration.parse({**vm.settings, **settings}, where="test")
        vm.agent.reconfigure(renewed_parts(vm.agent.parts, config, log=lambda *_: None))

    reload(policy=[{"types": ["Reboot"], "action": "notify"}])
    vm.run(2)
    assert vm.states() == {"Reboot": m.NOTED}
    (vm.root / "ready.d" / "10").unlink()
    reload(freezes=[])
    vm.run(5)
    assert vm.emulator.control.event(event)["approved_by"] == "web-0"
    finish(vm)


def test_an_endpoint_that_changes(vm: HandledVm, emulator: Emulator) -> None:
    vm.run(2)
    config = configuration.parse({**vm.settings, "endpoint": emulator.endpoint("web-1")}, where="test")
    vm.agent.reconfigure(renewed_parts(vm.agent.parts, config, log=lambda *_: None))
    vm.run(2)
    assert vm.agent.state.vm_name == "web-1"


# --- hooks that misbehave -------------------------------------------------------------------------


def test_a_hook_that_is_killed(vm: HandledVm) -> None:
    vm.hook("drain.d/05", f"[ -e {vm.root}/once ] || {{ touch {vm.root}/once; kill -9 $$; }}")
    reboot(vm)
    finish(vm)
    assert any("was killed by signal 9" in line for line in vm.log)
    assert vm.diary() == ["drain", "resume"]


def test_a_hook_that_is_taken_away_in_the_middle(vm: HandledVm) -> None:
    vm.hook("drain.d/05", f"rm {vm.root}/drain.d/10")
    reboot(vm)
    vm.run(2)
    assert any("cannot be started: No such file" in line for line in vm.log)
    vm.hook("drain.d/05", ":")
    vm.hook("drain.d/10", f"echo drain >> {vm.root}/diary")
    finish(vm)


def test_a_hook_that_everybody_may_write_holds_the_approval(vm: HandledVm) -> None:
    path = vm.root / "drain.d" / "10"
    path.chmod(path.stat().st_mode | stat.S_IWOTH)
    event = reboot(vm, not_before=900)
    vm.run(60)
    assert vm.emulator.control.event(event)["approved_by"] is None
    assert any("may be written by everybody" in line for line in vm.log)
    path.chmod(0o755)
    finish(vm)


def test_a_flood_of_output(vm: HandledVm) -> None:
    vm.hook("drain.d/05", "head -c 3000000 /dev/zero | tr '\\0' x; echo")
    reboot(vm)
    finish(vm)
    assert max(map(len, vm.log)) < 10_000


def test_notices_that_hang_hold_nothing_up(vm: HandledVm) -> None:
    vm.hook("notify.d/10", "sleep 600")
    reboot(vm)
    finish(vm)
    assert vm.agent.parts.notices.busy


# --- malformed documents by the ten thousand ------------------------------------------------------

EVENT = {
    "EventId": "C7061BAC-AFDC-4513-B24B-AA5F13A16123",
    "EventStatus": "Scheduled",
    "EventType": "Reboot",
    "ResourceType": "VirtualMachine",
    "Resources": ["web-0"],
    "NotBefore": "Mon, 19 Sep 2050 18:29:47 GMT",
    "Description": "",
    "EventSource": "Platform",
    "DurationInSeconds": -1,
}
junk = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
junk |= st.lists(junk, max_size=3) | st.dictionaries(st.text(max_size=4), junk, max_size=2)
mutated = st.builds(
    lambda changes, removed: {k: v for k, v in {**EVENT, **changes}.items() if k not in removed},
    st.dictionaries(st.sampled_from(list(EVENT)), junk, max_size=3),
    st.sets(st.sampled_from(list(EVENT)), max_size=2),
)
documents = st.fixed_dictionaries({"DocumentIncarnation": junk, "Events": st.lists(mutated | junk, max_size=3) | junk})


class Untrustworthy:
    """A service that answers whatever a test made up."""

    def __init__(self) -> None:
        self.value: object = {"DocumentIncarnation": 1, "Events": []}
        self.approved: list[str] = []

    def read(self) -> object:
        return parse_document(json.loads(json.dumps(self.value)))

    def request_start(self, event_id: str) -> None:
        assert isinstance(self.value, dict)
        shown = [e for e in self.value["Events"] if isinstance(e, dict) and e.get("EventId") == event_id]
        assert shown, "approved what was not shown"
        assert all("web-0" in [n.lstrip("_").lower() for n in e["Resources"]] for e in shown), "not ours"
        self.approved.append(event_id)

    def close(self) -> None:
        pass


@settings(
    max_examples=int(os.environ.get("MALFORMED_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(documents, min_size=1, max_size=4))
def test_malformed_documents_never_stop_the_handler(malformed: list[object]) -> None:
    from maintenance_world import World

    world = World(("web-0",), fleet={})
    vm = world.vms["web-0"]
    service = Untrustworthy()
    vm.agent.parts = vm.agent.parts._replace(events=service)  # type: ignore[arg-type]
    for document in malformed:
        service.value = document
        world.run(2)
    service.value = {"DocumentIncarnation": 1, "Events": []}
    world.run(60)
    assert vm.agent.read_error is None
    assert vm.service == m.IN_SERVICE
    assert vm.drains == vm.resumes
    assert errors.BadAnswerError("x").kind == "bad_answer"
