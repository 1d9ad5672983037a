"""What the documentation of every plugin promises: examples with real names and options, and the action group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import yaml
from ansible.plugins.loader import fragment_loader
from ansible.utils.plugin_docs import get_docstring
from jinja2 import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
COLLECTION = "azure_guest.imds"
KINDS = {"modules": "module", "lookup": "lookup", "inventory": "inventory", "filter": "filter", "test": "test"}
FILES = [path for kind in KINDS for path in sorted((ROOT / "plugins" / kind).glob("*.py")) if path.stem != "__init__"]
PLUGINS = [(KINDS[path.parent.name], path) for path in FILES]
IDS = [f"{kind}-{path.stem}" for kind, path in PLUGINS]


def documentation(kind: str, path: Path) -> tuple[dict[str, Any], Any, Any]:
    """Documentation with its fragments merged, examples, return values."""
    doc, examples, returns, _metadata = get_docstring(
        str(path), fragment_loader, collection_name=COLLECTION, plugin_type=kind
    )
    return doc, examples, returns


def options(kind: str, name: str) -> set[str] | None:
    """The names that a plugin's options may have, None for a plugin that is not there."""
    directory = next(folder for folder, known in KINDS.items() if known == kind)
    path = ROOT / "plugins" / directory / f"{name}.py"
    if not path.exists():
        return None
    found = documentation(kind, path)[0].get("options") or {}
    return {*found, *(alias for option in found.values() for alias in option.get("aliases", []))}


def calls(node: Any) -> Iterator[tuple[str, set[str]]]:
    """Each use of a module of the collection in tasks, plays and module_defaults: its name and the options given."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(key, str) and key.startswith(f"{COLLECTION}."):
                yield key, set(value or {})
            yield from calls(value)
    elif isinstance(node, list):
        for item in node:
            yield from calls(item)


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = [*node.keys(), *node.values()]
    if isinstance(node, list):
        for item in node:
            yield from texts(item)
    elif isinstance(node, str):
        yield node


def lookups(text: str) -> Iterator[tuple[str, set[str]]]:
    """Each call of a lookup of the collection in a template: its name and the keywords given."""
    environment = jinja2.Environment(autoescape=False)
    for call in environment.parse(text).find_all(nodes.Call):
        named = isinstance(call.node, nodes.Name) and call.node.name in ("lookup", "query", "q")
        if named and call.args and isinstance(call.args[0], nodes.Const):
            name = str(call.args[0].value)
            if name.startswith(f"{COLLECTION}."):
                yield name, {keyword.key for keyword in call.kwargs}


def check_names(document: Any) -> int:
    """Assert that every name of ours in parsed YAML is real; how many there were."""
    count = 0
    uses = [("module", use) for use in calls(document)]
    uses += [("lookup", use) for text in texts(document) for use in lookups(text)]
    for kind, (fqcn, given) in uses:
        known = options(kind, fqcn.removeprefix(f"{COLLECTION}."))
        assert known is not None, f"{fqcn} is no {kind} of this collection"
        assert given <= known, f"{fqcn} has no option {', '.join(sorted(given - known))}"
        count += 1
    return count


@pytest.mark.parametrize(("kind", "path"), PLUGINS, ids=IDS)
def test_examples_name_real_plugins_and_options(kind: str, path: Path) -> None:
    doc, examples, _returns = documentation(kind, path)
    parsed = list(yaml.safe_load_all(examples))
    assert parsed, "no examples"
    count = check_names(parsed)
    if kind in ("module", "lookup"):
        assert count, "an example that does not use the plugin"
    for part in parsed:
        if isinstance(part, dict) and str(part.get("plugin", "")).startswith(f"{COLLECTION}."):
            assert set(part) - {"plugin"} <= set(doc["options"])
            count += 1
        for item in part if isinstance(part, list) else []:
            assert item.get("name"), "a task or play without a name"
    assert count, "an example that does not use the plugin"


@pytest.mark.parametrize(("kind", "path"), PLUGINS, ids=IDS)
def test_plugins_say_what_they_return(kind: str, path: Path) -> None:
    returns = documentation(kind, path)[2]
    assert kind == "inventory" or returns


def attributes(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = documentation("module", path)[0]["attributes"]
    return found


MODULES = [path for kind, path in PLUGINS if kind == "module"]


def test_every_module_that_says_so_is_in_the_action_group() -> None:
    """One that is not says why."""
    group = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]["imds"]
    said = {path.stem: attributes(path)["action_group"] for path in MODULES}
    assert group == sorted(name for name, attribute in said.items() if attribute["support"] == "full")
    assert all(attribute["support"] == "full" or attribute["details"] for attribute in said.values())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_tells_its_attributes(path: Path) -> None:
    for name in ("action_group", "check_mode", "diff_mode", "idempotent", "platform"):
        assert attributes(path)[name]["support"], name
        assert attributes(path)[name]["description"], name


def test_a_wrong_name_would_be_found() -> None:
    with pytest.raises(AssertionError, match="has no option gathr"):
        check_names([{"tasks": [{f"{COLLECTION}.instance_facts": {"gathr": 1}}]}])
    with pytest.raises(AssertionError, match="is no module"):
        check_names({f"{COLLECTION}.instance_fact": None})
    with pytest.raises(AssertionError, match="has no option tiemout"):
        check_names({"x": "{{ lookup('azure_guest.imds.metadata', 'versions', tiemout=1) | unheard_of }}"})
