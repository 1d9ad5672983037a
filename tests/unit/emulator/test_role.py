"""The role emulator: its variables are documented as they are, and it installs, changes nothing twice, and removes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from emulator_wire import send

ROLE = Path(__file__).parents[3] / "roles" / "emulator"
PLAYS = [
    ("checked", {"check_mode": True}),
    ("installed", {}),
    ("again", {}),
    ("checked again", {"check_mode": True}),
    ("another fleet", {"vars": {"emulator_fleet": {"vms": [{"name": "other"}]}}}),
]
REMOVALS = [
    ("removal checked", {"check_mode": True, "vars": {"emulator_state": "absent"}}),
    ("removed", {"vars": {"emulator_state": "absent"}}),
    ("removed again", {"vars": {"emulator_state": "absent"}}),
]


def content(path: str) -> Any:
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


def test_defaults_and_argument_specs_are_equal() -> None:
    options = content("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == content("defaults/main.yml")
    assert all(option["description"] for option in options.values())


def run(tmp_path: Path, plays: list[tuple[str, dict[str, Any]]], **variables: Any) -> dict[str, int]:
    """Apply the role in each play; returns how many tasks changed something, play by play."""
    common = {"hosts": "localhost", "gather_facts": False, "roles": ["azure_guest.imds.emulator"]}
    book = tmp_path / "plays.yml"
    book.write_text(yaml.safe_dump([{**common, "name": name, **extra} for name, extra in plays]), encoding="utf-8")
    settings = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "emulator_directory": str(tmp_path / "azure emulator"),
        "emulator_python": sys.executable,
        "emulator_virtualenv": False,
        **variables,
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-e", json.dumps(settings), book]
    local = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1", "ANSIBLE_LOCAL_TEMP": str(tmp_path / "ansible")}
    environment = {**os.environ, **local}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    sections = done.stdout.split("PLAY [")[1:]
    return {name: section.count("changed: [") for (name, _), section in zip(plays, sections, strict=False)}


@pytest.mark.timeout(1200)
def test_it_installs_into_a_directory_and_leaves_none_behind(tmp_path: Path) -> None:
    """Without a service, without root, in a directory whose name has a blank; the packages are those of this tree."""
    home = tmp_path / "azure emulator"
    changes = run(tmp_path, PLAYS, emulator_port=0, emulator_control_port=0, emulator_resource_manager_port=0)
    assert changes["checked"] > 0
    assert changes["installed"] > 0
    assert changes["again"] == 0
    assert changes["checked again"] == 0
    assert changes["another fleet"] == 1
    with subprocess.Popen([home / "bin" / "azure-emulator-serve"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        assert send(addresses["vms"]["other"], "/metadata/versions").status == 200
        process.terminate()
        assert process.wait(10) == 0
    assert subprocess.run([home / "bin" / "azure-emulator", "play", "user_restart"], check=True, capture_output=True)
    (home / "mine").touch()
    removals = run(tmp_path, REMOVALS)
    assert removals["removal checked"] > 0
    assert removals["removed"] > 0
    assert removals["removed again"] == 0
    assert [path.name for path in home.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"emulator_network": "10.0.0.0/24"}, "10.0.0.0/24 can be reached from other machines"),
        ({"emulator_directory": "somewhere"}, "must be an absolute path"),
        ({"emulator_clock": "virtual", "emulator_time_scale": 60}, "A virtual clock stands until it is put forward"),
        ({"emulator_python": "/nowhere/python"}, "/nowhere/python is not there"),
        ({"emulator_fleet": {"vms": [{"nme": "a"}]}}, "vms[0].nme: unknown key; did you mean name?"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, variables: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError) as caught:
        run(tmp_path, [("refused", {})], **variables)
    assert words in " ".join(str(caught.value).split())
