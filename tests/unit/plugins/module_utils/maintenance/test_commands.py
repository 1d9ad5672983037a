"""The command line, on an emulated VM."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import detection
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import cli, ordering
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config as configuration
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.agent import Agent
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet import document as fleet
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.file import FileStore
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.store import update
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.publish import Publisher
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.service import make_parts
from azure_emulator.testing import Emulator, running

FLEET = {
    "availability_sets": [{"name": "web"}],
    "vms": [{"name": "web-0", "availability_set": "web"}, {"name": "web-1", "availability_set": "web"}],
}


class Host:
    """A VM with a configuration, and a handler that runs when it is told to."""

    def __init__(self, root: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.emulator, self.capsys = root, emulator, capsys
        self.settings: dict[str, Any] = {
            "endpoint": emulator.endpoint("web-0"),
            "state_dir": str(root / "state"),
            "run_dir": str(root / "run"),
            "hooks_dir": str(root / "hooks"),
        }
        for name in ("state", "run", "hooks/drain.d", "hooks/resume.d"):
            (root / name).mkdir(parents=True)
        self.agent: Agent | None = None

    def configure(self, **settings: Any) -> None:
        self.settings.update(settings)
        (self.root / "config.json").write_text(json.dumps(self.settings))

    def handle(self) -> None:
        """Let the handler look once, and show how things stand."""
        self.configure()
        config = configuration.load(str(self.root / "config.json"))
        if self.agent is None:
            self.agent = Agent(make_parts(config, log=lambda *_: None))
            self.agent.start()
        self.agent._next_read = 0.0
        while True:
            self.agent._asked.clear()  # as if a second had passed
            self.agent.cycle()
            if self.agent.parts.runner.job is None and len(self.agent._asked) == 0:
                break
            time.sleep(0.002)  # a real process is being waited for
        publisher = Publisher(config, lambda *_: None)
        publisher.update(self.agent)

    def run(self, *arguments: str, status: int = 0) -> str:
        self.configure()
        self.capsys.readouterr()
        found = cli.main(["--config", str(self.root / "config.json"), *arguments])
        captured = self.capsys.readouterr()
        assert found == status, captured
        return captured.out + captured.err


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running(FLEET, clock="real") as running_emulator:
        yield running_emulator


@pytest.fixture
def host(tmp_path: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> Iterator[Host]:
    host = Host(tmp_path, emulator, capsys)
    yield host
    if host.agent:
        host.agent.stop()
    for event in emulator.control.events():
        if event["open"]:
            emulator.control.cancel(event["event_id"])


@pytest.fixture
def event_id(emulator: Emulator) -> str:
    return emulator.control.schedule("Reboot", ["web-0"], not_before=1800, description="soon")["event_id"]


class TestLooking:
    def test_status_before_and_after_the_first_run(self, host: Host) -> None:
        assert "the handler has not run since the machine started" in host.run("status", status=1)
        host.handle()
        assert host.run("status").startswith("web-0: in service\nevents read 0 s ago, incarnation 1\nno event at hand")
        assert json.loads(host.run("status", "--json"))["running"] is True

    def test_status_says_what_an_event_waits_for(self, host: Host, event_id: str) -> None:
        host.run("hold", "--reason", "release day")
        host.handle()
        text = host.run("status")
        assert f"Reboot {event_id} (web-0), not before " in text
        assert "waiting_window for 0 s: approvals are on hold by " in text
        assert "release day" in text

    def test_status_of_a_handler_that_is_gone(self, host: Host) -> None:
        host.handle()
        path = host.root / "run" / "status.json"
        gone = subprocess.Popen(["/bin/true"])
        gone.wait()
        path.write_text(json.dumps({**json.loads(path.read_text()), "pid": gone.pid}))
        assert "the handler does not run; this is of " in host.run("status", status=1)

    def test_events(self, host: Host, event_id: str, emulator: Emulator) -> None:
        other = emulator.control.schedule("Redeploy", ["web-1"])["event_id"]
        text = host.run("events")
        assert f"{event_id}  Reboot scheduled, not before " in text
        assert "    web-0; Platform; soon" in text
        assert f"{other}  Redeploy scheduled" in text
        assert "(not this VM)" in text
        assert other not in host.run("events", "--mine")
        listed = json.loads(host.run("events", "--json"))
        assert {event["event_id"]: event["mine"] for event in listed["events"]} == {event_id: True, other: False}

    def test_nothing_is_sent_where_no_service_can_be(
        self, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(detection, "DMI_DIRECTORY", str(tmp_path))
        del host.settings["endpoint"]
        host.handle()  # the network guard fails the test when anything dials Azure's own address
        text = host.run("status")
        assert "this machine is not an Azure VM: no chassis asset tag" in text
        assert "name its endpoint" in text
        for command in (["events"], ["approve", "--now", "all"]):
            assert "Nothing was sent." in host.run(*command, status=1)

    def test_events_of_a_silent_service(self, host: Host) -> None:
        host.configure(endpoint="http://127.0.0.1:9")
        assert "connection refused" in host.run("events", status=1).lower()

    def test_history(self, host: Host, event_id: str) -> None:
        assert host.run("history") == "nothing was done yet\n"
        host.handle()
        text = host.run("history", "-n", "3")
        assert len(text.splitlines()) == 3
        assert event_id[:8].lower() in text.lower()
        assert json.loads(host.run("history", "--json", "-n", "1"))["vm"] == "web-0"

    def test_the_fleet(self, host: Host) -> None:
        assert "this VM is a fleet of its own" in host.run("status", "--fleet", status=1)
        host.configure(fleet={"store": "file", "path": str(host.root / "fleet.json")})
        host.handle()
        assert host.run("status", "--fleet").startswith("web-0: available (fault domain 0, update domain 0)")

        def out(document: fleet.FleetDocument) -> tuple[fleet.FleetDocument, None]:
            return document._replace(holders={"web-9": fleet.Holder(0.0, "e", True, "web-9")}), None

        update(FileStore(str(host.root / "fleet.json")), out)
        assert "web-9: holds a slot and is no member" in host.run("status", "--fleet")
        assert "web-9" in json.loads(host.run("status", "--fleet", "--json"))["holders"]

    def test_check_config(self, host: Host) -> None:
        assert host.run("check-config").endswith("config.json: no problem found\n")
        host.configure(pol_interval=2)
        assert "pol_interval: unknown key; did you mean 'poll_interval'?" in host.run("check-config", status=78)


class TestOrdering:
    def orders(self, host: Host) -> Any:
        return json.loads((host.root / "state" / "operator.json").read_text())

    def test_hold_and_release(self, host: Host) -> None:
        text = host.run("hold", "--for", "2h", "--reason", "incident")
        assert "are on hold until " in text
        assert "Azure still goes ahead at NotBefore" in text
        assert abs(self.orders(host)["hold"]["until"] - time.time() - 7200) < 60
        assert host.run("release") == "released\n"
        assert host.run("release") == "nothing was on hold\n"
        assert self.orders(host)["hold"] is None

    def test_who_ordered_it(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SUDO_USER", "ann")
        host.run("hold")
        assert self.orders(host)["hold"]["by"].startswith("ann@")

    def test_windows(self, host: Host) -> None:
        host.configure(
            windows=[{"days": "sun", "start": "01:00", "end": "01:01"}],
            freezes=[{"from": "2020-01-01", "until": "2039-01-01", "reason": "long"}],
        )
        assert "approvals are not welcome until 2039-01-01 00:00:00Z: calendar freeze: long" in host.run(
            "window", "list"
        )
        assert host.run("window", "open", "--for", "30m", "--reason", "now").startswith("open until ")
        assert "approvals are welcome until " in host.run("window", "list")
        assert host.run("window", "close") == "closed\n"
        assert "not welcome" in host.run("window", "list")

    def test_orders_for_the_fleet(self, host: Host) -> None:
        assert "this VM is a fleet of its own" in host.run("hold", "--fleet", status=1)
        host.configure(fleet={"store": "file", "path": str(host.root / "fleet.json")})
        host.run("hold", "--fleet", "--reason", "all of you")
        host.run("window", "open", "--fleet", "--vm", "web-0", "--vm", "web-1")
        text = host.run("window", "list")
        assert "approvals of the fleet are on hold by " in text
        assert "a window is open for web-0, web-1 until " in text
        assert host.run("release", "--fleet") == "released\n"
        host.run("window", "close", "--fleet")
        document = FileStore(str(host.root / "fleet.json")).load()[0]
        assert (document.hold, document.windows) == (None, ())

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("hold", "--for", "soon"), "'soon' is no stretch of time such as"),
            (("hold", "--for=-1h"), "is no stretch of time"),
            (("hold", "--until", "yesterday"), "'yesterday' is no date or time"),
            (("hold", "--until", "2020-01-01"), "2020-01-01 is over"),
            (("window", "open", "--vm", "web-0"), "--vm goes with --fleet"),
            (("approve", "all", "--force"), "--force goes with --now"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, host: Host, arguments: tuple[str, ...], message: str) -> None:
        assert message in host.run(*arguments, status=1)
        assert not (host.root / "state" / "operator.json").exists()

    @pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5h", 5400), ("1d", 86400)])
    def test_stretches_of_time(self, text: str, seconds: float) -> None:
        assert ordering.parse_duration(text) == seconds

    def test_a_state_directory_that_cannot_be_written(self, host: Host) -> None:
        host.configure(state_dir=str(host.root / "nowhere"))
        assert "cannot be written: No such file or directory; are you root?" in host.run("hold", status=1)


class TestApprove:
    def test_the_handler_goes_ahead_whatever_windows_say(self, host: Host, event_id: str, emulator: Emulator) -> None:
        host.configure(freezes=[{"from": "2020-01-01", "until": "2039-01-01"}])
        host.handle()
        assert emulator.control.event(event_id)["approved_by"] is None
        host.run("approve", event_id[:6].lower())
        host.handle()
        assert emulator.control.event(event_id)["approved_by"] == "web-0"

    def test_undo(self, host: Host, event_id: str) -> None:
        host.handle()
        host.run("approve", "all")
        host.run("approve", "all", "--undo")
        assert json.loads((host.root / "state" / "operator.json").read_text())["force"] == []

    def test_an_event_that_is_not_there(self, host: Host, event_id: str) -> None:
        host.handle()
        assert f"no event of this VM starts with zzz; there are: {event_id}" in host.run("approve", "zzz", status=1)

    def test_now_is_refused_while_the_vm_is_in_service(self, host: Host, event_id: str, emulator: Emulator) -> None:
        host.configure(freezes=[{"from": "2020-01-01", "until": "2039-01-01"}])
        host.handle()
        text = host.run("approve", "--now", event_id, status=1)
        assert f"{event_id} is not approved: web-0 is in service; --force approves it all the same" in text
        assert emulator.control.event(event_id)["approved_by"] is None
        assert f"approved {event_id}, Reboot of web-0" in host.run("approve", "--now", "--force", event_id)
        assert emulator.control.event(event_id)["approved_by"] == "web-0"

    def test_now_is_refused_while_another_vm_is_not_ready(self, host: Host, emulator: Emulator) -> None:
        emulator.control.schedule("Reboot", ["web-0", "web-1"], not_before=1800)
        host.handle()
        text = host.run("approve", "--now", "all", status=1)
        assert "it also touches web-1, of which nothing is known here" in text

    def test_now_with_nothing_to_approve(self, host: Host) -> None:
        assert host.run("approve", "--now", "all") == "nothing to approve\n"


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_every_command_is_in_it(self, capsys: pytest.CaptureFixture[str], shell: str) -> None:
        assert cli.main(["completion", shell]) == 0
        script = capsys.readouterr().out
        for name in ("run", "status", "approve", "hold", "rehearse", "doctor"):
            assert name in script

    def test_bash_completes(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        cli.main(["completion", "bash"])
        (tmp_path / "c").write_text(capsys.readouterr().out)

        def complete(*words: str) -> list[str]:
            array = " ".join(f"'{word}'" for word in words)
            code = f". {tmp_path}/c; COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _azure_maintenance; "
            done = subprocess.run(
                ["bash", "-c", code + 'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True
            )
            return done.stdout.split()

        assert complete("azure-maintenance", "sta") == ["status"]
        assert complete("azure-maintenance", "hold", "--re") == ["--reason"]
        assert complete("azure-maintenance", "window", "op") == ["open"]
        assert "--fleet" in complete("azure-maintenance", "--config", "x", "status", "--f")


def test_help_speaks_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "Exit status: 0 done" in text
    for name in ("run", "status", "events", "history", "approve", "hold", "release", "window", "check-config"):
        assert f"    {name} " in text or f"    {name}\n" in text


def test_an_unknown_word_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["stauts"])
    assert caught.value.code == 2
    assert "stauts" in capsys.readouterr().err
