"""Windows, freezes, holds; above all local time on the days on which it jumps."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import windows as w

BERLIN = ZoneInfo("Europe/Berlin")
UTC = dt.UTC


def at(text: str, zone: dt.tzinfo = UTC) -> float:
    return w.parse_moment(text, zone)


def window(days: str, start: str, end: str, zone: dt.tzinfo = UTC) -> w.Window:
    return w.Window(w.parse_days(days), w.parse_minutes(start), w.parse_minutes(end), zone, f"{days} {start}-{end}")


def is_open(win: w.Window, text: str, zone: dt.tzinfo = UTC) -> bool:
    return w.opening(w.Schedule((win,)), at(text, zone)).open


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("daily", (0, 1, 2, 3, 4, 5, 6)),
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("Saturday, sun", (5, 6)),
        ("fri-mon", (0, 4, 5, 6)),
        ("wed", (2,)),
    ],
)
def test_days(text: str, days: tuple[int, ...]) -> None:
    assert w.parse_days(text) == days


@pytest.mark.parametrize("text", ["", "mo", "monkey", "mon-", "-", "mon..fri", "weekdays"])
def test_bad_days(text: str) -> None:
    with pytest.raises(ValueError, match="is no weekday"):
        w.parse_days(text)


@pytest.mark.parametrize(("text", "minutes"), [("00:00", 0), ("9:05", 545), ("23:59", 1439), ("24:00", 1440)])
def test_minutes(text: str, minutes: int) -> None:
    assert w.parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "24:01", "12:60", "12", "12:5", "noon", "-1:00"])
def test_bad_minutes(text: str) -> None:
    with pytest.raises(ValueError, match="HH:MM"):
        w.parse_minutes(text)


def test_a_window_over_midnight() -> None:
    win = window("sat", "22:00", "04:00")  # 2026-11-21 is a Saturday
    assert not is_open(win, "2026-11-21T21:59:59")
    assert is_open(win, "2026-11-21T22:00:00")
    assert is_open(win, "2026-11-22T03:59:59")
    assert not is_open(win, "2026-11-22T04:00:00")
    assert not is_open(win, "2026-11-22T22:30:00")


def test_a_whole_day_and_a_window_that_ends_when_it_starts() -> None:
    assert is_open(window("sun", "00:00", "24:00"), "2026-11-22T23:59:59")
    assert not is_open(window("sun", "00:00", "24:00"), "2026-11-23T00:00:00")
    assert is_open(window("sun", "06:00", "06:00"), "2026-11-23T05:59:59")


def test_a_local_window_follows_summer_time() -> None:
    win = window("daily", "02:00", "04:00", BERLIN)
    assert is_open(win, "2026-07-01T00:30:00Z")
    assert not is_open(win, "2026-12-01T00:30:00Z")
    assert is_open(win, "2026-12-01T01:30:00Z")


def test_the_hour_that_does_not_exist() -> None:
    """2026-03-29, 02:00 to 03:00 is skipped in Berlin: a window 02:30 to 04:00 starts at 01:30 UTC, 03:30 there."""
    span = w.occurrence(window("daily", "02:30", "04:00", BERLIN), dt.date(2026, 3, 29))
    assert (span.start, span.end) == (at("2026-03-29T01:30Z"), at("2026-03-29T02:00Z"))
    inside = w.occurrence(window("daily", "02:00", "03:00", BERLIN), dt.date(2026, 3, 29))
    assert inside.end - inside.start == 0


def test_the_hour_that_comes_twice_is_wholly_inside() -> None:
    """2026-10-25, 02:00 to 03:00 comes twice in Berlin."""
    span = w.occurrence(window("daily", "02:15", "02:45", BERLIN), dt.date(2026, 10, 25))
    assert (span.start, span.end) == (at("2026-10-25T00:15Z"), at("2026-10-25T01:45Z"))


@given(
    st.dates(dt.date(2000, 1, 1), dt.date(2037, 12, 30)),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_no_window_ends_before_it_starts(day: dt.date, start: int, end: int, zone: str) -> None:
    win = w.Window(tuple(range(7)), start, end, w.parse_zone(zone), "")
    span = w.occurrence(win, day)
    assert 0 <= span.end - span.start <= 25 * 3600
    if span.end > span.start:
        assert w.opening(w.Schedule((win,)), span.start).open
        assert w.opening(w.Schedule((win,)), span.end - 1).open


def test_moments() -> None:
    assert at("2026-12-24", BERLIN) == at("2026-12-23T23:00:00Z")
    assert at("2026-12-24T18:00+05:00") == at("2026-12-24T13:00:00Z")
    with pytest.raises(ValueError, match="is no date or time"):
        at("Christmas")


def test_zones() -> None:
    assert w.parse_zone("utc") is UTC
    with pytest.raises(ValueError, match="tzdata"):
        w.parse_zone("Europe/Atlantis")
    with pytest.raises(ValueError, match="not known"):
        w.parse_zone("../../etc/passwd")


def test_what_closes_and_what_opens() -> None:
    now = at("2026-11-22T12:00Z")
    freeze = w.Span(now - 10, now + 10, "release")
    opened = w.Span(now - 5, now + 5, "go")
    hold = w.Hold(now + 60, "incident", "ann")
    plain, frozen = w.Schedule(), w.Schedule(freezes=(freeze,))
    assert w.opening(plain, now) == w.Opening(True, "no windows are configured", None)
    assert w.opening(frozen, now) == w.Opening(False, "calendar freeze: release", now + 10)
    assert w.opening(frozen, now + 10).open
    assert w.opening(frozen, now, extra=(opened,)).open
    assert w.opening(frozen, now, extra=(opened,), holds=(hold,)).why == "approvals are on hold by ann: incident"
    assert w.opening(plain, now + 61, holds=(hold,)).open
    assert w.opening(frozen, now, extra=(), holds=(hold,), force=True).open


def test_a_closed_window_names_the_next() -> None:
    win = window("sun", "02:00", "04:00")
    closed = w.opening(w.Schedule((win,)), at("2026-11-22T05:00Z"))
    assert closed == w.Opening(False, "the next window is sun 02:00-04:00", at("2026-11-29T02:00Z"))
