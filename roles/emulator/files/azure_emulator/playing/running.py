# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``azure-emulator play``: a scenario from file to verdict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure_emulator.client import ControlClient
from azure_emulator.errors import InputError
from azure_emulator.fleet.loading import load_fleet, read_yaml_file
from azure_emulator.playing.checks import check_vms
from azure_emulator.playing.player import FailedStepError, Player
from azure_emulator.playing.specification import Scenario, Step, read_scenario
from azure_emulator.reading import did_you_mean
from azure_emulator.testing import running

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure_emulator.fleet.model import Fleet

SHIPPED = Path(__file__).parent.parent / "scenarios"


def shipped() -> dict[str, Path]:
    """The scenarios that come with the emulator, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yml"))}


def find(name: str) -> Path:
    """The file of a scenario: a path, or the name of a shipped one.

    Raises:
        InputError: neither.
    """
    path = Path(name)
    if path.suffix in (".yml", ".yaml") or path.exists():
        return path
    known = shipped()
    if name not in known:
        raise InputError(name, f"no such file, and no shipped scenario of that name{did_you_mean(name, known)}")
    return known[name]


def load(path: Path) -> tuple[Scenario, list[Step], Any]:
    """A scenario, its steps, and its fleet.

    Raises:
        InputError: with file and key.
    """
    content = read_yaml_file(path)
    try:
        scenario, steps = read_scenario(content)
        fleet = _fleet(scenario.fleet, path.parent)
        check_vms(steps, fleet)
    except InputError as exc:
        raise exc.inside(str(path)) from exc
    return scenario, steps, fleet


def _fleet(source: Any, folder: Path) -> Fleet:
    try:
        return load_fleet(folder / source if isinstance(source, str) else source)
    except InputError as exc:
        if isinstance(source, str):
            raise exc.inside("fleet") from exc
        raise InputError(f"fleet.{exc.path}" if exc.path else "fleet", exc.problem) from exc


def play(
    path: Path,
    *,
    control: str | None = None,
    clock: str = "virtual",
    time_scale: float = 1.0,
    tell: Callable[[str], None] = lambda line: print(line, flush=True),  # noqa: T201 - the command's own output
) -> bool:
    """Play a scenario; returns whether everything went as it says.

    Args:
        path: its file.
        control: an emulator that runs already; None for one of its own with the scenario's fleet.
        clock: of its own emulator. time_scale: likewise.
        tell: called with each line for people.
    """
    scenario, steps, fleet = load(path)
    tell(f"{scenario.name}\n{scenario.story.strip()}\n")
    try:
        if control is not None:
            Player(ControlClient(control), tell).play(steps)
        else:
            with running(fleet, clock=clock, time_scale=time_scale, rate_limit=scenario.rate_limit) as emulator:
                Player(emulator.control, tell).play(steps)
    except FailedStepError as exc:
        sys.stderr.write(f"azure-emulator: {path}: {exc}\n")
        return False
    tell(f"\n{sum(step.action == 'expect' for step in steps)} expectations met.")
    return True


__all__ = ["find", "load", "play", "shipped"]
