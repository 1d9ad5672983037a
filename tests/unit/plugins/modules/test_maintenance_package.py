"""The module that carries the handler's package: installed, upgraded and removed by real runs of Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
LIBRARY = ROOT / "plugins" / "module_utils"


def run(path: Path, *arguments: str, state: str = "present", fails: bool = False) -> dict[str, Any]:
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0"}
    environment |= {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1"}
    argv = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "azure_guest.imds.maintenance_package"]
    argv += [
        "-a",
        json.dumps({"path": str(path), "state": state}),
        "-e",
        f"ansible_python_interpreter={sys.executable}",
    ]
    done = subprocess.run([*argv, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return json.loads(done.stdout.partition(" => ")[2])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("host") / "azure-maintenance"
    result = run(path)
    assert result["changed"]
    return path


def test_what_is_installed_is_the_librarys_own_bytes(installed: Path) -> None:
    files = [path for path in (installed / "azure_guest").rglob("*.py") if path.parent != installed / "azure_guest"]
    assert len(files) > 20
    for path in files:
        assert path.read_bytes() == (LIBRARY / path.relative_to(installed / "azure_guest")).read_bytes()


def test_it_runs_with_nothing_but_python(installed: Path) -> None:
    for arguments in (["--help"], ["--config", "/nonexistent", "check-config"]):
        code = (
            f"import sys; sys.path.insert(0, {str(installed)!r})\n"
            f"from azure_guest.maintenance.cli import main; sys.exit(main({arguments!r}))"
        )
        argv = [sys.executable, "-I", "-S", "-c", code]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 78), done.stderr
        assert "Traceback" not in done.stderr


def test_everything_that_the_service_imports_late_came_along(installed: Path) -> None:
    """Every module that any installed module imports, at its top or in a function, is there."""
    code = (
        f"import sys, pkgutil, importlib; sys.path.insert(0, {str(installed)!r})\n"
        "import azure_guest\n"
        "for info in pkgutil.walk_packages(azure_guest.__path__, 'azure_guest.'):\n"
        "    if not info.name.endswith('__main__'): importlib.import_module(info.name)\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
    import ast

    for path in (installed / "azure_guest").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                base = path.parents[node.level - 1] / node.module.replace(".", "/")
                assert base.with_suffix(".py").exists() or (base / "__init__.py").exists(), (path, node.module)


def test_a_second_run_changes_nothing_and_an_upgrade_replaces_all(installed: Path) -> None:
    assert not run(installed)["changed"]
    (installed / "azure_guest" / "imds" / "wire.py").write_text("old")
    (installed / "azure_guest" / "imds" / "stale.py").write_text("old")
    expected = ["azure_guest/imds/stale.py", "azure_guest/imds/wire.py"]
    check = run(installed, "--check", "--diff")
    assert (check["changed"], check["files"]) == (True, expected)
    assert (installed / "azure_guest" / "imds" / "stale.py").exists(), "check mode changes nothing"
    assert run(installed)["files"] == expected
    assert not (installed / "azure_guest" / "imds" / "stale.py").exists()
    assert sorted(path.name for path in installed.parent.iterdir()) == ["azure-maintenance"]


def test_removal(tmp_path: Path) -> None:
    path = tmp_path / "package"
    path.mkdir()
    (path / "x.py").write_text("")
    assert run(path, state="absent")["changed"]
    assert not path.exists()
    assert not run(path, state="absent")["changed"]


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    result = run(tmp_path / "no" / "such" / "place", fails=True)
    assert "The package in" in result["msg"]
    assert "No such file or directory" in result["msg"]
