# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Docker: containers are stopped before the maintenance, and those that ran are started after it. Also for Podman."""

from __future__ import annotations

import typing as t

from . import settings as s
from .basis import Context, HookFailed, Ran, TryLater, counted

SETTINGS: s.Schema = {
    "containers": s.Field(
        [],
        s.list_of(s.matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "the name of a container")),
        "Containers by name, stopped in this order and started in the reverse order.",
    ),
    "labels": s.Field(
        [],
        s.list_of(s.matching(r"[A-Za-z0-9][A-Za-z0-9_./-]*(=[^\s,]*)?", "label or label=value")),
        "All containers that have one of these labels; they are stopped after those by name.",
    ),
    "stop_timeout": s.Field(
        None,
        s.optional(s.integer(0)),
        "Seconds before a container is killed, in place of the container's own (usually 10).",
    ),
    "time_limit": s.Field(240, s.seconds(1, 86400), "Seconds for stopping or starting all of them."),
    "command": s.Field(
        "docker", s.matching(r"[A-Za-z0-9_./-]+", "a command"), "The command: docker, podman, or a path."
    ),
}
REQUIRED = ()
_RUNNING = ("running", "restarting", "paused")


class Container(t.NamedTuple):
    """A container, as ``ps`` shows it."""

    id: str
    names: tuple[str, ...]
    state: str

    @property
    def name(self) -> str:
        """What to call it."""
        return self.names[0] if self.names else self.id[:12]


def verify(settings: dict[str, t.Any]) -> None:
    """Something is chosen."""
    if not settings["containers"] and not settings["labels"]:
        raise ValueError("containers, labels: name at least one container or label")


def longest(settings: t.Mapping[str, t.Any]) -> float:
    """Seconds that one run may take at most."""
    return t.cast("float", 30 + settings["time_limit"])


def _docker(context: Context, *words: str, what: str, limit: float = 30) -> Ran:
    ran = context.run([context.settings["command"], *words], limit=limit)
    if ran.status != 0:
        raise HookFailed(f"{what}: {ran.reason}")
    return ran


def _list(context: Context, *filters: str) -> list[Container]:
    """Containers, also stopped ones. TryLater when the engine does not answer."""
    words = ["ps", "--all", "--no-trunc", "--format", "{{.ID}}\t{{.Names}}\t{{.State}}", *filters]
    try:
        lines = _docker(context, *words, what="the containers cannot be listed").out.splitlines()
    except HookFailed as exc:
        raise TryLater(str(exc)) from exc
    rows = [line.split("\t") for line in lines if line.count("\t") == 2]
    return [Container(row[0], tuple(filter(None, row[1].split(","))), row[2].lower()) for row in rows]


def _chosen(context: Context) -> list[Container]:
    every = _list(context)
    by_name = {name: container for container in every for name in container.names}
    missing = [name for name in context.settings["containers"] if name not in by_name]
    if missing:
        context.say(f"there is no container {', '.join(missing)}")
    found = [by_name[name] for name in context.settings["containers"] if name in by_name]
    for label in context.settings["labels"]:
        found += [one for one in _list(context, "--filter", f"label={label}") if one not in found]
    return found


def drain(context: Context) -> None:
    """Stop what runs, and remember it."""
    done = context.memory.load()
    ours = t.cast("list[list[str]]", done.setdefault("containers", []))
    stop = ["stop"]
    if context.settings["stop_timeout"] is not None:
        stop += ["-t", str(context.settings["stop_timeout"])]
    running = [container for container in _chosen(context) if container.state in _RUNNING]
    until = context.mono() + context.settings["time_limit"]
    for container in running:
        if [container.id, container.name] not in ours:
            ours.append([container.id, container.name])
            context.memory.save(done)
        left = max(1.0, until - context.mono())
        _docker(context, *stop, container.id, what=f"container {container.name} was not stopped", limit=left)
    context.say(f"{counted(len(running), 'container')} stopped, {len(ours)} to be started again")


def ready(context: Context) -> None:
    """None of the containers runs, old or new."""
    running = [container.name for container in _chosen(context) if container.state in _RUNNING]
    if running:
        raise HookFailed(f"container {', '.join(running)} runs again")


def resume(context: Context) -> None:
    """Start what was stopped here, last stopped first. What was removed since stays removed."""
    done = context.memory.load()
    ours = done.get("containers", [])
    if not ours:
        return
    states = {container.id: container.state for container in _list(context)}
    failed: list[str] = []
    until = context.mono() + context.settings["time_limit"]
    for entry in list(reversed(ours)):
        identity, name = entry
        if identity not in states:
            context.say(f"container {name} was removed in the meantime")
        elif states[identity] not in _RUNNING:
            try:
                left = max(1.0, until - context.mono())
                _docker(context, "start", identity, what=f"container {name} was not started", limit=left)
            except HookFailed as exc:
                failed.append(str(exc))
                continue
        ours.remove(entry)
        context.memory.save(done if ours else {})
    if failed:
        raise HookFailed("; ".join(failed))


def health(context: Context) -> None:
    """The engine answers."""
    _list(context)


PHASES = {"drain": drain, "ready": ready, "resume": resume, "health": health}
