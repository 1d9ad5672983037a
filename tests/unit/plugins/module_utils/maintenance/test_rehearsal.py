"""A rehearsal runs the real hooks for an invented event, and leaves everything as it was."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import cli

LAUNCH = f"from {cli.__name__} import main; main()"


class Host:
    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.capsys = root, capsys
        self.config = root / "config.json"
        for name in ("state", "run"):
            (root / name).mkdir()
        self.settings: dict[str, Any] = {
            "endpoint": "http://127.0.0.1:9",  # nobody listens there, and nobody is asked
            "vm_name": "web-0",
            "state_dir": str(root / "state"),
            "run_dir": str(root / "run"),
            "hooks_dir": str(root),
            "retry_interval": 1,
            "freezes": [{"from": "2020-01-01", "until": "2039-01-01", "reason": "real ones only"}],
        }
        for phase in ("drain", "ready", "health", "resume"):
            self.hook(f"{phase}.d/10-a", f"echo {phase} >> {root}/out")

    def hook(self, name: str, script: str) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + script + "\n")
        path.chmod(0o755)

    def rehearse(self, *arguments: str, status: int = 0) -> str:
        self.config.write_text(json.dumps(self.settings))
        found = cli.main(["--config", str(self.config), "rehearse", *arguments])
        captured = self.capsys.readouterr()
        assert found == status, captured
        return captured.out + captured.err

    def ran(self) -> list[str]:
        path = self.root / "out"
        return path.read_text().split() if path.exists() else []

    def show(self, **status: Any) -> None:
        base = {"pid": os.getpid(), "vm_name": "web-0", "service": "in_service", "events": []}
        (self.root / "run" / "status.json").write_text(json.dumps({**base, **status}))


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, capsys)


def test_the_whole_play(host: Host) -> None:
    text = host.rehearse("--yes", "--outage", "0.5")
    assert host.ran()[0] == "drain"
    assert host.ran()[-2:] == ["health", "resume"]
    assert "rule:    interruption, which says drain_and_approve" in text
    moves = re.findall(r"s  Reboot: move state=(\w+)", text)
    assert moves == ["draining", "drained", "approved", "started", "gone", "resuming", "done"]
    assert text.endswith("all went well, and web-0 is back in service\n")
    assert list((host.root / "state").iterdir()) == [], "the real journal is not touched"


def test_a_list_runs_nothing(host: Host) -> None:
    text = host.rehearse("--list")
    assert "drain:   10-a" in text
    assert "notify:  no hooks" in text
    assert host.ran() == []


def test_without_anybody_to_ask_nothing_is_run(host: Host) -> None:
    assert "there is nobody to ask; say --yes" in host.rehearse(status=1)
    assert host.ran() == []


def test_a_failing_hook_shows_and_the_vm_is_brought_back(host: Host) -> None:
    host.hook("resume.d/10-a", f"echo resume >> {host.root}/out; [ $(grep -c resume {host.root}/out) -gt 1 ]")
    text = host.rehearse("--yes", "--outage", "0.1", status=1)
    assert "failed at least once: resume hooks" in text
    assert host.ran()[-1] == "resume"


@pytest.mark.parametrize(
    "status",
    [{"service": "drained"}, {"events": [{"event_id": "REAL", "state": "waiting_slot"}]}],
)
def test_real_maintenance_has_right_of_way(host: Host, status: dict[str, Any]) -> None:
    host.show(**status)
    assert "not now: this VM is" in host.rehearse("--yes", status=1)
    assert host.ran() == []


def test_a_real_event_in_the_middle_ends_it(host: Host) -> None:
    host.show()
    path = str(host.root / "run" / "status.json")
    (host.root / "real.py").write_text(
        f"import json\npath = {path!r}\nstatus = json.load(open(path))\n"
        "status['events'] = [{'event_id': 'REAL', 'state': 'draining'}]\njson.dump(status, open(path, 'w'))\n"
    )
    host.hook("drain.d/20-b", f"exec {sys.executable} {host.root}/real.py")
    assert "a real event came up: the rehearsal ends here" in host.rehearse("--yes", status=1)


def test_interrupted_it_brings_the_vm_back(host: Host) -> None:
    host.config.write_text(json.dumps(host.settings))
    argv = [sys.executable, "-c", LAUNCH, "--config", str(host.config), "rehearse", "--yes", "--outage", "60"]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if "state=started" in line:
            break
    child.send_signal(signal.SIGINT)
    rest, _error = child.communicate(timeout=30)
    assert "ending: this VM is brought back first" in rest
    assert host.ran()[-1] == "resume"


@pytest.mark.parametrize(
    ("type_", "action", "drained"),
    [("Terminate", "drain_and_approve", True), ("Preempt", "drain", True), ("Freeze", "notify", False)],
)
def test_every_type_follows_its_rule_without_waiting_for_not_before(
    host: Host, type_: str, action: str, drained: bool
) -> None:
    host.settings["policy"] = [{"types": ["Freeze"], "action": "notify"}]
    text = host.rehearse("--yes", "--type", type_, "--outage", "0.1")
    assert f"which says {action}\n" in text
    assert ("drain" in host.ran()) is drained
