"""A client of the scripted server and its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.client import Client
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripted_server import FakeClock, ScriptedServer


@pytest.fixture
def make(server: ScriptedServer, clock: FakeClock) -> Iterator[Callable[..., Client]]:
    """Makes a client that speaks to the scripted server in the time of the fake clock."""
    clients: list[Client] = []

    def made(token: Callable[[bool], str] = lambda _refused: "secret-token", **options: Any) -> Client:
        options = {"timeout": 100.0, "jitter": lambda: 1.0, "wall": lambda: 0.0, **options}
        transport = Transport(server.endpoint, clock=clock)
        clients.append(Client(transport, token, clock=clock, sleep=clock.sleep, **options))
        return clients[-1]

    yield made
    for client in clients:
        client.close()
