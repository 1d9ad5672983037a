"""The local fact: a file that runs by itself, installed, changed and removed by the module."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import azure_documents as azure
import module_runs
import pytest
from scripted_server import ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.module_utils import fact_file
from ansible_collections.azure_guest.imds.plugins.module_utils.imds import facts as facts_module
from ansible_collections.azure_guest.imds.plugins.module_utils.imds import local_fact as library
from ansible_collections.azure_guest.imds.plugins.modules import local_fact

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "etc/ansible/facts.d"


def run(directory: Path, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
    return module_runs.run(local_fact, check=check, diff=True, directory=str(directory), **arguments)


def execute(path: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run the fact as setup does; the guard of the tests does not reach an isolated interpreter."""
    done = subprocess.run(
        [path], capture_output=True, check=True, text=True, env={"PATH": "/bin", **(environment or {})}
    )
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class TestTheFact:
    def test_on_a_vm(self, directory: Path, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance())]
        run(directory, endpoint=server.endpoint, retries=0)
        found = execute(directory / "azure.fact")
        assert found["name"] == "web-0"
        assert list(found) == list(facts_module.blank())
        assert len(server.requests) == 1

    def test_an_endpoint_in_the_environment(self, directory: Path, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance())]
        run(directory)
        assert execute(directory / "azure.fact", {"AZURE_IMDS_ENDPOINT": server.endpoint})["name"] == "web-0"

    def test_a_service_that_fails(self, directory: Path, server: ScriptedServer) -> None:
        server.script = [answer(403)]
        run(directory, endpoint=server.endpoint)
        assert execute(directory / "azure.fact")["error"] == "blocked"

    def test_elsewhere(self, directory: Path, capsys: pytest.CaptureFixture) -> None:
        assert library.main({}, root="/nowhere", environment={}) == 0
        assert json.loads(capsys.readouterr().out)["error"] == "not_on_azure"

    def test_switched_off(self, directory: Path) -> None:
        run(directory, enabled="false")
        assert execute(directory / "azure.fact")["error"] == "disabled"

    def test_a_wrong_environment_spoils_nothing(self, directory: Path) -> None:
        run(directory)
        found = execute(directory / "azure.fact", {"AZURE_IMDS_ENDPOINT": "nonsense", "PYTHONPATH": "/nowhere"})
        assert found["error"] == "bad_option"
        assert "'nonsense'" in found["reason"]

    def test_another_python_takes_the_source(self, directory: Path) -> None:
        run(directory, enabled="false")
        data = (directory / "azure.fact").read_bytes()
        installed = fact_file.parse(data)
        assert installed is not None
        assert data.count(installed.magic) >= len(fact_file.MODULES)
        (directory / "azure.fact").write_bytes(data.replace(installed.magic, b"\0\0\r\n"))
        assert execute(directory / "azure.fact")["error"] == "disabled"


class TestTheModule:
    def test_check_do_check_do(self, directory: Path) -> None:
        for check in (True, False):
            result = run(directory, check=check)
            assert result["changed"] is True
            assert "azure_guest/imds/facts.py" in result["diff"]["after"]
            assert result["diff"]["before"] == ""
            assert directory.exists() is (not check)
        for check in (True, False):
            result = run(directory, check=check)
            assert result["changed"] is False
            assert result["diff"]["before"] == result["diff"]["after"]
        for check in (True, False):
            assert run(directory, state="absent", check=check)["changed"] is True
            assert list(directory.iterdir()) == ([directory / "azure.fact"] if check else [])
        assert run(directory, state="absent")["changed"] is False

    def test_everybody_may_run_it(self, directory: Path) -> None:
        path = Path(run(directory)["path"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
        path.chmod(0o644)
        assert run(directory, check=True)["changed"] is True
        assert run(directory)["changed"] is True
        assert stat.S_IMODE(path.stat().st_mode) == 0o755

    @pytest.mark.parametrize("change", [{"endpoint": "http://127.0.0.1:1"}, {"timeout": 3}, {"python": "/opt/python"}])
    def test_another_option_is_a_change(self, directory: Path, change: dict) -> None:
        run(directory)
        result = run(directory, **change)
        assert result["changed"] is True
        assert str(next(iter(change.values()))) in result["diff"]["after"]
        assert run(directory, **change)["changed"] is False

    @pytest.mark.parametrize("data", [b"", b"{}", b"#!/bin/sh\necho {}\n", b"#!x\nPK\x03\x04", b"\xff\xfe\n"])
    def test_a_file_of_another_kind_is_replaced(self, directory: Path, data: bytes) -> None:
        directory.mkdir(parents=True)
        (directory / "azure.fact").write_bytes(data)
        result = run(directory)
        assert result["changed"] is True
        assert result["diff"]["before"] == "a file of another kind\n"
        assert run(directory)["changed"] is False

    def test_a_wrong_option_is_named_and_changes_nothing(self, directory: Path) -> None:
        result = run(directory, endpoint="https://a")
        assert result["failed"] is True
        assert "plain http only" in result["msg"]
        assert not directory.exists()

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        result = run(tmp_path / "file/facts.d")
        assert result["failed"] is True
        assert "cannot be present: " in result["msg"]

    def test_nothing_is_left_when_the_disk_is_full(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "rename", full)
        assert "No space left" in run(directory)["msg"]
        assert list(directory.iterdir()) == []


def test_the_file_holds_all_that_it_imports(tmp_path: Path) -> None:
    """Each module of the library in it can be imported from it alone."""
    run(tmp_path)
    code = (
        "import importlib, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "for name in sys.argv[2:]: importlib.import_module('azure_guest.imds.' + name)\n"
    )
    names = [name for name in fact_file.MODULES if name != "__init__"]
    subprocess.run([sys.executable, "-ISB", "-c", code, str(tmp_path / "azure.fact"), *names], check=True)
