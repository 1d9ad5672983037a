# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an answer to bytes on a connection, and to the ways in which a connection breaks."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict

from azure_emulator.clock import http_date
from azure_emulator.messages import Answer, Request, split_target
from azure_emulator.server.listener import reset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_date = lru_cache(maxsize=2)(http_date)


async def received(http: web.BaseRequest, *, scheme: str = "http") -> Request:
    """A request as the pure parts see it."""
    target = http.raw_path
    if not target.startswith("/"):  # a caller that takes us for a proxy
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, query = split_target(target)
    body, too_long = b"", False
    try:
        body = await http.read() if http.can_read_body else b""
    except web.HTTPRequestEntityTooLarge:
        too_long = True
    return Request(http.method, path, query, http.headers, body, f"{scheme}://{http.host}", too_long)


class Delivery:
    """Sends answers.

    Args:
        now: the neighbourhood's time, for Date headers.
        until: waits for a moment of it.
        server: value of the Server header.
    """

    def __init__(
        self, now: Callable[[], float], until: Callable[[float], Awaitable[None]], *, server: str | None = None
    ) -> None:
        self._now, self._until, self._server = now, until, server
        self._count = 0

    async def deliver(self, http: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        """Wait as long as the answer says, then send it, or break the connection."""
        if answer.breakage == "hang":
            await self._hang(answer.wait)
            answer.breakage = "reset"
        elif answer.wait:
            await self._until(self._now() + answer.wait)
        if answer.real_wait:
            await asyncio.sleep(answer.real_wait)
        headers = self._headers(answer)
        if answer.breakage is not None:
            self._break(http.transport, answer, headers)
            # The connection is gone; what is returned here goes nowhere.
            return web.Response(status=answer.status)
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def _hang(self, seconds: float) -> None:
        """Say nothing: for so long, or until the caller goes away and this task is cancelled."""
        if seconds:
            await self._until(self._now() + seconds)
        else:
            await asyncio.get_running_loop().create_future()

    def _headers(self, answer: Answer) -> CIMultiDict[str]:
        self._count += 1
        headers = CIMultiDict(answer.headers)
        if answer.status != 204:
            headers["Content-Type"] = answer.content_type
        headers["Date"] = _date(float(int(self._now())))
        headers["x-ms-request-id"] = f"00000000-0000-4000-8000-{self._count:012x}"
        if self._server is not None:
            headers["Server"] = self._server
        return headers

    @staticmethod
    def _break(transport: asyncio.Transport | None, answer: Answer, headers: CIMultiDict[str]) -> None:
        if transport is None or answer.breakage == "reset":
            reset(transport)
            return
        data = answer.body
        if answer.breakage == "cut":
            lines = [f"HTTP/1.1 {answer.status} OK", *(f"{name}: {value}" for name, value in headers.items())]
            head = "\r\n".join([*lines, f"Content-Length: {len(answer.body) or 2}"])
            data = head.encode("latin-1") + b"\r\n\r\n" + answer.body[: len(answer.body) // 2]
        transport.write(data)
        transport.close()


__all__ = ["Delivery", "received"]
