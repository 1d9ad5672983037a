"""What every test runs under: the network guard, and an environment without the user's own settings.

Hypothesis searches the same way each time, so that a run says something about the change and not about luck;
``HYPOTHESIS_PROFILE=searching`` looks elsewhere in every run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import network_guard
import pytest
from ansible.plugins.loader import init_plugin_loader
from hypothesis import HealthCheck, settings

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


# No deadlines and no opinion on slow inputs: the machine may be busy with other things.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("steady", derandomize=True, database=None, **_PATIENT)  # type: ignore[arg-type]
settings.register_profile("searching", **_PATIENT)  # type: ignore[arg-type]
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


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
