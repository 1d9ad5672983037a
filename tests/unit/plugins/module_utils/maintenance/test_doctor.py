"""The doctor finds what could keep the handler from its work, and says what to do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.client import Answer
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.detection import AZURE_CHASSIS_ASSET_TAG
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import cli, doctor, routes
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config as configuration
from azure_emulator.testing import Emulator, running

ROUTES = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100000A	0003	0	0	100	00000000	0	0	0
eth0	FEA9FEA9	0100000A	0007	0	0	100	FFFFFFFF	0	0	0
eth1	0000A8C0	00000000	0001	0	0	0	0000FFFF	0	0	0
down	FEA9FEA9	00000000	0000	0	0	0	FFFFFFFF	0	0	0
broken line
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running({"vms": [{"name": "web-0"}]}, clock="real") as running_emulator:
        yield running_emulator


@pytest.fixture
def system(tmp_path: Path) -> doctor.Paths:
    (tmp_path / "dmi").mkdir()
    (tmp_path / "dmi" / "chassis_asset_tag").write_text(AZURE_CHASSIS_ASSET_TAG)
    (tmp_path / "routes").write_text(ROUTES)
    return doctor.Paths(str(tmp_path / "dmi"), str(tmp_path / "routes"), str(tmp_path / "uuid"))


@pytest.fixture
def settings(tmp_path: Path, emulator: Emulator) -> dict[str, Any]:
    for name in ("state", "run", "hooks/drain.d"):
        (tmp_path / name).mkdir(parents=True)
    return {
        "endpoint": emulator.endpoint("web-0"),
        "state_dir": str(tmp_path / "state"),
        "run_dir": str(tmp_path / "run"),
        "hooks_dir": str(tmp_path / "hooks"),
    }


def parse(settings: dict[str, Any], **more: Any) -> configuration.Config:
    return configuration.parse({**settings, **more}, where="test")


def texts(findings: list[doctor.Finding], level: str) -> str:
    return "\n".join(f"{f.what} ({f.remedy})" for f in findings if f.level == level)


def hook(settings: dict[str, Any], name: str, text: str = "#!/bin/sh\n", mode: int = 0o755) -> None:
    path = Path(settings["hooks_dir"]) / name
    path.write_text(text)
    path.chmod(mode)


def test_a_host_that_is_well_but_for_the_handler(settings: dict[str, Any], system: doctor.Paths) -> None:
    hook(settings, "drain.d/10-a")
    findings = doctor.examine(parse(settings), system)
    assert texts(findings, doctor.WARNING) == ""
    assert "the handler has not run since the machine started (systemctl start" in texts(findings, doctor.PROBLEM)
    good = texts(findings, doctor.GOOD)
    for said in (
        "this is an Azure VM",
        "answers within",
        "this VM is web-0",
        "clock agrees",
        "scheduled events are on",
    ):
        assert said in good


def test_another_machine(settings: dict[str, Any], system: doctor.Paths, tmp_path: Path) -> None:
    (tmp_path / "dmi" / "chassis_asset_tag").write_text("other")
    assert doctor.check_machine(parse({**settings, "endpoint": None}), system)[0].level == doctor.PROBLEM
    assert doctor.check_machine(parse(settings), system)[0].level == doctor.GOOD


class TestNetwork:
    def find(self, settings: dict[str, Any], system: doctor.Paths) -> list[doctor.Finding]:
        return doctor.check_network(parse({**settings, "endpoint": None}), system)

    def test_the_right_route(self, settings: dict[str, Any], system: doctor.Paths) -> None:
        assert [f.level for f in self.find(settings, system)] == [doctor.GOOD]

    def test_the_wrong_interface(self, settings: dict[str, Any], system: doctor.Paths) -> None:
        Path(system.routes).write_text(ROUTES.replace("eth0\tFEA9FEA9", "eth1\tFEA9FEA9"))
        text = texts(self.find(settings, system), doctor.WARNING)
        assert "leaves by eth1, the default route does not" in text
        assert "is that eth0?" in text

    def test_no_route(self, settings: dict[str, Any], system: doctor.Paths) -> None:
        Path(system.routes).write_text(ROUTES.splitlines()[0] + "\n")
        assert "no route leads to" in texts(self.find(settings, system), doctor.PROBLEM)

    def test_routes_that_cannot_be_read(self, settings: dict[str, Any], system: doctor.Paths) -> None:
        Path(system.routes).unlink()
        assert "cannot be read" in texts(self.find(settings, system), doctor.WARNING)

    def test_a_proxy_is_mentioned(self, settings, system, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        assert "http_proxy is set; the metadata service is asked without" in texts(self.find(settings, system), "ok")

    def test_the_longest_prefix_and_the_lowest_metric(self, system: doctor.Paths) -> None:
        table = routes.read_routes(system.routes)
        assert len(table) == 3
        found = routes.route_to("192.168.7.7", table)
        assert found is not None
        assert (found.interface, found.prefix) == ("eth1", 16)
        better = [routes.Route(0, 0, 0, 50, "eth9"), *table]
        assert routes.route_to("8.8.8.8", better).interface == "eth9"  # type: ignore[union-attr]


class TestService:
    def test_a_silent_one(self, settings: dict[str, Any], system: doctor.Paths) -> None:
        findings = doctor.check_service(parse(settings, endpoint="http://127.0.0.1:9"), system)
        assert "the metadata service: GET http://127.0.0.1:9/metadata/instance: Connection refused" in texts(
            findings, doctor.PROBLEM
        )

    def test_a_name_that_is_not_azures(self, settings: dict[str, Any], system: doctor.Paths) -> None:
        findings = doctor.check_service(parse(settings, vm_name="my-host"), system)
        assert "vm_name is my-host, and the service calls this VM web-0" in texts(findings, doctor.WARNING)

    def test_another_machines_answers(self, settings: dict[str, Any], system: doctor.Paths) -> None:
        Path(system.product_uuid).write_text("00000000-0000-0000-0000-000000000000\n")
        assert "does something forward" in texts(doctor.check_service(parse(settings), system), doctor.WARNING)

    def test_both_byte_orders_of_an_smbios_uuid(self) -> None:
        vm_id = "5c08b38e-4d57-4c23-ac45-aca61037f084"
        assert doctor.same_machine(vm_id.upper(), vm_id)
        assert doctor.same_machine("8EB3085C-574D-234C-AC45-ACA61037F084", vm_id)
        assert not doctor.same_machine("00000000-4d57-4c23-ac45-aca61037f084", vm_id)

    @pytest.mark.parametrize(("off", "level"), [(0, doctor.GOOD), (-60, doctor.WARNING), (3600, doctor.WARNING)])
    def test_the_clock(self, off: float, level: str) -> None:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(1_800_000_000 + off))
        findings = doctor._clock_findings(Answer({}, None, {"date": date}), 1_800_000_000.0)
        assert [f.level for f in findings] == [level]

    def test_without_a_date_nothing_is_said(self) -> None:
        assert doctor._clock_findings(Answer({}, None, {}), 1.0) == []


class TestHooks:
    def test_none(self, settings: dict[str, Any]) -> None:
        assert "no drain hooks" in texts(doctor.check_hooks(parse(settings)), doctor.WARNING)

    def test_what_is_not_run_is_named(self, settings: dict[str, Any]) -> None:
        hook(settings, "drain.d/10-a", mode=0o644)
        assert "drain.d/10-a is not run (chmod +x it, or take it away)" in texts(
            doctor.check_hooks(parse(settings)), doctor.WARNING
        )

    def test_what_everybody_may_write(self, settings: dict[str, Any]) -> None:
        hook(settings, "drain.d/10-a", mode=0o777)
        assert "may be written by everybody" in texts(doctor.check_hooks(parse(settings)), doctor.PROBLEM)

    @pytest.mark.parametrize("first", ["#!/no/such/python", "#!/usr/bin/env no-such-program"])
    def test_interpreters_that_are_missing(self, settings: dict[str, Any], first: str) -> None:
        hook(settings, "drain.d/10-a", first + "\n")
        assert "which is not" in texts(doctor.check_hooks(parse(settings)), doctor.PROBLEM)

    def test_settings_of_shipped_hooks(self, settings: dict[str, Any]) -> None:
        place = Path(settings["hooks_dir"], "hooks")
        place.mkdir(parents=True)
        (place / "nginx.json").write_text("{}")
        (place / "haproxy.json").write_text('{"server": []}')
        findings = doctor.check_hooks(parse(settings))
        assert "settings of the nginx hooks" in texts(findings, doctor.GOOD)
        wrong = f"{place}/haproxy.json: server: unknown key; did you mean 'servers'? (mend {place}/haproxy.json)"
        assert wrong in texts(findings, doctor.PROBLEM)


class TestDirectoriesFleetAndHandler:
    def test_directories(self, settings: dict[str, Any], tmp_path: Path) -> None:
        findings = doctor.check_directories(parse(settings, state_dir=str(tmp_path / "no")))
        assert [f.level for f in findings] == [doctor.WARNING, doctor.GOOD]

    def test_a_fleet_file_that_is_none(self, settings: dict[str, Any], tmp_path: Path) -> None:
        (tmp_path / "fleet.json").write_text("[]")
        config = parse(settings, fleet={"store": "file", "path": str(tmp_path / "fleet.json")})
        assert "no format number" in texts(doctor.check_fleet(config), doctor.PROBLEM)

    def test_a_vm_that_is_out_for_days(self, settings: dict[str, Any], tmp_path: Path) -> None:
        holder = {"since": time.time() - 3 * 86400, "key": "e", "forced": False, "by": "web-7"}
        document = {"format": 1, "members": {}, "holders": {"web-7": holder}, "ready": {}, "windows": []}
        (tmp_path / "fleet.json").write_text(json.dumps(document))
        config = parse(settings, fleet={"store": "file", "path": str(tmp_path / "fleet.json")})
        assert "web-7 has been out for 72 h" in texts(doctor.check_fleet(config), doctor.WARNING)

    def test_what_the_handler_says_of_itself(self, settings: dict[str, Any], tmp_path: Path) -> None:
        status = {
            "pid": 1,
            "vm_name": "web-0",
            "service": "in_service",
            "errors": {"journal": "No space left on device"},
            "events": [{"resources": ["web-0", "stranger"]}],
            "fleet": {"members": ["web-0"]},
        }
        (tmp_path / "run" / "status.json").write_text(json.dumps(status))
        config = parse(settings, fleet={"store": "file", "path": str(tmp_path / "fleet.json")})
        findings = doctor.check_handler(config)
        assert "journal: No space left on device" in texts(findings, doctor.PROBLEM)
        assert "no handler is known of stranger" in texts(findings, doctor.WARNING)


class TestCommand:
    def test_a_wrong_configuration_is_a_finding(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "c.json").write_text('{"polly": 1}')
        assert cli.main(["--config", str(tmp_path / "c.json"), "doctor"]) == 78
        text = capsys.readouterr().out
        assert text.startswith("problem  polly: unknown key")
        assert text.endswith("1 problem, 0 warnings\n")

    def test_as_json(self, settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "c.json").write_text(json.dumps(settings))
        assert cli.main(["--config", str(tmp_path / "c.json"), "doctor", "--json"]) == 1
        levels = {finding["level"] for finding in json.loads(capsys.readouterr().out)}
        assert levels >= {doctor.GOOD, doctor.PROBLEM}
