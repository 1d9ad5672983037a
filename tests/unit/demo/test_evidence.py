"""The judge of the demonstration must see each kind of broken promise."""

from __future__ import annotations

from demo import evidence, page, timeline
from demo.evidence import Event, Note
from demo.story import LIMITS, tier_of


def reboot(
    *resources: str, approvals: tuple[tuple[float, str], ...] = ((20.0, "web-0"),), gone: float | None = 60.0
) -> Event:
    impacts = tuple((vm, "Reboot", 30.0, 50.0) for vm in resources)
    return Event("E1", "Reboot", "Platform", resources, 0.0, 900.0, approvals, 30.0, impacts, gone)


def notes(vm: str, *, drained: float = 10.0, resumed: float | None = 70.0) -> list[Note]:
    found = [Note(drained - 5, vm, "drain", "begin"), Note(drained, vm, "drain", "end")]
    if resumed is not None:
        found += [Note(resumed, vm, "resume", "begin"), Note(resumed + 1, vm, "resume", "end")]
    return found


def judge(events: list[Event], diary: list[Note]) -> list[str]:
    account = evidence.make_account(events, diary, ("web-0", "web-1", "web-2", "db-0"), end=100.0)
    timeline.render(account)
    page.render(account, evidence.violations(account, LIMITS, tier_of), LIMITS)
    return evidence.violations(account, LIMITS, tier_of)


def test_a_good_round() -> None:
    assert judge([reboot("web-0")], notes("web-0")) == []


def test_approved_before_drained() -> None:
    assert judge([reboot("web-0")], notes("web-0", drained=25.0)) == [
        "Reboot of web-0: web-0 approved before it was drained"
    ]


def test_approved_while_another_was_not_ready() -> None:
    diary = notes("web-0") + notes("web-1", drained=25.0)
    assert judge([reboot("web-0", "web-1")], diary) == [
        "Reboot of web-0, web-1: web-0 approved while web-1 was not ready"
    ]


def test_approved_by_a_stranger_and_twice() -> None:
    problems = judge([reboot("web-0", approvals=((20.0, "web-0"), (21.0, "web-1")))], notes("web-0"))
    assert problems == [
        "Reboot of web-0: approved by web-1, whose event it is not",
        "Reboot of web-0: approved 2 times",
    ]


def test_too_many_out() -> None:
    diary = notes("web-0") + notes("web-1") + notes("web-2")
    assert judge([reboot("web-0")], diary) == ["3 VMs of the tier web were out at once, and 2 may be"]


def test_not_resumed_and_not_over() -> None:
    assert judge([reboot("web-0", gone=None)], notes("web-0", resumed=None)) == [
        "Reboot of web-0: not over",
        "web-0 was drained and is not resumed",
    ]


def test_resumed_twice() -> None:
    diary = [*notes("web-0"), Note(80, "web-0", "resume", "begin"), Note(81, "web-0", "resume", "end")]
    assert judge([reboot("web-0")], diary) == ["web-0 was resumed twice after one drain"]


def test_down_without_a_drain_and_never_approved() -> None:
    assert judge([reboot("db-0", approvals=())], []) == [
        "Reboot of db-0: never approved, Azure went ahead at NotBefore"
    ]
    assert judge([reboot("db-0", approvals=((20.0, "db-0"),))], notes("db-0", drained=40.0)) == [
        "Reboot of db-0: db-0 approved before it was drained",
        "Reboot of db-0: db-0 went down without being drained",
    ]


def test_names_from_a_fleet_cannot_write_into_the_page() -> None:
    account = evidence.make_account([reboot("<b>web</b>")], notes("<b>web</b>"), ("<b>web</b>",), end=100.0)
    assert "<b>web" not in page.render(account, ["<i>x</i>"], LIMITS)
