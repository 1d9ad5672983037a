# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All listening addresses of a neighbourhood, from start to stop."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import logging
import os
import resource
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from azure_emulator import __version__
from azure_emulator.control import ControlApi
from azure_emulator.errors import InputError
from azure_emulator.imds.checks import endpoint_of
from azure_emulator.messages import Answer
from azure_emulator.resource_manager.calls import call_name
from azure_emulator.server.delivery import Delivery, received
from azure_emulator.server.driver import Driver
from azure_emulator.server.listener import Listener, bind, reset
from azure_emulator.server.tls import Tls

if TYPE_CHECKING:
    import asyncio
    import socket

    from azure_emulator.fleet.model import Vm
    from azure_emulator.neighbourhood import Neighbourhood

LOG = logging.getLogger(__name__)
_HTTP_LOG = logging.getLogger(f"{__name__}.http")
# What a caller sends that is no HTTP is answered with 400, and is no news for whoever runs the emulator.
_HTTP_LOG.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
# As observed on Azure; probes look for "imds" in it (contract section 1.2).
_SERVER = "IMDS/150.870.65.1854"
_SPARE_FILES = 64


class Addresses(NamedTuple):
    """Where to listen.

    Attributes:
        network: the VMs get its addresses in turn, from its first host on; of a single address (/32) they get a
            port each.
        port: for all VMs; 0 for a free one. control_port, resource_manager_port: likewise, on ``control_address``.
        allow_non_loopback: leave for addresses that others can reach.
        shared: ``address:port`` at which each caller meets the VM that has its source address among its
            ``client_addresses``: how several real hosts share Azure's one link-local address.
        tls: whether Resource Manager speaks TLS.
    """

    network: str = "127.80.0.0/16"
    port: int = 0
    control_address: str = "127.0.0.1"
    control_port: int = 0
    resource_manager_port: int = 0
    allow_non_loopback: bool = False
    shared: str | None = None
    tls: bool = False


def check_addresses(addresses: Addresses, vms: int) -> list[str]:
    """The address of each VM.

    Raises:
        InputError: no network, too small a one, or one that is not loopback without leave.
    """
    network = _network(addresses.network)
    named = {"--network": network, "--control-address": _network(addresses.control_address, "--control-address")}
    if addresses.shared is not None:
        named["--shared-address"] = _network(split_shared(addresses.shared)[0], "--shared-address")
    for name, place in named.items():
        if not place.is_loopback and not addresses.allow_non_loopback:
            raise InputError(
                name,
                "is not loopback: everybody who reaches it could control the emulator and read its tokens;"
                " if you mean it, allow it with --allow-non-loopback",
            )
    if network.num_addresses == 1:
        return [str(network.network_address)] * vms
    hosts = [str(host) for host in itertools.islice(network.hosts(), vms)]
    if len(hosts) < vms:
        raise InputError("--network", f"{network} has {len(hosts)} addresses for {vms} VMs")
    return hosts


def _network(text: str, name: str = "--network") -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as exc:
        raise InputError(name, f"{exc}; expected such as {'127.80.0.0/16' if '/' in text else '127.0.0.1'}") from exc


def split_shared(text: str) -> tuple[str, int]:
    """Address and port of a shared address."""
    address, _colon, port = text.partition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise InputError("--shared-address", f"{text!r} is not of the form address:port")
    return address, int(port)


class Runtime:
    """Serves a neighbourhood. To be made, started and stopped on one event loop.

    Args:
        hood: the neighbourhood. addresses: where to listen.

    Raises:
        InputError: the addresses cannot be used.
    """

    def __init__(self, hood: Neighbourhood, addresses: Addresses) -> None:
        self._hood, self._addresses = hood, addresses
        self._hosts = dict(zip(hood.fleet.vms, check_addresses(addresses, len(hood.fleet.vms)), strict=True))
        self._places: dict[str, tuple[str, int]] = {}
        self._vm_at: dict[tuple[str, int], Vm] = {}
        self._vm_of_caller = {a: vm for vm in hood.fleet.vms.values() for a in vm.spec.client_addresses}
        self._tls: Tls | None = None
        self._driver = Driver(hood, self._machines_changed)
        self._imds = Delivery(hood.clock.now, self._driver.until, server=_SERVER)
        self._other = Delivery(hood.clock.now, self._driver.until)
        self._control = ControlApi(hood, self)
        self._listeners: dict[str, Listener] = {}
        self._boots: dict[str, int] = {}
        self._services: list[Listener] = []
        self._servers: list[web.Server] = []
        self._ports: dict[str, int] = {}

    # Start and stop

    async def start(self) -> None:
        """Listen on all addresses.

        Raises:
            ListenError: one of them cannot be had; none is kept then.
        """
        raise_file_limit(len(self._hosts) + _SPARE_FILES)
        sockets = self._bind_all()
        vms, (control, manager), shared = sockets
        self._places = {key: s.getsockname() for key, s in zip(self._hosts, vms, strict=True)}
        self._vm_at = {place: self._hood.fleet.vms[key] for key, place in self._places.items()}
        self._ports = {"control": control.getsockname()[1], "resource_manager": manager.getsockname()[1]}
        self._hood.authority.base_url = self.control
        if self._addresses.tls:
            self._tls = Tls(self._hood.authority, self._addresses.control_address)
        metadata = self._server(self._metadata)
        self._listeners = {key: Listener(s, metadata) for key, s in zip(self._hosts, vms, strict=True)}
        self._services = [
            Listener(control, self._server(self._controlled)),
            Listener(manager, self._server(self._managed), tls=self._tls.context if self._tls else None),
            *(Listener(s, metadata) for s in shared),
        ]
        for listener in self._services:
            listener.open()
        self._machines_changed(set(self._hosts))

    def _bind_all(self) -> tuple[list[socket.socket], tuple[socket.socket, socket.socket], list[socket.socket]]:
        """Sockets of the VMs, of the control and Resource Manager sides, and of the shared address; all or none."""
        wanted = self._addresses
        with contextlib.ExitStack() as bound:
            vms = self._bind(bound, list(self._hosts.values()), wanted.port)
            control = self._bind(bound, [wanted.control_address], wanted.control_port)[0]
            manager = self._bind(bound, [wanted.control_address], wanted.resource_manager_port)[0]
            shared: list[socket.socket] = []
            if wanted.shared is not None:
                address, port = split_shared(wanted.shared)
                shared = self._bind(bound, [address], port)
            bound.pop_all()
        return vms, (control, manager), shared

    @staticmethod
    def _bind(bound: contextlib.ExitStack, hosts: list[str], port: int) -> list[socket.socket]:
        sockets = bind(hosts, port)
        for each in sockets:
            bound.callback(each.close)
        return sockets

    def _server(self, handler: Any) -> web.Server:
        server = web.Server(handler, handler_cancellation=True, access_log=None, logger=_HTTP_LOG)
        self._servers.append(server)
        return server

    async def stop(self) -> None:
        """Close everything, at once."""
        for listener in (*self._listeners.values(), *self._services):
            listener.close()
        await self._driver.close()
        for server in self._servers:
            await server.shutdown(timeout=0.1)
        if self._tls is not None:
            self._tls.close()

    # What the control side asks

    def endpoint(self, vm: str) -> str:
        """Base address of a VM's metadata service."""
        address, port = self._places[vm]
        return f"http://{address}:{port}"

    @property
    def resource_manager(self) -> str:
        """Base address of Resource Manager."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self._addresses.control_address}:{self._ports['resource_manager']}"

    @property
    def control(self) -> str:
        """Base address of the control side."""
        return f"http://{self._addresses.control_address}:{self._ports['control']}"

    def addresses(self) -> dict[str, Any]:
        """All addresses, as ``serve`` prints them."""
        return {
            "control": self.control,
            "resource_manager": self.resource_manager,
            "ca_file": self._tls.ca_file if self._tls else None,
            "vms": {key: self.endpoint(key) for key in self._hosts},
            "pid": os.getpid(),
            "version": __version__,
        }

    def waiting(self) -> int:
        """How many requests wait for a moment to come."""
        return self._driver.waiting

    async def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        await self._driver.advance(seconds)

    # Requests

    async def _metadata(self, http: web.BaseRequest) -> web.StreamResponse:
        transport = http.transport
        if transport is None:
            raise ConnectionResetError
        vm = self._vm_asked(transport)
        request = await received(http)
        self._driver.settle()
        if vm is None or not self._hood.takes_connections(vm.key):
            reset(transport)  # on the shared address: a stranger, or a VM that is down
            return web.Response()
        while (until := self._hood.machines.frozen_until(vm.key)) is not None:
            await self._driver.until(until)  # a paused VM says nothing, and then goes on as if nothing had been
        answer = self._hood.metadata.answer(vm, request)
        self._driver.settle()
        found = endpoint_of(request.path)
        self._hood.record(request, answer, vm=vm.key, category=found[0].category if found else "")
        try:
            return await self._imds.deliver(http, answer)
        finally:
            if answer.in_flight:
                self._hood.metadata.sent(vm)

    def _vm_asked(self, transport: asyncio.Transport) -> Vm | None:
        """Whose service a connection leads to: by its own address, or by the caller's on the shared one."""
        vm = self._vm_at.get(transport.get_extra_info("sockname"))
        if vm is None and self._addresses.shared is not None:
            return self._vm_of_caller.get(transport.get_extra_info("peername")[0])
        return vm

    async def _managed(self, http: web.BaseRequest) -> web.StreamResponse:
        request = await received(http, scheme="https" if self._tls else "http")
        self._driver.settle()
        answer = self._hood.resource_manager.answer(request)
        self._hood.record(request, answer, vm=None, category=call_name(request.path))
        return await self._other.deliver(http, answer)

    async def _controlled(self, http: web.BaseRequest) -> web.StreamResponse:
        request = await received(http)
        self._driver.settle()
        try:
            answer = await self._control.answer(request)
        except Exception:
            LOG.exception("%s %s on the control side failed", request.method, request.path)
            answer = Answer(500, b'{"error":"a bug in the emulator; its log says more"}')
        self._driver.settle()
        return await self._other.deliver(http, answer)

    # Machines

    def _machines_changed(self, keys: set[str]) -> None:
        """Let the sockets follow the states: who is down refuses, who came back knows no connection from before."""
        for key in keys:
            machine, listener = self._hood.machines[key], self._listeners[key]
            if not self._hood.takes_connections(key):
                listener.refuse()
            else:
                if self._boots.get(key, 0) != machine.boots:
                    listener.reset_all()
                listener.open()
            self._boots[key] = machine.boots


def raise_file_limit(wanted: int) -> None:
    """Let the process have so many open files at least, as far as its hard limit goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = hard if hard != resource.RLIM_INFINITY else max(soft, wanted * 4)
    if soft != resource.RLIM_INFINITY and soft < target:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


__all__ = ["Addresses", "Runtime", "check_addresses", "raise_file_limit", "split_shared"]
