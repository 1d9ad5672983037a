# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What every shipped hook stands on: the event, the memory of what was done, waiting, commands without a shell.

A hook remembers what it is about to do *before* it does it, and undoes only what it remembers. What an administrator
did before it, or changed after it, is left alone.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
import typing as t

from .. import files

# A drain that waits for others to finish stops waiting so many seconds before Azure may begin.
BEFORE_START = 5.0
COMMAND_OUTPUT = 4 * 1024 * 1024
MEMORY_FORMAT = 1


class HookFailed(Exception):  # noqa: N818 - said as a sentence, as the exit status is
    """It could not be done; the text says what, why, and what to do."""


class TryLater(HookFailed):
    """It cannot be done now, and may well be in a while: exit status 75."""


class Event(t.NamedTuple):
    """What the handler told. Everything in it may come from the cloud: data, never a part of a command line.

    Attributes:
        not_before: epoch seconds, None once it has started. topic: for notices, the state that the event came into.
        document: all of it, as it came on standard input.
    """

    vm_name: str
    event_id: str
    event_type: str
    not_before: float | None
    topic: str
    document: t.Mapping[str, t.Any]


def read_event(environment: t.Mapping[str, str], text: bytes) -> Event:
    """The event in a hook's environment and standard input; a hook that is started by hand may have neither."""

    def value(name: str) -> str:
        return environment.get(f"AZURE_MAINTENANCE_{name}", "")

    try:
        document = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as exc:
        raise HookFailed(f"standard input is not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise HookFailed("standard input is not a JSON object")
    try:
        not_before = float(value("NOT_BEFORE"))
    except ValueError:
        not_before = None
    return Event(value("VM_NAME"), value("EVENT_ID"), value("EVENT_TYPE"), not_before, value("TOPIC"), document)


class Memory:
    """What a set of hooks did and has to undo: one small JSON object that survives a reboot.

    Args:
        path: its file; the directory is made when something is to be remembered.
    """

    def __init__(self, path: str, say: t.Callable[[str], None]) -> None:
        self._path, self._say = path, say

    def load(self) -> dict[str, t.Any]:
        """What is remembered; nothing when there is no file. Raises HookFailed."""
        try:
            with open(self._path, "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise HookFailed(f"{self._path} cannot be read: {exc.strerror}") from exc
        try:
            value = json.loads(data)
            if value["format"] == MEMORY_FORMAT and isinstance(value["done"], dict):
                return t.cast("dict[str, t.Any]", value["done"])
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        aside = f"{self._path}.unreadable"
        try:
            os.replace(self._path, aside)
        except OSError as exc:
            raise HookFailed(f"{self._path} is not what this hook wrote, and stays: {exc.strerror}") from exc
        self._say(f"{self._path} is not what this hook wrote; it is now {aside}, and nothing is remembered")
        return {}

    def save(self, done: t.Mapping[str, t.Any]) -> None:
        """Remember, on disk; nothing at all is remembered by no file. Raises HookFailed."""
        try:
            if not done:
                files.remove_file(self._path)
                return
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            data = json.dumps({"format": MEMORY_FORMAT, "done": done}, sort_keys=True).encode()
            files.replace_file(self._path, data, mode=0o600)
        except OSError as exc:
            raise HookFailed(
                f"{self._path} cannot be written ({exc.strerror}); nothing is done that could not be undone later"
            ) from exc


class Ran(t.NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """The last line that it printed, for a message."""
        lines = [line.strip() for line in (self.err + "\n" + self.out).splitlines() if line.strip()]
        return (self.err.strip().splitlines() or lines or [f"exit status {self.status}"])[-1].strip()[:300]


class Context:
    """One run of one hook.

    Args:
        settings: checked ones. wall, mono, sleep: the clock; tests bring their own.
    """

    def __init__(
        self,
        *,
        phase: str,
        settings: t.Mapping[str, t.Any],
        event: Event,
        memory: Memory,
        say: t.Callable[[str], None],
        wall: t.Callable[[], float] = time.time,
        mono: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.phase, self.settings, self.event, self.memory, self.say = phase, settings, event, memory, say
        self.wall, self.mono, self.sleep = wall, mono, sleep

    def patience(self, limit: float) -> float:
        """Seconds that something may take: the limit, and less when Azure may begin sooner."""
        not_before = self.event.not_before
        if self.phase != "drain" or not_before is None or not_before <= self.wall():
            return limit
        return max(0.0, min(limit, not_before - self.wall() - BEFORE_START))

    def wait(self, done: t.Callable[[], bool], limit: float, *, every: float = 1.0) -> bool:
        """Wait until something is so, at most so many seconds. Whether it is."""
        until = self.mono() + limit
        while not done():
            left = until - self.mono()
            if left <= 0:
                return False
            self.sleep(min(every, left))
        return True

    def run(self, argv: t.Sequence[str], *, limit: float, extra: t.Mapping[str, str] | None = None) -> Ran:
        """Run a command, without a shell. Raises HookFailed when it cannot be started or takes too long."""
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **(extra or {})}
        try:
            done = subprocess.run(  # noqa: S603 - a list, no shell
                list(argv), stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=limit, check=False
            )
        except FileNotFoundError as exc:
            raise HookFailed(f"{argv[0]} is not there; install it, or name its path in the settings") from exc
        except OSError as exc:
            raise HookFailed(f"{argv[0]} cannot be started: {exc.strerror}") from exc
        except subprocess.TimeoutExpired as exc:
            raise HookFailed(f"{' '.join(argv[:3])} took longer than {limit:g} s") from exc
        out, err = (data[-COMMAND_OUTPUT:].decode("utf-8", "replace") for data in (done.stdout, done.stderr))
        return Ran(done.returncode, out, err)


def read_secret(path: str) -> str:
    """The content of a file that only its owner can read, without the line end.

    Raises:
        HookFailed: it cannot be read, is empty, or others may read it; the text never has what is in it.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            mode = os.fstat(stream.fileno())
            if mode.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise HookFailed(f"{path} holds a secret and others may read or write it; chmod 600 it")
            if mode.st_uid not in (0, os.geteuid()):
                raise HookFailed(f"{path} holds a secret and belongs to another user; chown root it")
            secret = stream.read(64 * 1024).strip()
    except OSError as exc:
        raise HookFailed(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise HookFailed(f"{path} is not text") from exc
    if not secret or any(ord(character) < 32 for character in secret):
        raise HookFailed(f"{path} must hold one line of text")
    return secret


def counted(number: int, what: str) -> str:
    """A number of things, as one says it."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def say_line(text: str) -> None:
    """Print a line, which the handler puts into the journal. What would break the line or the terminal is escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    sys.stdout.write(shown + "\n")
    sys.stdout.flush()


__all__ = [
    "Context",
    "Event",
    "HookFailed",
    "Memory",
    "Ran",
    "TryLater",
    "counted",
    "read_event",
    "read_secret",
    "say_line",
]
