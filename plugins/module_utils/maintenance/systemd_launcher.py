# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Hooks as transient units of systemd: outside of the service's sandbox, in a control group each, under their own name.

The service manager starts them, so they survive the service, and nothing that a hook starts survives the hook. How a
hook ended is written to a file by the unit itself (``ExecStopPost=``), which is there before the unit is gone and needs
nobody to wait for it. Only when that file does not come, systemd is asked whether the unit is still there.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import typing as t
import uuid

from .files import remove_file, replace_file
from .hooks import KILL_GRACE, OUTPUT_KEPT, TRY_LATER, Call, HookError

BOOTED = "/run/systemd/system"
UNIT_PREFIX = "azure-maintenance-hook-"
# Exit status by which systemd says that it could not execute a file (systemd.exec(5), "Process Exit Codes").
EXIT_EXEC = 203
# A hook whose end nobody noted: there is no status to tell.
UNKNOWN_STATUS = 255
_ASK_EVERY = 2.0
_PATIENCE = 10.0
# What a hook that nobody looks after may take beyond its limit, in seconds.
_SLACK = 10.0
_OLD = 2 * 86400.0
# Without dollar signs and semicolons: systemd 252 writes them into the unit's file in a form that it misreads after
# a daemon-reload.
_NOTE_RESULT = "printenv SERVICE_RESULT EXIT_CODE EXIT_STATUS >{path}.new || true && mv -f {path}.new {path}"
# What means the same to systemd, to a shell, and in a file of systemd's own.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+@:=,-]+")
_LOST = "lost"


class Result(t.NamedTuple):
    """How systemd says that a unit ended: its own word, and the exit status (negative: a signal)."""

    word: str
    status: int


def usable(booted: str = BOOTED) -> bool:
    """Whether hooks can be transient units here: systemd runs, this is root, and the programs are there."""
    return os.path.isdir(booted) and os.geteuid() == 0 and all(map(shutil.which, ("systemd-run", "systemctl")))


class SystemdLauncher:
    """Hooks as transient units.

    Args:
        run_dir: where their input and results are kept; it lasts until the reboot that ends the units as well.
        mono: monotonic seconds.
    """

    outside = True
    pause = 0.05  # a look costs one stat()

    def __init__(self, run_dir: str, *, mono: t.Callable[[], float] = time.monotonic) -> None:
        self._run_dir, self._mono = run_dir, mono
        self._asked: dict[str, float] = {}
        self._results: dict[str, Result] = {}

    def reserve(self) -> str:
        """See the protocol. The handle is the unit's name, and the stem of its files' names."""
        return f"{UNIT_PREFIX}{uuid.uuid4().hex[:16]}"

    def knows(self, handle: str) -> bool:
        """See the protocol."""
        if not handle.startswith(UNIT_PREFIX) or "/" in handle:
            return False  # of another launcher
        return os.path.exists(self._file(handle, "result")) or self._loaded(handle)

    def start(self, handle: str, call: Call) -> None:
        """Start it. Raises HookError."""
        self._sweep()
        for ended in self._results:
            self._forget(ended)
        self._results = {}
        if not _PLAIN_PATH.fullmatch(self._run_dir):
            raise HookError(f"{call.path} cannot be started as a unit: run_dir {self._run_dir!r} has odd characters")
        try:
            os.makedirs(self._run_dir, exist_ok=True)
            replace_file(self._file(handle, "json"), call.document, mode=0o600, durable=False)
            data = environment_file(call.environment).encode("utf-8")
            replace_file(self._file(handle, "env"), data, mode=0o600, durable=False)
        except OSError as exc:
            raise HookError(f"{call.path} cannot be started: {exc.filename}: {exc.strerror}") from exc
        done = _run([*self._command(handle, call), "--", call.path])
        if done is None or done.returncode != 0:
            if done is None:
                self.kill(handle, hard=True)  # whether it was heard is not known
            self._forget(handle)
            why = "systemd-run does not answer" if done is None else _last_line(done.stderr)
            raise HookError(f"{call.path} cannot be started as a unit: {why}")
        self._asked = {handle: self._mono()}

    def _command(self, handle: str, call: Call) -> list[str]:
        properties = {
            "EnvironmentFile": self._file(handle, "env"),
            "StandardInput": f"file:{self._file(handle, 'json')}",
            "StandardOutput": "journal",
            "StandardError": "inherit",
            "SyslogIdentifier": f"azure-maintenance/{call.name}",
            "WorkingDirectory": "/",
            # What the hook leaves behind is killed at once, and nothing in its control group escapes that.
            "KillMode": "mixed",
            "TimeoutStopSec": f"{KILL_GRACE:.0f}s",
            "RuntimeMaxSec": f"{call.limit + KILL_GRACE + _SLACK:.0f}s",
            "ExecStopPost": f"/bin/sh -c '{_NOTE_RESULT.format(path=self._file(handle, 'result'))}'",
        }
        return [
            "systemd-run",
            "--quiet",
            "--no-ask-password",
            "--no-block",
            "--collect",
            f"--unit={handle}.service",
            f"--description=Maintenance hook {call.name}",
            *(f"--property={name}={value}" for name, value in properties.items()),
        ]

    def poll(self, handle: str) -> int | None:
        """See the protocol."""
        result = self._result(handle)
        if result is None:
            now = self._mono()
            if now < self._asked.get(handle, float("-inf")) + _ASK_EVERY:
                return None
            self._asked[handle] = now
            if self._loaded(handle):
                return None
            result = self._result(handle)  # it may have ended between the two looks
        result = result or Result(_LOST, TRY_LATER)
        # The note stays until the next hook starts: by then it is journaled how this one ended.
        self._results = {handle: result}
        return result.status

    def kill(self, handle: str, *, hard: bool) -> None:
        """See the protocol."""
        _run(["systemctl", "kill", f"--signal={'SIGKILL' if hard else 'SIGTERM'}", f"{handle}.service"])

    def abandon(self, handle: str) -> None:
        """See the protocol. Returns when it is gone, so that nothing runs beside it."""
        self.kill(handle, hard=True)
        _run(["systemctl", "stop", f"{handle}.service"])
        self._forget(handle)

    def output(self, handle: str) -> str:
        """The end of what it printed, from the system's journal; and what systemd has to say about its end."""
        match = f"_SYSTEMD_UNIT={handle}.service"
        _run(["journalctl", "--sync"])  # what it printed last may be on its way
        done = _run(["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=50", match])
        text = "" if done is None else done.stdout[-OUTPUT_KEPT:]
        remark = _remark(self._results.get(handle))
        return f"{text.rstrip()}\n{remark}" if remark else text

    def _file(self, handle: str, kind: str) -> str:
        return os.path.join(self._run_dir, f"{handle}.{kind}")

    def _result(self, handle: str) -> Result | None:
        try:
            with open(self._file(handle, "result"), encoding="ascii", errors="replace") as stream:
                return parse_result(stream.read(200))
        except OSError:
            return None

    def _loaded(self, handle: str) -> bool:
        """Whether systemd has the unit, running or about to; yes when it does not answer."""
        done = _run(["systemctl", "show", "--property=ActiveState,Job", f"{handle}.service"])
        if done is None or done.returncode != 0:
            return True
        shown = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
        return shown.get("ActiveState") not in ("inactive", "failed") or shown.get("Job", "0") not in ("", "0")

    def _forget(self, handle: str) -> None:
        for kind in ("json", "env", "result"):
            remove_file(self._file(handle, kind))

    def _sweep(self) -> None:
        """Remove what hooks left here that nobody asked about any more: those of notices, and abandoned ones."""
        try:
            for entry in os.scandir(self._run_dir):
                if entry.name.startswith(UNIT_PREFIX) and time.time() - entry.stat().st_mtime > _OLD:
                    remove_file(entry.path)
        except OSError:
            pass


def environment_file(environment: t.Mapping[str, str]) -> str:
    """The text of a file for ``EnvironmentFile=``, where every value is quoted and what cannot be printed is left out.

    systemd would ignore a whole variable with a control character in it.
    """
    lines = []
    for name, value in environment.items():
        clean = "".join(c for c in value if c.isprintable() or c in "\n\t")
        for special in '\\"$`':
            clean = clean.replace(special, f"\\{special}")
        lines.append(f'{name}="{clean}"\n')
    return "".join(lines)


def parse_result(text: str) -> Result | None:
    """How a unit said it ended, such as ``exit-code exited 3`` or ``signal killed KILL``. None for anything else."""
    words = text.split()
    if len(words) == 1:  # nothing was started at all, such as for lack of memory
        return Result(words[0], UNKNOWN_STATUS)
    if len(words) != 3:
        return None
    word, how, status = words
    if how == "exited" and status.isdigit():
        return Result(word, int(status))
    try:
        return Result(word, -signal.Signals[f"SIG{status}"].value)
    except KeyError:
        return Result(word, UNKNOWN_STATUS)


def _remark(result: Result | None) -> str:
    if result is None:
        return ""
    if result.status == EXIT_EXEC:
        return "systemd could not execute it: is the interpreter in its first line there?"
    if result.word == _LOST:
        return "nobody noted how it ended"
    if result.word in ("success", "exit-code", "signal"):
        return ""
    return f"systemd says: {result.word}"


def _run(command: t.Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    """Run a program of systemd's. None when it is not there or does not answer."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(  # noqa: S603 - a fixed program, and arguments that no shell sees
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "systemd-run does not say why"


__all__ = ["Result", "SystemdLauncher", "environment_file", "parse_result", "usable"]
