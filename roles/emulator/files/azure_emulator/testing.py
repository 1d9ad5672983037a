# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An emulator inside a test process: ``with running(fleet) as emulator: ...``."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

from azure_emulator.client import ControlClient
from azure_emulator.clock import Clock
from azure_emulator.fleet.loading import load_fleet
from azure_emulator.fleet.model import Fleet
from azure_emulator.neighbourhood import Neighbourhood
from azure_emulator.server.runtime import Addresses, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COUNT = itertools.count()
_START_TIMEOUT = 30.0


class Emulator:
    """A running emulator.

    Attributes:
        control: a client of its control side.
        resource_manager: base address of Resource Manager.
        ca_file: the CA that callers of Resource Manager have to trust; None without TLS.
        fleet: the fleet as it was resolved.
    """

    def __init__(self, hood: Neighbourhood, runtime: Runtime) -> None:
        self._hood, self._runtime = hood, runtime
        self.fleet = hood.fleet
        self.control = ControlClient(runtime.control)
        self.resource_manager = runtime.resource_manager
        self.ca_file: str | None = runtime.addresses()["ca_file"]

    def endpoint(self, vm: str) -> str:
        """Base address of a VM's metadata service."""
        return self._runtime.endpoint(self.fleet.vm(vm).key)

    def now(self) -> float:
        """The neighbourhood's time in epoch seconds: for clients that take a clock."""
        return self._hood.clock.now()


@contextlib.contextmanager
def running(
    fleet: dict[str, Any] | str | Path | Fleet,
    *,
    clock: str = "virtual",
    time_scale: float = 1.0,
    start: float | None = None,
    rate_limit: bool = False,
    journal_limit: int = 10_000,
    network: str | None = None,
    shared: str | None = None,
    tls: bool = False,
) -> Iterator[Emulator]:
    """Run an emulator in a thread of its own, on free ports.

    Args:
        fleet: what a fleet file holds, its path or its text.
        clock: ``virtual`` (stands until advanced) or ``real``.
        time_scale: seconds that pass for each real one, for a real clock.
        start: first reading of the clock in epoch seconds; None for a fixed Monday (virtual) or now (real).
        rate_limit: whether requests beyond the documented rates are refused.
        journal_limit: how many requests are remembered.
        network: the VMs' addresses; None for a block that no other emulator of this machine's tests is likely to use.
        shared: ``address:port`` of one address for all VMs, told apart by the caller's address.
        tls: whether Resource Manager speaks TLS.

    Raises:
        InputError: the fleet cannot be used. ListenError: an address cannot be had.
    """
    resolved = fleet if isinstance(fleet, Fleet) else load_fleet(fleet)
    hood = Neighbourhood(
        resolved, Clock(clock, scale=time_scale, start=start), rate_limit=rate_limit, journal_limit=journal_limit
    )
    thread = _Thread(hood, Addresses(network=network or _own_network(len(resolved.vms)), shared=shared, tls=tls))
    thread.start()
    try:
        yield Emulator(hood, thread.runtime())
    finally:
        thread.stop()


def _own_network(vms: int) -> str:
    """A block of loopback addresses for this process and this emulator; free ports do the rest."""
    number = os.getpid() * 7 + next(_COUNT)
    if vms > 250:
        return f"127.{100 + number % 100}.0.0/16"
    return f"127.{100 + number // 256 % 100}.{number % 256}.0/24"


class _Thread(threading.Thread):
    """Runs the event loop."""

    def __init__(self, hood: Neighbourhood, addresses: Addresses) -> None:
        super().__init__(name="azure-emulator", daemon=True)
        self._hood, self._addresses = hood, addresses
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._runtime: Runtime | None = None
        self._problem: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:  # noqa: BLE001 - handed to the thread that waits for it
            self._problem = exc
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        runtime = Runtime(self._hood, self._addresses)
        await runtime.start()
        self._runtime = runtime
        self._ready.set()
        try:
            await self._stopping.wait()
        finally:
            await runtime.stop()

    def runtime(self) -> Runtime:
        """The running server, as soon as it is ready."""
        if not self._ready.wait(_START_TIMEOUT):
            raise TimeoutError("the emulator did not start")
        if self._runtime is None:
            raise self._problem or RuntimeError("the emulator did not start")
        return self._runtime

    def stop(self) -> None:
        """End it and wait for the end."""
        if self._loop is not None and self._stopping is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self.join(_START_TIMEOUT)
        if self._problem is not None and self._runtime is not None:
            raise self._problem


__all__ = ["Emulator", "running"]
