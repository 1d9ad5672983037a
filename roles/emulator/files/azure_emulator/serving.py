# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``azure-emulator serve``: run until a signal says stop."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

from azure_emulator.certificates import Authority
from azure_emulator.clock import Clock
from azure_emulator.fleet.loading import load_fleet
from azure_emulator.neighbourhood import Neighbourhood
from azure_emulator.server.runtime import Addresses, Runtime

if TYPE_CHECKING:
    from pathlib import Path


class Options(NamedTuple):
    """What ``serve`` was told."""

    fleet: Path
    addresses: Addresses
    clock: str = "real"
    time_scale: float = 1.0
    start: float | None = None
    rate_limit: bool | None = None
    journal_limit: int = 10_000
    ca_directory: Path | None = None


def serve(options: Options) -> int:
    """Serve the fleet; returns the exit status.

    Raises:
        EmulatorError: the fleet cannot be used, or an address cannot be had.
    """
    fleet = load_fleet(options.fleet)
    clock = Clock(options.clock, scale=options.time_scale, start=options.start)
    hood = Neighbourhood(
        fleet,
        clock,
        rate_limit=options.rate_limit,
        journal_limit=options.journal_limit,
        authority=Authority(options.ca_directory),
    )
    asyncio.run(_serve(hood, options.addresses))
    return 0


async def _serve(hood: Neighbourhood, addresses: Addresses) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runtime = Runtime(hood, addresses)
    try:
        await runtime.start()
        sys.stdout.write(json.dumps(runtime.addresses(), separators=(",", ":")) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runtime.stop()


__all__ = ["Options", "serve"]
