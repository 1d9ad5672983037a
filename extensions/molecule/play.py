# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays the Molecule scenarios in the lab, one after the other, and says how long each took.

play.py [SCENARIO ...]    all of them by default
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAB = [sys.executable, str(HERE / "lab.py")]
SCENARIOS = ("default", "options", "check_mode", "upgrade", "removal", "behaviour")


def environment() -> dict[str, str]:
    """Molecule starts Ansible by name, and finds the collection in the checkout."""
    commands = Path(sys.executable).parent
    collections = HERE.parents[1] / ".cache" / "collections"
    return {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "AZURE_GUEST_COLLECTIONS": str(collections)}


def play(scenario: str) -> bool:
    """Play one, and show what it said when it failed. Whether it passed."""
    began = time.monotonic()
    command = [*LAB, "run", "molecule", "--base-config", "molecule/config.yml", "test", "--scenario-name", scenario]
    done = subprocess.run(
        command,
        cwd=HERE.parent,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    word = "passed" if done.returncode == 0 else "FAILED"
    if done.returncode:
        sys.stdout.write(done.stdout)
    load = os.getloadavg()[0]
    sys.stdout.write(f"{scenario:12} {word} after {time.monotonic() - began:4.0f} s, load average {load:.1f}\n")
    sys.stdout.flush()
    return done.returncode == 0


def main(wanted: list[str]) -> int:
    """Play those that are wanted. Returns the exit status."""
    unknown = sorted(set(wanted) - set(SCENARIOS))
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}\n")
        return 2
    obstacles = subprocess.run([*LAB, "check"], capture_output=True, encoding="utf-8", check=False)
    if obstacles.returncode:
        sys.stdout.write(f"{obstacles.stdout}molecule: skipped\n")
        return 0
    began = time.monotonic()
    subprocess.run([*LAB, "image"], check=True)
    sys.stdout.write(f"the image is ready after {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
    try:
        results = [play(scenario) for scenario in wanted or SCENARIOS]
    finally:
        subprocess.run([*LAB, "down"], check=True)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
