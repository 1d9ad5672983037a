# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel's route table says about the way to the service (contract section 1).

The service answers only what leaves by the primary network interface, and DHCP puts a route for it there. So the table
tells which interface is the primary one, and what is wrong when nothing answers.
"""

from __future__ import annotations

import typing as t

from .client import DEFAULT_ENDPOINT

PATH = "proc/net/route"
_UP, _REJECT = 0x1, 0x200


class Route(t.NamedTuple):
    """One IPv4 route. Addresses are 32-bit numbers in host order."""

    device: str
    destination: int
    mask: int
    flags: int
    metric: int

    def covers(self, address: int) -> bool:
        """Whether packets to an address match."""
        return address & self.mask == self.destination


def number(address: str) -> int:
    """The 32-bit number of a dotted IPv4 address."""
    result = 0
    for part in address.split("."):
        result = result << 8 | int(part)
    return result


ADDRESS = DEFAULT_ENDPOINT.rpartition("/")[2]
METADATA_SERVICE = number(ADDRESS)
WIRE_SERVER = number("168.63.129.16")


def parse(text: str) -> list[Route]:
    """The routes in the text of ``/proc/net/route``; lines of another form are left out."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            # The kernel prints addresses as they lie in memory: on every machine that Azure has, the lowest byte first.
            destination, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
            routes.append(Route(fields[0], destination, mask, int(fields[3], 16), int(fields[6])))
        except (ValueError, IndexError):
            continue
    return [route for route in routes if route.flags & _UP]


def best(routes: t.Iterable[Route], address: int) -> Route | None:
    """The route that the kernel takes to an address: the most specific, then the lowest metric."""
    matching = [route for route in routes if route.covers(address)]
    return min(matching, key=lambda route: (-route.mask, route.metric)) if matching else None


def primary_device(routes: t.Sequence[Route]) -> str | None:
    """The device of the primary network interface: where Azure's own addresses are reached, else the default route."""
    for address in (WIRE_SERVER, METADATA_SERVICE):
        route = best(routes, address)
        if route is not None and route.mask and not route.flags & _REJECT:
            return route.device
    route = best((route for route in routes if not route.mask), METADATA_SERVICE)
    return route.device if route else None


def diagnose(routes: t.Sequence[Route]) -> str | None:
    """Why the service cannot be reached, as far as the table shows it; None when the way looks right."""
    route = best(routes, METADATA_SERVICE)
    if route is None:
        return f"there is no route to {ADDRESS}; is the primary network interface up and configured by DHCP?"
    if route.flags & _REJECT:
        return f"the route to {ADDRESS} is a reject route; remove it"
    default = best((other for other in routes if not other.mask), METADATA_SERVICE)
    if route.mask and default is not None and route.device != default.device:
        return (
            f"the route to {ADDRESS} leaves by {route.device} but the default route by {default.device}; "
            "the service answers on the primary network interface only, so the route has to leave by that one"
        )
    return None


def read(root: str = "/") -> list[Route] | None:
    """This machine's routes, or None where the table cannot be read: no Linux, no /proc."""
    try:
        with open(root.rstrip("/") + "/" + PATH, encoding="ascii", errors="replace") as stream:
            return parse(stream.read())
    except OSError:
        return None


__all__ = ["Route", "best", "diagnose", "number", "parse", "primary_device", "read"]
