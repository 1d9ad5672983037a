"""What the modules share."""

from __future__ import annotations

import importlib
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils import doors
from ansible_collections.azure_guest.imds.plugins.module_utils.imds import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "package_in_an_archive"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package in an archive on the path, as in Ansible's own; gives the package's directory."""
    path = tmp_path / "modules.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{NAME}/__init__.py", "")
        made.writestr(f"{NAME}/zero.py", "")
        made.writestr(f"{NAME}/one.py", "from . import two\nvalue = two.value + 1\n")
        made.writestr(f"{NAME}/two.py", "value = 1\n")
    monkeypatch.syspath_prepend(str(path))
    yield f"{path}/{NAME}"
    for module in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[module]


def test_a_module_in_an_archive_is_compiled_once(archive: str) -> None:
    compiled: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "compile" and str(arguments[1]).startswith(archive):
            compiled.append(str(arguments[1]))

    sys.addaudithook(hook)
    package = importlib.import_module(NAME)
    importlib.import_module(f"{NAME}.zero")
    compiled.clear()
    doors.compile_once(package.__path__[0])
    one = importlib.import_module(f"{NAME}.one")
    assert one.value == 2
    assert one.__file__ == f"{archive}/one.py"
    assert sorted(compiled) == [f"{archive}/one.py", f"{archive}/two.py"]


def test_nothing_happens_outside_of_an_archive(tmp_path: Path) -> None:
    doors.compile_once(str(tmp_path))
    doors.compile_once(errors.__file__)


def test_a_failure_as_a_result() -> None:
    error = errors.ThrottledError("later", status=429)
    assert doors.failure(error) == {
        "msg": "later",
        "failure": {"kind": "throttled", "status": 429, "retryable": True},
    }
