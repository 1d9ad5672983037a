"""Stories of what goes wrong around the handler: crashes, lost answers, silence, full disks, clocks that jump."""

from __future__ import annotations

import pytest
from maintenance_world import World, approve_and_start

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.decide import Operator

ONE = ("vm-0",)


@pytest.mark.parametrize("at", range(1, 14))
def test_a_crash_at_any_second_ends_the_same_way(at: int) -> None:
    world = World()
    event = world.schedule("Reboot", "vm-0")
    for second in range(1, 90):
        if second == 8 and event in world.events:
            world.start(event)
        if second == 11 and event in world.events:
            world.end(event)
        if second == at:
            world.vms["vm-0"].crash()
        world.run(1)
    assert world.quiet()
    assert world.vms["vm-0"].drains == 1


def test_a_lost_answer_to_an_approval_is_looked_up_and_repeated() -> None:
    world = World(ONE)
    world.vms["vm-0"].lose_answers = True
    event = world.schedule("Reboot", "vm-0")
    world.run(10)
    assert world.vms["vm-0"].agent.state.events[event.lower()].approving
    world.vms["vm-0"].lose_answers = False
    world.run(20)
    assert world.states(event) == {"vm-0": m.APPROVED}


def test_a_silent_service_is_lived_through() -> None:
    world = World(ONE)
    event = world.schedule("Reboot", "vm-0")
    world.run(5)
    world.vms["vm-0"].silent = True
    world.start(event)
    world.run(100)
    assert world.states(event) == {"vm-0": m.APPROVED}, "silence says nothing about an event"
    world.vms["vm-0"].silent = False
    world.end(event)
    world.run(60)
    assert world.quiet()
    assert sum("cannot be read" in line for line in world.vms["vm-0"].log) == 1, "said once, not every second"


def test_a_store_that_is_down_keeps_singles_waiting_until_the_latest_start() -> None:
    world = World()
    world.run(2)
    world.store.down = True
    event = world.schedule("Reboot", "vm-0")
    world.run(500)
    assert world.states(event) == {"vm-0": m.WAITING_SLOT}
    world.run(100)
    assert world.vms["vm-0"].drained
    world.store.down = False
    world.run(5)
    assert "vm-0" in world.store.load()[0].holders, "it is out, and the fleet learns of it"


def test_a_full_disk_does_not_stop_a_drain() -> None:
    world = World(ONE)
    world.vms["vm-0"].journal.full = True
    world.schedule("Preempt", "vm-0", notice=30)
    world.run(5)
    assert world.vms["vm-0"].drained
    assert any("journal cannot be written" in line for line in world.vms["vm-0"].log)


def test_a_step_of_the_wall_clock_does_not_disturb_waiting() -> None:
    world = World(ONE)
    world.vms["vm-0"].outcomes[m.DRAIN] = m.FAILED
    world.schedule("Reboot", "vm-0", notice=90000)
    world.vms["vm-0"].orders.orders = Operator(force=frozenset("*"))
    world.run(5)
    world.clock.step = -3600.0
    attempts = world.vms["vm-0"].agent.state.host.attempts
    world.run(40)
    assert world.vms["vm-0"].agent.state.host.attempts > attempts


def test_an_approval_that_azure_refuses_is_journaled_as_none_and_tried_again() -> None:
    world = World(ONE)
    event = world.schedule("Reboot", "vm-0")
    world.vms["vm-0"].refused = True
    world.run(10)
    assert not world.approvals
    assert world.vms["vm-0"].journal.saved.events[event.lower()].approving is False
    world.vms["vm-0"].refused = False
    world.run(20)
    approve_and_start(world, event)
    assert world.quiet()
