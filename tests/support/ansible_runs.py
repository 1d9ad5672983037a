"""Real runs of ansible and ansible-playbook, in a child process with a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TIMEOUT = 100


class Result(NamedTuple):
    """One task on one host."""

    host: str
    task: str
    outcome: str
    result: dict[str, Any]


class Run(NamedTuple):
    """What a command did."""

    code: int
    output: str
    results: tuple[Result, ...]

    @property
    def said(self) -> str:
        """The output as one line: ansible-core 2.18 breaks a warning wherever 79 columns end."""
        return " ".join(self.output.split())

    def of(self, task: str, host: str | None = None) -> Result:
        """The result of a task, of the only host or the one named."""
        found = [r for r in self.results if r.task == task and host in (None, r.host)]
        assert len(found) == 1, f"{len(found)} results of {task!r} on {host}:\n{self.output}"
        return found[0]

    def facts(self, host: str) -> dict[str, Any]:
        """The Azure facts that were gathered at the start of the play."""
        return self.of("Gathering Facts", host).result["ansible_facts"]["ansible_azure"]


class Ansible:
    """Runs commands in a directory of their own.

    Args:
        directory: for inventory, playbook and what Ansible leaves behind.
        hosts: variables by host.
        environment: further variables of the environment.
    """

    def __init__(self, directory: Path, hosts: dict[str, dict[str, Any]], **environment: str) -> None:
        self.directory = directory
        self._environment = environment
        usual = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"vars": usual, "hosts": hosts}}
        (directory / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")

    def play(self, *tasks: dict[str, Any], arguments: tuple[str, ...] = (), **play: Any) -> Run:
        """Run one play; without ``gather_facts`` it gathers none."""
        whole = {"name": "Play", "hosts": "all", "gather_facts": False, **play, "tasks": list(tasks)}
        return self.playbook([whole], *arguments)

    def playbook(self, plays: list[dict[str, Any]], *arguments: str) -> Run:
        """Run a playbook."""
        path = self.directory / "play.yml"
        path.write_text(yaml.safe_dump(plays, sort_keys=False), encoding="utf-8")
        return self.command("ansible-playbook", str(path), *arguments)

    def command(self, name: str, *arguments: str) -> Run:
        """Run a command of Ansible's."""
        lines = self.directory / "results"
        lines.unlink(missing_ok=True)
        done = subprocess.run(
            [str(BIN / name), "-i", str(self.directory / "hosts.yml"), *arguments],
            env=self._variables(lines),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            check=False,
            encoding="utf-8",
        )
        found = lines.read_text(encoding="utf-8").splitlines() if lines.exists() else []
        return Run(done.returncode, done.stdout, tuple(Result(**json.loads(line)) for line in found))

    def _variables(self, lines: Path) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "AZURE_"))}
        return {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.directory),
            "ANSIBLE_HOME": str(self.directory / "ansible"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/support/callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "json_lines",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "false",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "COLUMNS": "500",
            "JSON_LINES": str(lines),
            **self._environment,
        }
