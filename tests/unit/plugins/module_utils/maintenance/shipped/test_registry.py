"""All sets alike: executables, index, settings, memory, what a hook is given, and what is never told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped_hooks import EXECUTABLES, HookHost

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped import basis, registry
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped.basis import (
    Context,
    Event,
    HookFailed,
    Memory,
)

INDEX: dict[str, dict[str, Any]] = yaml.safe_load((EXECUTABLES / "index.yml").read_text())
# The least that each set can do with.
LEAST: dict[str, dict[str, Any]] = {
    "ansible_playbook": {"playbooks": {"drain": "/x.yml"}},
    "docker": {"containers": ["x"]},
    "haproxy": {"servers": ["a/b"]},
    "kubernetes": {},
    "nginx": {},
    "patroni": {},
    "systemd_units": {"units": ["x"]},
    "webhook": {"targets": [{"url": "https://x/"}]},
}
SCRIPTS = sorted(path for path in EXECUTABLES.glob("*/*") if path.is_file())


class TestFiles:
    def test_every_set_is_in_the_index_and_has_its_executables(self) -> None:
        assert set(INDEX) == set(registry.NAMES) == {path.name for path in EXECUTABLES.iterdir() if path.is_dir()}
        for name, entry in INDEX.items():
            found = registry.find(name)
            assert entry["phases"] == [phase for phase in registry.PHASES if phase in found.phases], name
            assert {path.name for path in (EXECUTABLES / name).iterdir()} == set(entry["phases"]), name

    @pytest.mark.parametrize("name", registry.NAMES)
    def test_the_index_says_what_the_code_does(self, name: str) -> None:
        entry, found = INDEX[name], registry.find(name)
        assert set(entry) == {"summary", "phases", "order", "timeout", "root", "network", "required"}
        assert entry["order"] == registry.ORDERS[name]
        assert entry["timeout"] == found.longest(registry.check(name, LEAST[name], where="x"))
        assert entry["summary"].endswith(".")
        assert isinstance(entry["root"], bool)
        assert isinstance(entry["network"], bool)
        if not LEAST[name]:
            assert entry["required"] == []
            return
        with pytest.raises(ValueError, match="x: ") as caught:
            registry.check(name, {}, where="x")
        assert all(word in str(caught.value) for required in entry["required"] for word in required.split(" or "))

    @pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.name}")
    def test_an_executable_says_what_it_does_and_starts_the_right_hook(self, path: Path) -> None:
        text = path.read_text()
        head = text.splitlines()[:6]
        assert head[0] == "#!/bin/sh"
        assert path.stat().st_mode & 0o111 == 0o111
        assert head[1].startswith(f"# {path.parent.name}, phase {path.name}: ")
        assert head[2].startswith("# Needs: ")
        assert head[3].startswith(f"# Settings: hooks/{path.parent.name}.json")
        assert any(line.startswith("# Exit status: 0 done, 75 try again later") for line in head)
        assert text.splitlines()[-1] == f'exec "$root/usr/bin/azure-maintenance" hook {path.parent.name} {path.name}'
        assert subprocess.run(["sh", "-n", path], check=False).returncode == 0

    def test_the_executable_finds_its_command_by_its_own_place(self, tmp_path: Path) -> None:
        host = HookHost(tmp_path / "with blanks", "nginx", {"notice": 1})
        host.expect("drain", 78, "with blanks/etc/azure-maintenance/hooks/nginx.json: notice: unknown key")


class TestSettings:
    @pytest.mark.parametrize("name", registry.NAMES)
    def test_an_unknown_key_is_said_with_the_nearest_one(self, name: str) -> None:
        key = next(iter(registry.find(name).schema))
        with pytest.raises(ValueError, match="unknown key") as caught:
            registry.check(name, {**LEAST[name], f"{key}x": 1}, where="/etc/x.json")
        assert str(caught.value) == f"/etc/x.json: {key}x: unknown key; did you mean '{key}'?"

    @pytest.mark.parametrize("name", registry.NAMES)
    @pytest.mark.parametrize("value", [[], "x", None, 1])
    def test_what_is_no_object_is_refused(self, name: str, value: Any) -> None:
        with pytest.raises(ValueError, match="an object expected"):
            registry.check(name, value, where="x")

    @pytest.mark.parametrize("name", registry.NAMES)
    def test_every_setting_has_a_sentence_and_a_default_that_is_right(self, name: str) -> None:
        found = registry.find(name)
        for schema in (found.schema, *found.nested.values()):
            for key, field in schema.items():
                assert field.text.endswith("."), key
                assert field.text[0].isupper(), key
                if field.default is not None:
                    field.convert(field.default)

    @pytest.mark.parametrize("value", ["x", -1, 1e9, True, []])
    @pytest.mark.parametrize("name", [name for name in registry.NAMES if "time_limit" in registry.find(name).schema])
    def test_times_are_checked(self, name: str, value: Any) -> None:
        with pytest.raises(ValueError, match="time_limit: seconds from"):
            registry.check(name, {**LEAST[name], "time_limit": value}, where="x")

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        host = HookHost(tmp_path, "nginx")
        path = host.etc / "hooks/nginx.json"
        path.write_text("{")
        host.expect("drain", 78, "nginx.json: not JSON: ")
        path.write_text("[" * 100000)
        host.expect("drain", 78, "nginx.json: not JSON: ")
        path.write_text("{}")
        path.chmod(0o666)
        host.expect("drain", 78, "may be written by everybody, so it is not read; chmod o-w it")

    def test_check(self, tmp_path: Path) -> None:
        host = HookHost(tmp_path, "nginx")

        def check() -> subprocess.CompletedProcess[str]:
            argv = [str(tmp_path / "usr/bin/azure-maintenance"), "hook", "nginx", "check"]
            return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

        assert check().stdout.endswith("nginx.json: no problem found\n")
        host.configure({"time_limit": -1})
        done = check()
        assert done.returncode == 78
        assert "time_limit: seconds from 0 to 86400 expected, not -1" in done.stderr


class TestMemory:
    def test_what_is_not_ours_is_set_aside(self, tmp_path: Path) -> None:
        path, said = tmp_path / "hooks/x.json", list[str]()
        memory = Memory(str(path), said.append)
        assert memory.load() == {}
        memory.save({"units": ["a"]})
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert memory.load() == {"units": ["a"]}
        for text in ("", "[]", '{"format": 2, "done": {}}', '{"format": 1, "done": 1}', "\x00", "[" * 100000):
            path.write_text(text)
            assert memory.load() == {}
            assert not path.exists()
        assert said[0] == f"{path} is not what this hook wrote; it is now {path}.unreadable, and nothing is remembered"
        memory.save({"units": ["a"]})
        memory.save({})
        assert not path.exists()

    def test_what_cannot_be_remembered_is_not_done(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        memory = Memory(str(tmp_path / "file/x.json"), print)
        with pytest.raises(HookFailed, match=r"cannot be written .*; nothing is done that could not be undone"):
            memory.save({"units": ["a"]})


class TestContext:
    @pytest.fixture
    def now(self) -> list[float]:
        return [1000.0]

    def make(self, now: list[float], phase: str = "drain", not_before: float | None = None) -> Context:
        def sleep(seconds: float) -> None:
            now[0] += seconds

        event = Event("web-0", "e", "Reboot", not_before, "", {})
        memory = Memory("/nonexistent", print)
        clock = {"wall": lambda: now[0], "mono": lambda: now[0], "sleep": sleep}
        return Context(phase=phase, settings={}, event=event, memory=memory, say=print, **clock)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("phase", "not_before", "patience"),
        [
            ("drain", None, 120),
            ("drain", 1030.0, 25),
            ("drain", 1004.0, 0),
            ("drain", 9000.0, 120),
            ("drain", 900.0, 120),  # it began, or the event has another clock
            ("resume", 1030.0, 120),
        ],
    )
    def test_patience(self, now: list[float], phase: str, not_before: float | None, patience: float) -> None:
        assert self.make(now, phase, not_before).patience(120) == patience

    def test_waiting(self, now: list[float]) -> None:
        context = self.make(now)
        assert context.wait(lambda: now[0] >= 1003, 10)
        assert now[0] == 1003
        assert not context.wait(lambda: False, 2.5)
        assert now[0] == 1005.5

    def test_commands(self, now: list[float]) -> None:
        context = self.make(now)
        ran = context.run(["sh", "-c", 'echo "$0"; echo first >&2; echo last >&2; exit 3', "$(reboot); x"], limit=20)
        assert (ran.status, ran.out, ran.reason) == (3, "$(reboot); x\n", "last")
        with pytest.raises(HookFailed, match=r"sleep 60 took longer than 0\.1 s"):
            context.run(["sleep", "60"], limit=0.1)
        with pytest.raises(HookFailed, match="/etc/passwd cannot be started: Permission denied"):
            context.run(["/etc/passwd"], limit=20)


class TestInput:
    @pytest.mark.parametrize("text", ["{", "[]", "1", "[" * 100000])
    def test_what_is_no_document_is_said(self, tmp_path: Path, text: str) -> None:
        host = HookHost(tmp_path, "nginx", {"flag_file": str(tmp_path / "flag"), "notice_time": 0})
        done = subprocess.run(
            [host.etc / "drain.d/50-nginx"], input=text, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 1
        assert done.stdout.startswith("standard input is not ")
        assert done.stderr == ""

    def test_by_hand_without_an_event(self, tmp_path: Path) -> None:
        host = HookHost(tmp_path, "nginx", {"flag_file": str(tmp_path / "flag"), "notice_time": 0})
        for phase in ("drain", "ready", "resume"):
            done = subprocess.run([host.etc / f"{phase}.d/50-nginx"], stdin=subprocess.DEVNULL, check=False)
            assert done.returncode == 0
        closed = f"{host.etc}/drain.d/50-nginx <&-"
        assert subprocess.run(["sh", "-c", closed], check=False).returncode == 0

    def test_text_for_a_terminal_is_escaped(self, capsys: pytest.CaptureFixture[str]) -> None:
        basis.say_line("one\x1b[2J\ntwo é")
        assert capsys.readouterr().out == "one\\x1b[2J\\ntwo é\n"

    def test_json_of_settings_is_what_the_index_promises(self) -> None:
        assert all(json.dumps(entry) for entry in INDEX.values())
