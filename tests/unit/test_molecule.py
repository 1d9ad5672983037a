"""The Molecule scenarios where they cannot run: a reason, and no failure."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

MOLECULE = Path(__file__).parents[2] / "extensions" / "molecule"


def test_a_machine_without_the_programs_is_told_which_and_skips() -> None:
    for program, status in (("lab.py", 1), ("play.py", 0)):
        done = subprocess.run(
            [sys.executable, str(MOLECULE / program), *(["check"] if status else [])],
            env={"PATH": "/nonexistent"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == status, done
        assert "no lab here: programs are missing; apt-get install --no-install-recommends " in done.stdout
        assert "podman" in done.stdout
        assert done.stdout.endswith("molecule: skipped\n") is (status == 0)


def test_an_unknown_scenario_is_an_error() -> None:
    done = subprocess.run(
        [sys.executable, str(MOLECULE / "play.py"), "defualt"], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 2
    assert "unknown: defualt; there are default, options" in done.stderr


def test_every_scenario_is_played() -> None:
    specification = importlib.util.spec_from_file_location("play", MOLECULE / "play.py")
    assert specification is not None
    assert specification.loader is not None
    play = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(play)
    assert set(play.SCENARIOS) == {path.parent.name for path in MOLECULE.glob("*/molecule.yml")}
