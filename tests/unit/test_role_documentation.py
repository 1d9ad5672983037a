"""Roles: what meta/argument_specs.yml says and what defaults/main.yml does are the same, value by value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path.parents[1] for path in (Path(__file__).parents[2] / "roles").glob("*/meta/argument_specs.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_and_documentation_are_equal(role: Path) -> None:
    defaults = load(role / "defaults/main.yml")
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert sorted(defaults) == sorted(options)
    for name, option in options.items():
        assert name.startswith(f"{role.name}_"), name
        assert defaults[name] == option.get("default"), name
        assert option["type"], name
        assert option["description"], name
        if "choices" in option:
            assert defaults[name] in option["choices"], name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_says_which_ansible_it_needs(role: Path) -> None:
    assert load(role / "meta/main.yml")["galaxy_info"]["min_ansible_version"] == "2.18"
