# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Telling people and programs: the notify hooks, and what any hook is told about an event."""

from __future__ import annotations

import collections
import typing as t

from . import model as m
from .hooks import HookError, Limits, Runner

QUEUE_LIMIT = 100


class Notices:
    """Runs the notify hooks for one notice after the other, beside everything else; their result changes nothing."""

    def __init__(self, runner: Runner, say: t.Callable[[str, str], None]) -> None:
        self._runner, self._say = runner, say
        self._queue: collections.deque[tuple[dict[str, str], dict[str, t.Any]]] = collections.deque()

    @property
    def busy(self) -> bool:
        """Whether a notice is on its way."""
        return self._runner.job is not None or bool(self._queue)

    def add(self, topic: str, record: m.EventRecord, state: m.State, why: str) -> None:
        """Queue a notice that an event came into a state. When hooks hang, the oldest are dropped, and said to be."""
        if record.action == "ignore":
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self._queue.popleft()
            self._say("warning", f"more than {QUEUE_LIMIT} notices are waiting; the oldest was dropped")
        environment = {**hook_environment(record, state), "AZURE_MAINTENANCE_TOPIC": topic}
        self._queue.append((environment, {**hook_document(record, state, why), "topic": topic}))

    def configure(self, *, directory: str, run_dir: str, limits: Limits) -> None:
        """Use these from the next hook on."""
        self._runner.configure(directory=directory, run_dir=run_dir, limits=limits)

    def poll(self) -> None:
        """Look after the running notice, and begin the next."""
        try:
            ended = self._runner.poll()
            if ended is not None and ended[0] != m.OK:
                self._say("warning", f"a notice failed: {ended[1]}")
            if self._runner.job is None and self._queue:
                environment, document = self._queue.popleft()
                self._runner.start(m.Job("notify", "", 0.0), environment, document, urgent=False)
        except HookError as exc:
            self._say("warning", f"a notice failed: {exc}")
            self._runner.abort()

    def abort(self) -> None:
        """End the running notice."""
        self._runner.abort()

    def leave(self) -> None:
        """Let the running notice go on if it can without this process, and end it if it cannot."""
        self._runner.leave()


def hook_environment(record: m.EventRecord | None, state: m.State) -> dict[str, str]:
    """The environment variables that tell a hook what it is about. Free text is only in the JSON document."""
    environment = {"AZURE_MAINTENANCE_VM_NAME": state.vm_name or ""}
    if record is None:
        return environment
    event = record.event
    values = {
        "EVENT_ID": event.event_id,
        "EVENT_TYPE": event.event_type,
        "EVENT_STATUS": event.event_status,
        "EVENT_SOURCE": event.event_source or "",
        "NOT_BEFORE": "" if event.not_before is None else f"{event.not_before:.0f}",
        "DURATION": "" if event.duration_in_seconds is None else str(event.duration_in_seconds),
        "RESOURCES": ",".join(event.resources),
        "STATE": record.state,
    }
    return {**environment, **{f"AZURE_MAINTENANCE_{name}": _plain(value) for name, value in values.items()}}


def _plain(value: str) -> str:
    """What can be in an environment: neither a NUL nor half of a character, which have no business in a name."""
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def hook_document(record: m.EventRecord | None, state: m.State, why: str) -> dict[str, t.Any]:
    """What a hook reads on its standard input."""
    document: dict[str, t.Any] = {"vm_name": state.vm_name, "why": why, "service": state.host.service, "event": None}
    if record is not None:
        document["event"] = record.event.as_dict()
        document["state"] = record.state
    return document


__all__ = ["Notices", "hook_document", "hook_environment"]
