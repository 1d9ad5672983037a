"""The demonstration's processes: none is left, whenever it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.stage import MARK, Stage, StageError, marked_processes

ROOT = Path(__file__).parents[2]


def processes_with(text: str) -> list[str]:
    """Command lines of the processes whose environment speaks of a demonstration in a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if MARK.encode() in environment and text.encode() in environment and int(entry.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("until", ["A local Azure", "A maintenance handler"])
def test_ended_in_the_middle_it_leaves_nothing(tmp_path: Path, until: str, number: int) -> None:
    root = tmp_path / "demo"
    child = subprocess.Popen(
        [sys.executable, "-m", "demo", "--root", str(root)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if until in line:
            break
    time.sleep(0.7)  # somewhere inside that act: real processes are at work
    assert processes_with(str(root))
    child.send_signal(number)
    _out, error = child.communicate(timeout=60)
    assert child.returncode == 130, error
    assert processes_with(str(root)) == []


def test_grandchildren_that_hide_in_sessions_of_their_own_are_found(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        stage.start(["/bin/sh", "-c", "setsid sleep 600 & setsid setsid sleep 600 & wait"])
        mark = stage.environment()[MARK]
        until = time.monotonic() + 10
        while len(marked_processes(mark)) < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert marked_processes(mark) == []


def test_two_at_once_in_one_place_are_refused(tmp_path: Path) -> None:
    with Stage(tmp_path), pytest.raises(StageError, match="another demonstration runs in"):
        Stage(tmp_path)


def test_what_fails_is_shown(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        with pytest.raises(StageError, match="failed with status 3:\nwhy"):
            stage.run(["/bin/sh", "-c", "echo why; exit 3"], log=tmp_path / "log")
        with pytest.raises(StageError, match="did not start:\nno"):
            stage.serve(["/bin/sh", "-c", "echo no >&2"], log=tmp_path / "other-log")
