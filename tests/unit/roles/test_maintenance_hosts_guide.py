"""The guide to the handler on a host: its examples use the role as it is, and its words are the unit's."""

from __future__ import annotations

from pathlib import Path

import guides
import yaml

ROOT = Path(__file__).parents[3]
GUIDE = "maintenance_hosts.rst"
ROLE = ROOT / "roles/maintenance_handler"


def test_examples_use_variables_that_exist() -> None:
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    examples = guides.blocks(GUIDE, "yaml")
    assert len(examples) == 2
    for text in examples.values():
        for play in yaml.safe_load(text):
            for role in play["roles"]:
                assert role.pop("role") == "azure_guest.imds.maintenance_handler"
                assert set(role) <= set(options)
                for hook in role.get("maintenance_handler_hooks", []):
                    assert hook["phase"] in options["maintenance_handler_hooks"]["options"]["phase"]["choices"]


def test_places_are_the_roles() -> None:
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    text = (guides.FOLDER / GUIDE).read_text()
    for name in ("package", "command", "etc", "lib", "run", "unit"):
        assert variables[f"_maintenance_handler_{name}"].replace("{{ _maintenance_handler_prefix }}", "") in text
    assert f"systemd {variables['_maintenance_handler_oldest_systemd']} or later" in text


def test_every_story_came_back() -> None:
    stories = guides.rows(GUIDE, "stories")
    assert len(stories) == 14
    for _what, _when, _seen, seconds in stories:
        assert float(seconds.removesuffix(" s")) < 60
