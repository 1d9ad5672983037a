# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The service's address on a classic VM without a virtual network: DHCP option 245 in the lease files.

Every other VM has the link-local address (contract section 1). Read are the files of dhclient, systemd-networkd and
NetworkManager; nothing is run and nothing is sent.
"""

from __future__ import annotations

import calendar
import glob
import re
import socket
import time
import typing as t

OPTION = 245
DHCLIENT_FILES = (
    "var/lib/dhcp/dhclient*.lease*",
    "var/lib/dhclient/dhclient*.lease*",
    "var/lib/NetworkManager/dhclient*.lease",
    "var/db/dhclient.leases.*",
)
KEY_VALUE_FILES = (
    "run/systemd/netif/leases/*",
    "var/lib/NetworkManager/internal-*.lease",
)

_BLOCK = re.compile(r"^\s*lease\s*\{(.*?)^\s*\}", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r"^\s*option\s+(?:unknown|option|private)-245\s+(.+?)\s*;\s*$", re.MULTILINE)
_EXPIRE = re.compile(r"^\s*expire\s+(?:epoch\s+(\d+)|never|\d\s+(\d+)/(\d+)/(\d+)\s+(\d+):(\d+):(\d+))", re.MULTILINE)
_OCTAL = re.compile(rb"\\([0-7]{3})|\\(.)", re.DOTALL)


class Lease(t.NamedTuple):
    """An address that a lease gives for the service.

    Attributes:
        path: the file.
        address: dotted IPv4.
        expires: epoch seconds; None for never, or when the file goes away with the lease.
    """

    path: str
    address: str
    expires: float | None = None


class Search(t.NamedTuple):
    """What the lease files say: the lease that counts, if any, and the files that could not be read."""

    lease: Lease | None
    unreadable: tuple[str, ...]


def parse_dhclient(path: str, text: str) -> list[Lease]:
    """The leases with the option in a dhclient file. A renewed lease comes after the one it replaces."""
    leases = []
    for block in _BLOCK.finditer(text):
        option = _OPTION.search(block.group(1))
        address = _address(option.group(1)) if option else None
        if address:
            leases.append(Lease(path, address, _expiry(block.group(1))))
    return leases


def parse_key_value(path: str, text: str) -> list[Lease]:
    """The lease in a file of ``NAME=value`` lines (systemd-networkd, NetworkManager's own client)."""
    for line in text.splitlines():
        name, _sign, value = line.partition("=")
        address = _address(value) if name.strip().upper() == f"OPTION_{OPTION}" else None
        if address:
            return [Lease(path, address)]
    return []


def _address(value: str) -> str | None:
    """An IPv4 address from ``a8:3f:81:10``, ``a83f8110``, a quoted string with octal escapes, or dotted as it is."""
    value = value.strip()
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", value):
        raw = bytes(min(int(part), 255) for part in value.split("."))
    elif value.startswith('"') and value.endswith('"') and len(value) > 1:
        raw = _unescape(value[1:-1])
    else:
        try:
            raw = bytes(int(part, 16) for part in value.split(":")) if ":" in value else bytes.fromhex(value)
        except ValueError:
            return None
    # 0.0.0.0/8 and multicast are nobody's address.
    return socket.inet_ntoa(raw) if len(raw) == 4 and 0 < raw[0] < 224 else None


def _unescape(value: str) -> bytes:
    def byte(match: t.Match[bytes]) -> bytes:
        return bytes([int(match.group(1), 8) & 255]) if match.group(1) else match.group(2)

    return _OCTAL.sub(byte, value.encode("latin-1", "replace"))


def _expiry(block: str) -> float | None:
    match = _EXPIRE.search(block)
    if match is None or match.group(0).split()[-1] == "never":
        return None
    if match.group(1):
        return float(match.group(1))
    return float(calendar.timegm(tuple(int(part) for part in match.groups()[1:])))


def find(root: str = "/", *, now: float | None = None) -> Search:
    """Look for a lease that gives the address and has not expired; of several, the one that was renewed last.

    Args:
        root: where the file system begins.
        now: epoch seconds; the wall clock by default.
    """
    moment = time.time() if now is None else now
    found: list[Lease] = []
    unreadable: list[str] = []
    for patterns, parse in ((KEY_VALUE_FILES, parse_key_value), (DHCLIENT_FILES, parse_dhclient)):
        for pattern in patterns:
            for path in sorted(glob.glob(root.rstrip("/") + "/" + pattern)):
                try:
                    found += parse(path, _read(path))
                except OSError as exc:
                    unreadable.append(f"{path}: {exc.strerror}")
    valid = [lease for lease in found if lease.expires is None or lease.expires > moment]
    # Files that live only as long as their lease come first; among dated leases the one that ends last is the newest.
    undated = [lease for lease in valid if lease.expires is None]
    lease = undated[0] if undated else max(valid, key=lambda lease: lease.expires or 0.0, default=None)
    return Search(lease, tuple(unreadable))


def _read(path: str) -> str:
    with open(path, encoding="latin-1") as stream:
        return stream.read(1024 * 1024)


__all__ = ["Lease", "Search", "find", "parse_dhclient", "parse_key_value"]
