"""Units: only what ran is stopped, and only what was stopped is started again. systemctl is a program with a memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shipped_hooks import HookHost

# As systemctl does for the words that the hooks use; what was asked is in the file "calls".
SYSTEMCTL = """
import json, os, pathlib, sys
place = pathlib.Path({place!r})
units = json.loads((place / "units").read_text())
words = sys.argv[1:]
with (place / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
assert words[-2] == "--", words
unit = units.get(words[-1], {{"load": "not-found", "active": "inactive"}})
if words[0] == "show":
    assert words[1] == "--property=LoadState,ActiveState", words
    print(f"LoadState={{unit['load']}}\\nActiveState={{unit['active']}}")
else:
    if unit.pop("kills", False):
        unit["active"] = "inactive"
        (place / "units").write_text(json.dumps(units))
        os.kill(os.getppid(), 9)
    if words[0] in unit.get("refuses", []):
        sys.exit(f"Job for {{words[-1]}} failed.")
    if words[0] == "stop" and not unit.get("comes back"):
        unit["active"] = "inactive"
    if words[0] == "start":
        unit["active"] = "active"
(place / "units").write_text(json.dumps(units))
"""


class Units:
    def __init__(self, place: Path) -> None:
        self.place = place

    def set(self, **units: Any) -> None:
        known = {
            name: {"load": "loaded", "active": unit} if isinstance(unit, str) else unit for name, unit in units.items()
        }
        (self.place / "units").write_text(json.dumps(known))

    def get(self, name: str) -> str:
        return json.loads((self.place / "units").read_text())[name]["active"]

    def changes(self) -> list[str]:
        path = self.place / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.replace(" --", "") for line in lines if not line.startswith("show")]


@pytest.fixture
def host(tmp_path: Path) -> HookHost:
    host = HookHost(tmp_path, "systemd_units", {"units": ["a", "b", "c"], "healthy": ["db"]})
    host.program(SYSTEMCTL.format(place=str(tmp_path)), "systemctl")
    return host


@pytest.fixture
def units(tmp_path: Path) -> Units:
    return Units(tmp_path)


def test_what_ran_is_stopped_in_order_and_started_in_the_reverse_order(host: HookHost, units: Units) -> None:
    units.set(a="active", b="inactive", c="activating", db="active")
    host.expect("drain", said="2 units stopped, 2 to be started again")
    assert units.changes() == ["stop a", "stop c"]
    host.expect("ready")
    host.expect("health")
    host.expect("resume")
    assert units.changes() == ["start c", "start a"]
    assert units.get("b") == "inactive"
    assert host.remembered() is None
    host.expect("resume")
    assert units.changes() == [], "nothing is done twice"


def test_a_drain_that_is_repeated_forgets_nothing(host: HookHost, units: Units) -> None:
    units.set(a="active", b="active", c={"load": "loaded", "active": "active", "refuses": ["stop"]})
    host.expect("drain", 1, "c was not stopped: Job for c failed.")
    host.expect("drain", 1)
    assert host.remembered() == {"units": ["a", "b", "c"]}
    host.expect("resume")
    assert units.changes()[-2:] == ["start b", "start a"], "c never stopped"
    assert units.get("a") == units.get("b") == units.get("c") == "active"


def test_a_unit_that_runs_again_is_seen(host: HookHost, units: Units) -> None:
    units.set(a={"load": "loaded", "active": "active", "comes back": True}, b="inactive", c="inactive")
    host.expect("drain", 1, "a was stopped and runs again")
    units.set(a="inactive", b="inactive", c="active")
    host.expect("ready", 1, "c runs again")


def test_what_was_stopped_before_a_sudden_death_is_started_again(host: HookHost, units: Units) -> None:
    units.set(a="active", b={"load": "loaded", "active": "active", "kills": True}, c="active")
    assert host.run("drain").status == -9
    assert [units.get(name) for name in "abc"] == ["inactive", "inactive", "active"]
    host.expect("resume")
    assert [units.get(name) for name in "abc"] == ["active", "active", "active"]
    assert host.remembered() is None


def test_what_somebody_masked_stays_down(host: HookHost, units: Units) -> None:
    units.set(a="active", b="active", c="active")
    host.expect("drain")
    units.set(a={"load": "masked", "active": "inactive"}, b="inactive", c="inactive")
    host.expect("resume", said="a was masked in the meantime, and is left alone")
    assert units.changes()[-2:] == ["start c", "start b"]
    assert host.remembered() is None


def test_a_start_that_fails_is_tried_again_and_does_not_keep_the_others(host: HookHost, units: Units) -> None:
    units.set(a="active", b="active", c="active")
    host.expect("drain")
    units.set(a="inactive", b={"load": "loaded", "active": "inactive", "refuses": ["start"]}, c="inactive")
    host.expect("resume", 1, "b was not started: Job for b failed.")
    assert host.remembered() == {"units": ["b"]}
    units.set(a="active", b="inactive", c="active")
    host.expect("resume")
    assert host.remembered() is None


@pytest.mark.parametrize(
    ("active", "status", "said"),
    [("active", 0, ""), ("activating", 75, "db is still starting"), ("failed", 1, "db is failed")],
)
def test_health(host: HookHost, units: Units, active: str, status: int, said: str) -> None:
    units.set(db=active)
    host.expect("health", status, said)


def test_a_unit_that_is_not_there(host: HookHost, units: Units) -> None:
    units.set(a="active")
    host.expect("drain", 1, "there is no unit b; see the setting units")
    assert units.changes() == ["stop a"]


def test_without_systemd(host: HookHost) -> None:
    (host.programs / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus: Host is down' >&2\nexit 1\n")
    host.expect("drain", 1, "systemd does not tell the state of a: Failed to connect to bus: Host is down")


@pytest.mark.parametrize("name", ["*", "-x", "a b", "a;reboot", "a\nb", ""])
def test_names_that_are_none_are_refused(host: HookHost, name: str) -> None:
    host.configure({"units": [name]})
    host.expect("drain", 78, "units: [0]: the name of a unit, without wildcards, expected")
