# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Hooks: executables in ``<phase>.d`` directories, run one after the other, each with a time limit.

A hook gets the event in environment variables and as JSON on its standard input. Exit status 0 is done, 75
(EX_TEMPFAIL) try again later, any other failed. Nothing here waits: :meth:`Runner.poll` looks whether something ended.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import typing as t
import uuid

from . import model as m

TRY_LATER = 75
KILL_GRACE = 5.0
OUTPUT_KEPT = 8 * 1024
_IGNORED = (
    "~",
    ".bak",
    ".orig",
    ".rej",
    ".swp",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-dist",
    ".rpmnew",
    ".rpmsave",
    ".rpmorig",
)


class HookError(Exception):
    """A hook cannot be run; the text says which, why, and the remedy."""


class Call(t.NamedTuple):
    """One run of a hook.

    Attributes:
        name: ``<phase>.d/<file>``, for people. path: its file.
        environment: all of it. document: what it reads. document_path: where a launcher may keep that.
        limit: seconds that it may take; the runner sees to it, and what runs without the runner ends by itself.
    """

    name: str
    path: str
    environment: t.Mapping[str, str]
    document: bytes
    document_path: str
    limit: float


class Launcher(t.Protocol):
    """Starts hooks and finds out what became of them. A handle names one run of a hook, also after a restart.

    Attributes:
        outside: what it starts survives this process, is found again by its handle, and logs what it prints by itself.
        pause: seconds between two looks at what runs, when nothing else tells that it ended.
    """

    outside: bool
    pause: float

    def reserve(self) -> str:
        """A handle for the next start, so that it can be remembered before anything runs."""

    def knows(self, handle: str) -> bool:
        """Whether something runs under a handle, or it is known how it ended."""

    def start(self, handle: str, call: Call) -> None:
        """Start it. Raises HookError."""

    def poll(self, handle: str) -> int | None:
        """Its exit status (negative: a signal), None while it runs, 75 when nobody knows any more."""

    def kill(self, handle: str, *, hard: bool) -> None:
        """End it and all that it started: politely, or at once."""

    def abandon(self, handle: str) -> None:
        """End it at once and forget it."""

    def output(self, handle: str) -> str:
        """The end of what it printed."""


class ProcessLauncher:
    """Hooks as child processes in sessions of their own. They are not found again after a restart of the agent."""

    outside = False
    pause = 0.2  # SIGCHLD tells the service sooner

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._output: dict[str, bytes] = {}
        self._abandoned: list[subprocess.Popen[bytes]] = []

    def reserve(self) -> str:
        """See the protocol."""
        return f"process-{uuid.uuid4().hex}"

    def knows(self, handle: str) -> bool:
        """See the protocol."""
        return handle in self._children

    def start(self, handle: str, call: Call) -> None:
        """Start it. Raises HookError."""
        self._abandoned = [child for child in self._abandoned if child.poll() is None]
        try:
            with open(call.document_path, "w+b") as stream:
                stream.write(call.document)
                stream.seek(0)
                child = subprocess.Popen(  # noqa: S603 - the administrator put it there, and it gets no arguments
                    [call.path],
                    stdin=stream,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=dict(call.environment),
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as exc:
            raise HookError(f"{call.path} cannot be started: {exc.strerror}") from exc
        os.set_blocking(t.cast("t.IO[bytes]", child.stdout).fileno(), False)
        self._children[handle] = child
        self._output = {handle: b""}

    def poll(self, handle: str) -> int | None:
        """See the protocol."""
        child = self._children.get(handle)
        if child is None:
            return TRY_LATER
        self._read(handle)
        status = child.poll()
        if status is not None:
            self._read(handle)
            t.cast("t.IO[bytes]", child.stdout).close()
            _signal_group(child.pid, signal.SIGKILL)  # what it left behind in its session's first group
            del self._children[handle]
        return status

    def kill(self, handle: str, *, hard: bool) -> None:
        """See the protocol."""
        child = self._children.get(handle)
        if child is not None:
            _signal_group(child.pid, signal.SIGKILL if hard else signal.SIGTERM)

    def abandon(self, handle: str) -> None:
        """See the protocol."""
        child = self._children.pop(handle, None)
        if child is not None:
            _signal_group(child.pid, signal.SIGKILL)
            t.cast("t.IO[bytes]", child.stdout).close()
            try:
                child.wait(1.0)  # a killed process is gone at once, unless the kernel holds it
            except subprocess.TimeoutExpired:
                self._abandoned.append(child)

    def output(self, handle: str) -> str:
        """See the protocol."""
        return self._output.get(handle, b"").decode("utf-8", "replace")

    def _read(self, handle: str) -> None:
        """Take what the hook printed so far, so that it never blocks; a flood is read in portions and forgotten."""
        stream = t.cast("t.IO[bytes]", self._children[handle].stdout)
        for _portion in range(64):
            try:
                data = os.read(stream.fileno(), 65536)
            except BlockingIOError:
                return
            if not data:
                return
            self._output[handle] = (self._output[handle] + data)[-OUTPUT_KEPT:]


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def find_hooks(directory: str, phase: str) -> list[str]:
    """Names of the hooks of a phase, in order. A directory that is not there has none.

    Raises:
        HookError: the directory cannot be read, or a hook or it may be written by everybody.
    """
    place = os.path.join(directory, f"{phase}.d")
    try:
        names = sorted(os.listdir(place))
        _refuse_writable(place)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise HookError(f"{place} cannot be read: {exc.strerror}") from exc
    hooks = []
    for name in names:
        path = os.path.join(place, name)
        if name.startswith(".") or name.endswith(_IGNORED) or not (os.path.isfile(path) and os.access(path, os.X_OK)):
            continue
        _refuse_writable(path)
        hooks.append(name)
    return hooks


def _refuse_writable(path: str) -> None:
    if os.stat(path).st_mode & stat.S_IWOTH:
        raise HookError(f"{path} may be written by everybody, so it is not run; chmod o-w it")


class Limits(t.NamedTuple):
    """Seconds that hooks may take: usually, and for single ones by ``<phase>.d/<name>``."""

    usual: float
    single: t.Mapping[str, float]

    def of(self, phase: str, name: str) -> float:
        """Seconds for one hook."""
        return self.single.get(f"{phase}.d/{name}", self.usual)


def _forget(_job: m.Job) -> None:
    """Nobody wants to know which hook runs."""


class Runner:
    """Runs the hooks of one phase at a time.

    Args:
        directory: where the ``<phase>.d`` directories are. run_dir: where the input of hooks is put.
        mono: monotonic seconds. say: told what hooks printed and how they ended.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        directory: str,
        run_dir: str,
        limits: Limits,
        mono: t.Callable[[], float],
        say: t.Callable[[str], None],
    ) -> None:
        self._launcher, self._directory, self._run_dir = launcher, directory, run_dir
        self._limits, self._mono, self._say = limits, mono, say
        self._job: m.Job | None = None
        self._environment: t.Mapping[str, str] = {}
        self._document: bytes = b""
        self._kill_at = self._killed_at = 0.0
        self._timed_out = False
        self._remember: t.Callable[[m.Job], None] = _forget

    def configure(self, *, directory: str, run_dir: str, limits: Limits) -> None:
        """Use these from the next hook on."""
        self._directory, self._run_dir, self._limits = directory, run_dir, limits

    @property
    def job(self) -> m.Job | None:
        """What runs now."""
        return self._job

    @property
    def outside(self) -> bool:
        """Whether hooks outlive this process."""
        return self._launcher.outside

    @property
    def pause(self) -> float:
        """Seconds between two calls of poll while something runs."""
        return self._launcher.pause

    def start(
        self,
        job: m.Job,
        environment: t.Mapping[str, str],
        document: t.Mapping[str, t.Any],
        *,
        urgent: bool,
        remember: t.Callable[[m.Job], None] = _forget,
    ) -> None:
        """Begin a phase. An urgent one runs the hooks with the shortest time limits first.

        Args:
            remember: told of each hook just before it starts, when it may survive this process.

        Raises:
            HookError: the hooks cannot be listed, or the first one cannot be started.
        """
        hooks = find_hooks(self._directory, job.phase)
        if urgent:
            hooks.sort(key=lambda name: (self._limits.of(job.phase, name), name))
        self._prepare(job._replace(hooks=tuple(hooks)), environment, document, remember)
        if hooks:
            self._launch()

    def adopt(
        self,
        job: m.Job,
        environment: t.Mapping[str, str],
        document: t.Mapping[str, t.Any],
        *,
        remember: t.Callable[[m.Job], None] = _forget,
    ) -> bool:
        """Go on with a phase that an earlier process began. False when its hook can no longer be found."""
        found = self._launcher.outside and job.handle is not None and job.current < len(job.hooks)
        if not found or not self._launcher.knows(t.cast("str", job.handle)):
            return False
        self._prepare(job, environment, document, remember)
        self._kill_at = self._mono() + self._limits.of(job.phase, job.hooks[job.current])
        self._timed_out = False
        return True

    def _prepare(
        self,
        job: m.Job,
        environment: t.Mapping[str, str],
        document: t.Mapping[str, t.Any],
        remember: t.Callable[[m.Job], None],
    ) -> None:
        self._environment = {**_base_environment(), **environment, "AZURE_MAINTENANCE_PHASE": job.phase}
        self._document = json.dumps(document).encode("utf-8")
        self._job, self._remember = job, remember

    def poll(self) -> tuple[str, str] | None:
        """Outcome and detail once the phase has ended, else None."""
        job = self._job
        if job is None:
            return None
        if job.handle is None:  # no hooks at all
            self._job = None
            return m.OK, _count(len(job.hooks))
        status = self._launcher.poll(job.handle)
        if status is None:
            self._enforce(job, job.handle)
            return None
        return self._ended(job, job.handle, status)

    def abort(self) -> None:
        """End the running hook at once and forget the phase."""
        if self._job is not None and self._job.handle is not None:
            self._launcher.abandon(self._job.handle)
        self._job = None

    def leave(self) -> None:
        """Forget the phase; its hook goes on where it outlives this process, and is ended where it does not."""
        if self._launcher.outside:
            self._job = None
        else:
            self.abort()

    def _launch(self) -> None:
        job = t.cast("m.Job", self._job)
        name = job.hooks[job.current]
        path = os.path.join(self._directory, f"{job.phase}.d", name)
        document_path = os.path.join(self._run_dir, f"hook-{job.phase}.json")
        limit = self._limits.of(job.phase, name)
        handle = self._launcher.reserve()
        if self._launcher.outside:
            self._remember(job._replace(handle=handle))
        call = Call(f"{job.phase}.d/{name}", path, self._environment, self._document, document_path, limit)
        self._launcher.start(handle, call)
        self._kill_at = self._mono() + limit
        self._timed_out = False
        self._job = job._replace(handle=handle)

    def _enforce(self, job: m.Job, handle: str) -> None:
        now = self._mono()
        if not self._timed_out and now >= self._kill_at:
            self._timed_out, self._killed_at = True, now
            self._say(f"hook {job.phase}.d/{job.hooks[job.current]} runs too long and is ended")
            self._launcher.kill(handle, hard=False)
        elif self._timed_out and now >= self._killed_at + KILL_GRACE:
            self._launcher.kill(handle, hard=True)

    def _ended(self, job: m.Job, handle: str, status: int) -> tuple[str, str] | None:
        name = f"{job.phase}.d/{job.hooks[job.current]}"
        well = status == 0 and not self._timed_out
        output = "" if well and self._launcher.outside else self._launcher.output(handle).strip()
        if not self._launcher.outside:
            for line in output.splitlines()[-20:]:
                self._say(f"{name}: {line}")
        if well and job.current + 1 < len(job.hooks):
            self._job = job._replace(current=job.current + 1, handle=None)
            self._launch()
            return None
        self._job = None
        if well:
            return m.OK, _count(len(job.hooks))
        last = f": {output.splitlines()[-1][:200]}" if output else ""
        if self._timed_out:
            limit = self._limits.of(job.phase, job.hooks[job.current])
            return m.FAILED, f"{name} took longer than {limit:g} s{last}"
        if status == TRY_LATER:
            return m.LATER, f"{name} says try again later{last}"
        how = f"was killed by signal {-status}" if status < 0 else f"exited with {status}"
        return m.FAILED, f"{name} {how}{last}"


def _count(hooks: int) -> str:
    return {0: "no hooks", 1: "1 hook done"}.get(hooks, f"{hooks} hooks done")


def _base_environment() -> dict[str, str]:
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    environment.setdefault("HOME", os.path.expanduser("~"))  # a service of root's has none, and tools want one
    return environment


__all__ = ["Call", "HookError", "Launcher", "Limits", "ProcessLauncher", "Runner", "find_hooks"]
