"""The scripted server and the clock as fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scripted_server import FakeClock, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()
