"""The floor: an inventory plugin that has everything in a file already, and only hands it to Ansible."""

from __future__ import annotations

DOCUMENTATION = """
name: hand_over
short_description: Hands over what a file holds
description: Hands over what a file holds.
options:
  plugin: {description: Its name., required: true}
  data: {description: 'A file with hosts (name to variables) and groups (name to hosts).', required: true}
  with_groups: {description: Whether groups are made., type: bool, default: false}
"""

import json
from pathlib import Path
from typing import Any

from ansible.plugins.inventory import BaseInventoryPlugin


class InventoryModule(BaseInventoryPlugin):
    NAME = "hand_over"

    def verify_file(self, path: str) -> bool:
        return True

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        data = json.loads(Path(self.get_option("data")).read_bytes())
        for host, variables in data["hosts"].items():
            inventory.add_host(host)
            for name, value in variables.items():
                inventory.set_variable(host, name, value)
        if self.get_option("with_groups"):
            for group, hosts in data["groups"].items():
                inventory.add_group(group)
                for host in hosts:
                    inventory.add_child(group, host)
