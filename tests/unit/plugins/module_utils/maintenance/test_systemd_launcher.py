"""Hooks as transient units: what systemd is asked to do, how the end of a hook is told, and what outlives whom."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import fake_systemd
import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import config as configuration
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import hooks, service, systemd_launcher
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m


class Bench:
    """A runner on a directory of shell scripts, on a small systemd."""

    def __init__(self, root: Path) -> None:
        self.root, self.run_dir = root, root / "run"
        self.state = fake_systemd.install(root / "bin")
        self.now = 0.0
        self.said: list[str] = []
        self.remembered: list[m.Job] = []
        self.restart()

    def restart(self) -> None:
        """As another process would begin."""
        self.launcher = systemd_launcher.SystemdLauncher(str(self.run_dir), mono=lambda: self.now)
        self.runner = hooks.Runner(
            self.launcher,
            directory=str(self.root),
            run_dir=str(self.run_dir),
            limits=hooks.Limits(100.0, {}),
            mono=lambda: self.now,
            say=self.said.append,
        )

    def hook(self, name: str, script: str) -> Path:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def start(self, phase: str = "drain", **environment: str) -> None:
        self.runner.start(m.Job(phase, "e", 0.0), environment, {"x": 1}, urgent=False, remember=self.remembered.append)

    def adopt(self) -> bool:
        return self.runner.adopt(self.remembered[-1], {}, {}, remember=self.remembered.append)

    def finish(self) -> tuple[str, str]:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            ended = self.runner.poll()
            if ended is not None:
                return ended
            time.sleep(0.01)  # a real process is being waited for
        raise AssertionError("the hooks did not end")

    def wait_for(self, path: Path) -> str:
        until = time.monotonic() + 60
        while not (path.exists() and path.read_text().strip()):
            assert time.monotonic() < until
            time.sleep(0.01)  # a real process is being waited for
        return path.read_text().strip()

    def wait_until_ended(self) -> None:
        until = time.monotonic() + 60
        while list(self.state.glob("azure-maintenance-hook-*.service")):
            assert time.monotonic() < until
            time.sleep(0.01)  # a real process is being waited for

    def calls(self, program: str) -> list[list[str]]:
        lines = [json.loads(line) for line in (self.state / "calls").read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == program]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return Bench(tmp_path)


def test_hooks_run_in_order_with_environment_and_document(bench: Bench) -> None:
    odd = 'a "b" \\ $HOME `id` \x01\n\ttwo €'
    bench.hook(
        "drain.d/10-a", f'printf "%s" "$ODD" > {bench.root}/odd; cat > {bench.root}/in; echo $PWD > {bench.root}/cwd'
    )
    bench.hook("drain.d/20-b", f"echo $AZURE_MAINTENANCE_PHASE > {bench.root}/phase")
    bench.start(ODD=odd)
    assert bench.finish() == (m.OK, "2 hooks done")
    assert (bench.root / "odd").read_text() == odd.replace("\x01", "")
    assert json.loads((bench.root / "in").read_text()) == {"x": 1}
    assert (bench.root / "cwd").read_text() == "/\n"
    assert (bench.root / "phase").read_text() == "drain\n"


def test_what_systemd_is_asked_for(bench: Bench) -> None:
    hook = bench.hook("drain.d/10-a", "exit 0")
    bench.start(SECRET="hunter2")
    bench.finish()
    (call,) = bench.calls("systemd-run")
    assert call[-2:] == ["--", str(hook)]
    assert {"--no-block", "--collect", "--no-ask-password", "--description=Maintenance hook drain.d/10-a"} <= set(call)
    unit = bench.remembered[0].handle
    assert f"--unit={unit}.service" in call
    for wanted in (
        f"EnvironmentFile={bench.run_dir}/{unit}.env",
        f"StandardInput=file:{bench.run_dir}/{unit}.json",
        "SyslogIdentifier=azure-maintenance/drain.d/10-a",
        "KillMode=mixed",
        "TimeoutStopSec=5s",
        "RuntimeMaxSec=115s",
    ):
        assert f"--property={wanted}" in call
    assert not any("hunter2" in word for word in call), "everybody can read command lines"
    assert not any(set(word) & set("$`%;\\") for word in call), "systemd would read them otherwise after a reload"


def test_input_and_environment_are_for_the_owner_only(bench: Bench) -> None:
    bench.hook("drain.d/10-a", f"while ! test -e {bench.root}/go; do sleep 0.01; done")
    bench.start()
    unit = bench.remembered[0].handle
    for kind in ("env", "json"):
        assert (bench.run_dir / f"{unit}.{kind}").stat().st_mode & 0o777 == 0o600
    (bench.root / "go").touch()
    bench.finish()


@pytest.mark.parametrize(
    ("script", "outcome", "detail"),
    [
        ("exit 0", m.OK, "1 hook done"),
        ("echo busy; exit 75", m.LATER, "drain.d/a says try again later: busy"),
        ("echo one; echo two >&2; exit 3", m.FAILED, "drain.d/a exited with 3: two"),
        ("kill -9 $$", m.FAILED, "drain.d/a was killed by signal 9"),
    ],
)
def test_exit_codes(bench: Bench, script: str, outcome: str, detail: str) -> None:
    bench.hook("drain.d/a", script)
    bench.start()
    assert bench.finish() == (outcome, detail)


def test_what_it_prints_is_in_the_system_journal_and_not_repeated(bench: Bench) -> None:
    bench.hook("drain.d/a", "echo a line")
    bench.start()
    bench.finish()
    assert bench.said == []
    assert bench.calls("journalctl") == [], "nobody asks for what is not needed"


def test_an_interpreter_that_is_not_there_is_told(bench: Bench) -> None:
    bench.hook("drain.d/a", "").write_text("#!/no/such/interpreter\n")
    bench.start()
    outcome, detail = bench.finish()
    assert outcome == m.FAILED
    assert detail == (
        "drain.d/a exited with 203: systemd could not execute it: is the interpreter in its first line there?"
    )


def test_a_unit_that_is_refused_says_why_and_leaves_nothing(bench: Bench) -> None:
    bench.hook("drain.d/a", "")
    (bench.state / "refuse").write_text("Transaction is destructive.")
    with pytest.raises(hooks.HookError, match=r"drain\.d/a cannot be started as a unit: .*Transaction is destructive"):
        bench.start()
    assert list(bench.run_dir.iterdir()) == []


def test_without_its_program_that_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.hook("drain.d/a", "")
    monkeypatch.setenv("PATH", str(bench.root / "nowhere"))
    with pytest.raises(hooks.HookError, match="systemd-run does not answer"):
        bench.start()


def test_a_full_run_dir_is_an_error_of_the_hook(bench: Bench) -> None:
    bench.hook("drain.d/a", "")
    bench.run_dir.write_text("not a directory")
    with pytest.raises(hooks.HookError, match=r"drain\.d/a cannot be started: .*File exists"):
        bench.start()


def test_a_run_dir_that_systemd_would_misread_is_refused(tmp_path: Path) -> None:
    launcher = systemd_launcher.SystemdLauncher(f"{tmp_path}/a $b")
    with pytest.raises(hooks.HookError, match=r"run_dir '.*' has odd characters"):
        launcher.start(launcher.reserve(), hooks.Call("drain.d/a", "/x", {}, b"", "", 1.0))


def test_a_hook_that_hangs_is_ended_politely_then_killed(bench: Bench) -> None:
    bench.hook("drain.d/a", f"trap '' TERM; echo up; echo $$ > {bench.root}/pid; while :; do sleep 0.1; done")
    bench.start()
    bench.wait_for(bench.root / "pid")
    assert bench.runner.poll() is None
    bench.now = 100.0
    assert bench.runner.poll() is None
    bench.now = 105.0
    assert bench.finish() == (m.FAILED, "drain.d/a took longer than 100 s: up")
    assert [call[1] for call in bench.calls("systemctl") if call[0] == "kill"][:2] == [
        "--signal=SIGTERM",
        "--signal=SIGKILL",
    ]


def test_it_is_remembered_before_it_starts(bench: Bench) -> None:
    bench.hook("drain.d/a", "")
    bench.hook("drain.d/b", "")
    (bench.state / "refuse").write_text("no")
    with pytest.raises(hooks.HookError):
        bench.start()
    assert [job.current for job in bench.remembered] == [0]
    assert bench.remembered[0].handle is not None
    assert bench.remembered[0].hooks == ("a", "b")


def test_a_running_hook_is_taken_up_by_the_next_process(bench: Bench) -> None:
    bench.hook("drain.d/a", f"while ! test -e {bench.root}/go; do sleep 0.01; done; echo a >> {bench.root}/ran")
    bench.hook("drain.d/b", f"echo b >> {bench.root}/ran")
    bench.start()
    bench.runner.leave()
    bench.restart()
    assert bench.adopt()
    bench.now = 10.0
    assert bench.runner.poll() is None  # systemd says that it runs
    (bench.root / "go").touch()
    assert bench.finish() == (m.OK, "2 hooks done")
    assert (bench.root / "ran").read_text().split() == ["a", "b"]


def test_one_that_ended_meanwhile_is_not_run_again(bench: Bench) -> None:
    bench.hook("drain.d/a", f"echo a >> {bench.root}/ran; exit 3")
    bench.start()
    bench.wait_until_ended()
    for _process in range(2):  # also when the process that read the result died before it was journaled
        bench.restart()
        assert bench.adopt()
        assert bench.finish() == (m.FAILED, "drain.d/a exited with 3")
    assert (bench.root / "ran").read_text().split() == ["a"]


def test_one_that_never_started_is_not_taken_up(bench: Bench) -> None:
    bench.hook("drain.d/a", "")
    (bench.state / "refuse").write_text("no")
    with pytest.raises(hooks.HookError):
        bench.start()
    bench.restart()
    assert not bench.adopt()


@pytest.mark.parametrize("handle", [None, "process-12", "12345", "../../etc/x"])
def test_a_handle_of_another_kind_is_not_taken_up(bench: Bench, handle: str | None) -> None:
    assert not bench.runner.adopt(m.Job("drain", "e", 0.0, ("a",), 0, handle), {}, {})


def test_one_whose_end_nobody_noted_is_tried_again(bench: Bench) -> None:
    (bench.state / "forgetful").touch()
    bench.hook("drain.d/a", "")
    bench.start()
    bench.wait_until_ended()
    assert bench.runner.poll() is None  # the note may be on its way
    bench.now = 2.5
    assert bench.finish() == (m.LATER, "drain.d/a says try again later: nobody noted how it ended")


def test_an_abandoned_hook_is_gone_at_once(bench: Bench) -> None:
    bench.hook("drain.d/a", f"echo $$ > {bench.root}/pid; trap '' TERM; while :; do sleep 0.1; done")
    bench.start()
    pid = int(bench.wait_for(bench.root / "pid"))
    bench.runner.abort()
    assert not Path(f"/proc/{pid}").exists()
    assert bench.runner.job is None


def test_files_of_ended_hooks_do_not_pile_up(bench: Bench) -> None:
    bench.hook("drain.d/a", "")
    for _run in range(3):
        bench.start()
        bench.finish()
    units = {path.name.partition(".")[0] for path in bench.run_dir.iterdir()}
    assert units == {bench.remembered[-1].handle}
    old = bench.run_dir / "azure-maintenance-hook-0123.result"
    old.write_text("success exited 0\n")
    os.utime(old, (0, 0))
    bench.start()
    bench.finish()
    assert not old.exists()


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("success exited 0\n", ("success", 0)),
        ("exit-code exited 75\n", ("exit-code", 75)),
        ("signal killed KILL\n", ("signal", -9)),
        ("core-dump dumped SEGV\n", ("core-dump", -11)),
        ("timeout killed TERM\n", ("timeout", -15)),
        ("timeout killed RTMIN+3\n", ("timeout", 255)),
        ("resources  \n", ("resources", 255)),
        ("", None),
        ("a b c d\n", None),
    ],
)
def test_notes_of_how_a_unit_ended(text: str, result: tuple[str, int] | None) -> None:
    assert systemd_launcher.parse_result(text) == result


def make(tmp_path: Path, **settings: Any) -> str:
    config = configuration.parse({"run_dir": str(tmp_path), **settings}, where="test")
    return type(service.make_launcher(config)).__name__


def test_the_launcher_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make(tmp_path, hook_launcher="process") == "ProcessLauncher"
    assert make(tmp_path, hook_launcher="systemd") == "SystemdLauncher"
    fake_systemd.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert systemd_launcher.usable(str(tmp_path))
    assert not systemd_launcher.usable(str(tmp_path / "not-booted"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not systemd_launcher.usable(str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert not systemd_launcher.usable(str(tmp_path))
