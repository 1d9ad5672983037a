"""How fast the emulator is: ``python tests/bench/emulator.py``. Prints figures, never fails on time.

A thousand VMs generated and listening: how long, and how much memory. GET requests of one keep-alive client, and of
four connections at once: how many a second, beside a bare aiohttp server that answers the same bytes in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

VMS = 1000
SECONDS = 3.0
REQUEST = (
    b"GET /metadata/instance?api-version=2021-02-01 HTTP/1.1\r\n"
    b"Host: 127.0.0.1\r\nMetadata: true\r\nUser-Agent: bench\r\n\r\n"
)
EVENTS = REQUEST.replace(b"/instance?api-version=2021-02-01", b"/scheduledevents?api-version=2020-07-01")
BARE = """
import asyncio, sys
from aiohttp import web
body = sys.stdin.buffer.read()
async def answer(request):
    return web.Response(body=body, headers={"Content-Type": "application/json"})
async def main():
    server = web.Server(answer, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


class Connection:
    """One keep-alive connection; answers have a Content-Length."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def receive(self) -> bytes:
        data = self._socket.recv(65536)
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert head.startswith(b"HTTP/1.1 200"), head
        assert length is not None, head
        while len(body) < int(length[1]):
            body += self._socket.recv(65536)
        return body


def rate(host: str, port: int, request: bytes, connections: int) -> float:
    """Answers a second over some connections, each with one request under way."""
    clients = [Connection(host, port) for _ in range(connections)]
    end = time.perf_counter() + SECONDS
    begin, count = time.perf_counter(), 0
    while time.perf_counter() < end:
        for client in clients:
            client.send(request)
        for client in clients:
            client.receive()
        count += connections
    return count / (time.perf_counter() - begin)


def memory(pid: int) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def measure() -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        fleet = Path(folder, "fleet.yml")
        begin = time.perf_counter()
        with fleet.open("wb") as stream:
            subprocess.run(
                [sys.executable, "-m", "azure_emulator", "generate", "--vms", str(VMS)], stdout=stream, check=True
            )
        command = [sys.executable, "-m", "azure_emulator", "serve", "--fleet", str(fleet), "--port", "0"]
        with subprocess.Popen(
            [*command, "--control-port", "0", "--no-rate-limit", "--network", "127.81.0.0/16"], stdout=subprocess.PIPE
        ) as emulator:
            assert emulator.stdout is not None
            addresses = json.loads(emulator.stdout.readline())
            figures["generated and listening, s"] = round(time.perf_counter() - begin, 2)
            figures["memory when ready, MiB"] = round(memory(emulator.pid))
            figures.update(_rates(addresses))
            figures["memory in the end, MiB"] = round(memory(emulator.pid))
            begin = time.perf_counter()
            emulator.send_signal(signal.SIGTERM)
            emulator.wait()
            figures["stopped, s"] = round(time.perf_counter() - begin, 2)
    return figures


def _rates(addresses: dict[str, Any]) -> dict[str, Any]:
    endpoints = [endpoint.removeprefix("http://").split(":") for endpoint in addresses["vms"].values()]
    host, port = endpoints[0][0], int(endpoints[0][1])
    one = Connection(host, port)
    one.send(REQUEST)
    body = one.receive()
    with subprocess.Popen([sys.executable, "-c", BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bare:
        assert bare.stdin is not None
        assert bare.stdout is not None
        bare.stdin.write(body)
        bare.stdin.close()
        bare_port = int(bare.stdout.readline())
        figures: dict[str, Any] = {}
        for connections in (1, 4):
            plain = rate("127.0.0.1", bare_port, REQUEST, connections)
            for name, request in (("instance", REQUEST), ("scheduledevents", EVENTS)):
                reached = rate(host, port, request, connections)
                figures[f"{name} GET/s, {connections} connection(s)"] = round(reached)
                figures[f"{name}, {connections} connection(s), share of bare aiohttp"] = round(reached / plain, 2)
        bare.kill()
    begin = time.perf_counter()
    for address, number in endpoints:
        client = Connection(address, int(number))
        client.send(REQUEST)
        client.receive()
    figures[f"{len(endpoints)} VMs asked once each, s"] = round(time.perf_counter() - begin, 2)
    return figures


def main() -> None:
    """Print the figures, as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)
    figures = measure()
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return
    for name, value in figures.items():
        sys.stdout.write(f"{name:<60} {value}\n")


if __name__ == "__main__":
    main()
