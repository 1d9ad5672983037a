"""Programs of the distribution that tests use where they are installed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"))


def find_program(name: str, *, package: str) -> str:
    """The path of a program; without it the test is skipped and says what to install."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt install {package})")
    return found


def find_file(path: str, *, package: str) -> Path:
    """The same for a file, such as a program that is not on the path."""
    if not Path(path).exists():
        pytest.skip(f"{path} is not installed (Debian: apt install {package})")
    return Path(path)


def wait_for(condition: Callable[[], object], what: str, *, patience: float = 60.0) -> None:
    """Wait until a real process has done something; what, in case it does not."""
    until = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"not within {patience:g} s: {what}")
        time.sleep(0.05)
