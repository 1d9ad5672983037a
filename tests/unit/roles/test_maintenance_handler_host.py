"""What the role refuses, with which words, and the unit that it makes of its variables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_runs import Ansible

ROLE = Path(__file__).parents[3] / "roles" / "maintenance_handler"
PREFIX = "maintenance_handler_"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "prefix": ({"prefix": "here"}, "maintenance_handler_prefix is here. It must be empty or an absolute path."),
    "service": ({"service": "on"}, "maintenance_handler_service is on, and there is a prefix"),
    "name": (
        {"hooks": [{"phase": "drain", "name": "../x", "content": ""}]},
        "maintenance_handler_hooks has hooks named ../x. A name starts with a letter or a digit",
    ),
    "user": ({"user": "Bob Smith"}, "maintenance_handler_user is Bob Smith. A user's name starts with a small letter"),
    "rights": (
        {"user": "nobody", "hook_launcher": "systemd"},
        "maintenance_handler_hook_launcher is systemd, and nobody may not start units.",
    ),
    "root": (
        {"user": "nobody", "shipped_hooks": [{"name": "systemd_units", "settings": {"units": ["x.service"]}}]},
        "has systemd_units, which only root can run, and maintenance_handler_user is nobody.",
    ),
    "network": (
        {"user": "nobody", "shipped_hooks": [{"name": "kubernetes"}]},
        "maintenance_handler_shipped_hooks has kubernetes, which speaks to other hosts",
    ),
    "path": ({"writable_paths": ['/srv/"x']}, "absolute paths without quotes and backslashes are needed"),
    "relative": ({"metrics_textfile": "x/y.prom"}, "absolute paths without quotes and backslashes are needed"),
    "address": (
        {"allowed_addresses": ["example.org"]},
        "maintenance_handler_allowed_addresses is example.org. It takes addresses, networks such as 10.0.0.0/8",
    ),
    "python": ({"python": "/no/python"}, "/no/python: it is not there or older than Python 3.8."),
    "azure": ({"require_azure": True}, "This is not an Azure VM: "),
}


def variables(**given: Any) -> dict[str, Any]:
    return {PREFIX + name: value for name, value in given.items()}


@pytest.mark.timeout(900)
def test_what_cannot_work_is_refused_with_a_remedy(tmp_path: Path) -> None:
    usual = {"prefix": str(tmp_path / "host"), "python": sys.executable}
    hosts = {name: variables(**{**usual, **given}) for name, (given, _words) in REFUSED.items()}
    hosts["fine"] = variables(**usual)
    play = {"hosts": "all", "gather_facts": False, "roles": ["azure_guest.imds.maintenance_handler"]}
    run = Ansible(tmp_path, hosts).playbook([play], "--check")
    for name, (_given, words) in REFUSED.items():
        (failed,) = [result for result in run.results if result.host == name and result.outcome == "failed"]
        assert words in " ".join(str(failed.result["msg"]).split()), name
    assert [r.host for r in run.results if r.outcome == "failed" and r.host == "fine"] == [], run.output
    assert not (tmp_path / "host").exists()


UNITS: dict[str, dict[str, Any]] = {
    "usual": {},
    "seen": {
        "http_port": 9879,
        "metrics_textfile": "/srv/a b/x.prom",
        "fleet": {"store": "file", "path": "/srv/100%/fleet.json"},
    },
    "own": {"user": "azure-maintenance", "allowed_addresses": ["10.0.0.0/8"]},
    "plain": {"hook_launcher": "process"},
    "elsewhere": {"endpoint": "http://10.1.2.3:8080"},
    "name": {"endpoint": "http://imds.example", "allowed_addresses": ["any"]},
}


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Of each unit, the values of every setting."""
    root = tmp_path_factory.mktemp("units")
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    registered = {
        "_maintenance_handler_systemd": {"stat": {"exists": True}},
        "_maintenance_handler_library": {"endpoint": "http://192.0.2.254"},
    }
    hosts = {name: {**defaults, **registered, **variables(**given)} for name, given in UNITS.items()}
    task = {
        "name": "Make the unit",
        "ansible.builtin.template": {
            "src": str(ROLE / "templates/azure-maintenance.service.j2"),
            "dest": f"{root}/{{{{ inventory_hostname }}}}.service",
            "mode": "0644",
        },
    }
    run = Ansible(root, hosts).play(task, vars_files=[str(ROLE / "vars/main.yml")])
    assert run.code == 0, run.output
    found = {}
    for name in UNITS:
        settings: dict[str, list[str]] = {}
        for line in (root / f"{name}.service").read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                settings.setdefault(key, []).append(value)
        found[name] = settings
    return found


def test_the_usual_unit_can_reach_and_write_nothing_else(units: dict[str, dict[str, list[str]]]) -> None:
    unit = units["usual"]
    assert unit["IPAddressAllow"] == ["192.0.2.254"]
    assert unit["IPAddressDeny"] == ["any"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX AF_INET"]
    assert "ReadWritePaths" not in unit
    assert "User" not in unit


def test_what_is_to_be_seen_outside_can_be(units: dict[str, dict[str, list[str]]]) -> None:
    assert units["seen"]["IPAddressAllow"] == ["192.0.2.254 localhost"]
    assert units["seen"]["ReadWritePaths"] == ['"-/srv/a b"', '"-/srv/100%%"']


def test_a_user_of_its_own_has_the_sandbox_too(units: dict[str, dict[str, list[str]]]) -> None:
    unit = units["own"]
    assert unit["User"] == ["azure-maintenance"]
    assert unit["IPAddressAllow"] == ["192.0.2.254 10.0.0.0/8"]
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]
    assert unit["UMask"] == ["0027"]


def test_hooks_of_root_that_are_children_are_not_in_a_sandbox(units: dict[str, dict[str, list[str]]]) -> None:
    assert not {"IPAddressDeny", "ProtectSystem", "CapabilityBoundingSet", "NoNewPrivileges"} & set(units["plain"])


def test_another_endpoint(units: dict[str, dict[str, list[str]]]) -> None:
    assert units["elsewhere"]["IPAddressAllow"] == ["10.1.2.3"]
    assert units["name"]["IPAddressAllow"] == ["any"]


def test_every_unit_is_watched_and_started_again(units: dict[str, dict[str, list[str]]]) -> None:
    for unit in units.values():
        assert unit["Type"] == ["notify"]
        assert unit["Restart"] == ["always"]
        assert unit["WatchdogSec"] == ["60"]
        assert unit["RuntimeDirectoryPreserve"] == ["yes"]
