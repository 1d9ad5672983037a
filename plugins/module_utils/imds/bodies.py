# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Bodies whose size is not said in advance. The service states it; proxies and other servers may not.

Apart from the connection, which loads this only when it meets one.
"""

from __future__ import annotations

import typing as t

from . import wire


def chunked(*, take: t.Callable[[int], bytes], take_line: t.Callable[[], bytes]) -> bytes:
    """A body in chunks. ``take`` reads so many bytes, ``take_line`` up to an end of line. Raises MalformedError."""
    parts: list[bytes] = []
    total = 0
    while True:
        size = wire.body_size(take_line().split(b";")[0].decode("latin-1"), 16)
        if size == 0:
            break
        total += size
        if total > wire.MAX_BODY:
            raise wire.MalformedError(f"a body of more than {wire.MAX_BODY} bytes")
        parts.append(take(size))
        if take(2) != b"\r\n":
            raise wire.MalformedError("a chunk that does not end where it said it would")
    while take_line():
        pass  # trailers
    return b"".join(parts)


def to_end(first: bytes, receive: t.Callable[[], bytes]) -> bytes:
    """A body that ends with the connection: what has come so far, and what ``receive`` gives until it gives nothing.

    Raises MalformedError when that is more than an answer may hold.
    """
    parts = [first]
    total = len(first)
    while total <= wire.MAX_BODY:
        data = receive()
        if not data:
            return b"".join(parts)
        parts.append(data)
        total += len(data)
    raise wire.MalformedError(f"a body of more than {wire.MAX_BODY} bytes")


__all__ = ["chunked", "to_end"]
