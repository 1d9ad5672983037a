# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A listening address that can refuse connections for a while without giving the address away."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import weakref
from typing import TYPE_CHECKING

from azure_emulator.errors import ListenError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_BACKLOG = 128
_ACCEPTS_AT_ONCE = 64
# Closing such a socket sends a reset, and leaves nothing behind.
_RESET = struct.pack("ii", 1, 0)


class Listener:
    """Accepts connections on a bound socket.

    Args:
        bound: a bound TCP socket; the listener owns it from now on.
        factory: makes the protocol of each connection.
        tls: for TLS.
    """

    def __init__(
        self, bound: socket.socket, factory: Callable[[], asyncio.Protocol], *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._socket, self._factory, self._tls = bound, factory, tls
        self._loop = asyncio.get_running_loop()
        self._listening = False
        self._refusing = False
        self._transports: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Take connections (again)."""
        self._refusing = False
        if not self._listening:
            self._socket.listen(_BACKLOG)
            self._loop.add_reader(self._socket.fileno(), self._accept)
            self._listening = True

    def refuse(self) -> None:
        """Refuse connections and reset those that are open."""
        self._refusing = True
        if self._listening:
            self._loop.remove_reader(self._socket.fileno())
            try:
                # Linux: the socket stops listening but stays bound, so nobody else can take its port.
                self._socket.shutdown(socket.SHUT_RDWR)
                self._listening = False
            except OSError:
                self._loop.add_reader(self._socket.fileno(), self._accept)  # accepts, and resets at once
        self.reset_all()

    def reset_all(self) -> None:
        """Reset all open connections."""
        for transport in list(self._transports):
            reset(transport)

    def close(self) -> None:
        """Give the address up and reset what is open."""
        if self._listening:
            self._loop.remove_reader(self._socket.fileno())
            self._listening = False
        self._socket.close()
        for task in self._tasks:
            task.cancel()
        self.reset_all()

    def _accept(self) -> None:
        for _turn in range(_ACCEPTS_AT_ONCE):
            try:
                connection, _peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                return  # out of file descriptors for the moment; the caller waits in the backlog
            if self._refusing:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()
                continue
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            # A failed TLS handshake is the caller's affair.
            transport, _protocol = await self._loop.connect_accepted_socket(self._factory, connection, ssl=self._tls)
        except (OSError, asyncio.CancelledError):
            connection.close()
            return
        self._transports.add(transport)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Break a connection so that the other side sees a reset, whatever was sent before."""
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    if isinstance(transport, asyncio.Transport):
        transport.abort()
    else:
        transport.close()


def bind(addresses: list[str], port: int, *, tries: int = 20) -> list[socket.socket]:
    """Bind all addresses to one port; one address many times, to ports in a row.

    Args:
        addresses: IPv4 addresses.
        port: 0 for one that is free on all of them.
        tries: how many free ones to try.

    Raises:
        ListenError: which address and port cannot be had, and why.
    """
    for attempt in range(tries):
        wanted = port or _free_port(addresses[0])
        step = 1 if len(addresses) > 1 and len(set(addresses)) == 1 else 0
        sockets: list[socket.socket] = []
        try:
            for index, address in enumerate(addresses):
                bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                sockets.append(bound)
                bound.setblocking(False)
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((address, wanted + index * step))
        except (OSError, OverflowError) as exc:
            for bound in sockets:
                bound.close()
            retry = isinstance(exc, OverflowError) or exc.errno == errno.EADDRINUSE
            if port == 0 and retry and attempt + 1 < tries:
                continue
            last = len(sockets) - 1
            where = f"{addresses[last]}:{wanted + last * step}"
            raise ListenError(f"cannot listen on {where}: {_advice(exc)}") from exc
        return sockets
    raise AssertionError("the last try either returns or raises")


def _free_port(address: str) -> int:
    """A port that is free just now. It is then bound by its number: only so Linux keeps it while nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as exc:
            raise ListenError(f"cannot listen on {address}: {_advice(exc)}") from exc
        port: int = probe.getsockname()[1]
        return port


def _advice(exc: OSError | OverflowError) -> str:
    if isinstance(exc, OverflowError):
        return "there are no more ports above it; choose a lower one"
    reason = exc.strerror or str(exc)
    if exc.errno == errno.EADDRINUSE:
        return f"{reason}; another program listens there (another emulator?): choose another port, or 0 for a free one"
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"{reason}; this machine does not have that address (only Linux has all of 127.0.0.0/8)"
    if exc.errno == errno.EMFILE:
        return f"{reason}; raise the limit of open files (ulimit -n)"
    return reason


__all__ = ["Listener", "bind", "reset"]
