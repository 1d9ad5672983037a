# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One HTTP/1.1 exchange on a plain TCP connection, under a deadline.

Why not http.client: it brings ``email`` and ``ssl`` along (a fifth of a module's start-up time, half of a daemon's
memory) and its timeouts count per read, so a peer that drips one byte at a time is never late. The service needs
neither TLS, proxies, redirects nor compression (contract section 1), which leaves little to write.
"""

from __future__ import annotations

import socket
import typing as t

MAX_HEAD = 64 * 1024
MAX_BODY = 8 * 1024 * 1024
_CHUNK = 64 * 1024


class ConnectError(OSError):
    """No connection was made, so the peer saw nothing of the request."""


class ExchangeError(OSError):
    """The connection broke, or the deadline passed, after the request may have been sent.

    Attributes:
        answered: whether a part of an answer had arrived.
        timed_out: whether the deadline passed.
    """

    def __init__(self, message: str, *, answered: bool, timed_out: bool = False) -> None:
        super().__init__(message)
        self.answered = answered
        self.timed_out = timed_out


class MalformedError(ValueError):
    """The peer does not speak HTTP/1.x, or says more than an answer may hold."""


class Response(t.NamedTuple):
    """An answer: status code, reason phrase, headers with lower-case names, body."""

    status: int
    reason: str
    headers: t.Mapping[str, str]
    body: bytes


class Connection:
    """A TCP connection that carries one request at a time and stays open between them when both sides allow it."""

    def __init__(self, host: str, port: int, *, clock: t.Callable[[], float]) -> None:
        self._address = (host, port)
        self._clock = clock
        self._socket: socket.socket | None = None
        self._buffer = b""

    @property
    def is_open(self) -> bool:
        """Whether a connection is kept from an earlier exchange."""
        return self._socket is not None

    def close(self) -> None:
        """End the connection; the next exchange makes a new one."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._buffer = b""

    def exchange(self, request: bytes, *, connect_timeout: float, deadline: float) -> Response:
        """Send a whole request and read its answer.

        Args:
            request: the request's bytes, head and body.
            connect_timeout: seconds that making a connection may take.
            deadline: reading on the injected clock by which the answer must be complete.

        Raises:
            ConnectError: there is no connection; nothing was sent.
            ExchangeError: the connection broke or the deadline passed.
            MalformedError: the bytes that came are no answer of an HTTP/1.x server.
        """
        try:
            connection = self._connected(connect_timeout, deadline)
            self._send(connection, request, deadline)
            response, keep = self._read_response(connection, deadline)
        except BaseException:
            self.close()
            raise
        if not keep:
            self.close()
        return response

    def _connected(self, connect_timeout: float, deadline: float) -> socket.socket:
        if self._socket is None:
            timeout = min(connect_timeout, max(0.001, deadline - self._clock()))
            try:
                self._socket = self._connect(timeout)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except socket.timeout as exc:  # not an alias of TimeoutError before Python 3.10
                raise ConnectError(f"no connection within {timeout:g} s") from exc
            except OSError as exc:
                raise ConnectError(exc.strerror or str(exc)) from exc
        return self._socket

    def _connect(self, timeout: float) -> socket.socket:
        host, port = self._address
        if not host.replace(".", "").isdigit():
            return socket.create_connection(self._address, timeout)
        # Nothing to resolve: that would load the tables of internationalized names, a tenth of a local fact's time.
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect((host, port))
        except BaseException:
            connection.close()
            raise
        return connection

    def _send(self, connection: socket.socket, request: bytes, deadline: float) -> None:
        connection.settimeout(max(0.001, deadline - self._clock()))
        try:
            connection.sendall(request)
        except socket.timeout as exc:
            raise ExchangeError("the request could not be sent in time", answered=False, timed_out=True) from exc
        except OSError as exc:
            raise ExchangeError(exc.strerror or str(exc), answered=False) from exc

    def _receive(self, connection: socket.socket, deadline: float, *, answered: bool) -> bytes:
        remaining = deadline - self._clock()
        if remaining <= 0:
            raise ExchangeError("no complete answer in time", answered=answered, timed_out=True)
        connection.settimeout(remaining)
        try:
            return connection.recv(_CHUNK)
        except socket.timeout as exc:
            raise ExchangeError("no complete answer in time", answered=answered, timed_out=True) from exc
        except OSError as exc:
            raise ExchangeError(exc.strerror or str(exc), answered=answered) from exc

    def _more(self, connection: socket.socket, deadline: float) -> None:
        data = self._receive(connection, deadline, answered=bool(self._buffer))
        if not data:
            what = "in the middle of its answer" if self._buffer else "without an answer"
            raise ExchangeError(f"the peer closed the connection {what}", answered=bool(self._buffer))
        self._buffer += data

    def _take_until(self, connection: socket.socket, mark: bytes, limit: int, deadline: float) -> bytes:
        while True:
            end = self._buffer.find(mark)
            if end >= 0:
                taken, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
                return taken
            if len(self._buffer) > limit:
                raise MalformedError(f"more than {limit} bytes without an end of line or of headers")
            self._more(connection, deadline)

    def _take(self, connection: socket.socket, size: int, deadline: float) -> bytes:
        parts = [self._buffer[:size]]
        self._buffer = self._buffer[size:]
        missing = size - len(parts[0])
        while missing:
            data = self._receive(connection, deadline, answered=True)
            if not data:
                raise ExchangeError("the peer closed the connection in the middle of its answer", answered=True)
            parts.append(data[:missing])
            self._buffer = data[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def _read_response(self, connection: socket.socket, deadline: float) -> tuple[Response, bool]:
        while True:
            head = self._take_until(connection, b"\r\n\r\n", MAX_HEAD, deadline)
            version, status, reason, headers = parse_head(head)
            if status >= 200:  # an interim 1xx answer says nothing here
                break
        keep = version >= "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._read_chunks(connection, deadline)
        elif "content-length" in headers:
            body = self._take(connection, body_size(headers["content-length"], 10), deadline)
        else:
            body, keep = self._read_to_end(connection, deadline), False
        return Response(status, reason, headers, body), keep

    def _read_chunks(self, connection: socket.socket, deadline: float) -> bytes:
        from . import bodies

        return bodies.chunked(
            take=lambda size: self._take(connection, size, deadline),
            take_line=lambda: self._take_until(connection, b"\r\n", MAX_HEAD, deadline),
        )

    def _read_to_end(self, connection: socket.socket, deadline: float) -> bytes:
        from . import bodies

        first, self._buffer = self._buffer, b""
        return bodies.to_end(first, lambda: self._receive(connection, deadline, answered=True))


def body_size(text: str, base: int) -> int:
    """The size that an answer states for its body. Raises MalformedError when it is none, or beyond MAX_BODY."""
    try:
        size = int(text.strip(), base)
    except ValueError as exc:
        raise MalformedError(f"a body size of {text[:40]!r}") from exc
    if not 0 <= size <= MAX_BODY:
        raise MalformedError(f"a body of {size} bytes")
    return size


def parse_head(head: bytes) -> tuple[str, int, str, dict[str, str]]:
    """Split the head of an answer (without the empty line) into version, status, reason and headers.

    A header that comes twice keeps its last value. Raises MalformedError when it is not HTTP/1.x.
    """
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or len(parts[1]) != 3 or not parts[1].isdigit():
        raise MalformedError(f"a status line of {lines[0][:80]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedError(f"a header line of {line[:80]!r}")
        headers[name.strip().lower()] = value.strip()
    return parts[0], int(parts[1]), parts[2] if len(parts) > 2 else "", headers


__all__ = ["ConnectError", "Connection", "ExchangeError", "MalformedError", "Response", "body_size", "parse_head"]
