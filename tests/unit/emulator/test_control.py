"""The control side, its client, and the emulator as a command."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from emulator_wire import events, send

from azure_emulator.cli import main
from azure_emulator.client import ControlClient, ControlError
from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_the_fleet_names_everything_a_client_needs(emulator: Emulator) -> None:
    fleet = emulator.control.fleet()
    assert fleet["resource_manager"] == emulator.resource_manager
    vms = {vm["name"]: vm for vm in fleet["vms"]}
    web = vms["web-0"]
    assert web["endpoint"] == emulator.endpoint("web-0")
    assert (web["availability_set"], web["scale_set"], web["zone"], web["state"]) == ("web", None, None, "running")
    assert (web["fault_domain"], web["update_domain"], web["tags"]["role"]) == (0, 0, "web")
    assert (vms["db_1"]["scale_set"], vms["db_1"]["zone"], vms["db_1"]["instance_id"]) == ("db", "2", "1")
    assert web["scope"] == vms["web-1"]["scope"] != vms["solo"]["scope"]
    assert len({vm["endpoint"] for vm in fleet["vms"]}) == 7


def test_tags_and_user_data_can_change_while_running(emulator: Emulator) -> None:
    base = emulator.endpoint("solo")
    target = "/metadata/instance/compute/userData?api-version=2021-02-01&format=text"
    assert send(base, target).text == ""
    emulator.control.change_vm("solo", user_data="Zm9v", tags={"a": "b"})
    assert send(base, target).text == "Zm9v"
    assert send(base, "/metadata/instance/compute/tags?api-version=2021-02-01&format=text").text == "a:b"


def test_the_clock_says_how_to_compute_it(emulator: Emulator) -> None:
    clock = emulator.control.advance(12.5)
    assert (clock["mode"], clock["scale"]) == ("virtual", 0)
    assert clock["now"] == clock["anchor_virtual"] == emulator.now()
    with running({"vms": [{"name": "a"}]}, clock="real", time_scale=100) as scaled:
        clock = scaled.control.clock()
        computed = clock["anchor_virtual"] + (time.time() - clock["anchor_real"]) * clock["scale"]
        assert abs(computed - scaled.now()) < 100  # a second of real time
        before = scaled.now()
        scaled.control.advance(10_000)
        assert 10_000 <= scaled.now() - before < 11_000


def test_a_scaled_clock_brings_events_by_itself() -> None:
    with running({"vms": [{"name": "a"}]}, clock="real", time_scale=1000) as emulator:
        emulator.control.schedule("Freeze", "a", not_before=100, impact=10, settle=10)
        deadline = time.monotonic() + 20
        while not emulator.control.idle()["idle"]:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        (event,) = emulator.control.events()
        assert event["started_at"] == event["not_before"]
        assert event["gone_at"] == event["started_at"] + 20


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/nothing", None, 404, "no /nothing"),
        ("PUT", "/fleet", None, 405, "takes GET, not PUT"),
        ("GET", "/events/x", None, 404, "no event 'x'"),
        ("DELETE", "/events/x", None, 404, "no event 'x'"),
        ("GET", "/vms/sollo", None, 404, "did you mean solo?"),
        ("GET", "/requests?vmm=a", None, 400, "query.vmm: unknown key; did you mean vm?"),
        ("GET", "/log?since=x", None, 400, "query.since: 'x' is no number"),
        ("GET", "/evnts", None, 404, "did you mean events?"),
        ("GET", "/events?open=yes", None, 400, "query.open: 'yes' is none of true, false"),
        ("GET", "/requests?category=instanse", None, 400, "did you mean instance?"),
        ("PATCH", "/events/x", {"not_befor": 1}, 400, "not_befor: unknown key; did you mean not_before?"),
        ("POST", "/clock", {"advance": float("nan")}, 400, "advance: expected a number, found nan"),
        ("POST", "/clock", {"advance": -1}, 400, "advance: -1 is less than 0"),
        ("POST", "/clock", {}, 400, "the key advance is missing"),
        ("POST", "/faults", {"fault": "gon"}, 400, "did you mean gone?"),
        ("POST", "/faults", {"fault": "gone", "vms": ["x"]}, 400, "vms[0]: no VM 'x'"),
        ("DELETE", "/faults/fault-9", None, 404, "no fault 'fault-9'"),
        ("POST", "/operations", {"operation": "evict", "resources": ["solo"]}, 400, "no Spot VM"),
        ("PATCH", "/vms/solo", {"zone": "1"}, 400, "zone: unknown key"),
    ],
)
def test_bad_calls_are_answered_with_what_is_wrong(
    emulator: Emulator, method: str, path: str, body: Any, status: int, words: str
) -> None:
    with pytest.raises(ControlError, match=re.escape(words)) as caught:
        emulator.control.call(method, path, body)
    assert caught.value.status == status


def test_a_body_that_is_no_json_and_a_web_page_are_refused(emulator: Emulator) -> None:
    assert send(emulator.control.url, "/events", method="POST", body=b"{", headers={}).status == 400
    assert send(emulator.control.url, "/fleet", headers={"Origin": "http://evil.example"}).status == 403


def test_nobody_there() -> None:
    with pytest.raises(ControlError, match=r"no emulator answers at http://127\.0\.0\.1:1"):
        ControlClient("http://127.0.0.1:1").fleet()


def test_what_is_no_http_is_no_news(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    parts = urlsplit(emulator.endpoint("solo"))
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=10) as connection:
        connection.sendall(b"GET no-path HTTP/1.1\r\n\r\n")
        assert b" 400 " in connection.recv(4096)
    assert caplog.records == []


def test_the_journal_forgets_by_number_and_by_size() -> None:
    with running({"vms": [{"name": "a"}]}, journal_limit=20) as small:
        for number in range(25):
            send(small.endpoint("a"), f"/metadata/versions?n={number}")
        assert [entry["query"]["n"] for entry in small.control.requests()] == [str(n) for n in range(5, 25)]
        answer = small.control.call("GET", "/requests")
        assert (answer["last"], answer["dropped"]) == (25, 5)
        for _ in range(30):  # 20 of them would be more than twenty times the share of an entry
            send(small.endpoint("a"), f"/metadata/versions?x={'x' * 7000}", headers={"X": "y" * 7000})
        assert 1 <= len(small.control.requests()) < 10
        small.control.clear_requests()
        send(small.endpoint("a"), "/metadata/versions")
        assert len(small.control.requests()) == 1


def test_two_emulators_at_once_know_nothing_of_each_other(emulator: Emulator, fleet: dict[str, Any]) -> None:
    with running(fleet) as other:
        other.control.schedule("Freeze", "solo")
        assert events(emulator.endpoint("solo"))["Events"] == []
        assert emulator.endpoint("solo") != other.endpoint("solo")


# The command


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """``azure-emulator serve`` as a process, and what it printed."""
    fleet = tmp_path / "fleet.yml"
    fleet.write_text("vms:\n- {name: a}\n- {name: b}\n", encoding="utf-8")
    network = f"127.{60 + os.getpid() % 20}.{os.getpid() // 20 % 256}.0/24"
    command = [sys.executable, "-m", "azure_emulator", "serve", "--fleet", str(fleet), "--port", "0"]
    with subprocess.Popen(
        [*command, "--control-port", "0", "--network", network, "--clock", "virtual"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_is_and_ends_cleanly(
    served: tuple[subprocess.Popen[str], dict[str, Any]], number: signal.Signals
) -> None:
    process, addresses = served
    assert process.pid == addresses["pid"]
    assert set(addresses["vms"]) == {"a", "b"}
    assert send(addresses["vms"]["b"], "/metadata/versions").status == 200
    assert send(addresses["resource_manager"], "/subscriptions", headers={}).status == 401
    assert ControlClient(addresses["control"]).health()["vms"] == 2
    process.send_signal(number)
    assert process.wait(10) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_a_port_in_use_is_named(
    served: tuple[subprocess.Popen[str], dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _process, addresses = served
    port = addresses["control"].rsplit(":", 1)[1]
    assert main(["serve", "--fleet", str(tmp_path / "fleet.yml"), "--port", "0", "--control-port", port]) == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err


def test_the_clients_of_the_command(
    served: tuple[subprocess.Popen[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    control = ["--control", served[1]["control"]]

    def run(*arguments: str) -> str:
        assert main([*arguments, *control]) == 0
        return capsys.readouterr().out

    event = json.loads(run("schedule", "Reboot", "a", "--not-before", "60", "--json"))
    assert (event["resources"], event["not_before"] - event["scheduled_at"]) == (["a"], 60)
    assert "Reboot  scheduled" in run("events", "--open")
    assert "fault-1  gone" in run("fault", "gone", "--vm", "a", "--count", "2")
    assert send(served[1]["vms"]["a"], "/metadata/versions").status == 410
    assert " 410 " in run("requests", "--vm", "a")
    run("faults", "--clear")
    run("advance", "60")
    assert "rebooting" in run("fleet")
    run("wait-idle", "--advance")
    assert "event_gone" in run("log")
    assert "08:0" in run("clock")
    run("operate", "stop", "b")
    assert "stopped" in run("change", "b", "--tag", "role=db", "--tag", "empty=", "--user-data", "Zm9v")
    (b,) = (vm for vm in json.loads(run("fleet", "--json"))["vms"] if vm["name"] == "b")
    assert b["tags"] == {"role": "db", "empty": ""}
    other = run("schedule", "Freeze", "a")
    run("reschedule", other.split()[8], "5")
    assert "cancelled" in run("cancel", other.split()[8])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["check", "none.yml"], 2, "none.yml: cannot be read"),
        (["events", "--control", "nonsense"], 2, "not of the form http://host:port"),
        (["events", "--control", "http://127.0.0.1:1"], 1, "no emulator answers"),
        (["generate", "--vms", "0"], 2, "at least one VM"),
        (["serve", "--fleet", "FLEET", "--network", "10.0.0.0/24"], 2, "--allow-non-loopback"),
        (["serve", "--fleet", "FLEET", "--control-address", "0.0.0.0"], 2, "--allow-non-loopback"),
        (["serve", "--fleet", "FLEET", "--shared-address", "127.0.0.1"], 2, "not of the form address:port"),
        (["serve", "--fleet", "FLEET", "--port", "65535", "--network", "127.9.0.1/32"], 1, "no more ports above it"),
        (["serve", "--fleet", "FLEET", "--network", "127.9.0.1/24"], 2, "host bits set"),
        (["serve", "--fleet", "FLEET", "--time-scale", "0"], 2, "--time-scale: 0 is not greater than 0"),
        (["serve", "--fleet", "FLEET", "--time-scale", "60", "--clock", "virtual"], 2, "is for a real clock"),
        (["serve", "--fleet", "FLEET", "--journal-limit", "0"], 2, "--journal-limit: 0 is less than 1"),
        (["serve", "--fleet", "FLEET", "--port", "70000"], 2, "argument --port: '70000' is no port"),
        (["serve", "--fleet", "FLEET", "--start", "monday"], 2, "argument --start: 'monday' is no time such as"),
        (["serve", "--fleet", "FLEET", "--shared-address", "10.0.0.1:80"], 2, "--shared-address: is not loopback"),
        (["shedule", "Reboot", "a"], 2, "no 'shedule'; did you mean schedule?"),
        (["schedule", "Rebot", "a"], 2, "no 'Rebot'; did you mean Reboot?"),
        (["fault", "hung"], 2, "no 'hung'; did you mean hang?"),
        (["fault", "gone", "--category", "instanse"], 2, "did you mean instance?"),
        (["change", "a"], 2, "say what: --tag or --user-data"),
        (["change", "a", "--tag", "x"], 2, "'x' is not of the form NAME=VALUE"),
        (["check", "FLEET", "--fast"], 2, "unrecognized arguments: --fast"),
    ],
)
def test_wrong_calls_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: str
) -> None:
    fleet = tmp_path / "fleet.yml"
    fleet.write_text("vms: [{name: a}, {name: b}]\n", encoding="utf-8")
    try:
        result: Any = main([str(fleet) if a == "FLEET" else a for a in arguments])
    except SystemExit as exc:  # what the parser itself refuses
        result = exc.code
    assert result == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def test_generate_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--vms", "30"]) == 0
    fleet = tmp_path / "fleet.yml"
    fleet.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["check", str(fleet)]) == 0
    assert "fleet.yml: VMs 30, subscriptions 1, availability sets 1, scale sets 1" in capsys.readouterr().out
