"""The guide's tables say what the code does. ``python -m pytest … --update-guide`` writes them anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guide_tables import check_table, table

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config, decide, metrics, model, policy

GUIDE = Path(__file__).parents[5] / "docs" / "docsite" / "rst" / "maintenance_guide.rst"


def transitions() -> str:
    rows: dict[tuple[str, str], list[str]] = {}
    for line in model.TRANSITIONS:
        rows.setdefault((line.target, line.when), []).append(f"``{line.source}``")
    return table(
        ("From", "To", "When"),
        [(", ".join(sources), f"``{target}``", when) for (target, when), sources in rows.items()],
    )


def rules() -> str:
    rows = []
    for rule in policy.DEFAULT_RULES:
        more = [name for name in ("skip_queue", "drain_after_start") if getattr(rule, name)]
        rows.append(
            (
                rule.name,
                ", ".join(rule.types) or "any other",
                "any" if rule.max_duration is None else f"up to {rule.max_duration} s",
                f"``{rule.action}``",
                ", ".join(f"``{word}``" for word in [*more, f"on_failed_drain: {rule.on_failed_drain}"]),
            )
        )
    return table(("Rule", "Types", "Duration", "Action", "And"), rows)


def metric_rows() -> str:
    rows = [(f"``{metrics.PREFIX}{name}``", metric.kind, metric.text) for name, metric in metrics.METRICS.items()]
    return table(("Metric", "Kind", "Meaning"), rows)


def settings() -> str:
    rows = []
    nested = {
        "policy": config.RULE,
        "windows": config.WINDOW,
        "freezes": config.FREEZE,
        "fleet": config.FLEET,
        "clock": config.CLOCK,
    }
    for name, field in config.SCHEMA.items():
        rows.append((f"``{name}``", f"``{json.dumps(field.default)}``", field.text))
        rows += [
            (f"``{name}.{key}``", f"``{json.dumps(inner.default)}``", inner.text)
            for key, inner in nested.get(name, {}).items()
        ]
    return table(("Setting", "Default", "Meaning"), rows)


TABLES = {"transitions": transitions, "policy": rules, "metrics": metric_rows, "settings": settings}


@pytest.mark.parametrize("name", TABLES)
def test_the_guides_tables_are_the_codes(name: str, request: pytest.FixtureRequest) -> None:
    check_table(GUIDE, name, TABLES[name](), update=request.config.getoption("--update-guide"))


def test_every_state_has_a_rule_and_every_transition_a_known_state() -> None:
    states = set(decide._RULES)
    assert {line.source for line in model.TRANSITIONS} | {line.target for line in model.TRANSITIONS} == states


def test_every_end_can_be_reached_and_left_in_order() -> None:
    """From ``seen`` every state can be reached, and from every state ``done``."""

    def reach(start: str, edges: set[tuple[str, str]]) -> set[str]:
        found, todo = {start}, [start]
        while todo:
            state = todo.pop()
            for source, target in edges:
                if source == state and target not in found:
                    found.add(target)
                    todo.append(target)
        return found

    assert reach(model.SEEN, set(model.ALLOWED)) == set(decide._RULES)
    assert reach(model.DONE, {(b, a) for a, b in model.ALLOWED}) == set(decide._RULES)
