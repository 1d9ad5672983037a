# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The configuration: one table of what may be in it, which validates a file and is the source of the documentation."""

from __future__ import annotations

import json
import typing as t

from ..imds.client import parse_endpoint
from . import policy, windows
from .fleet.document import Limits


class ConfigError(ValueError):
    """What is wrong with a configuration, where, and what would be right. ``problems`` has one sentence for each."""

    def __init__(self, where: str, problems: t.Sequence[str]) -> None:
        super().__init__("\n".join(f"{where}: {problem}" for problem in problems))
        self.problems = tuple(problems)


class Field(t.NamedTuple):
    """One key of the configuration: its default, how its value is checked and converted, and what it means."""

    default: t.Any
    convert: t.Callable[[t.Any], t.Any]
    text: str


class Fleet(t.NamedTuple):
    """Where the fleet document is, and how much of the fleet may be out at once."""

    store: str = "memory"
    path: str | None = None
    limits: Limits = Limits()
    takeover_after: float = 30.0


class RehearsalClock(t.NamedTuple):
    """The clock of an emulator: ``virtual`` at the real moment ``real``, and from then on ``scale`` times as fast."""

    scale: float
    real: float
    virtual: float


class Config(t.NamedTuple):
    """The handler's settings; times in seconds. What each means is in :data:`SCHEMA`."""

    endpoint: str | None
    api_version: str
    vm_name: str | None
    poll_interval: float
    state_dir: str
    run_dir: str
    hooks_dir: str
    policy: tuple[policy.Rule, ...]
    margin: float
    drain_time: float
    lead_time: float
    settle: float
    retry_interval: float
    ready_interval: float
    hook_timeout: float
    hook_timeouts: t.Mapping[str, float]
    hook_launcher: str
    schedule: windows.Schedule
    multi_resource: str
    assume_ready: tuple[str, ...]
    fleet: Fleet
    clock: RehearsalClock | None


# --- values -------------------------------------------------------------------------------------------------------


def _string(value: t.Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a non-empty string expected, not {value!r:.60}")
    return value


def _path(value: t.Any) -> str:
    if not _string(value).startswith("/"):
        raise ValueError(f"an absolute path expected, not {value!r:.60}")
    return t.cast("str", value)


def _optional(convert: t.Callable[[t.Any], t.Any]) -> t.Callable[[t.Any], t.Any]:
    return lambda value: None if value is None else convert(value)


def _seconds(low: float, high: float) -> t.Callable[[t.Any], float]:
    def convert(value: t.Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"seconds from {low:g} to {high:g} expected, not {value!r:.60}")
        return float(value)

    return convert


def _integer(low: int) -> t.Callable[[t.Any], int]:
    def convert(value: t.Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"a whole number of at least {low} expected, not {value!r:.60}")
        return value

    return convert


def _choice(*choices: str) -> t.Callable[[t.Any], str]:
    def convert(value: t.Any) -> str:
        if value not in choices:
            raise ValueError(f"{value!r:.60} is none of {', '.join(choices)}{_nearest(value, choices)}")
        return t.cast("str", value)

    return convert


def _boolean(value: t.Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false expected, not {value!r:.60}")
    return value


def _strings(value: t.Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"a list of strings expected, not {value!r:.60}")
    return tuple(value)


def _endpoint(value: t.Any) -> str:
    parse_endpoint(_string(value))
    return t.cast("str", value)


def _timeouts(value: t.Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ValueError(f"an object of hook names and seconds expected, not {value!r:.60}")
    return {_string(name): _seconds(1, 86400)(seconds) for name, seconds in value.items()}


def _max_unavailable(value: t.Any) -> int | str:
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit() and 0 < int(value[:-1]) <= 100:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError(f"a whole number of at least 1, or a percentage such as '25%', expected, not {value!r:.60}")


def _nearest(name: t.Any, known: t.Iterable[str]) -> str:
    import difflib  # only wanted when something is wrong

    close = difflib.get_close_matches(str(name), list(known), 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


# --- objects ------------------------------------------------------------------------------------------------------

Schema = t.Mapping[str, Field]

RULE: Schema = {
    "name": Field(None, _optional(_string), "What status and journal call the rule; its place in the list by default."),
    "types": Field([], _strings, "EventTypes that match, in any case; all when empty."),
    "sources": Field([], _strings, "EventSources that match: Platform, User; all when empty."),
    "min_duration": Field(None, _optional(_integer(0)), "Match only events with at least so many DurationInSeconds."),
    "max_duration": Field(None, _optional(_integer(0)), "Match only events with at most so many DurationInSeconds."),
    "action": Field(policy.DRAIN_AND_APPROVE, _choice(*policy.ACTIONS), "What to do about the event."),
    "skip_queue": Field(False, _boolean, "Drain at once: no lead time, no window, no slot."),
    "on_failed_drain": Field(
        policy.HOLD,
        _choice(policy.HOLD, policy.PROCEED),
        "After a failed drain, at the deadline: never approve, or go on.",
    ),
    "drain_after_start": Field(False, _boolean, "Drain even when the event is first seen after it started."),
}
WINDOW: Schema = {
    "days": Field("daily", windows.parse_days, "Weekdays on which it starts: mon-fri, sat,sun, or daily."),
    "start": Field("00:00", windows.parse_minutes, "Local time of its start, HH:MM."),
    "end": Field("24:00", windows.parse_minutes, "Local time of its end; at or before the start means the next day."),
    "time_zone": Field("UTC", windows.parse_zone, "IANA name of the zone of these times."),
}
FREEZE: Schema = {
    "from": Field(None, _string, "First moment: 2026-12-20 or 2026-12-20T18:00."),
    "until": Field(None, _string, "First moment after it."),
    "time_zone": Field("UTC", windows.parse_zone, "IANA name of the zone of these times."),
    "reason": Field("no reason given", _string, "Shown wherever the freeze delays something."),
}
FLEET: Schema = {
    "store": Field("memory", _choice("memory", "file"), "Where the fleet document is: memory is a fleet of one VM."),
    "path": Field(None, _optional(_path), "The document's file, for the store file."),
    "max_unavailable": Field(1, _max_unavailable, "How many VMs may be out at once, or a percentage such as '25%'."),
    "max_unavailable_per_zone": Field(None, _optional(_integer(1)), "The same within one zone."),
    "max_unavailable_per_fault_domain": Field(None, _optional(_integer(1)), "The same within one fault domain."),
    "max_unavailable_per_update_domain": Field(None, _optional(_integer(1)), "The same within one update domain."),
    "min_available": Field(0, _integer(0), "How many members must stay."),
    "takeover_after": Field(
        30, _seconds(1, 3600), "Seconds after which the next ready VM approves in the first one's place."
    ),
}
CLOCK: Schema = {
    "scale": Field(None, _seconds(0.001, 100000), "How many of the emulator's seconds pass in a real one."),
    "real": Field(None, _seconds(0, 1e11), "A real moment, epoch seconds."),
    "virtual": Field(None, _seconds(0, 1e11), "The emulator's time at that moment, epoch seconds."),
}


def _list_of(
    schema: Schema, build: t.Callable[[dict[str, t.Any], int], t.Any]
) -> t.Callable[[t.Any], tuple[t.Any, ...]]:
    def convert(value: t.Any) -> tuple[t.Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"a list expected, not {value!r:.60}")
        problems: list[str] = []
        built = []
        for index, entry in enumerate(value):
            try:
                built.append(build(check(schema, entry, f"[{index}]"), index))
            except _InvalidError as exc:
                problems += exc.problems
            except ValueError as exc:
                problems.append(f"[{index}]: {exc}")
        if problems:
            raise _InvalidError(problems)
        return tuple(built)

    return convert


def _rule(entry: dict[str, t.Any], index: int) -> policy.Rule:
    return policy.Rule(**{**entry, "name": entry["name"] or f"policy[{index}]"})


def _window(entry: dict[str, t.Any], _index: int) -> windows.Window:
    start, end = entry["start"], entry["end"]
    days = "daily" if len(entry["days"]) == 7 else ",".join(windows.DAYS[day][:3] for day in entry["days"])
    text = f"{days} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02} {entry['time_zone']}"
    return windows.Window(entry["days"], start, end, entry["time_zone"], text)


def _freeze(entry: dict[str, t.Any], _index: int) -> windows.Span:
    zone = entry["time_zone"]
    if entry["from"] is None or entry["until"] is None:
        raise ValueError("from and until are required")
    span = windows.Span(
        windows.parse_moment(entry["from"], zone), windows.parse_moment(entry["until"], zone), entry["reason"]
    )
    if span.end <= span.start:
        raise ValueError("until is not after from")
    return span


def _fleet(value: t.Any) -> Fleet:
    entry = check(FLEET, value, "")
    if entry["store"] == "file" and entry["path"] is None:
        raise ValueError("the store 'file' needs a path")
    limits = Limits(
        entry["max_unavailable"],
        entry["max_unavailable_per_zone"],
        entry["max_unavailable_per_fault_domain"],
        entry["max_unavailable_per_update_domain"],
        entry["min_available"],
    )
    return Fleet(entry["store"], entry["path"], limits, entry["takeover_after"])


def _clock(value: t.Any) -> RehearsalClock:
    entry = check(CLOCK, value, "")
    if None in entry.values():
        raise ValueError("scale, real and virtual are required")
    return RehearsalClock(**entry)


SCHEMA: Schema = {
    "endpoint": Field(
        None, _optional(_endpoint), "Address of the metadata service, http://host[:port]; Azure's by default."
    ),
    "api_version": Field("auto", _string, "Of scheduledevents; auto takes the newest that the service has."),
    "vm_name": Field(None, _optional(_string), "This VM's name in Resources; read from compute.name by default."),
    "poll_interval": Field(1.0, _seconds(0.5, 60), "Seconds between two looks at the events document."),
    "state_dir": Field("/var/lib/azure-maintenance", _path, "What must survive a reboot: journal and history."),
    "run_dir": Field("/run/azure-maintenance", _path, "What need not: the status file."),
    "hooks_dir": Field("/etc/azure-maintenance", _path, "Where drain.d, ready.d, resume.d, health.d and notify.d are."),
    "policy": Field([], _list_of(RULE, _rule), "Rules before the default ones; the first that matches decides."),
    "margin": Field(30, _seconds(0, 3600), "Seconds before NotBefore at which a drain must be complete."),
    "drain_time": Field(
        300, _seconds(0, 86400), "Seconds that a drain may take; it starts so much before the margin at the latest."
    ),
    "lead_time": Field(
        3600, _seconds(0, 30 * 86400), "Do not drain sooner than so long before NotBefore, unless a window is open."
    ),
    "settle": Field(10, _seconds(0, 3600), "Seconds after an event left the document before anything is resumed."),
    "retry_interval": Field(15, _seconds(1, 3600), "Seconds before failed hooks are tried again."),
    "ready_interval": Field(30, _seconds(1, 3600), "Seconds for which the answer of the ready hooks is believed."),
    "hook_timeout": Field(300, _seconds(1, 86400), "Seconds after which a hook is killed."),
    "hook_timeouts": Field({}, _timeouts, "The same for single hooks, by phase.d/name."),
    "hook_launcher": Field(
        "auto", _choice("auto", "systemd", "process"), "Run hooks as transient units, or as child processes."
    ),
    "windows": Field([], _list_of(WINDOW, _window), "When approvals are welcome; always when empty."),
    "freezes": Field([], _list_of(FREEZE, _freeze), "Calendar freezes: no approvals."),
    "multi_resource": Field(
        "wait",
        _choice("wait", "approve_if_first"),
        "Without a fleet store, an event that touches several VMs: leave it to NotBefore, or approve it if first.",
    ),
    "assume_ready": Field([], _strings, "VMs that have no handler and need none: counted as ready."),
    "fleet": Field({}, _fleet, "The fleet document and its limits."),
    "clock": Field(None, _optional(_clock), "For rehearsals: the clock of an emulator whose time is scaled."),
}


class _InvalidError(ValueError):
    def __init__(self, problems: t.Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def check(schema: Schema, value: t.Any, path: str) -> dict[str, t.Any]:
    """Every key of the schema with its converted value. Raises with all problems at once."""
    if not isinstance(value, dict):
        raise _InvalidError([f"{path or 'the configuration'}: an object expected, not {value!r:.60}"])
    dot = f"{path}." if path else ""
    problems = [f"{dot}{key}: unknown key{_nearest(key, schema)}" for key in value if key not in schema]
    result: dict[str, t.Any] = {}
    for key, field in schema.items():
        given = value.get(key, field.default)
        try:
            # A default that stands for "required" or "none" is not a value to convert.
            result[key] = None if given is None and field.default is None else field.convert(given)
        except _InvalidError as exc:
            problems += [f"{dot}{key}{'' if text.startswith('[') else '.'}{text}" for text in exc.problems]
        except ValueError as exc:
            problems.append(f"{dot}{key}: {exc}")
    if problems:
        raise _InvalidError(problems)
    return result


def parse(value: t.Any, *, where: str) -> Config:
    """The configuration in a decoded JSON object. Raises ConfigError."""
    try:
        entry = check(SCHEMA, value, "")
    except _InvalidError as exc:
        raise ConfigError(where, exc.problems) from exc
    entry["schedule"] = windows.Schedule(entry.pop("windows"), entry.pop("freezes"))
    return Config(**entry)


def load(path: str) -> Config:
    """The configuration in a file.

    Raises:
        ConfigError: it cannot be read, is not JSON, or something in it is wrong; all problems at once.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except OSError as exc:
        raise ConfigError(path, [f"cannot be read: {exc.strerror}"]) from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(path, [f"not JSON: {exc}"]) from exc
    return parse(value, where=path)


__all__ = ["SCHEMA", "Config", "ConfigError", "Fleet", "RehearsalClock", "load", "parse"]
