"""Runs the shipped hooks as the handler does: the executables of the role, their settings, an event, exit statuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from interpreters import oldest

ROOT = Path(__file__).parents[2]
EXECUTABLES = ROOT / "roles/maintenance_handler/files/hooks"
LIBRARY = ROOT / "plugins/module_utils"
EVENT = {
    "event_id": "0e1d2c3b-0000-4000-8000-000000000001",
    "event_status": "Scheduled",
    "event_type": "Reboot",
    "resource_type": "VirtualMachine",
    "resources": ["web-0", "web-1"],
    "not_before": 4102444800.0,
    "event_source": "Platform",
    "description": "Host <upgrade> & {{ 7 * 7 }}",
    "duration_in_seconds": 9,
}


class Ended(NamedTuple):
    """How a hook ended."""

    status: int
    output: str


class HookHost:
    """A directory tree like that of a host below a prefix, with one set of hooks and the oldest Python there is.

    Args:
        name: of the set. settings: what its settings file has.
        programs: directory with programs that come before those of the machine.
    """

    def __init__(self, root: Path, name: str, settings: Any = None) -> None:
        self.root, self.name = root, name
        self.etc = root / "etc/azure-maintenance"
        self.programs = root / "programs"
        self.memory = root / "var/lib/azure-maintenance/hooks" / f"{name}.json"
        for directory in (self.etc / "hooks", self.programs, root / "usr/bin", root / "lib/azure_guest"):
            directory.mkdir(parents=True)
        (root / "lib/azure_guest/__init__.py").touch()
        for package in ("imds", "maintenance"):
            (root / "lib/azure_guest" / package).symlink_to(LIBRARY / package)
        config = {"state_dir": str(self.memory.parents[1]), "hooks_dir": str(self.etc), "run_dir": str(root / "run")}
        (self.etc / "config.json").write_text(json.dumps(config))
        self.program(
            f"import sys\nsys.path.insert(0, {str(root / 'lib')!r})\nfrom azure_guest.maintenance.cli import main\n"
            f"sys.exit(main(default_config={str(self.etc / 'config.json')!r}))\n",
            root / "usr/bin/azure-maintenance",
            interpreter=oldest(),
        )
        for script in (EXECUTABLES / name).iterdir():
            (self.etc / f"{script.name}.d").mkdir()
            shutil.copy(script, self.etc / f"{script.name}.d/50-{name}")
        self.configure(settings or {})

    def program(self, source: str, path: Path | str, *, interpreter: str = sys.executable) -> Path:
        """Make a program, in Python; a bare name is one that hooks find before the machine's."""
        path = self.programs / path if isinstance(path, str) else path
        path.write_text(f"#!{interpreter}\n{source}")
        path.chmod(0o755)
        return path

    def configure(self, settings: Any) -> None:
        """Write the settings."""
        (self.etc / "hooks" / f"{self.name}.json").write_text(json.dumps(settings))

    def run(self, phase: str, *, vm_name: str = "web-0", document: Any = None, **environment: str) -> Ended:
        """Run the hook of a phase."""
        given = {"AZURE_MAINTENANCE_" + name.upper(): value for name, value in environment.items()}
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "NETWORK_GUARD_LOG") if name in os.environ}
        whole = {"vm_name": vm_name, "why": "because", "service": "draining", "state": "draining", "event": EVENT}
        done = subprocess.run(
            [self.etc / f"{phase}.d/50-{self.name}"],
            input=json.dumps(whole if document is None else document).encode(),
            env={
                **kept,
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "AZURE_MAINTENANCE_PHASE": phase,
                "AZURE_MAINTENANCE_VM_NAME": vm_name,
                "AZURE_MAINTENANCE_EVENT_ID": str(EVENT["event_id"]),
                "AZURE_MAINTENANCE_EVENT_TYPE": "Reboot",
                **given,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            timeout=120,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode())

    def expect(self, phase: str, status: int = 0, said: str = "", **more: Any) -> str:
        """Run a hook; its exit status and a part of what it says are known."""
        ended = self.run(phase, **more)
        assert ended.status == status, ended.output
        assert said in ended.output, ended.output
        assert "Traceback" not in ended.output
        return ended.output

    def remembered(self) -> Any:
        """What the set remembers, None when there is nothing to undo."""
        return json.loads(self.memory.read_text())["done"] if self.memory.exists() else None
