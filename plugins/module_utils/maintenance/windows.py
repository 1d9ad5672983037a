# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""When an approval is welcome: recurring windows in local time, calendar freezes, windows that a person opened, holds.

A closed window delays an approval. It never delays a drain beyond its latest start, for Azure goes ahead at NotBefore.

Local times and daylight saving: a time that does not exist (the clock jumps over it) means the moment that the clock
would have shown it without the jump; of a time that comes twice, a window starts at the first and ends at the second.
"""

from __future__ import annotations

import datetime as dt
import typing as t

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Window(t.NamedTuple):
    """A recurring window.

    Attributes:
        days: weekdays of its start, 0 is Monday.
        start, end: minutes of the local day; an end at or before the start is on the next day.
        zone: of the local times.
        text: as the user wrote it.
    """

    days: tuple[int, ...]
    start: int
    end: int
    zone: dt.tzinfo
    text: str


class Span(t.NamedTuple):
    """A stretch of time in epoch seconds, end excluded: a calendar freeze, or a window that a person opened."""

    start: float
    end: float
    reason: str


class Hold(t.NamedTuple):
    """Approvals are paused until a moment (epoch seconds, None: until released) for a reason, by somebody."""

    until: float | None
    reason: str
    by: str


class Schedule(t.NamedTuple):
    """All that is configured: no windows at all means always open, except in a freeze."""

    windows: tuple[Window, ...] = ()
    freezes: tuple[Span, ...] = ()


class Opening(t.NamedTuple):
    """Whether approvals are welcome, why, and when that may change (epoch seconds, None: not foreseen)."""

    open: bool
    why: str
    until: float | None


def parse_zone(name: str) -> dt.tzinfo:
    """A time zone by its IANA name. Raises ValueError with the remedy."""
    if name.upper() in ("UTC", "ETC/UTC", "Z"):
        return dt.timezone.utc
    try:
        from zoneinfo import ZoneInfo
    except ImportError as exc:
        raise ValueError(f"time zone {name!r} needs Python 3.9 or later on this host; use UTC") from exc
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as exc:
        raise ValueError(f"time zone {name!r} is not known on this host; is the package tzdata installed?") from exc


def parse_days(value: str) -> tuple[int, ...]:
    """Weekdays in ``mon-fri``, ``sat,sun``, ``fri-mon`` or ``daily``. Raises ValueError."""
    if value.strip().lower() in ("daily", "*"):
        return tuple(range(7))
    days: set[int] = set()
    for part in value.lower().split(","):
        first, dash, last = part.partition("-")
        day = _day(first, part)
        end = _day(last, part) if dash else day
        days.add(day)
        while day != end:
            day = (day + 1) % 7
            days.add(day)
    return tuple(sorted(days))


def _day(name: str, part: str) -> int:
    wanted = name.strip()
    for index, day in enumerate(DAYS):
        if wanted in (day, day[:3]):
            return index
    raise ValueError(f"{part.strip()!r} is no weekday or range of weekdays such as mon-fri, or daily")


def parse_minutes(value: str) -> int:
    """Minutes of the day in ``HH:MM``, up to ``24:00``. Raises ValueError."""
    hours, colon, minutes = value.partition(":")
    if colon and hours.isdigit() and minutes.isdigit() and len(minutes) == 2:
        total = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and total <= 24 * 60:
            return total
    raise ValueError(f"{value!r} is no time of day of the form HH:MM")


def parse_moment(value: str, zone: dt.tzinfo) -> float:
    """Epoch seconds of an ISO date or date and time; local to the zone unless it says its offset. Raises ValueError."""
    text = value.strip()
    try:
        moment = dt.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError as exc:
        raise ValueError(f"{value!r} is no date or time of the form 2026-12-24 or 2026-12-24T18:00") from exc
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


def occurrence(window: Window, day: dt.date) -> Span:
    """The stretch of a window that starts on a local day."""
    end_day = day if window.end > window.start else day + dt.timedelta(days=1)
    start = _local(day, window.start, window.zone, fold=0)
    return Span(start, _local(end_day, window.end, window.zone, fold=1), window.text)


def _local(day: dt.date, minutes: int, zone: dt.tzinfo, *, fold: int) -> float:
    if minutes == 24 * 60:
        day, minutes = day + dt.timedelta(days=1), 0
    moment = dt.datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    if not _exists(moment):
        fold = 0  # the other reading of a time that does not exist would move a window's end before its start
    return moment.replace(fold=fold).timestamp()


def _exists(moment: dt.datetime) -> bool:
    there_and_back = dt.datetime.fromtimestamp(moment.timestamp(), moment.tzinfo)
    return there_and_back.replace(tzinfo=None) == moment.replace(tzinfo=None)


def occurrences(windows: t.Iterable[Window], now: float, *, days: int = 8) -> list[Span]:
    """What the windows say from yesterday on, sorted by start."""
    spans = []
    for window in windows:
        today = dt.datetime.fromtimestamp(now, window.zone).date()
        for offset in range(-1, days + 1):
            day = today + dt.timedelta(days=offset)
            if day.weekday() in window.days:
                spans.append(occurrence(window, day))
    return sorted(spans)


def opening(
    schedule: Schedule,
    now: float,
    *,
    extra: t.Sequence[Span] = (),
    holds: t.Sequence[Hold] = (),
    force: bool = False,
) -> Opening:
    """Whether an approval is welcome now.

    Order: ``force`` opens everything; a hold closes; a window that a person opened opens, even in a calendar freeze; a
    freeze closes; else the recurring windows decide, and without any it is open.
    """
    if force:
        return Opening(True, "force is set", None)
    for hold in holds:
        if hold.until is None or now < hold.until:
            return Opening(
                False,
                f"approvals are on hold by {hold.by or 'somebody'}: {hold.reason or 'no reason given'}",
                hold.until,
            )
    current = _covering(extra, now)
    if current:
        return Opening(True, f"a window was opened: {current.reason}", current.end)
    frozen = _covering(schedule.freezes, now)
    if frozen:
        return Opening(False, f"calendar freeze: {frozen.reason}", frozen.end)
    if not schedule.windows:
        return Opening(True, "no windows are configured", None)
    return _recurring(schedule.windows, now)


def _recurring(windows: t.Sequence[Window], now: float) -> Opening:
    spans = occurrences(windows, now)
    current = _covering(spans, now)
    if current:
        return Opening(True, f"in the window {current.reason}", current.end)
    following = next((span for span in spans if span.start > now), None)
    if following is None:
        return Opening(False, "no window within a week", None)
    return Opening(False, f"the next window is {following.reason}", following.start)


def _covering(spans: t.Iterable[Span], now: float) -> Span | None:
    """The span that covers now, of several the one that ends last."""
    covering = [span for span in spans if span.start <= now < span.end]
    return max(covering, key=lambda span: span.end) if covering else None


__all__ = [
    "Hold",
    "Opening",
    "Schedule",
    "Span",
    "Window",
    "occurrence",
    "occurrences",
    "opening",
    "parse_days",
    "parse_minutes",
    "parse_moment",
    "parse_zone",
]
