"""Scenarios: the shipped ones come true, a wrong one says where, and a bad one is refused before anything is played."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from azure_emulator.cli import main
from azure_emulator.errors import InputError
from azure_emulator.events.model import VIEW
from azure_emulator.playing.matching import difference
from azure_emulator.playing.running import find, load, play, shipped
from azure_emulator.playing.specification import ACTIONS, read_scenario
from azure_emulator.testing import running

if TYPE_CHECKING:
    from pathlib import Path

BASE: dict[str, Any] = {"name": "n", "story": "s", "fleet": {"vms": [{"name": "a"}]}}


def write(tmp_path: Path, *steps: dict[str, Any], **changes: Any) -> Path:
    path = tmp_path / "scenario.yml"
    path.write_text(yaml.safe_dump({**BASE, "steps": list(steps), **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", shipped())
def test_the_shipped_scenarios_come_true(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", name]) == 0
    assert "expectations met" in capsys.readouterr().out


def test_enough_are_shipped_and_each_tells_a_story() -> None:
    assert len(shipped()) >= 10
    for path in shipped().values():
        scenario, steps, _fleet = load(path)
        assert len(scenario.story) > 100, path
        assert sum(step.action == "expect" or step.action == "request" for step in steps) >= 3, path
        assert any(step.say for step in steps), path


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_fails_when_what_it_expects_is_turned_round(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last check of an event, a VM's state, or an answer is falsified; otherwise it would prove nothing."""
    content = yaml.safe_load(shipped()[name].read_text(encoding="utf-8"))
    for step in reversed(content["steps"]):
        expect = step.get("expect", step.get("request", {}).get("expect", {}))
        if "state" in expect:
            expect["state"] = "stopped"
        elif "has" in expect:
            expect["has"]["status"] = "scheduled"
        elif "document" in expect:
            expect["document"]["incarnation"] = 99
        elif "status" in expect:
            expect["status"] = 418
        else:
            continue
        expect.pop("within", None)
        break
    path = tmp_path / "turned.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["play", str(path)]) == 1
    assert f"{path}: steps[" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"expect": {"vm": "a", "state": "frozen"}}, "a is running, not frozen"),
        ({"expect": {"document": {"vm": "a", "incarnation": 9}}}, "DocumentIncarnation is 1, not 9"),
        ({"expect": {"document": {"vm": "a", "events": [{}]}}}, "Events has 0 entries, not 1"),
        ({"expect": {"requests": {"vm": "a", "at_least": 1}}}, "0 requests (a), not at least 1"),
        ({"request": {"vm": "a", "path": "/metadata/versions", "expect": {"status": 404}}}, "status 200, not 404"),
        ({"request": {"vm": "a", "path": "/metadata/versions", "expect": {"error": "refused"}}}, "is 200, not refused"),
        ({"request": {"vm": "a", "path": "/metadata/versions", "expect": {"json": {"x": 1}}}}, "x is missing"),
        ({"request": {"vm": "a", "path": "/metadata/versions", "expect": {"text": "x"}}}, "the text is"),
        ({"run": {"command": [sys.executable, "-c", "raise SystemExit(3)"]}}, "ended with 3, not 0"),
        ({"run": {"command": ["/nowhere/at-all"]}}, "No such file"),
        ({"operate": {"operation": "stop", "resources": ["a"], "as": "x"}}, "0 events came of it"),
        ({"expect": {"vm": "a", "state": "frozen", "within": 5}}, "a is running, not frozen"),
    ],
)
def test_a_step_that_goes_wrong_is_named_with_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], step: dict[str, Any], problem: str
) -> None:
    path = write(tmp_path, {"say": "Nothing yet."}, step)
    assert main(["play", str(path)]) == 1
    error = capsys.readouterr().err
    assert f"{path}: steps[1]: " in error
    assert problem in error


@pytest.mark.parametrize(
    ("steps", "path", "problem"),
    [
        ([{"advanse": 1}], "steps[0].advanse", "unknown action; did you mean advance?"),
        ([{"advance": 1, "cancel": "x"}], "steps[0]", "one action, this one has advance, cancel"),
        ([{"advance": "soon"}], "steps[0].advance", "expected a number, found text"),
        ([{"schedule": {"type": "Rebot", "resources": []}}], "steps[0].schedule.type", "did you mean Reboot?"),
        ([{"schedule": {"type": "Reboot", "resources": ["a"], "impakt": 1}}], "steps[0].schedule.impakt", "impact?"),
        ([{"fault": {"fault": "gon"}}], "steps[0].fault.fault", "did you mean gone?"),
        ([{"cancel": "x"}], "steps[0].cancel", "no earlier step names one"),
        (
            [{"schedule": {"type": "Reboot", "resources": ["a"], "as": "first"}}, {"cancel": "frist"}],
            "steps[1].cancel",
            "did you mean first?",
        ),
        (
            [{"expect": {"document": {"vm": "a", "events": [{"event": "x"}]}}}],
            "steps[0].expect.document.events[0].event",
            "",
        ),
        ([{"request": {"vm": "a", "path": "/", "expect": {"stat": 1}}}], "steps[0].request.expect.stat", "status?"),
        (["advance"], "steps[0]", "expected a mapping, found text"),
        ([{"expect": {}}], "steps[0].expect", "expects nothing"),
        ([{"expect": {"vm": "a"}}], "steps[0].expect", "go together"),
        ([{"expect": {"vm": "a", "state": "runing"}}], "steps[0].expect.state", "did you mean running?"),
        ([{"expect": {"vm": "a", "state": "frozen", "has": {"open": True}}}], "steps[0].expect.has", "of which event"),
        (
            [
                {"schedule": {"type": "Reboot", "resources": ["a"], "as": "e"}},
                {"expect": {"event": "e", "has": {"statu": 1}}},
            ],
            "steps[1].expect.has.statu",
            "did you mean status?",
        ),
        (
            [{"expect": {"document": {"vm": "a", "events": [{"EventStats": "Started"}]}}}],
            "steps[0].expect.document.events[0].EventStats",
            "did you mean EventStatus?",
        ),
        (
            [{"expect": {"document": {"vm": "a", "api_version": "2020-07-02"}}}],
            "steps[0].expect.document.api_version",
            "did you mean 2020-07-01?",
        ),
        (
            [{"expect": {"requests": {"category": "instanc", "count": 0}}}],
            "steps[0].expect.requests.category",
            "did you mean instance?",
        ),
        ([{"fault": {"fault": "delay"}}], "steps[0].fault.seconds", "how long"),
        (
            [{"schedule": {"type": "Preempt", "resources": ["a"], "impact": 1}}],
            "steps[0].schedule.impact",
            "does not come back",
        ),
        ([{"request": {"vm": "a", "path": "metadata"}}], "steps[0].request.path", "no path such as"),
        ([{"request": {"vm": "a", "path": "/", "method": "GTE"}}], "steps[0].request.method", "is none of GET"),
    ],
)
def test_a_bad_scenario_is_refused_with_the_key(steps: list[Any], path: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        read_scenario({**BASE, "steps": steps})
    assert caught.value.path == path
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ({"schedule": {"type": "Reboot", "resources": ["a", "z"]}}, "schedule.resources[1]"),
        ({"operate": {"operation": "stop", "resources": ["z"]}}, "operate.resources[0]"),
        ({"fault": {"fault": "gone", "vms": ["z"]}}, "fault.vms[0]"),
        ({"change": {"vm": "z", "tags": {}}}, "change.vm"),
        ({"request": {"vm": "z", "path": "/"}}, "request.vm"),
        ({"run": {"command": ["true"], "vm": "z"}}, "run.vm"),
        ({"expect": {"vm": "z", "state": "running"}}, "expect.vm"),
        ({"expect": {"document": {"vm": "z"}}}, "expect.document.vm"),
        ({"expect": {"requests": {"vm": "z", "count": 0}}}, "expect.requests.vm"),
    ],
)
def test_a_vm_that_is_not_in_the_fleet_is_named_before_anything_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], step: dict[str, Any], path: str
) -> None:
    file = write(tmp_path, step)
    assert main(["play", str(file)]) == 2
    problem = "no VM 'z' in the fleet; known are a"
    assert capsys.readouterr() == ("", f"azure-emulator: {file}: steps[0].{path}: {problem}\n")


def test_what_the_control_side_shows_of_an_event_is_what_a_scenario_may_expect() -> None:
    with running(BASE["fleet"]) as emulator:
        assert tuple(emulator.control.schedule("Freeze", "a")) == VIEW


def test_the_file_is_named_with_the_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scenario\.yml: fleet\.vms\[0\]\.sise: unknown key; did you mean size"):
        load(write(tmp_path, fleet={"vms": [{"name": "a", "sise": 1}]}))
    with pytest.raises(InputError, match=r"scenario\.yml: stori: unknown key; did you mean story"):
        load(write(tmp_path, stori="x"))
    with pytest.raises(InputError, match="no shipped scenario of that name; did you mean spot_eviction"):
        find("spot_evicton")
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "none.yml")


def test_a_fleet_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "fleet.yml").write_text("vms: [{name: z}]\n", encoding="utf-8")
    assert play(write(tmp_path, {"expect": {"vm": "z", "state": "running"}}, fleet="fleet.yml"))


def test_programs_of_ones_own_are_told_where_to_ask(tmp_path: Path) -> None:
    script = (
        "import os, urllib.request; urllib.request.urlopen(os.environ['AZURE_IMDS_ENDPOINT'] + '/metadata/versions')"
    )
    run = {"command": [sys.executable, "-c", script], "vm": "a"}
    assert play(
        write(tmp_path, {"run": run}, {"expect": {"requests": {"vm": "a", "category": "versions", "count": 1}}})
    )


def test_a_scenario_plays_on_an_emulator_that_runs_already_and_at_its_pace(tmp_path: Path) -> None:
    steps = (
        {"schedule": {"type": "Freeze", "resources": ["a"], "not_before": 50, "impact": 10, "settle": 10, "as": "e"}},
        {"advance": 40},
        {"expect": {"event": "e", "has": {"status": "gone"}, "within": 100}},
    )
    with running(BASE["fleet"], clock="real", time_scale=500) as emulator:
        assert play(write(tmp_path, *steps), control=emulator.control.url)
        assert emulator.control.events()[0]["status"] == "gone"


def test_every_action_is_used_by_what_is_shipped_or_tested_here() -> None:
    used = {step.action for path in shipped().values() for step in load(path)[1]}
    assert set(ACTIONS) - used <= {"run", "change", "clear_faults"}


def test_the_other_actions(tmp_path: Path) -> None:
    path = "/metadata/instance/compute?api-version=2021-02-01"
    steps = (
        {"change": {"vm": "a", "tags": {"k": "v"}}},
        {"fault": {"fault": "gone"}},
        {"clear_faults": True},
        {"request": {"vm": "a", "path": path, "expect": {"json": {"tags": "k:v"}}}},
    )
    assert play(write(tmp_path, *steps))


@pytest.mark.parametrize(
    ("expected", "actual", "found"),
    [
        ({"a": {"b": [1]}}, {"a": {"b": [1], "c": 2}, "d": 3}, None),
        ({"a": 1}, {"a": True}, "a is true, not 1"),
        ({"a": None}, {}, "a is missing"),
        ([1, 2], [1], "the list has 1 entries, not 2: [1]"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "a[0].b is 2, not 1"),
        ("x", {}, 'it is {}, not "x"'),
    ],
)
def test_what_agrees(expected: Any, actual: Any, found: str | None) -> None:
    assert difference(expected, actual) == found
