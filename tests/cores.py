"""Runs the integration tests on every supported ansible-core: ``python tests/cores.py [core ...]``.

Each core has a virtual environment of its own under ``.cache/cores``, with the newest Python of this machine that the
core can run on, so that the Pythons are tried along the way. A core without an interpreter here is named and left out.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "cores"
REQUIREMENTS = (ROOT / "requirements-test.txt", ROOT / "roles/emulator/files/requirements.txt")
# The controller's Pythons of each core, by the releases' own table; here in the order in which they are taken.
CORES = {
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13", "3.14"),
    "2.21": ("3.13", "3.12", "3.14"),
}


class Outcome(NamedTuple):
    """What became of one core: ``passed``, ``failed`` or ``skipped``, and pytest's last line or the reason."""

    core: str
    word: str
    text: str


def interpreter(version: str) -> str | None:
    """A Python of that version with ``venv``: on the path, or one that pyenv keeps."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"), reverse=True)
    for path in (shutil.which(f"python{version}"), *map(str, kept)):
        if path is None or "shims" in path:  # a shim may lead nowhere
            continue
        if subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def environment(core: str, python: str) -> Path:
    """The virtual environment of a core; made when it is not there, or made of something else."""
    directory = CACHE / core
    wanted = [f"ansible-core=={core}.*", python, *(path.read_text(encoding="utf-8") for path in REQUIREMENTS)]
    stamp, mark = directory / ".complete", hashlib.sha256("\0".join(wanted).encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == mark:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(directory)], check=True)
    pip = [str(directory / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, wanted[0], "-r", str(REQUIREMENTS[0])], check=True, stderr=subprocess.STDOUT)
    site = next(directory.glob("lib/python*/site-packages"))
    paths = f"{ROOT}/.cache/collections\n{ROOT}/roles/emulator/files\n"
    (site / "azure_guest_imds.pth").write_text(paths, encoding="utf-8")
    stamp.write_text(mark, encoding="utf-8")
    return directory


def run(core: str, arguments: list[str]) -> Outcome:
    """Try one core."""
    python = next(filter(None, map(interpreter, CORES[core])), None)
    if python is None:
        return Outcome(core, "skipped", f"this machine has no Python {' or '.join(CORES[core])} with venv")
    directory = environment(core, python)
    begin = time.monotonic()
    command = [str(directory / "bin/python"), "-m", "pytest", *(arguments or ["tests/integration"])]
    variables = {**os.environ, "PATH": f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(done.stdout)
    sys.stdout.flush()
    last = re.sub(r"=+|\x1b\[\d*m", "", done.stdout.strip().rsplit("\n", 1)[-1]).strip()
    versions = subprocess.run(
        [
            str(directory / "bin/python"),
            "-c",
            "import platform, ansible.release as r; print(r.__version__, platform.python_version())",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    text = f"ansible-core {versions[0]}, Python {versions[1]}: {last} (with start-up {time.monotonic() - begin:.0f} s)"
    return Outcome(core, "failed" if done.returncode else "passed", text)


def main(words: list[str]) -> int:
    """Try the cores that are named, or all; further words go to pytest."""
    cores = [word for word in words if word in CORES] or list(CORES)
    outcomes = [run(core, [word for word in words if word not in CORES]) for core in cores]
    for outcome in outcomes:
        sys.stdout.write(f"{outcome.core}  {outcome.word}  {outcome.text}\n")
    return int(any(outcome.word == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
