"""The role's variables, their specification and the handler's own settings say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config

ROLE = Path(__file__).parents[3] / "roles" / "maintenance_handler"
PREFIX = "maintenance_handler_"
# Where these are follows from the prefix.
DERIVED = {"state_dir", "run_dir", "hooks_dir"}
NESTED = {
    "policy": config.RULE,
    "windows": config.WINDOW,
    "freezes": config.FREEZE,
    "fleet": config.FLEET,
    "clock": config.CLOCK,
}


def load(name: str) -> Any:
    return yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def options() -> dict[str, Any]:
    return load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_defaults_and_specification_are_equal(options: dict[str, Any]) -> None:
    defaults = load("defaults/main.yml")
    assert {name: option.get("default") for name, option in options.items()} == defaults


def test_every_setting_of_the_handler_is_a_variable(options: dict[str, Any]) -> None:
    for name, field in config.SCHEMA.items():
        if name in DERIVED:
            assert PREFIX + name not in options
            continue
        option = options[PREFIX + name]
        assert option.get("default") == field.default, name
        assert option["description"] == field.text, name


@pytest.mark.parametrize("name", NESTED)
def test_nested_settings_are_specified(options: dict[str, Any], name: str) -> None:
    nested = options[PREFIX + name]["options"]
    assert nested.keys() == NESTED[name].keys()
    for key, field in NESTED[name].items():
        assert nested[key].get("default") == field.default, key
        assert nested[key]["description"] == field.text, key


def test_every_setting_reaches_the_configuration() -> None:
    settings = load("vars/main.yml")["_maintenance_handler_settings"]
    assert settings.keys() == config.SCHEMA.keys()
    for name, template in settings.items():
        if name == "hook_timeouts":  # after those of the shipped hooks
            assert template.endswith(" | combine(" + PREFIX + name + ") }}")
        elif name not in DERIVED:
            assert template == "{{ " + PREFIX + name + " }}"


def test_choices_are_the_handlers(options: dict[str, Any]) -> None:
    def accepts(schema: config.Schema, key: str, value: str) -> bool:
        try:
            schema[key].convert(value)
        except ValueError:
            return False
        return True

    specified = [
        (config.SCHEMA, n.removeprefix(PREFIX), o)
        for n, o in options.items()
        if n.removeprefix(PREFIX) in config.SCHEMA
    ]
    for name, schema in NESTED.items():
        specified += [(schema, key, option) for key, option in options[PREFIX + name]["options"].items()]
    for schema, key, option in specified:
        for choice in option.get("choices", []):
            assert accepts(schema, key, choice), (key, choice)
