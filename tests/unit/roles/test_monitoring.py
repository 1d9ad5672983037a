"""Alerting rules and the dashboard: on metrics and labels that there are, and as Prometheus and Grafana read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from maintenance_world import World
from system_programs import find_program

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import metrics
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.status import snapshot

FILES = Path(__file__).parents[3] / "roles/maintenance_handler/files/monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text())
METRIC = re.compile(rf"\b{metrics.PREFIX}([a-z_]+)(?:\{{([^}}]*)\}})?")
MATCHER = re.compile(r'\s*([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*,?')
# What a label may be, where that is a closed list.
EVENT_STATES = {line.source for line in m.TRANSITIONS} | {line.target for line in m.TRANSITIONS}
VALUES = {
    ("service_state", "state"): {m.IN_SERVICE, m.HOST_DRAINING, m.HOST_DRAINED, m.HOST_RESUMING},
    ("events", "state"): EVENT_STATES,
    ("errors", "what"): set(metrics.ERRORS),
    ("hook_runs_total", "phase"): set(m.PHASES),
    ("hook_runs_total", "outcome"): {m.OK, m.LATER, m.FAILED},
    ("approvals_total", "outcome"): {"taken", "failed", "uncertain"},
    ("slot", "kind"): {"none", "held", "forced"},
}


def panel_expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in RULES] + list(panel_expressions())


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """The labels of each metric, from a life in which everything happens."""
    world = World()
    found: dict[str, set[str]] = {}
    event = world.schedule("Reboot", "vm-0")
    for second in range(60):
        world.vms["vm-0"].silent = 10 <= second < 15
        if second == 10:
            world.start(event)
        if second == 15:
            world.end(event)
        world.run(1)
        agent = world.vms["vm-0"].agent
        for name, pairs in metrics.samples(snapshot(agent, pid=1), agent.counters):
            found.setdefault(name, set()).update(label for label, _value in pairs)
    return found


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_metric_label_and_value_is_one_that_there_is(
    where: str, expression: str, labels: dict[str, set[str]]
) -> None:
    uses = METRIC.findall(expression)
    assert uses, where
    for name, selector in uses:
        assert name in metrics.METRICS, f"{where}: {name}"
        matched = MATCHER.findall(selector)
        assert MATCHER.sub("", selector).strip() == "", f"{where}: {selector}"
        for label, _operator, value in matched:
            if label == "instance":
                continue
            assert label in labels[name], f"{where}: {name} has no label {label}"
            if (name, label) in VALUES:
                assert set(value.split("|")) <= VALUES[name, label], f"{where}: {value}"


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_what_it_is_about_fits_its_kind(where: str, expression: str) -> None:
    """Counters go through rate or increase; gauges never do. Brackets are closed."""
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing), where
    for call in re.findall(rf"(?:rate|increase)\({metrics.PREFIX}([a-z_]+)", expression):
        assert metrics.METRICS[call].kind == "counter", where


def test_rules_are_complete() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names) >= 12
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch("AzureMaintenance[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"]


def test_every_rule_has_a_test_of_its_own() -> None:
    document = yaml.safe_load((Path(__file__).parent / "monitoring/alerts_test.yml").read_text())
    fired = {case["alertname"] for test in document["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}


def promtool(*arguments: str | Path) -> str:
    program = find_program("promtool", package="prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_runs_the_rules_tests(tmp_path: Path) -> None:
    for source in (FILES / "alerts.yml", Path(__file__).parent / "monitoring/alerts_test.yml"):
        shutil.copy(source, tmp_path)
    assert f"{len(RULES)} rules found" in promtool("check", "rules", tmp_path / "alerts.yml")
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "alerts_test.yml")


def test_promtool_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """As recording rules, with Grafana's variables filled in."""
    rules = [
        {"record": f"panel:{index}", "expr": text.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for index, (_title, text) in enumerate(panel_expressions())
    ]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", path)


class TestDashboard:
    def test_it_is_one_that_grafana_takes(self) -> None:
        assert DASHBOARD["uid"] == "azure-maintenance"
        assert DASHBOARD["schemaVersion"] >= 36
        assert "id" not in DASHBOARD, "an id belongs to one Grafana"
        kinds = {"stat", "state-timeline", "table", "timeseries"}
        for panel in DASHBOARD["panels"]:
            assert panel["type"] in kinds
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
            assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])

    def test_panels_have_a_place_of_their_own(self) -> None:
        assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells

    def test_its_variables_are_used_and_defined(self) -> None:
        defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
        assert defined == {"datasource", "instance"}
        for title, expression in panel_expressions():
            assert 'instance=~"$instance"' in expression, title
            assert set(re.findall(r"\$([a-z]+)", expression)) <= defined, title

    def test_every_metric_of_the_handler_is_shown_or_alerted_on(self) -> None:
        used = {name for _where, expression in EXPRESSIONS for name, _selector in METRIC.findall(expression)}
        # The first says which version runs, the second counts what goes well.
        assert set(metrics.METRICS) - used <= {"info", "polls_total"}
