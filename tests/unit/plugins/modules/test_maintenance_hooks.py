"""The module that installs the shipped hooks: what it writes, what it takes away again, and what it never touches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from module_runs import run
from shipped_hooks import EXECUTABLES

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.hooks import find_hooks
from ansible_collections.azure_guest.imds.plugins.modules import maintenance_hooks

TEXTS = {f"{path.parent.name}/{path.name}": path.read_text() for path in EXECUTABLES.glob("*/*")}
UNITS = {"name": "systemd_units", "settings": {"units": ["app"]}}
HAPROXY = {"name": "haproxy", "settings": {"servers": ["web/{vm_name}"]}}


class Host:
    def __init__(self, root: Path) -> None:
        self.etc, self.state = root / "etc", root / "state"

    def run(self, *hooks: dict[str, Any], texts: Any = None, **more: Any) -> dict[str, Any]:
        given = {"path": str(self.etc), "state_dir": str(self.state), "hooks": list(hooks)}
        return run(maintenance_hooks, **given, executables=TEXTS if texts is None else texts, **more)

    def files(self) -> list[str]:
        found = [path.relative_to(self.etc).as_posix() for path in self.etc.rglob("*") if path.is_file()]
        return sorted(found)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


ALL_UNITS = ["drain.d/60-systemd_units", "health.d/60-systemd_units", "hooks/systemd_units.json"]
ALL_UNITS += ["ready.d/60-systemd_units", "resume.d/40-systemd_units"]


def test_check_do_check_do(host: Host) -> None:
    wanted = host.run(UNITS, check=True, diff=True)
    assert wanted["changed"]
    assert not host.etc.exists()
    done = host.run(UNITS, diff=True)
    assert {key: done[key] for key in ("changed", "files", "diff")} == {
        key: wanted[key] for key in ("changed", "files", "diff")
    }
    assert done["files"] == ALL_UNITS
    assert '"units": [' in done["diff"]["after"]
    assert host.files() == sorted([*ALL_UNITS, "hooks/.installed.json"])
    assert not host.run(UNITS, check=True)["changed"]
    assert not host.run(UNITS)["changed"]
    assert find_hooks(str(host.etc), "drain") == ["60-systemd_units"]
    assert (host.etc / "drain.d/60-systemd_units").stat().st_mode & 0o777 == 0o755
    text = (host.etc / "drain.d/60-systemd_units").read_text()
    assert text.startswith("#!/bin/sh\n# Installed by Ansible; changes are lost.\n# systemd_units, phase drain: ")


def test_what_is_drained_first_comes_back_last(host: Host) -> None:
    host.run(UNITS, HAPROXY)
    assert find_hooks(str(host.etc), "drain") == ["20-haproxy", "60-systemd_units"]
    assert find_hooks(str(host.etc), "resume") == ["40-systemd_units", "80-haproxy"]
    host.run(UNITS, {**HAPROXY, "order": 5})
    assert find_hooks(str(host.etc), "drain") == ["05-haproxy", "60-systemd_units"]
    assert find_hooks(str(host.etc), "resume") == ["40-systemd_units", "95-haproxy"]


def test_time_limits_follow_the_settings_and_are_settings_of_the_handler(host: Host) -> None:
    slow = {"name": "haproxy", "settings": {"servers": ["a/b"], "time_limit": 600}}
    limits = host.run(slow, {**UNITS, "timeout": 33.0})["timeouts"]
    assert limits["drain.d/20-haproxy"] == 630
    assert limits["resume.d/40-systemd_units"] == 33
    assert config.parse({"hook_timeouts": limits}, where="x").hook_timeouts == limits


def test_only_its_own_files_are_taken_away(host: Host) -> None:
    host.run(UNITS, HAPROXY)
    mine = host.etc / "drain.d/15-mine"
    mine.write_text("#!/bin/sh\n")
    (host.etc / "config.json").write_text("{}")
    done = host.run(HAPROXY)
    assert done["files"] == ALL_UNITS
    host.run()
    assert host.files() == ["config.json", "drain.d/15-mine"]
    assert not host.run()["changed"]


def test_a_file_of_somebody_else_is_not_overwritten(host: Host) -> None:
    (host.etc / "drain.d").mkdir(parents=True)
    theirs = host.etc / "drain.d/60-systemd_units"
    theirs.write_text("mine\n")
    done = host.run(UNITS)
    assert done["failed"]
    assert done["msg"] == (
        f"{theirs} is there and was not installed by this module; move it away, or choose another order"
    )
    assert host.files() == ["drain.d/60-systemd_units"]
    assert not host.run({**UNITS, "order": 61})["failed"]


def test_what_was_changed_by_hand_is_put_right(host: Host) -> None:
    host.run(UNITS)
    path = host.etc / "drain.d/60-systemd_units"
    path.chmod(0o644)
    assert host.run(UNITS)["files"] == ["drain.d/60-systemd_units"]
    path.unlink()
    assert host.run(UNITS)["files"] == ["drain.d/60-systemd_units"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_set_with_something_to_undo_keeps_its_resume_hook(host: Host) -> None:
    host.run(UNITS)
    memory = host.state / "hooks/systemd_units.json"
    memory.parent.mkdir(parents=True)
    memory.touch()
    done = host.run()
    assert done["kept"] == ["systemd_units"]
    assert "has something to undo on this host" in done["warnings"][0]
    assert host.files() == ["hooks/.installed.json", "hooks/systemd_units.json", "resume.d/40-systemd_units"]
    assert not host.run()["changed"]
    memory.unlink()
    assert host.run()["files"] == ["hooks/systemd_units.json", "resume.d/40-systemd_units"]
    assert host.files() == []


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ([UNITS, UNITS], "systemd_units is there twice"),
        ([{**UNITS, "order": 100}], "order of systemd_units is 100; a number from 1 to 99 expected"),
        ([{**UNITS, "timeout": 0}], "timeout of systemd_units is 0; seconds from 1 to 86400 expected"),
        (
            [{"name": "haproxy", "settings": {"serverz": []}}],
            """settings of haproxy: servers: required, and not there
settings of haproxy: serverz: unknown key; did you mean 'servers'?""",
        ),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_is_wrong_is_said_before_anything_is_changed(
    host: Host, hooks: list[dict[str, Any]], said: str, check: bool
) -> None:
    done = host.run(*hooks, check=check)
    assert done["failed"]
    assert done["msg"] == said
    assert not host.etc.exists()


def test_a_missing_executable_and_a_torn_list(host: Host) -> None:
    assert "executables has no systemd_units/drain" in host.run(UNITS, texts={})["msg"]
    host.run(UNITS)
    (host.etc / "hooks/.installed.json").write_text("{")
    assert host.run(UNITS)["msg"].endswith("/hooks/.installed.json is not what this module wrote; move it away")
    (host.etc / "hooks/.installed.json").write_text(json.dumps({"files": {"../../precious": "x", "/precious": "x"}}))
    precious = host.etc.parent.parent / "precious"
    precious.touch()
    host.run()
    assert precious.exists()
