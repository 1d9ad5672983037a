"""The guard itself: a test suite that trusts it must see it refuse."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import network_guard
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# TEST-NET-1 (RFC 5737): nobody's address, should the guard ever let it pass.
OUTSIDE = ("192.0.2.1", 9)


@pytest.fixture
def forget_dials() -> Iterator[None]:
    """Undo the record of a dial that a test made on purpose."""
    yield
    Path(os.environ[network_guard.LOG_VARIABLE]).unlink(missing_ok=True)


@pytest.mark.usefixtures("forget_dials")
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_dial_outside_is_refused(kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as sock, pytest.raises(PermissionError, match="network guard"):
        sock.connect(OUTSIDE)
    assert "192.0.2.1" in Path(os.environ[network_guard.LOG_VARIABLE]).read_text()


@pytest.mark.usefixtures("forget_dials")
def test_a_datagram_outside_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(PermissionError):
        sock.sendto(b"x", OUTSIDE)


@pytest.mark.usefixtures("forget_dials")
def test_a_child_process_that_swallows_the_error_is_still_seen() -> None:
    code = f"import socket\ntry: socket.create_connection({OUTSIDE!r}, 1)\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "192.0.2.1" in Path(os.environ[network_guard.LOG_VARIABLE]).read_text()


def test_loopback_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
        pass


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (("127.9.8.7", 1), True),
        (("::1", 1, 0, 0), True),
        (("localhost", 1), True),
        ("/run/socket", True),
        (b"\0abstract", True),
        (("169.254.169.254", 80), False),
        (("10.0.0.1", 80), False),
        (("::ffff:10.0.0.1", 80), False),
        (("example.com", 80), False),
    ],
)
def test_what_counts_as_local(address: object, local: bool) -> None:
    assert network_guard.is_local(address) is local
