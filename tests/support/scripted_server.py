"""A server that plays a script byte by byte, and a clock that moves only when somebody sleeps."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any


class FakeClock:
    """Monotonic seconds that pass only by sleeping; keeps the sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def answer(status: int = 200, body: Any = b"", reason: str = "OK", **headers: str) -> bytes:
    """The bytes of an HTTP answer; an object becomes JSON."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(payload)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


class ScriptedServer:
    """Answers the n-th request with the n-th item of its script; keeps the requests.

    An item is bytes (sent as they are), ``"close"`` (end the connection without a word), ``"hang"`` (say nothing) or a
    tuple of bytes and one of these. The connection stays open between answers until the client ends it.
    """

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def heads(self) -> list[str]:
        return [request.split(b"\r\n")[0].decode() for request in self.requests]

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while True:
                request = self._read(connection)
                if not request:
                    return
                self.requests.append(request)
                item = self.script.pop(0) if self.script else "close"
                for part in item if isinstance(item, tuple) else (item,):
                    if part == "close":
                        return
                    if part != "hang":
                        connection.sendall(part)

    @staticmethod
    def _read(connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += connection.recv(65536)
        return head + b"\r\n\r\n" + body
