"""The role's shipped hooks, by real runs of ansible-playbook below a prefix, and by the handler that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_runs import Ansible, Run

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped.names import NAMES

ROOT = Path(__file__).parents[3]
SPECS = ROOT / "roles/maintenance_handler/meta/argument_specs.yml"


def apply(root: Path, hooks: list[dict[str, Any]], *arguments: str, **variables: Any) -> Run:
    given = {
        "maintenance_handler_prefix": str(root / "host"),
        "maintenance_handler_python": sys.executable,
        "maintenance_handler_shipped_hooks": hooks,
        **variables,
    }
    play = {"hosts": "all", "gather_facts": False, "vars": given, "roles": ["azure_guest.imds.maintenance_handler"]}
    return Ansible(root, {"web-0": {}}).playbook([play], *arguments)


def changes(run: Run) -> list[str]:
    return [result.task for result in run.results if result.outcome == "ok" and result.result.get("changed")]


def test_choices_of_the_role_are_the_sets() -> None:
    options = yaml.safe_load(SPECS.read_text())["argument_specs"]["main"]["options"]
    assert options["maintenance_handler_shipped_hooks"]["options"]["name"]["choices"] == list(NAMES)


@pytest.mark.timeout(900)
def test_hooks_come_run_and_go(tmp_path: Path) -> None:
    """Installed with settings, run by the installed handler in a rehearsal, changed, and removed."""
    etc = tmp_path / "host/etc/azure-maintenance"
    flag = tmp_path / "drained"
    nginx = {"name": "nginx", "settings": {"flag_file": str(flag), "notice_time": 0}}
    webhook = {"name": "webhook", "settings": {"targets": [{"url": "http://127.0.0.1:9/", "attempts": 1}]}}
    wrong = apply(tmp_path, [{"name": "nginx", "settings": {"flagfile": "/x"}}], "--check")
    assert wrong.code != 0
    assert "settings of nginx: flagfile: unknown key; did you mean 'flag_file'?" in wrong.output
    assert not etc.exists()

    checked = apply(tmp_path, [nginx, webhook], "--check", "--diff")
    assert checked.code == 0, checked.output
    assert not etc.exists()
    limits = {"drain.d/30-nginx": 99}
    installed = apply(tmp_path, [nginx, webhook], maintenance_handler_hook_timeouts=limits)
    assert installed.code == 0, installed.output
    again = apply(tmp_path, [nginx, webhook], maintenance_handler_hook_timeouts=limits)
    assert changes(again) == [], again.output
    timeouts = json.loads((etc / "config.json").read_text())["hook_timeouts"]
    assert timeouts["drain.d/30-nginx"] == 99, "what the user says comes last"
    assert timeouts["notify.d/90-webhook"] == 25

    rehearsal = subprocess.run(
        [tmp_path / "host/usr/bin/azure-maintenance", "rehearse", "--yes", "--outage", "0.5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert rehearsal.returncode == 0, rehearsal.stdout + rehearsal.stderr
    assert "resume:  70-nginx" in rehearsal.stdout
    assert not flag.exists()

    less = apply(tmp_path, [webhook], maintenance_handler_hook_timeouts=limits)
    assert less.code == 0, less.output
    assert not list(etc.rglob("*nginx*"))
    assert (etc / "notify.d/90-webhook").exists()
