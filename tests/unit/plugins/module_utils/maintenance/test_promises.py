"""Whatever happens, the handler keeps its promises: random worlds, checked at every tick (see ``World.check``)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maintenance_world import World

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.decide import Operator
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.windows import Hold

NAMES = ("vm-0", "vm-1", "vm-2")
vms = st.sampled_from(NAMES)
schedules = st.tuples(
    st.just("schedule"),
    st.sampled_from(["Reboot", "Reboot", "Reboot", "Redeploy", "Freeze", "Preempt", "Terminate", "New"]),
    st.lists(vms, min_size=1, max_size=2, unique=True),
    st.sampled_from([900.0, 10.0, 30.0, 600.0, 5000.0]),
    st.sampled_from([-1, 5, 30]),
)
actions = st.one_of(
    schedules,
    schedules,
    st.tuples(st.just("run"), st.sampled_from([1, 3, 10, 40, 200, 700])),
    st.tuples(st.just("failure"), vms),
    st.tuples(st.just("start"), st.integers(0, 5)),
    st.tuples(st.just("end"), st.integers(0, 5)),
    st.tuples(st.just("move"), st.integers(0, 5), st.sampled_from([10.0, 400.0, 2000.0])),
    st.tuples(st.just("crash"), vms),
    st.tuples(st.just("silent"), vms, st.booleans()),
    st.tuples(st.just("lose"), vms, st.booleans()),
    st.tuples(st.just("outcome"), vms, st.sampled_from(m.PHASES), st.sampled_from([m.OK, m.LATER, m.FAILED])),
    st.tuples(st.just("slow"), vms, st.sampled_from([0.0, 2.0, 90.0])),
    st.tuples(st.just("store"), st.booleans()),
    st.tuples(st.just("disk"), vms, st.booleans()),
    st.tuples(st.just("clock"), st.sampled_from([-4000.0, 0.0, 500.0])),
    st.tuples(st.just("hold"), vms, st.booleans()),
)


def perform(world: World, action: tuple) -> None:
    kind, *args = action
    if kind == "run":
        world.run(args[0], tick=1.0 if args[0] < 50 else 5.0)
    elif kind == "schedule":
        type_, names, notice, duration = args
        world.schedule(type_, *names, notice=notice, duration=duration)
    elif kind == "failure":
        world.schedule("Reboot", args[0], started=True)
    elif kind in ("start", "end", "move"):
        perform_on_event(world, kind, *args)
    elif kind == "store":
        world.store.down = args[0]
    elif kind == "clock":
        world.clock.step = args[0]
    else:
        perform_on_vm(world, kind, *args)


def perform_on_event(world: World, kind: str, index: int, notice: float = 0.0) -> None:
    names = list(world.events)
    if not names:
        return
    event_id = names[index % len(names)]
    if kind == "start":
        # Azure starts before NotBefore only what was approved.
        if world.events[event_id].approved_by:
            world.start(event_id)
    elif kind == "end":
        world.end(event_id)
    elif not world.events[event_id].started:
        world.events[event_id].not_before = world.clock.now + notice


def perform_on_vm(world: World, kind: str, name: str, *args: object) -> None:
    vm = world.vms[name]
    if kind == "crash":
        vm.crash()
    elif kind == "silent":
        vm.silent = bool(args[0])
    elif kind == "lose":
        vm.lose_answers = bool(args[0])
    elif kind == "outcome":
        vm.outcomes[str(args[0])] = str(args[1])
    elif kind == "slow":
        vm.hook_time = float(args[0])  # type: ignore[arg-type]
    elif kind == "disk":
        vm.journal.full = bool(args[0])
    elif kind == "hold":
        vm.orders.orders = Operator(hold=Hold(None, "", "") if args[0] else None)


def recover(world: World) -> None:
    """Everything works again and Azure has nothing more to do."""
    world.store.down = False
    world.clock.step = 0.0
    for vm in world.vms.values():
        vm.silent = vm.lose_answers = vm.journal.full = False
        vm.outcomes.clear()
        vm.hook_time = 1.0
        vm.orders.orders = Operator()
    world.events.clear()
    world.incarnation += 1
    world.run(600)


@settings(
    max_examples=int(os.environ.get("PROMISES_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.lists(st.tuples(actions, st.sampled_from([1, 0, 2, 3, 15])), min_size=4, max_size=30), st.sampled_from([1, 2])
)
def test_promises_hold_in_any_world(happenings: list[tuple[tuple, int]], limit: int) -> None:
    world = World(NAMES, fleet={"store": "file", "path": "/shared", "max_unavailable": limit})
    for action, pause in happenings:
        perform(world, action)
        world.run(pause)
    recover(world)
    assert world.quiet(), [
        (vm.name, vm.service, vm.drained, vm.drains, vm.resumes, dict(vm.agent.reasons)) for vm in world.vms.values()
    ]
