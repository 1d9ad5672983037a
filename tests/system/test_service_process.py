"""The service as a process of its own: signals, a changed configuration, sudden death, and a second one beside it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from interpreters import oldest

from azure_emulator.testing import Emulator, running

LIBRARY = Path(__file__).parents[2] / "plugins" / "module_utils"
PATIENCE = 60.0  # far more than is needed, for a machine that does much else


def wait_until(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"{what}: not within {PATIENCE:g} s"
        time.sleep(0.02)


class ServiceHost:
    """A host with the package as the role installs it, the oldest Python there is, and hooks that write a diary."""

    def __init__(self, root: Path, emulator: Emulator) -> None:
        self.root, self.emulator, self.python = root, emulator, oldest()
        (root / "lib" / "azure_guest").mkdir(parents=True)
        for name in ("imds", "maintenance"):
            (root / "lib" / "azure_guest" / name).symlink_to(LIBRARY / name)
        for phase in ("drain", "resume"):
            self.hook(phase, f"echo {phase} >> {root}/diary")
        self.configure()
        self.log = root / "log"

    def hook(self, phase: str, script: str) -> None:
        directory = self.root / f"{phase}.d"
        directory.mkdir(exist_ok=True)
        (directory / "10").write_text(f"#!/bin/sh\n{script}\n")
        (directory / "10").chmod(0o755)

    def configure(self, **settings: Any) -> None:
        base = {
            "endpoint": self.emulator.endpoint("vm"),
            "state_dir": str(self.root / "state"),
            "run_dir": str(self.root / "run"),
            "hooks_dir": str(self.root),
            "settle": 0,
        }
        (self.root / "config.json").write_text(json.dumps({**base, **settings}))

    def command(self, *arguments: str) -> list[str]:
        code = (
            f"import sys; sys.path.insert(0, {str(self.root / 'lib')!r})\n"
            "from azure_guest.maintenance.cli import main\nsys.exit(main())"
        )
        return [self.python, "-s", "-c", code, "--config", str(self.root / "config.json"), *arguments]

    @contextlib.contextmanager
    def service(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as log:
            child = subprocess.Popen(self.command("run"), stderr=log, stdout=log)
        try:
            yield child
        finally:
            child.kill()
            child.wait(PATIENCE)

    def logged(self, text: str) -> Callable[[], bool]:
        return lambda: text in self.log.read_text()

    def diary(self) -> list[str]:
        path = self.root / "diary"
        return path.read_text().split() if path.exists() else []

    def status(self) -> dict[str, Any]:
        path = self.root / "run" / "status.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def polls(self) -> int:
        return sum(r["path"].startswith("/metadata/scheduledevents") for r in self.emulator.control.requests("vm"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ServiceHost]:
    with running({"vms": [{"name": "vm"}]}, clock="real") as emulator:
        yield ServiceHost(tmp_path, emulator)


def test_it_handles_an_event_and_stops_when_told(host: ServiceHost) -> None:
    with host.service() as child:
        wait_until(host.polls, "the first poll")
        event = host.emulator.control.schedule("Reboot", ["vm"], not_before=600, impact=0.2, settle=0.1)["event_id"]
        wait_until(lambda: host.diary() == ["drain", "resume"], "drain and resume")
        assert host.emulator.control.event(event)["approved_by"] == "vm"
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0
    assert host.logged("stopped")()


def test_killed_in_the_middle_of_a_drain_it_drains_again_and_goes_on(host: ServiceHost) -> None:
    host.hook("drain", f"echo begun >> {host.root}/diary; while [ ! -e {host.root}/go ]; do sleep 0.05; done")
    with host.service() as child:
        event = host.emulator.control.schedule("Reboot", ["vm"], not_before=600, impact=0.2, settle=0.1)["event_id"]
        wait_until(host.diary, "the drain")
        child.kill()
        child.wait(PATIENCE)
    assert host.emulator.control.event(event)["approved_by"] is None
    (host.root / "go").touch()
    with host.service():
        wait_until(lambda: host.diary() == ["begun", "begun", "resume"], "another drain, and the resume")
        assert host.emulator.control.event(event)["approved_by"] == "vm"


def test_a_changed_configuration_is_read_when_told_and_a_wrong_one_is_not_taken(host: ServiceHost) -> None:
    host.configure(freezes=[{"from": "2020-01-01", "until": "2039-01-01"}])
    with host.service() as child:
        wait_until(host.polls, "the first poll")
        event = host.emulator.control.schedule("Reboot", ["vm"], not_before=1800, impact=0.2, settle=0.1)["event_id"]
        wait_until(lambda: host.status().get("events"), "the event")
        (host.root / "config.json").write_text('{"pol_interval": 1}')
        child.send_signal(signal.SIGHUP)
        wait_until(host.logged("pol_interval"), "what is wrong with the configuration")
        assert host.logged("the configuration is not read anew")()
        seen = host.polls()
        wait_until(lambda: host.polls() > seen + 1, "polls as before")
        assert host.emulator.control.event(event)["approved_by"] is None
        host.configure()
        child.send_signal(signal.SIGHUP)
        wait_until(lambda: host.diary() == ["drain", "resume"], "the event goes ahead")


def test_it_starts_before_the_metadata_service_answers(host: ServiceHost) -> None:
    host.emulator.control.add_fault(fault="unavailable", category="instance")
    with host.service() as child:
        wait_until(host.logged("503"), "a complaint")
        assert child.poll() is None
        host.emulator.control.clear_faults()
        wait_until(host.polls, "the first poll")


def test_no_process_of_a_hook_outlives_a_stop(host: ServiceHost) -> None:
    host.hook("drain", f"echo $$ >> {host.root}/diary; sleep 600")
    with host.service() as child:
        host.emulator.control.schedule("Reboot", ["vm"], not_before=600)
        wait_until(host.diary, "the drain")
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0
    hook = int(host.diary()[0])
    wait_until(lambda: not Path(f"/proc/{hook}").exists(), "the hook's end")
