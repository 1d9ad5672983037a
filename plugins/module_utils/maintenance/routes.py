# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's IPv4 routes, from ``/proc/net/route``: by which interface does a packet leave?"""

from __future__ import annotations

import socket
import struct
import typing as t


class Route(t.NamedTuple):
    """A route: destination and mask as numbers, prefix length, metric, interface."""

    destination: int
    mask: int
    prefix: int
    metric: int
    interface: str


def read_routes(path: str = "/proc/net/route") -> list[Route]:
    """The routes that are up. Raises OSError; lines that are none are passed over."""
    routes = []
    with open(path, encoding="ascii", errors="replace") as stream:
        for line in stream.readlines()[1:]:
            fields = line.split()
            try:
                # Numbers are in the byte order of the machine, as the kernel has them in memory.
                destination, mask = (struct.unpack("=I", struct.pack("!I", int(fields[i], 16)))[0] for i in (1, 7))
                flags, metric = int(fields[3], 16), int(fields[6])
            except (IndexError, ValueError, struct.error):
                continue
            if flags & 1:
                routes.append(Route(destination, mask, bin(mask).count("1"), metric, fields[0]))
    return routes


def route_to(address: str, routes: t.Iterable[Route]) -> Route | None:
    """The route that a packet takes: the longest prefix, then the lowest metric; None without any."""
    number = struct.unpack("!I", socket.inet_aton(address))[0]
    fitting = [route for route in routes if number & route.mask == route.destination]
    return max(fitting, key=lambda route: (route.prefix, -route.metric)) if fitting else None


__all__ = ["Route", "read_routes", "route_to"]
