"""Stories of one fleet on a virtual clock: what the handler does about each turn that maintenance can take."""

from __future__ import annotations

import pytest
from maintenance_world import World, approve_and_start

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.decide import Operator
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.windows import Hold

ONE = ("vm-0",)


def test_a_reboot_is_drained_for_approved_sat_out_and_resumed() -> None:
    world = World()
    event = world.schedule("Reboot", "vm-0")
    world.run(5)
    assert world.approvals == [("vm-0", event)]
    assert world.states(event) == {"vm-0": m.APPROVED}
    approve_and_start(world, event)
    assert world.states(event) == {"vm-0": m.DONE}
    assert world.quiet()


def test_approval_follows_the_drain_at_once() -> None:
    world = World(ONE)
    world.schedule("Reboot", "vm-0")
    world.run(0.5, tick=0.1)
    world.vms["vm-0"].hook_time = 0.0
    world.run(3, tick=0.1)
    drained = next(line["time"] for line in world.vms["vm-0"].journal.lines if line.get("state") == m.DRAINED)
    approved = next(line["time"] for line in world.vms["vm-0"].journal.lines if line.get("state") == m.APPROVED)
    assert approved - drained < 0.1


def test_a_short_freeze_is_only_noted() -> None:
    world = World()
    event = world.schedule("Freeze", "vm-0", duration=9)
    world.run(10)
    assert world.states(event) == {"vm-0": m.NOTED}
    world.end(event)
    world.run(5)
    assert world.vms["vm-0"].drains == 0
    assert world.quiet()


@pytest.mark.parametrize("duration", [11, -1])
def test_a_long_or_unknown_freeze_is_drained_for(duration: int) -> None:
    world = World()
    world.schedule("Freeze", "vm-0", duration=duration)
    world.run(5)
    assert world.vms["vm-0"].drained


def test_an_unknown_type_is_only_noted() -> None:
    world = World()
    event = world.schedule("Levitate", "vm-0")
    world.run(5)
    assert world.states(event) == {"vm-0": m.NOTED}


def test_an_event_of_two_waits_for_both_and_is_approved_once() -> None:
    world = World(fleet={"store": "file", "path": "/x", "max_unavailable": 2})
    world.vms["vm-1"].hook_time = 50.0
    event = world.schedule("Reboot", "vm-0", "vm-1")
    world.run(30)
    assert world.approvals == []
    assert world.states(event)["vm-0"] == m.DRAINED
    assert "waiting until vm-1 is ready" in world.vms["vm-0"].agent.reasons[event.lower()]
    world.run(40)
    assert world.approvals == [("vm-0", event)]
    approve_and_start(world, event)
    world.run(120)
    assert world.quiet()


def test_another_approves_when_the_first_of_resources_does_not() -> None:
    world = World(fleet={"store": "file", "path": "/x", "max_unavailable": 2})
    event = world.schedule("Reboot", "vm-0", "vm-1")
    world.vms["vm-1"].hook_time = 10.0
    world.run(7)
    world.vms["vm-0"].down = True
    world.run(34)
    assert world.approvals == []
    world.run(10)
    assert world.approvals == [("vm-1", event)]


def test_no_more_are_out_than_allowed() -> None:
    world = World()
    first, second = world.schedule("Reboot", "vm-0"), world.schedule("Reboot", "vm-1")
    world.run(10)
    assert world.states(first) == {"vm-0": m.APPROVED}
    assert world.states(second) == {"vm-1": m.WAITING_SLOT}
    assert "out now: vm-0" in world.vms["vm-1"].agent.reasons[second.lower()]
    approve_and_start(world, first)
    assert world.states(second) == {"vm-1": m.APPROVED}


def test_without_a_slot_the_drain_still_never_misses_not_before() -> None:
    world = World()
    world.schedule("Reboot", "vm-0", notice=3000)
    world.run(10)  # vm-0 holds the only slot, and Azure takes its time
    second = world.schedule("Reboot", "vm-1", notice=900)
    world.run(560)
    assert world.states(second) == {"vm-1": m.WAITING_SLOT}
    world.run(20)  # 900 - 30 - 300 is the latest start
    assert world.vms["vm-1"].drained
    assert world.store.load()[0].holders["vm-1"].forced


def test_an_event_larger_than_the_limit_is_drained_for_at_the_latest_start() -> None:
    world = World()
    event = world.schedule("Reboot", "vm-0", "vm-1")
    world.run(500)
    assert set(world.states(event).values()) == {m.WAITING_SLOT}
    assert "takes 2 VMs at once and 1 may be out" in world.vms["vm-0"].agent.reasons[event.lower()]
    world.run(100)
    assert world.vms["vm-0"].drained
    assert world.vms["vm-1"].drained


def test_two_events_of_two_do_not_block_each_other() -> None:
    """Slots are given to all VMs of an event or to none, so that two halves never wait for each other."""
    world = World(("a", "b", "c", "d"), fleet={"store": "file", "path": "/x", "max_unavailable": 2})
    first, second = world.schedule("Reboot", "a", "c"), world.schedule("Reboot", "b", "d")
    world.run(20)
    assert world.events[first].approved_by
    assert set(world.states(second).values()) == {m.WAITING_SLOT}
    approve_and_start(world, first)
    world.run(20)
    approve_and_start(world, second)
    assert world.quiet()


def test_a_cancelled_event_is_resumed_from() -> None:
    world = World(fleet={"store": "file", "path": "/x", "max_unavailable": 2})
    world.vms["vm-1"].hook_time = 1000.0
    event = world.schedule("Redeploy", "vm-0", "vm-1", notice=3000)
    world.run(10)
    assert world.vms["vm-0"].drained
    world.end(event)
    world.vms["vm-1"].hook_time = 1.0
    world.run(1100)
    assert world.states(event) == {"vm-0": m.DONE, "vm-1": m.DONE}
    assert m.CANCELLED in world.vms["vm-0"].notices.topics
    assert world.approvals == []
    assert world.quiet()


def test_azure_ahead_of_us_is_an_overrun_and_resumed_from() -> None:
    world = World(ONE)
    world.vms["vm-0"].hook_time = 100.0
    event = world.schedule("Reboot", "vm-0", notice=10)
    world.run(20)
    assert world.states(event) == {"vm-0": m.OVERRUN}
    world.run(100)
    world.end(event)
    world.run(250)
    assert world.quiet()


def test_a_hardware_failure_that_comes_started_is_not_drained_for() -> None:
    world = World()
    event = world.schedule("Reboot", "vm-0", started=True)
    world.run(5)
    assert world.states(event) == {"vm-0": m.OVERRUN}
    assert list(world.store.load()[0].holders) == ["vm-0"], "it is out, and the fleet must know"
    world.end(event)
    world.run(30)
    assert world.vms["vm-0"].drains == 0
    assert world.quiet()


def test_a_spot_eviction_skips_the_queue() -> None:
    world = World()
    world.schedule("Reboot", "vm-1")
    world.run(5)
    world.vms["vm-0"].orders.orders = Operator(hold=Hold(None, "hands off", "me"))
    world.schedule("Preempt", "vm-0", notice=30)
    world.run(2)
    assert world.vms["vm-0"].drained
    assert ("vm-0",) not in world.approvals


def test_an_eviction_ends_whatever_hooks_run() -> None:
    world = World(ONE)
    event = world.schedule("Reboot", "vm-0")
    world.run(5)
    world.vms["vm-0"].hook_time = 500.0
    approve = world.events[event]
    approve.started = True
    world.run(2)
    world.end(event)
    world.run(14)
    assert world.vms["vm-0"].hooks.job is not None
    assert world.vms["vm-0"].hooks.job.phase == m.HEALTH
    world.vms["vm-0"].hook_time = 1.0
    world.schedule("Preempt", "vm-0", notice=30)
    world.run(4)
    assert world.vms["vm-0"].service == m.HOST_DRAINED


def test_terminate_is_drained_for_and_approved_without_a_slot() -> None:
    world = World()
    world.schedule("Reboot", "vm-1")
    world.run(5)
    event = world.schedule("Terminate", "vm-0", notice=300)
    world.run(5)
    assert ("vm-0", event) in world.approvals


def test_a_failed_drain_is_retried_and_then_held() -> None:
    world = World(ONE)
    world.vms["vm-0"].outcomes[m.DRAIN] = m.FAILED
    event = world.schedule("Reboot", "vm-0", notice=900)
    world.run(100)
    assert world.vms["vm-0"].agent.state.host.attempts >= 4
    world.run(775)
    assert world.states(event) == {"vm-0": m.HELD}
    world.run(30)
    assert world.states(event) == {"vm-0": m.OVERRUN}
    assert world.approvals == []
    world.vms["vm-0"].outcomes.clear()
    world.end(event)
    world.run(60)
    assert world.quiet()


def test_a_failed_drain_may_go_on_by_policy() -> None:
    world = World(ONE, policy=[{"types": ["Reboot"], "on_failed_drain": "proceed"}])
    world.vms["vm-0"].outcomes[m.DRAIN] = m.FAILED
    event = world.schedule("Reboot", "vm-0", notice=900)
    world.run(885)
    assert world.approvals == [("vm-0", event)]


def test_a_drain_that_succeeds_at_last_is_approved() -> None:
    world = World(ONE)
    world.vms["vm-0"].outcomes[m.DRAIN] = m.LATER
    world.schedule("Reboot", "vm-0")
    world.run(30)
    world.vms["vm-0"].outcomes.clear()
    world.run(20)
    assert len(world.approvals) == 1


def test_a_host_that_is_no_longer_drained_is_drained_again_before_approval() -> None:
    world = World(fleet={"store": "file", "path": "/x", "max_unavailable": 2})
    world.vms["vm-1"].hook_time = 100.0
    event = world.schedule("Reboot", "vm-0", "vm-1")
    world.run(20)
    assert "vm-0" in world.store.load()[0].ready[event.lower()]
    world.vms["vm-0"].outcomes[m.READY] = m.FAILED
    world.run(25)
    assert world.vms["vm-0"].agent.state.host.attempts >= 2
    world.vms["vm-0"].outcomes.clear()
    world.run(100)
    assert world.approvals == [("vm-0", event)]


def test_an_unhealthy_vm_keeps_its_slot_until_it_is_well() -> None:
    world = World()
    event = world.schedule("Reboot", "vm-0")
    world.run(5)
    world.start(event)
    world.vms["vm-0"].outcomes[m.HEALTH] = m.FAILED
    world.run(60)
    world.end(event)
    world.run(290)
    assert world.vms["vm-0"].drained
    assert list(world.store.load()[0].holders) == ["vm-0"]
    assert "not healthy yet" in world.vms["vm-0"].agent.reasons[event.lower()]
    world.vms["vm-0"].outcomes.clear()
    world.run(30)
    assert world.quiet()


def test_a_failed_resume_is_tried_until_it_succeeds() -> None:
    world = World()
    event = world.schedule("Reboot", "vm-0")
    world.run(5)
    world.vms["vm-0"].outcomes[m.RESUME] = m.FAILED
    world.start(event)
    world.run(10)
    world.end(event)
    world.run(100)
    assert world.states(event) == {"vm-0": m.RESUMING}
    world.vms["vm-0"].outcomes.clear()
    world.run(30)
    assert world.quiet()


def test_two_events_need_one_drain_and_one_resume() -> None:
    world = World(ONE)
    first, second = world.schedule("Reboot", "vm-0"), world.schedule("Redeploy", "vm-0")
    world.run(10)
    assert sorted(event for _vm, event in world.approvals) == [first, second]
    world.start(first)
    world.run(20)
    world.end(first)
    world.run(40)
    assert world.states(first) == {"vm-0": m.DONE}
    assert world.vms["vm-0"].drained
    world.start(second)
    world.run(20)
    world.end(second)
    world.run(40)
    assert (world.vms["vm-0"].drains, world.vms["vm-0"].resumes) == (1, 1)
    assert world.quiet()


def test_alone_without_a_store_an_event_of_two_is_left_to_not_before() -> None:
    world = World(ONE, fleet={})
    event = world.schedule("Reboot", "vm-0", "stranger")
    world.run(60)
    assert world.approvals == []
    assert "left to NotBefore: no fleet store" in world.vms["vm-0"].agent.reasons[event.lower()]


@pytest.mark.parametrize(("resources", "approved"), [(("vm-0", "stranger"), True), (("stranger", "vm-0"), False)])
def test_alone_the_first_of_resources_may_be_told_to_approve(resources: tuple[str, ...], approved: bool) -> None:
    world = World(ONE, fleet={}, multi_resource="approve_if_first")
    world.schedule("Reboot", *resources)
    world.run(60)
    assert bool(world.approvals) is approved


def test_a_vm_without_a_handler_can_be_assumed_ready() -> None:
    world = World(ONE, assume_ready=["STRANGER"], fleet={"store": "file", "path": "/x", "max_unavailable": 2})
    world.schedule("Reboot", "stranger", "vm-0")
    world.run(60)
    assert world.approvals


def test_an_event_that_comes_back_is_dealt_with_again() -> None:
    world = World(ONE)
    event = world.schedule("Reboot", "vm-0")
    world.run(5)
    kept = world.events.pop(event)
    world.run(3)
    world.events[event] = kept
    world.run(10)
    assert world.states(event) == {"vm-0": m.APPROVED}
    approve_and_start(world, event)
    assert world.quiet()


def test_other_peoples_events_are_none_of_ours() -> None:
    world = World()
    event = world.schedule("Reboot", "vm-1")
    world.run(5)
    assert set(world.states(event)) == {"vm-1"}


def test_the_name_decides_in_any_case_and_never_by_prefix() -> None:
    world = World(("vm-1", "vm-10"))
    event = world.schedule("Reboot", "VM-10")
    world.run(5)
    assert set(world.states(event)) == {"vm-10"}


def test_old_events_are_forgotten() -> None:
    world = World(ONE)
    for _round in range(30):
        event = world.schedule("Freeze", "vm-0", duration=1)
        world.run(2)
        world.end(event)
        world.run(2)
    assert len(world.vms["vm-0"].agent.state.events) == 20
