# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The sets of hooks that come with the handler, and how one of them is run."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import typing as t

from . import settings as s
from .basis import Context, HookFailed, Memory, TryLater, read_event, say_line
from .names import NAMES, PHASES

if t.TYPE_CHECKING:
    from ..config import Config

    # For Ansible, which takes along to a host what it sees imported. A hook imports its own set only.
    from . import ansible_playbook, docker, haproxy, kubernetes, nginx, patroni, systemd_units, webhook  # noqa: F401

# Where each stands among the drain hooks: first nobody comes any more, then what serves is stopped.
ORDERS: t.Mapping[str, int] = {
    "kubernetes": 10,
    "haproxy": 20,
    "nginx": 30,
    "patroni": 40,
    "docker": 50,
    "systemd_units": 60,
    "ansible_playbook": 70,
    "webhook": 90,
}
# Exit statuses: EX_TEMPFAIL and EX_CONFIG of sysexits.h.
OK, FAILURE, LATER, BAD_SETTINGS = 0, 1, 75, 78


class HookSet(t.NamedTuple):
    """A set of hooks.

    Attributes:
        schema: its settings. required: those without which it does not work.
        phases: what is done, by phase. verify: what cannot be seen in one setting alone; raises ValueError.
        longest: seconds that a hook may take with its settings. nested: settings inside of settings.
    """

    schema: s.Schema
    required: tuple[str, ...]
    phases: t.Mapping[str, t.Callable[[Context], None]]
    verify: t.Callable[[dict[str, t.Any]], None]
    longest: t.Callable[[t.Mapping[str, t.Any]], float]
    nested: t.Mapping[str, s.Schema]


def find(name: str) -> HookSet:
    """A set by its name. Raises KeyError for one that is not in NAMES."""
    if name not in NAMES:
        raise KeyError(name)
    module: t.Any = importlib.import_module(f".{name}", __package__)
    return HookSet(
        module.SETTINGS,
        module.REQUIRED,
        module.PHASES,
        module.verify,
        module.longest,
        getattr(module, "NESTED", {}),
    )


def check(name: str, value: t.Any, *, where: str) -> dict[str, t.Any]:
    """The checked settings of a set. Raises SettingsError."""
    found = find(name)
    checked = s.check(found.schema, value, where, found.required)
    try:
        found.verify(checked)
    except ValueError as exc:
        raise s.SettingsError(where, [str(exc)]) from exc
    return checked


def settings_path(hooks_dir: str, name: str) -> str:
    """Where the settings of a set are."""
    return os.path.join(hooks_dir, "hooks", f"{name}.json")


def memory_path(state_dir: str, name: str) -> str:
    """Where a set remembers what it did."""
    return os.path.join(state_dir, "hooks", f"{name}.json")


def command(config: Config, options: argparse.Namespace) -> int:
    """``azure-maintenance hook SET PHASE``."""
    path = settings_path(config.hooks_dir, options.set)
    try:
        checked = check(options.set, s.load(path), where=path)
    except s.SettingsError as exc:
        sys.stderr.write(f"{exc}\n")
        return BAD_SETTINGS
    if options.phase == "check":
        say_line(f"{path}: no problem found")
        return OK
    act = find(options.set).phases.get(options.phase)
    if act is None:
        sys.stderr.write(f"{options.set} has no hook for the phase {options.phase}\n")
        return FAILURE
    memory = Memory(memory_path(config.state_dir, options.set), say_line)
    try:
        event = read_event(os.environ, _standard_input())
        act(Context(phase=options.phase, settings=checked, event=event, memory=memory, say=say_line))
    except TryLater as exc:
        say_line(str(exc))
        return LATER
    except HookFailed as exc:
        say_line(str(exc))
        return FAILURE
    return OK


def _standard_input() -> bytes:
    """What the handler wrote there; nothing when a person runs the hook by hand."""
    # None when it was closed, whatever the annotation says.
    stream = t.cast("t.TextIO | None", sys.stdin)
    return b"" if stream is None or stream.isatty() else stream.buffer.read()


__all__ = ["NAMES", "ORDERS", "PHASES", "HookSet", "check", "command", "find", "memory_path", "settings_path"]
