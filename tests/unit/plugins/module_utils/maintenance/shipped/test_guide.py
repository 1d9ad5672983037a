"""The guide to the hooks: its tables are the code's, its examples are right. ``--update-guide`` writes the tables."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_runs import Ansible
from guide_tables import check_table, code_blocks, table
from shipped_hooks import EXECUTABLES, ROOT

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.hooks import TRY_LATER
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped import registry, webhook

GUIDE = ROOT / "docs/docsite/rst/maintenance_hooks.rst"


def sets() -> str:
    index = yaml.safe_load((EXECUTABLES / "index.yml").read_text())
    rows = [
        (
            f"``{name}``",
            entry["summary"],
            ", ".join(entry["phases"]),
            str(entry["order"]),
            "yes" if entry["root"] else "no",
            "yes" if entry["network"] else "no",
        )
        for name, entry in index.items()
    ]
    return table(("Name", "What it does", "Phases", "Order", "Needs root", "Speaks to other hosts"), rows)


def settings(schema: Any, required: tuple[str, ...], nested: Any) -> str:
    rows = []
    for key, field in schema.items():
        default = "required" if key in required else f"``{json.dumps(field.default)}``"
        rows.append((f"``{key}``", default, field.text))
        if key in nested and key != "targets":
            rows += [
                (f"``{key}.{name}``", f"``{json.dumps(inner.default)}``", inner.text)
                for name, inner in nested[key].items()
            ]
    return table(("Setting", "Default", "Meaning"), rows)


def alerts() -> str:
    path = ROOT / "roles/maintenance_handler/files/monitoring/alerts.yml"
    rules = yaml.safe_load(path.read_text())["groups"][0]["rules"]
    rows = []
    for rule in rules:
        summary = rule["annotations"]["summary"].replace("{{ $labels.instance }}", "the VM")
        summary = re.sub(r" ?\(\{\{ \$labels\.\w+ \}\}\)", "", summary)
        summary = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", summary)
        rows.append((f"``{rule['alert']}``", rule["labels"]["severity"], summary[0].upper() + summary[1:]))
    return table(("Alert", "Severity", "When"), rows)


def tables() -> dict[str, str]:
    made = {"sets": sets(), "alerts": alerts(), "webhook targets": settings(webhook.TARGET, (), {})}
    for name in registry.NAMES:
        found = registry.find(name)
        made[f"{name} settings"] = settings(found.schema, found.required, found.nested)
    return made


@pytest.mark.parametrize("name", tables())
def test_the_guides_tables_are_the_codes(name: str, request: pytest.FixtureRequest) -> None:
    check_table(GUIDE, name, tables()[name], update=request.config.getoption("--update-guide"))


def chosen(node: Any) -> Iterator[dict[str, Any]]:
    """Every entry of maintenance_handler_shipped_hooks."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from value if key == "maintenance_handler_shipped_hooks" else chosen(value)
    elif isinstance(node, list):
        for item in node:
            yield from chosen(item)


def test_the_examples_are_right() -> None:
    hooks = [hook for text in code_blocks(GUIDE, "yaml") for hook in chosen(yaml.safe_load(text))]
    assert {hook["name"] for hook in hooks} == set(registry.NAMES), "each set has an example"
    for hook in hooks:
        registry.check(hook["name"], hook["settings"], where=hook["name"])


def test_the_plays_are_plays(tmp_path: Path) -> None:
    texts = [text for text in code_blocks(GUIDE, "yaml") if text.startswith("- ")]
    assert len(texts) == 2
    for text in texts:
        (tmp_path / "play.yml").write_text(text)
        run = Ansible(tmp_path, {"web": {}}).command("ansible-playbook", "--syntax-check", str(tmp_path / "play.yml"))
        assert run.code == 0, run.output


def test_the_example_of_a_hook_does_what_it_says(tmp_path: Path) -> None:
    farm = tmp_path / "farm"
    farm.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/calls\n[ "$1" != busy ] || [ -e {tmp_path}/busy ]\n')
    farm.chmod(0o755)
    hook = tmp_path / "hook"
    hook.write_text(code_blocks(GUIDE, "sh")[0].replace("/var/lib/render", str(tmp_path)))
    hook.chmod(0o755)

    def run() -> tuple[int, str]:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run([hook], env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    (tmp_path / "busy").touch()
    assert run() == (TRY_LATER, "a frame is still being rendered\n")
    (tmp_path / "busy").unlink()
    assert run() == (0, "")
    assert (tmp_path / "calls").read_text().split() == ["leave", "busy", "busy"]


def test_the_page_is_in_the_documentation() -> None:
    text = (ROOT / "docs/docsite/extra-docs.yml").read_text()
    assert GUIDE.stem in yaml.safe_load(text)["sections"][0]["toctree"]
