# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Units of systemd: stopped before the maintenance, and those that ran are started after it."""

from __future__ import annotations

import typing as t

from . import settings as s
from .basis import Context, HookFailed, TryLater, counted

_UNIT = s.matching(r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]*", "the name of a unit, without wildcards,")
SETTINGS: s.Schema = {
    "units": s.Field([], s.list_of(_UNIT), "Units to stop, in this order; they are started in the reverse order."),
    "healthy": s.Field([], s.list_of(_UNIT), "Units that must be active before anything is resumed."),
    "time_limit": s.Field(90, s.seconds(1, 3600), "Seconds for stopping or starting one unit."),
}
REQUIRED = ("units",)
_RUNNING = ("active", "activating", "reloading", "refreshing", "deactivating")


def verify(_settings: dict[str, t.Any]) -> None:
    """Nothing hangs together."""


def longest(settings: t.Mapping[str, t.Any]) -> float:
    """Seconds that one run may take at most."""
    return t.cast("float", 30 + settings["time_limit"] * len(settings["units"]))


def _state(context: Context, unit: str) -> tuple[str, str]:
    """LoadState and ActiveState of a unit. Raises HookFailed when it is not there."""
    argv = ["systemctl", "show", "--property=LoadState,ActiveState", "--", unit]
    ran = context.run(argv, limit=30)
    found = dict(line.split("=", 1) for line in ran.out.splitlines() if "=" in line)
    if ran.status != 0 or "ActiveState" not in found:
        raise HookFailed(f"systemd does not tell the state of {unit}: {ran.reason}")
    if found.get("LoadState") == "not-found" and found["ActiveState"] not in _RUNNING:
        raise HookFailed(f"there is no unit {unit}; see the setting units")
    return found.get("LoadState", ""), found["ActiveState"]


def drain(context: Context) -> None:
    """Stop what runs, and remember it. What does not run is left alone, now and later."""
    done = context.memory.load()
    ours = t.cast("list[str]", done.setdefault("units", []))
    stopped = 0
    for unit in context.settings["units"]:
        if _state(context, unit)[1] not in _RUNNING:
            continue
        if unit not in ours:
            ours.append(unit)
            context.memory.save(done)
        ran = context.run(["systemctl", "stop", "--", unit], limit=context.settings["time_limit"])
        if ran.status != 0:
            raise HookFailed(f"{unit} was not stopped: {ran.reason}")
        if _state(context, unit)[1] in _RUNNING:
            raise HookFailed(f"{unit} was stopped and runs again; what activates it must be stopped before it")
        stopped += 1
    context.say(f"{counted(stopped, 'unit')} stopped, {len(ours)} to be started again")


def ready(context: Context) -> None:
    """None of the units runs again."""
    running = [unit for unit in context.settings["units"] if _state(context, unit)[1] in _RUNNING]
    if running:
        raise HookFailed(f"{', '.join(running)} runs again")


def resume(context: Context) -> None:
    """Start what was stopped here, last stopped first. A unit that somebody masked since stays down."""
    done = context.memory.load()
    failed = []
    for unit in reversed(done.get("units", [])):
        try:
            load, active = _state(context, unit)
            if load == "masked":
                context.say(f"{unit} was masked in the meantime, and is left alone")
            elif active != "active":
                ran = context.run(["systemctl", "start", "--", unit], limit=context.settings["time_limit"])
                if ran.status != 0:
                    raise HookFailed(ran.reason)
        except HookFailed as exc:
            failed.append(f"{unit} was not started: {exc}")
            continue
        done["units"].remove(unit)
        context.memory.save(done if done["units"] else {})
    if failed:
        raise HookFailed("; ".join(failed))


def health(context: Context) -> None:
    """The units that must be active are."""
    states = {unit: _state(context, unit)[1] for unit in context.settings["healthy"]}
    starting = [unit for unit, active in states.items() if active in ("activating", "reloading", "refreshing")]
    down = [f"{unit} is {active}" for unit, active in states.items() if active != "active" and unit not in starting]
    if down:
        raise HookFailed(", ".join(down))
    if starting:
        raise TryLater(f"{', '.join(starting)} is still starting")


PHASES = {"drain": drain, "ready": ready, "resume": resume, "health": health}
