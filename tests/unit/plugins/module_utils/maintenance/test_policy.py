"""Which rule speaks of which event."""

from __future__ import annotations

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import Event
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import policy


def event(type_: str, *, source: str | None = "Platform", duration: int | None = -1, description: str = "") -> Event:
    return Event("E", "Scheduled", type_, "VirtualMachine", ("vm",), None, "", description, source, duration)


@pytest.mark.parametrize(
    ("seen", "action", "queue"),
    [
        (event("Freeze", duration=9), policy.NOTIFY, True),
        (event("Freeze", duration=10), policy.NOTIFY, True),
        (event("Freeze", duration=0), policy.NOTIFY, True),
        (event("Freeze", duration=11), policy.DRAIN_AND_APPROVE, True),
        (event("Freeze", duration=-1), policy.DRAIN_AND_APPROVE, True),
        (event("Freeze", duration=None), policy.DRAIN_AND_APPROVE, True),
        (event("REBOOT"), policy.DRAIN_AND_APPROVE, True),
        (event("Redeploy"), policy.DRAIN_AND_APPROVE, True),
        (event("Preempt"), policy.DRAIN_ONLY, False),
        (event("Terminate"), policy.DRAIN_AND_APPROVE, False),
        (event("Unheard"), policy.NOTIFY, True),
    ],
)
def test_defaults(seen: Event, action: str, queue: bool) -> None:
    rule = policy.choose((), seen)
    assert (rule.action, not rule.skip_queue) == (action, queue)


def test_the_first_rule_of_the_user_wins() -> None:
    rules = (
        policy.Rule("users", sources=("user",), action=policy.IGNORE),
        policy.Rule("reboots", types=("reboot",), action=policy.NOTIFY),
    )
    assert policy.choose(rules, event("Reboot", source="User")).name == "users"
    assert policy.choose(rules, event("Reboot")).name == "reboots"
    assert policy.choose(rules, event("Redeploy")).name == "interruption"
    assert policy.choose(rules, event("Reboot", source=None)).name == "reboots"


def test_a_duration_that_is_not_known_matches_no_bounds() -> None:
    rule = policy.Rule("long", min_duration=0)
    assert policy.matches(rule, event("Freeze", duration=0))
    assert not policy.matches(rule, event("Freeze", duration=-1))
    assert not policy.matches(rule, event("Freeze", duration=None))


def test_free_text_decides_nothing() -> None:
    texts = ("", "Host server is undergoing maintenance.", "memory-preserving Live Migration operation")
    assert len({policy.choose((), event("Freeze", duration=5, description=text)) for text in texts}) == 1
