"""What every test runs under: the network guard, and an environment without the user's own settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import network_guard
import pytest
from ansible.plugins.loader import init_plugin_loader

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARD = Path(__file__).parent / "guard"
COLLECTIONS = Path(__file__).parents[1] / ".cache" / "collections"

network_guard.install()
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH")]))
# A failing inventory plugin is a warning with exit code 0 unless one asks for an error.
os.environ["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "1"
for name in [n for n in os.environ if n.startswith("AZURE_IMDS_") or n.lower().endswith("_proxy")]:
    del os.environ[name]
# Before anything of the collection is imported: from here on Ansible's own finder does it, as in real runs, and its
# loaders find the plugins by name.
init_plugin_loader([str(COLLECTIONS)])


@pytest.fixture(autouse=True)
def _no_dial_outside(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test in which anything, even a child process that hid the error, dialled an address off this machine."""
    log = tmp_path_factory.mktemp("guard") / "dials"
    monkeypatch.setenv(network_guard.LOG_VARIABLE, str(log))
    yield
    if log.exists():
        pytest.fail(log.read_text(encoding="utf-8"), pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-guide", action="store_true", help="write the tables of the guides anew from the code")
