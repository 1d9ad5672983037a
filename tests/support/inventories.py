"""Runs the inventory plugin as Ansible does, in this process, and keeps what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display

if TYPE_CHECKING:
    from pathlib import Path

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
