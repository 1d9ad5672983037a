"""The service as a process under a small systemd: what it tells the manager, and hooks that outlive it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_systemd
import pytest

from azure_emulator.testing import Emulator, running

FLEET = {"availability_sets": [{"name": "web"}], "vms": [{"name": "web-0", "availability_set": "web"}]}
COMMAND = "ansible_collections.azure_guest.imds.plugins.module_utils.maintenance"


class Managed:
    """The handler's process, the manager's socket, and hooks that wait to be let go."""

    def __init__(self, root: Path, emulator: Emulator) -> None:
        self.root, self.emulator = root, emulator
        self.units = fake_systemd.install(root / "bin")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(root / "notify"))
        self.socket.setblocking(False)
        self.heard: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        for phase in ("drain", "resume"):
            self.hook(phase, f"echo {phase} >> {root}/diary")
        self.configure()

    def configure(self, **settings: Any) -> None:
        basic = {
            "endpoint": self.emulator.endpoint("web-0"),
            "state_dir": str(self.root / "state"),
            "run_dir": str(self.root / "run"),
            "hooks_dir": str(self.root),
            "hook_launcher": "systemd",
            "poll_interval": 0.5,
            "settle": 0,
        }
        (self.root / "config.json").write_text(json.dumps({**basic, **settings}))

    def hook(self, phase: str, script: str) -> None:
        path = self.root / f"{phase}.d" / "10"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self, **environ: str) -> None:
        environment = {
            **os.environ,
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "NOTIFY_SOCKET": str(self.root / "notify"),
            **environ,
        }
        command = [sys.executable, "-m", COMMAND, "--config", str(self.root / "config.json"), "run"]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd="/")

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def told(self, message: str) -> bool:
        while True:
            try:
                self.heard.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                return any(line.startswith(message) for line in self.heard)

    def diary(self) -> list[str]:
        path = self.root / "diary"
        return path.read_text().split() if path.exists() else []

    def wait(self, condition: Callable[[], Any]) -> None:
        until = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < until, (self.root / "log").read_text()
            time.sleep(0.02)  # real processes are being waited for

    def service(self) -> str:
        try:
            return str(json.loads((self.root / "state" / "state.json").read_text())["host"]["service"])
        except FileNotFoundError:
            return ""


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    with running(FLEET, clock="real") as emulator:
        managed = Managed(tmp_path, emulator)
        yield managed
        if managed.process is not None and managed.process.poll() is None:
            managed.end(signal.SIGKILL)
        managed.wait(lambda: not list(managed.units.glob("*.service")))
        managed.socket.close()


def test_what_the_manager_hears(managed: Managed) -> None:
    managed.start(WATCHDOG_USEC="3000000")
    managed.wait(lambda: managed.told("STATUS=in service; no event at hand"))
    assert managed.heard[0] == "READY=1"
    managed.wait(lambda: managed.heard.count("WATCHDOG=1") >= 2 or managed.told("-"))
    managed.heard.clear()
    managed.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    managed.wait(lambda: managed.told("READY=1"))
    reloading = next(line for line in managed.heard if line.startswith("RELOADING=1"))
    stamp = int(reloading.partition("MONOTONIC_USEC=")[2]) / 1e6
    assert 0 <= time.monotonic() - stamp < 300
    assert managed.end(signal.SIGTERM) == 0
    assert managed.told("STOPPING=1")


def test_a_handler_that_hangs_tells_the_watchdog_nothing(managed: Managed) -> None:
    managed.start(WATCHDOG_USEC="3000000")
    managed.wait(lambda: managed.told("WATCHDOG=1"))
    managed.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    state = Path(f"/proc/{managed.process.pid}/stat")  # type: ignore[union-attr]
    managed.wait(lambda: state.read_text().rpartition(") ")[2].startswith("T"))
    managed.told("-")
    managed.heard.clear()
    until = time.monotonic() + 3.0  # as long as the watchdog waits
    while time.monotonic() < until:
        time.sleep(0.1)  # a real process is being watched
    assert not managed.told("WATCHDOG=1")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["drain", "health", "resume"])
def test_hooks_outlive_the_handler_and_are_taken_up(managed: Managed, phase: str, number: int) -> None:
    go, began = managed.root / "go", managed.root / "began"
    managed.hook(
        phase, f"echo {phase} >> {managed.root}/diary; touch {began}; while ! test -e {go}; do sleep 0.05; done"
    )
    managed.emulator.control.schedule("Reboot", ["web-0"], impact=1, settle=0)
    managed.start()
    managed.wait(began.exists)
    managed.end(number)
    managed.start()
    managed.wait(lambda: "are taken up again" in (managed.root / "log").read_text())
    go.touch()
    managed.wait(lambda: managed.service() == "in_service" and "resume" in managed.diary())
    assert managed.diary().count(phase) == 1, "it was not run again"
    assert (managed.diary()[0], managed.diary()[-1]) == ("drain", "resume")


def test_a_hook_that_ended_while_nobody_looked_is_not_run_again(managed: Managed) -> None:
    go, began = managed.root / "go", managed.root / "began"
    script = f"echo drain >> {managed.root}/diary; touch {began}; while ! test -e {go}; do sleep 0.05; done"
    managed.hook("drain", script)
    managed.emulator.control.schedule("Reboot", ["web-0"], impact=1, settle=0)
    managed.start()
    managed.wait(began.exists)
    managed.end(signal.SIGKILL)
    go.touch()
    managed.wait(lambda: not list(managed.units.glob("*.service")))
    managed.start()
    managed.wait(lambda: managed.service() == "in_service" and "resume" in managed.diary())
    assert managed.diary() == ["drain", "resume"]
