"""Stories of when: lead times, windows, holds, a NotBefore that moves."""

from __future__ import annotations

from maintenance_world import START, World

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.decide import Operator
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.windows import Hold, Span

ONE = ("vm-0",)


def test_an_event_days_ahead_waits_for_its_lead_time() -> None:
    world = World(ONE)
    event = world.schedule("Redeploy", "vm-0", notice=7 * 86400)
    world.run(100)
    assert world.states(event) == {"vm-0": m.WAITING_LEAD}
    world.run(7 * 86400 - 3600 - 90, tick=60)
    world.run(10)
    assert world.states(event) == {"vm-0": m.APPROVED}


def test_a_changed_not_before_is_followed() -> None:
    world = World(ONE)
    event = world.schedule("Redeploy", "vm-0", notice=7 * 86400)
    world.run(10)
    world.events[event].not_before = world.clock.now + 900
    world.run(10)
    assert world.states(event) == {"vm-0": m.APPROVED}


def test_a_closed_window_delays_the_approval_but_never_the_drain() -> None:
    # START is a Friday at 08:00 UTC.
    world = World(ONE, windows=[{"days": "sun", "start": "02:00", "end": "04:00"}])
    event = world.schedule("Reboot", "vm-0", notice=900)
    world.run(500)
    assert world.states(event) == {"vm-0": m.WAITING_WINDOW}
    world.run(100)
    assert world.vms["vm-0"].drained
    world.run(270)
    assert world.approvals == []
    assert world.states(event) == {"vm-0": m.DRAINED}


def test_an_open_window_invites_events_that_are_far_off() -> None:
    world = World(ONE, windows=[{"days": "daily"}])
    event = world.schedule("Reboot", "vm-0", notice=7 * 86400)
    world.run(10)
    assert world.states(event) == {"vm-0": m.APPROVED}


def test_hold_force_and_opened_windows() -> None:
    world = World(ONE, freezes=[{"from": "2020-01-01", "until": "2040-01-01", "reason": "for ever"}])
    vm = world.vms["vm-0"]
    event = world.schedule("Reboot", "vm-0", notice=3000)
    world.run(10)
    assert "calendar freeze: for ever" in vm.agent.reasons[event.lower()]
    vm.orders.orders = Operator(windows=(Span(START, START + 9999, "now please"),), hold=Hold(None, "no", "ops"))
    world.run(10)
    assert "on hold by ops" in vm.agent.reasons[event.lower()]
    vm.orders.orders = Operator(windows=(Span(START, START + 9999, "now please"),))
    world.run(10)
    assert world.approvals == [("vm-0", event)]


def test_force_opens_whatever_is_closed() -> None:
    world = World(ONE, windows=[{"days": "sun", "start": "02:00", "end": "04:00"}])
    event = world.schedule("Reboot", "vm-0", notice=7 * 86400)
    world.vms["vm-0"].orders.orders = Operator(hold=Hold(None, "no", "ops"), force=frozenset({event.lower()}))
    world.run(10)
    assert world.approvals == [("vm-0", event)]
