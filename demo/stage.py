# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of the demonstration, every one of which ends when it does."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO, Any

MARK = "AZURE_GUEST_DEMO"


class StageError(Exception):
    """Something that the demonstration needs did not work; the text says what, and where to read on."""


class Stage:
    """Starts processes in a directory of its own and ends them all, whatever happens.

    Every process carries a mark in its environment, so that grandchildren are found too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._mark = uuid.uuid4().hex
        self._children: list[subprocess.Popen[Any]] = []
        self._lock = (root / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self._lock.close()
            raise StageError(f"another demonstration runs in {root}") from exc

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def environment(self) -> dict[str, str]:
        """What every process of the demonstration sees."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AZURE_"))}
        return {
            **kept,
            MARK: self._mark,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
        }

    def start(self, argv: list[str], *, log: Path | None = None, stdout: int | None = None) -> subprocess.Popen[str]:
        """Start a process in the background, out of reach of the terminal's Ctrl-C: this stage ends it."""
        log_stream: IO[str] | None = log.open("a", encoding="utf-8") if log else None
        try:
            child = subprocess.Popen(
                argv,
                cwd=Path(__file__).parent,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout if stdout is not None else log_stream,
                stderr=log_stream,
                start_new_session=True,
                text=True,
            )
        finally:
            if log_stream:
                log_stream.close()
        self._children.append(child)
        return child

    def run(self, argv: list[str], *, log: Path) -> str:
        """Run a process to its end and return what it printed. Raises StageError when it fails."""
        begin = log.stat().st_size if log.exists() else 0
        child = self.start(argv, log=log)
        status = child.wait()
        printed = log.read_bytes()[begin:].decode("utf-8", "replace")
        if status != 0:
            raise StageError(f"{' '.join(argv[:2])} failed with status {status}:\n{printed[-4000:]}")
        return printed

    def serve(self, argv: list[str], *, log: Path) -> dict[str, Any]:
        """Start a process that prints a line of JSON when it is ready, and return that. Raises StageError."""
        child = self.start(argv, log=log, stdout=subprocess.PIPE)
        stream = child.stdout
        line = stream.readline() if stream else ""
        if not line:
            raise StageError(f"{' '.join(argv[:4])} did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")
        announced: dict[str, Any] = json.loads(line)
        return announced

    def end(self, child: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
        """Signal a process and those of its session, and forget it once it is gone."""
        for target in (number, signal.SIGKILL):
            try:
                os.killpg(child.pid, target)
            except ProcessLookupError:
                pass
            try:
                child.wait(5)
                break
            except subprocess.TimeoutExpired:
                continue
        if child.stdout:
            child.stdout.close()
        if child in self._children:
            self._children.remove(child)

    def close(self) -> None:
        """End every process. A second Ctrl-C does not disturb it."""
        previous = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            for child in reversed(list(self._children)):
                self.end(child)
            self._sweep()
        finally:
            self._lock.close()
            for number, handler in previous:
                signal.signal(number, handler)

    def _sweep(self) -> None:
        """End what children left behind: whatever has our mark in its environment."""
        for _attempt in range(20):
            left = marked_processes(self._mark)
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)


def marked_processes(mark: str) -> list[int]:
    """Processes, but for this one, whose environment has the mark; none where there is no /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            state = (entry / "stat").read_text(encoding="utf-8", errors="replace").rsplit(") ", 1)[1][0]
        except (OSError, IndexError):
            continue
        if wanted in environment.split(b"\0") and state != "Z" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


__all__ = ["MARK", "Stage", "StageError", "marked_processes"]
