"""What the service manager is told, over a real socket of either kind."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.notify import PATIENT_WATCHDOG, Notifier


class Manager:
    """The receiving end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.now = 1000.0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.setblocking(False)

    def notifier(self, **environ: str) -> Notifier:
        return Notifier({"NOTIFY_SOCKET": self.address, **environ}, mono=lambda: self.now)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@azure-maintenance-test-{uuid.uuid4()}"
    manager = Manager(address)
    yield manager
    manager.socket.close()


def test_the_life_of_a_service(manager: Manager) -> None:
    notifier = manager.notifier()
    notifier.ready()
    notifier.status("in service;\n  no event at hand")
    notifier.reloading()
    notifier.ready()
    notifier.stopping()
    assert manager.heard() == [
        "READY=1",
        "STATUS=in service; no event at hand",
        "RELOADING=1\nMONOTONIC_USEC=1000000000",
        "READY=1",
        "STOPPING=1",
    ]


def test_a_status_is_told_when_it_is_new(manager: Manager) -> None:
    notifier = manager.notifier()
    for text in ("a", "a", "b", "a"):
        notifier.status(text)
    assert manager.heard() == ["STATUS=a", "STATUS=b", "STATUS=a"]


def test_a_status_cannot_say_anything_else(manager: Manager) -> None:
    manager.notifier().status("x\nMAINPID=1\nREADY=1 \ud800")
    assert manager.heard() == ["STATUS=x MAINPID=1 READY=1 ?"]


def test_the_watchdog_hears_as_often_as_it_needs(manager: Manager) -> None:
    notifier = manager.notifier(WATCHDOG_USEC="60000000")
    assert notifier.longest_pause == 20.0
    for _cycle in range(60):
        notifier.alive()
        manager.now += 1.0
    assert manager.heard() == ["WATCHDOG=1"] * 10


def test_a_step_that_may_take_long_gets_a_patient_watchdog(manager: Manager) -> None:
    notifier = manager.notifier(WATCHDOG_USEC="60000000")
    for wanted in (False, True, True, False, False):
        notifier.patient(wanted)
    assert manager.heard() == [f"WATCHDOG_USEC={int(PATIENT_WATCHDOG)}000000", "WATCHDOG_USEC=60000000"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}],
)
def test_a_watchdog_that_is_not_ours_is_left_alone(manager: Manager, environ: dict[str, str]) -> None:
    notifier = manager.notifier(**environ)
    notifier.alive()
    notifier.patient(True)
    assert notifier.longest_pause == float("inf")
    assert manager.heard() == []


def test_our_own_watchdog_by_pid(manager: Manager) -> None:
    manager.notifier(WATCHDOG_USEC="9000000", WATCHDOG_PID=str(os.getpid())).alive()
    assert manager.heard() == ["WATCHDOG=1"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "/no/such/socket"])
def test_nobody_listens(address: str | None) -> None:
    environ = {"WATCHDOG_USEC": "60000000", **({} if address is None else {"NOTIFY_SOCKET": address})}
    notifier = Notifier(environ)
    for say in (notifier.ready, notifier.reloading, notifier.alive, notifier.stopping):
        say()
    notifier.status("well")
    notifier.patient(True)
