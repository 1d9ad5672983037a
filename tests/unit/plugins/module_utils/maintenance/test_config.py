"""The configuration: its defaults, and what is said about a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config


def parse(**values: object) -> config.Config:
    return config.parse(values, where="c.json")


def problems(**values: object) -> tuple[str, ...]:
    with pytest.raises(config.ConfigError) as caught:
        parse(**values)
    assert all(line.startswith("c.json: ") for line in str(caught.value).splitlines())
    return caught.value.problems


def test_an_empty_configuration_is_complete() -> None:
    settings = parse()
    assert settings.poll_interval == 1.0
    assert settings.policy == ()
    assert settings.fleet.store == "memory"
    assert settings.schedule == config.windows.Schedule()


def test_every_default_is_itself_accepted() -> None:
    given = {name: field.default for name, field in config.SCHEMA.items()}
    assert parse(**given) == parse()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"pol_interval": 1}, "pol_interval: unknown key; did you mean 'poll_interval'?"),
        ({"zzz": 1}, "zzz: unknown key"),
        ({"poll_interval": 0.1}, "poll_interval: seconds from 0.5 to 60 expected, not 0.1"),
        ({"poll_interval": "1"}, "poll_interval: seconds from 0.5 to 60 expected, not '1'"),
        ({"poll_interval": True}, "poll_interval: seconds from 0.5 to 60 expected, not True"),
        ({"endpoint": "https://x"}, "endpoint: endpoint 'https://x' is not of the form http://host[:port]"),
        ({"state_dir": "var"}, "state_dir: an absolute path expected, not 'var'"),
        ({"policy": {}}, "policy: a list expected, not {}"),
        ({"policy": [{"action": "drian"}]}, "policy[0].action: 'drian' is none of ignore, notify, drain"),
        ({"policy": [{}, {"typ": ["Reboot"]}]}, "policy[1].typ: unknown key; did you mean 'types'?"),
        ({"policy": [{"types": "Reboot"}]}, "policy[0].types: a list of strings expected, not 'Reboot'"),
        ({"policy": [{"min_duration": -1}]}, "policy[0].min_duration: a whole number of at least 0 expected"),
        ({"windows": [{"days": "someday"}]}, "windows[0].days: 'someday' is no weekday"),
        ({"windows": [{"time_zone": "Mars/Base"}]}, "windows[0].time_zone: time zone 'Mars/Base' is not known"),
        ({"freezes": [{"from": "2026-01-01"}]}, "freezes[0]: from and until are required"),
        ({"freezes": [{"from": "2026-01-02", "until": "2026-01-01"}]}, "freezes[0]: until is not after from"),
        ({"fleet": {"store": "files"}}, "fleet.store: 'files' is none of memory, file; did you mean 'file'?"),
        ({"fleet": {"store": "file"}}, "fleet: the store 'file' needs a path"),
        ({"fleet": {"max_unavailable": "0%"}}, "fleet.max_unavailable: a whole number of at least 1"),
        ({"fleet": {"max_unavailable": 0}}, "fleet.max_unavailable: a whole number of at least 1"),
        ({"hook_timeouts": {"drain.d/x": 0}}, "hook_timeouts: seconds from 1 to 86400 expected, not 0"),
        ({"clock": {"scale": 60}}, "clock: scale, real and virtual are required"),
        ({"multi_resource": "yolo"}, "multi_resource: 'yolo' is none of wait, approve_if_first"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(values: dict, expected: str) -> None:
    found = problems(**values)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_all_problems_are_said_at_once() -> None:
    assert len(problems(pol=1, margin=-1, policy=[{"action": "x", "tipes": []}])) == 4


def test_a_whole_configuration() -> None:
    settings = parse(
        policy=[{"name": "mine", "types": ["Reboot"], "sources": ["User"], "action": "drain"}],
        windows=[{"days": "sat,sun", "start": "22:00", "end": "04:00", "time_zone": "Europe/Berlin"}],
        freezes=[{"from": "2026-12-20", "until": "2027-01-02", "time_zone": "Europe/Berlin", "reason": "holidays"}],
        fleet={"store": "file", "path": "/x", "max_unavailable": "25%", "max_unavailable_per_zone": 1},
        clock={"scale": 60, "real": 1.0, "virtual": 2.0},
    )
    assert settings.policy[0].name == "mine"
    assert settings.schedule.windows[0].text == "sat,sun 22:00-04:00 Europe/Berlin"
    assert settings.schedule.freezes[0].start == 1797721200.0
    assert settings.fleet.limits.max_unavailable == "25%"
    assert settings.fleet.limits.per_zone == 1
    assert settings.clock is not None


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(config.ConfigError, match=r"config\.json: cannot be read: No such file"):
        config.load(str(path))
    path.write_text("{")
    with pytest.raises(config.ConfigError, match="not JSON"):
        config.load(str(path))
    path.write_text("[]")
    with pytest.raises(config.ConfigError, match="the configuration: an object expected"):
        config.load(str(path))
    path.write_text(json.dumps({"vm_name": "web-0"}))
    assert config.load(str(path)).vm_name == "web-0"
