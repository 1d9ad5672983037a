"""Events read and approved by plays, while the emulator lives through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ansible_runs import Ansible, Run

    from azure_emulator.testing import Emulator

DEFAULTS = {"group/azure_guest.imds.imds": {"endpoint": "{{ ansible_azure_imds_endpoint }}"}}


@pytest.fixture(autouse=True)
def _quiet(emulator: Emulator) -> None:
    """No event from the test before."""
    for event in emulator.control.events(only_open=True):
        if event["status"] == "scheduled":
            emulator.control.cancel(event["event_id"])
    emulator.control.advance(4 * 3600)
    assert emulator.control.idle()["idle"]


def play(ansible: Ansible, name: str, *arguments: str, hosts: str = "web-0", **options: Any) -> Run:
    task = {"name": "Task", f"azure_guest.imds.{name}": options}
    return ansible.play(task, hosts=hosts, module_defaults=DEFAULTS, arguments=arguments)


def test_an_event_from_its_announcement_to_its_end(ansible: Ansible, emulator: Emulator) -> None:
    event_id = emulator.control.schedule("Reboot", ["web-0"])["event_id"]
    run = play(ansible, "scheduled_events_info", hosts="web-0,web-1,solo")
    assert run.code == 0, run.output
    assert [e["mine"] for e in run.of("Task", "web-0").result["events"]] == [True]
    assert [e["mine"] for e in run.of("Task", "web-1").result["events"]] == [False]
    assert run.of("Task", "solo").result["events"] == []

    for check in (("--check", "--diff"), ()):
        result = play(ansible, "scheduled_event", *check, event_id=event_id.lower()).of("Task").result
        assert result["changed"] is True
        assert result["events"][0]["outcome"] == "approved"
        approved = [r for r in emulator.control.requests("web-0") if r["method"] == "POST"]
        assert len(approved) == (0 if check else 1)

    emulator.control.advance(60)
    result = play(ansible, "scheduled_event", hosts="web-1", event_id=event_id).of("Task").result
    assert (result["changed"], result["events"][0]["outcome"]) == (False, "started")
    emulator.control.advance(3600)
    result = play(ansible, "scheduled_event", event_id=event_id).of("Task").result
    assert (result["changed"], result["events"][0]["outcome"]) == (False, "gone")


def test_a_shared_event_waits_for_the_other_vm(ansible: Ansible, emulator: Emulator) -> None:
    emulator.control.schedule("Redeploy", ["web-0", "web-1"])
    run = play(ansible, "scheduled_event")
    assert run.code != 0
    assert run.of("Task").result["refused"][0]["not_ready"] == ["web-1"]
    assert not [r for r in emulator.control.requests() if r["method"] == "POST"]
    run = play(ansible, "scheduled_event", ready_resources=["web-1"])
    assert run.code == 0, run.output
    assert run.of("Task").result["changed"] is True


def test_off_azure(ansible: Ansible) -> None:
    run = ansible.play({"name": "Task", "azure_guest.imds.scheduled_events_info": None}, hosts="elsewhere")
    assert run.code != 0
    assert run.of("Task").result["failure"]["kind"] == "not_on_azure"
    assert "this machine is not an Azure VM" in run.said
