# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""``/metrics`` and ``/healthz`` on loopback, in a thread, so that a slow reader never holds up the handler.

Two fixed pages for local readers: Python's own HTTP server would cost more memory than the rest of the handler.
"""

from __future__ import annotations

import socket
import threading
import typing as t

_PATIENCE = 2.0
_LONGEST = 8192


class Page(t.NamedTuple):
    """An answer: HTTP status and reason, content type, text."""

    status: str
    kind: str
    text: str


class Exporter:
    """Serves pages that the handler keeps up to date.

    Args:
        port: on 127.0.0.1; 0 picks a free one.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, port: int) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", port))
            self._listener.listen(16)
        except OSError:
            self._listener.close()
            raise
        self.port: int = self._listener.getsockname()[1]
        self.pages: dict[str, Page] = {}
        self._thread = threading.Thread(target=self._serve, name="exporter", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join(_PATIENCE)

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(_PATIENCE)
                    connection.sendall(self._answer(_read_head(connection)))
                except (OSError, ValueError):
                    continue  # whoever asked has gone, or never spoke HTTP

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or words[0] not in ("GET", "HEAD"):
            page = Page("405 Method Not Allowed", "text/plain", "GET only\n")
        else:
            missing = Page("404 Not Found", "text/plain", "here are: " + " ".join(sorted(self.pages)) + "\n")
            page = self.pages.get(words[1].split("?", 1)[0], missing)
        body = page.text.encode("utf-8")
        top = f"HTTP/1.1 {page.status}\r\nContent-Type: {page.kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        return (top + "Connection: close\r\n\r\n").encode("ascii") + (b"" if words[0] == "HEAD" else body)


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        if not data or len(head) > _LONGEST:
            raise ValueError("no request")
        head += data
    return head


__all__ = ["Exporter", "Page"]
