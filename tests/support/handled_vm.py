"""One VM of an emulated neighbourhood with a real handler: real HTTP, journal and hooks, on the emulator's clock."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.client import ImdsClient, RetryPolicy
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import ScheduledEvents
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config as configuration
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.agent import Agent
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.service import identify, make_parts
from azure_emulator.testing import Emulator

# Silence costs real time, so the patience is short.
IMPATIENT = RetryPolicy(total=0.3, attempt=0.3, connect=0.3, retries=0, connect_retries=0, gone_total=0.0)


class EmulatorClock:
    """The agent's clock is the emulator's: it moves when the test advances it."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.step = 0.0

    def wall(self) -> float:
        return self._emulator.now() + self.step

    def mono(self) -> float:
        return self._emulator.now()

    def real(self, seconds: float) -> float:
        return seconds


class HandledVm:
    """The VM, its handler, and what its hooks did (a line for each, by them and nobody else)."""

    def __init__(self, name: str, root: Path, emulator: Emulator, **settings: Any) -> None:
        self.name, self.root, self.emulator = name, root, emulator
        self.clock = EmulatorClock(emulator)
        self.log: list[str] = []
        for directory in ("state", "run"):
            (root / directory).mkdir(parents=True)
        for phase in ("drain", "resume"):
            self.hook(f"{phase}.d/10", f"echo {phase} >> {root}/diary")
        self.settings = {
            "endpoint": emulator.endpoint(name),
            "state_dir": str(root / "state"),
            "run_dir": str(root / "run"),
            "hooks_dir": str(root),
            "hook_launcher": "process",
            **settings,
        }
        self.start()

    def hook(self, name: str, script: str) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self) -> None:
        config = configuration.parse(self.settings, where=self.name)
        parts = make_parts(config, log=lambda level, line, _f: self.log.append(f"{level} {line}"), clock=self.clock)
        parts.events.close()
        client = ImdsClient(config.endpoint, policy=IMPATIENT, keep_alive=True)
        self.agent = Agent(
            parts._replace(
                events=ScheduledEvents(client, api_version=config.api_version, first_policy=IMPATIENT),
                identify=lambda: identify(client),
            )
        )
        self.agent.start()

    def stop(self) -> None:
        self.agent.stop()

    def crash(self) -> None:
        self.agent.stop()
        self.start()

    def diary(self) -> list[str]:
        path = self.root / "diary"
        return path.read_text().split() if path.exists() else []

    def settle(self) -> None:
        """Cycle until no hook runs: hooks are real processes, and for them alone real time passes."""
        while True:
            self.agent.cycle()
            if self.agent.parts.runner.job is None:
                return
            time.sleep(0.001)

    def run(self, seconds: int) -> None:
        """Let the emulator's time pass, and hold the promises at each second."""
        for _second in range(seconds):
            self.emulator.control.advance(1)
            self.settle()
            self.check()

    def check(self) -> None:
        for event in self.emulator.control.events():
            for approval in event["approvals"]:
                assert approval["by"] == self.name, "nobody else approves here"
                assert self.name in event["resources"], "never another VM's event"
            if event["approvals"] and event["open"]:
                assert self.diary()[-1:] == ["drain"], "never before the drain, never after a resume"
        diary = self.diary()
        assert ("resume", "resume") not in pairwise(diary), "one resume for each drain"

    def states(self) -> dict[str, str]:
        return {record.event.event_type: record.state for record in self.agent.state.events.values()}

    def saved(self) -> dict[str, Any]:
        return json.loads((self.root / "state" / "state.json").read_text())
