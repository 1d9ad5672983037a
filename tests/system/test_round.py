"""The demonstration's story on the virtual clock: real handlers, hooks, journals and HTTP, and no time that passes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from handled_vm import EmulatorClock

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config as configuration
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.agent import Agent
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.service import make_parts
from azure_emulator.testing import Emulator, running
from demo import evidence, page, timeline
from demo.story import FLEET, HOOKS, LIMITS, ROUND, tier_of

DRAIN, READY, RESUME = "drain", "ready", "resume"


class Vm:
    """A VM of the fleet: a directory as the role would make it, and the agent that lives there while it is up."""

    def __init__(self, name: str, root: Path, emulator: Emulator) -> None:
        self.name, self.root = name, root
        self._clock = EmulatorClock(emulator)
        self.log: list[str] = []
        for phase in (DRAIN, READY, RESUME):
            directory = root / "etc" / "azure-maintenance" / f"{phase}.d"
            directory.mkdir(parents=True)
            shutil.copy(HOOKS / phase, directory / "10-load-balancer")
            (directory / "10-load-balancer").chmod(0o755)
        shutil.copy(HOOKS / "diary", root / "etc" / "azure-maintenance" / "diary")
        for directory in ("state", "run"):
            (root / directory).mkdir()
        (root / "serving").touch()
        self._settings = {
            "endpoint": emulator.endpoint(name),
            "state_dir": str(root / "state"),
            "run_dir": str(root / "run"),
            "hooks_dir": str(root / "etc" / "azure-maintenance"),
            "drain_time": 120,
            "fleet": {
                "store": "file",
                "path": str(root.parent / f"fleet-{tier_of(name)}.json"),
                "max_unavailable": LIMITS[tier_of(name)],
            },
        }
        self.agent: Agent | None = None
        self.frozen = False
        self.boot()

    def boot(self) -> None:
        config = configuration.parse(self._settings, where=self.name)
        self.agent = Agent(
            make_parts(config, log=lambda level, line, _f: self.log.append(f"{level} {line}"), clock=self._clock)
        )
        self.agent.start()

    def power_off(self) -> None:
        if self.agent is not None:
            self.agent.stop()
        self.agent = None

    def settle(self) -> None:
        """Cycle until no hook runs: hooks are real processes, and for them alone real time passes."""
        while self.agent is not None and not self.frozen:
            self.agent.cycle()
            if self.agent.parts.runner.job is None:
                return
            time.sleep(0.002)


class Round:
    """Plays the story, second by second of the emulator's clock."""

    def __init__(self, emulator: Emulator, root: Path) -> None:
        self.emulator, self.root = emulator, root
        self.vms = {vm["name"]: Vm(vm["name"], root / vm["name"], emulator) for vm in emulator.control.fleet()["vms"]}
        self._seen = 0
        self._moments: list[tuple[float, float]] = [(time.time(), emulator.now())]

    def play(self, *, limit: float = 1500) -> None:
        start = self.emulator.now()
        acts = list(ROUND)
        while acts or any(event["open"] for event in self.emulator.control.events()) or not self.all_in_service():
            while acts and self.emulator.now() - start >= acts[0].after:
                act = acts.pop(0)
                self.emulator.control.schedule(act.type, list(act.resources), **act.details)
            for vm in self.vms.values():
                vm.settle()
            self.advance(1)
            assert self.emulator.now() - start < limit, {name: vm.log[-3:] for name, vm in self.vms.items()}

    def advance(self, seconds: float) -> None:
        self.emulator.control.advance(seconds)
        self._moments.append((time.time(), self.emulator.now()))
        for entry in self.emulator.control.log(self._seen):
            self._seen = entry["seq"]
            vm = self.vms.get(entry.get("vm", ""))
            if vm is None or entry["kind"] not in ("impact_began", "impact_ended"):
                continue
            began = entry["kind"] == "impact_began"
            if entry["type"] == "Freeze":
                vm.frozen = began
            elif began:
                vm.power_off()
            else:
                vm.boot()

    def all_in_service(self) -> bool:
        return all((vm.root / "serving").exists() for vm in self.vms.values())

    def to_virtual(self, real: float) -> float:
        return max(virtual for moment, virtual in self._moments if moment <= real)

    def account(self) -> evidence.Account:
        notes = [n for vm in self.vms.values() for n in self.diary(vm)]
        events = [evidence.read_event(entry) for entry in self.emulator.control.events()]
        return evidence.make_account(events, notes, self.vms, end=self.emulator.now())

    def diary(self, vm: Vm) -> list[evidence.Note]:
        return evidence.read_diary(vm.root / "diary.jsonl", to_virtual=self.to_virtual)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("DEMO_DRAIN_SECONDS", "DEMO_RESUME_SECONDS"):
        monkeypatch.setenv(name, "0")
    with running(FLEET, clock="virtual", rate_limit=True) as emulator:
        game = Round(emulator, tmp_path)
        game.play()
        yield game
        for vm in game.vms.values():
            vm.power_off()


def test_a_round_of_maintenance_keeps_every_promise(played: Round) -> None:
    account = played.account()
    assert evidence.violations(account, LIMITS, tier_of) == []
    # and it was the story that was meant: turns were taken, every interruption was approved, the freeze was sat out
    assert evidence.most_out(account, "web", tier_of) == 2
    assert evidence.most_out(account, "db", tier_of) == 1
    by_type = {(event.type, event.resources): event for event in account.events}
    assert len(by_type) == len(ROUND)
    freeze = by_type["Freeze", ("db-0",)]
    assert freeze.approvals == ()
    assert freeze.impacts[0][:2] == ("db-0", "Freeze")
    assert not [note for note in account.notes if note.vm == "db-0"]
    both = by_type["Redeploy", ("web-2", "web-3")]
    assert both.started is not None
    assert both.started < both.not_before
    assert all(event.started < event.not_before for event in account.events if event.interrupts)  # type: ignore[operator]
    text = timeline.render(account)
    assert all(vm in text for vm in played.vms)
    html = page.render(account, [], LIMITS)
    assert "Every promise was kept" in html
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "")
