"""Hooks as real processes: order, input, exit codes, time limits, and hooks that misbehave."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import hooks
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m


class Bench:
    """A runner on a directory of shell scripts, with a clock that a test moves."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0.0
        self.said: list[str] = []
        self.limits = hooks.Limits(100.0, {})
        (root / "run").mkdir()
        self.make_runner()

    def make_runner(self) -> None:
        self.runner = hooks.Runner(
            hooks.ProcessLauncher(),
            directory=str(self.root),
            run_dir=str(self.root / "run"),
            limits=self.limits,
            mono=lambda: self.now,
            say=self.said.append,
        )

    def hook(self, name: str, script: str, *, mode: int = 0o755) -> Path:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + script + "\n")
        path.chmod(mode)
        return path

    def start(self, phase: str = "drain", *, urgent: bool = False, **document: Any) -> None:
        environment = {"AZURE_MAINTENANCE_VM_NAME": "web-0"}
        self.runner.start(m.Job(phase, "e", 0.0), environment, document, urgent=urgent)

    def finish(self) -> tuple[str, str]:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            ended = self.runner.poll()
            if ended is not None:
                return ended
            time.sleep(0.005)  # a real process is being waited for
        raise AssertionError("the hooks did not end")

    def run(self, phase: str = "drain", **kwargs: Any) -> tuple[str, str]:
        self.start(phase, **kwargs)
        return self.finish()

    def lines(self) -> list[str]:
        return (self.root / "out").read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_hooks_run_in_order_with_environment_and_document(bench: Bench) -> None:
    bench.hook("drain.d/20-b", f'echo "b $AZURE_MAINTENANCE_PHASE" >> {bench.root}/out')
    bench.hook("drain.d/10-a", f'echo "a $AZURE_MAINTENANCE_VM_NAME $(cat)" >> {bench.root}/out')
    assert bench.run(event={"x": 1}) == (m.OK, "2 hooks done")
    assert bench.lines()[1] == "b drain"
    first = bench.lines()[0]
    assert first.startswith("a web-0 ")
    assert json.loads(first[len("a web-0 ") :]) == {"event": {"x": 1}}


def test_a_phase_without_hooks_is_done(bench: Bench) -> None:
    assert bench.run() == (m.OK, "no hooks")


@pytest.mark.parametrize(
    ("script", "outcome", "detail"),
    [
        ("exit 0", m.OK, "2 hooks done"),
        ("echo busy; exit 75", m.LATER, "drain.d/10-a says try again later: busy"),
        ("echo one; echo two >&2; exit 3", m.FAILED, "drain.d/10-a exited with 3: two"),
        ("kill -9 $$", m.FAILED, "drain.d/10-a was killed by signal 9"),
    ],
)
def test_exit_codes_and_the_rest_is_not_run(bench: Bench, script: str, outcome: str, detail: str) -> None:
    bench.hook("drain.d/10-a", script)
    bench.hook("drain.d/20-b", f"echo ran >> {bench.root}/out")
    assert bench.run() == (outcome, detail)
    assert (bench.root / "out").exists() is (outcome == m.OK)


def test_output_is_passed_on(bench: Bench) -> None:
    bench.hook("drain.d/a", "echo one; echo two")
    bench.run()
    assert bench.said == ["drain.d/a: one", "drain.d/a: two"]


def test_what_is_no_hook_is_not_run(bench: Bench) -> None:
    for name in ("README", ".hidden", "a~", "b.dpkg-old", "c.rpmsave"):
        bench.hook(f"drain.d/{name}", f"echo {name} >> {bench.root}/out", mode=0o644 if name == "README" else 0o755)
    (bench.root / "drain.d" / "sub").mkdir()
    assert bench.run() == (m.OK, "no hooks")


def test_a_hook_that_everybody_may_write_is_refused(bench: Bench) -> None:
    bench.hook("drain.d/a", "exit 0", mode=0o757)
    with pytest.raises(hooks.HookError, match=r"may be written by everybody.*chmod o-w"):
        bench.start()


def test_a_hook_that_cannot_be_started_says_why(bench: Bench) -> None:
    path = bench.hook("drain.d/a", "")
    path.write_text("#!/no/such/interpreter\n")
    with pytest.raises(hooks.HookError, match=r"drain\.d/a cannot be started: No such file"):
        bench.start()


def test_a_hook_that_hangs_is_ended_and_killed_with_all_it_started(bench: Bench) -> None:
    bench.limits = hooks.Limits(100.0, {"drain.d/a": 10.0})
    bench.make_runner()
    child = f"(trap '' TERM; sleep 60) & echo $! > {bench.root}/child"
    bench.hook("drain.d/a", f"trap '' TERM; {child}; echo up; wait; sleep 60")
    bench.start()
    wait_for(lambda: (bench.root / "child").exists() and (bench.root / "child").read_text().strip())
    assert bench.runner.poll() is None
    bench.now = 10.0
    assert bench.runner.poll() is None  # politely
    bench.now = 15.0
    outcome, detail = bench.finish()
    assert (outcome, detail) == (m.FAILED, "drain.d/a took longer than 10 s: up")
    wait_for(lambda: not alive(int((bench.root / "child").read_text())))


def test_what_a_hook_leaves_behind_does_not_hold_it_up_and_is_ended(bench: Bench) -> None:
    bench.hook("drain.d/a", f"sleep 60 & echo $! > {bench.root}/child; echo done")
    assert bench.run() == (m.OK, "1 hook done")
    wait_for(lambda: not alive(int((bench.root / "child").read_text())))


def test_a_flood_of_output_neither_blocks_nor_fills_memory(bench: Bench) -> None:
    bench.hook("drain.d/a", "yes 0123456789 | head -c 3000000; echo; echo the end")
    assert bench.run()[0] == m.OK
    assert bench.said[-1] == "drain.d/a: the end"
    assert len(bench.said) <= 20


def test_urgent_hooks_run_shortest_first(bench: Bench) -> None:
    bench.limits = hooks.Limits(100.0, {"drain.d/z": 2.0, "drain.d/m": 5.0})
    bench.make_runner()
    for name in ("a", "m", "z"):
        bench.hook(f"drain.d/{name}", f"echo {name} >> {bench.root}/out")
    bench.run(urgent=True)
    assert bench.lines() == ["z", "m", "a"]


def test_an_aborted_hook_is_gone(bench: Bench) -> None:
    bench.hook("drain.d/a", f"echo $$ > {bench.root}/child; sleep 60")
    bench.start()
    wait_for(lambda: (bench.root / "child").exists() and (bench.root / "child").read_text().strip())
    bench.runner.abort()
    assert bench.runner.job is None
    assert bench.runner.poll() is None
    wait_for(lambda: not alive(int((bench.root / "child").read_text())))


def test_a_handle_of_before_a_restart_means_try_again() -> None:
    assert hooks.ProcessLauncher().poll("12345") == hooks.TRY_LATER
    assert not hooks.ProcessLauncher().knows("12345")


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)  # a real process is being waited for


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False
