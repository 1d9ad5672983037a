"""Runs the inventory plugin as Ansible does, in this process, and keeps what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display

PLUGIN = "azure_guest.imds.azure_fleet"


class Fleet(NamedTuple):
    """What came of a run: variables by host, hosts by group, and what was said."""

    hosts: dict[str, dict[str, Any]]
    groups: dict[str, list[str]]
    warnings: list[str]
    said: list[str]
    data: InventoryData

    def values(self, name: str) -> dict[str, Any]:
        """One variable of each host that has it."""
        return {host: variables[name] for host, variables in self.hosts.items() if name in variables}


class Recorder:
    """Stands in for Ansible's display."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.said: list[str] = []

    def warning(self, text: str, **_more: Any) -> None:
        self.warnings.append(text)

    def v(self, text: str, **_more: Any) -> None:
        self.said.append(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(Display(), name)


def run(path: Path, *, fresh: bool = False, **options: Any) -> Fleet:
    """Write a configuration and parse it. Raises what the plugin raises."""
    path.write_text(yaml.safe_dump({"plugin": PLUGIN, **options}), encoding="utf-8")
    return parse(path, fresh=fresh)


def parse(path: Path, *, fresh: bool = False) -> Fleet:
    """Parse a configuration file, as the inventory manager does; ``fresh``: refreshing. Raises what it raises."""
    plugin = inventory_loader.get(PLUGIN)
    recorder = plugin.display = Recorder()
    assert plugin.verify_file(str(path))
    data = InventoryData()
    plugin.parse(data, DataLoader(), str(path), cache=not fresh)
    if hasattr(plugin, "_cache"):
        plugin.update_cache_if_changed()
    data.reconcile_inventory()
    hosts = {name: dict(host.vars) for name, host in data.hosts.items()}
    for variables in hosts.values():
        variables.pop("inventory_file"), variables.pop("inventory_dir")
    groups = {name: sorted(host.name for host in group.get_hosts()) for name, group in data.groups.items()}
    for name in ("all", "ungrouped"):
        groups.pop(name)
    return Fleet(hosts, groups, recorder.warnings, recorder.said, data)


# Where Ansible's commands are; another directory, to prove something on another ansible-core.
BIN = Path(os.environ.get("ANSIBLE_BIN") or Path(sys.executable).parent)
ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """What a command of Ansible's did."""

    code: int
    out: str
    said: str


def command(folder: Path, name: str, *arguments: str, **environment: str) -> Done:
    """Run a command of Ansible's in a folder, with nothing but our plugin to read inventories by."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "AZURE_"))}
    done = subprocess.run(
        [str(BIN / name), *arguments],
        cwd=folder,
        env={
            **kept,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
            "ANSIBLE_INVENTORY_ENABLED": f"{PLUGIN},ansible.builtin.yaml",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=400,
        check=False,
        encoding="utf-8",
    )
    return Done(done.returncode, done.stdout, done.stderr)


def plain(value: Any) -> Any:
    """The value without the marks that ansible-inventory puts around strings that are no templates."""
    if isinstance(value, dict):
        if value.keys() == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
