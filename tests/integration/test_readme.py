"""What the README shows is run, and what it points at is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from conftest import GATHERING

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped import registry

if TYPE_CHECKING:
    from ansible_runs import Ansible

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


def block(containing: str) -> Any:
    found = [block for block in BLOCKS if containing in str(block)]
    assert len(found) == 1
    return found[0]


def test_the_facts(ansible: Ansible) -> None:
    run = ansible.playbook([{**play, "module_defaults": GATHERING["module_defaults"]} for play in block("Spread")])
    assert run.code == 0, run.output
    assert run.of("Spread the replicas", "solo").result["msg"] == "zone 3, fault domain 0"
    assert run.of("Spread the replicas", "elsewhere").outcome == "skipped"


def test_the_options_of_the_inventory_are_real() -> None:
    source = (ROOT / "plugins" / "inventory" / "azure_fleet.py").read_text(encoding="utf-8")
    documentation = yaml.safe_load(source.split('DOCUMENTATION = r"""')[1].split('"""')[0])
    assert block("azure_fleet").keys() <= documentation["options"].keys()


def test_the_variables_of_the_role_are_real() -> None:
    specs = yaml.safe_load((ROOT / "roles/maintenance_handler/meta/argument_specs.yml").read_text(encoding="utf-8"))
    role = block("maintenance_handler")[0]["roles"][0]
    assert {name for name in role if name != "role"} <= specs["argument_specs"]["main"]["options"].keys()
    hook = specs["argument_specs"]["main"]["options"]["maintenance_handler_shipped_hooks"]["options"]
    for given in role["maintenance_handler_shipped_hooks"]:
        assert given.keys() <= hook.keys()
        registry.check(given["name"], given["settings"], where="README.md")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!https?:)[^)]+)\)", TEXT))))
def test_what_it_links_to_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"[`$] ?make ([a-z]+)", TEXT)) - {"help"}))
def test_its_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
