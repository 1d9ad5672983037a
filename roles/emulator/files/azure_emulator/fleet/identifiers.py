# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up names, numbers and addresses: derived from names and a seed, so that the same file makes the same fleet."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("6f0f4a3e-6f0a-5a43-9f6c-1d3f1d2f8a10")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_HOSTS_PER_SUBNET = 250  # Azure keeps the first four addresses of each subnet and the last one


def made_up_guid(*names: str) -> str:
    """A lower-case GUID for a path of names."""
    return str(uuid.uuid5(_NAMESPACE, "\x00".join(names)))


def base36(value: int, width: int) -> str:
    """A number in base 36, as uniform scale sets number their host names (contract section 6.6)."""
    text = ""
    while value:
        value, digit = divmod(value, 36)
        text = _DIGITS[digit] + text
    return text.rjust(width, "0")


def private_ipv4(index: int) -> str:
    """The index-th private address of the neighbourhood, 250 to a /24 subnet, from 10.1.0.4 on."""
    subnet, host = divmod(index, _HOSTS_PER_SUBNET)
    second, third = divmod(subnet, 256)
    return f"10.{second + 1}.{third}.{host + 4}"


def public_ipv4(index: int) -> str:
    """The index-th public address, of the block that is set aside for benchmarks and belongs to nobody."""
    return f"198.{18 + index // 65000}.{index % 65000 // 250}.{index % 250 + 1}"


def private_ipv6(index: int) -> str:
    """The index-th IPv6 address, of the documentation prefix."""
    return f"2001:db8::{index + 4:x}"


def mac(index: int) -> str:
    """The index-th hardware address: twelve upper-case hex digits, as IMDS writes them (contract section 3.5)."""
    return f"000D3A{index + 0x100000:06X}"


def normal_mac(text: str) -> str | None:
    """A hardware address in IMDS' form out of any usual one; None when it is none."""
    digits = "".join(character for character in text if character not in "-:.").upper()
    return digits if len(digits) == 12 and all(character in "0123456789ABCDEF" for character in digits) else None


__all__ = ["base36", "mac", "made_up_guid", "normal_mac", "private_ipv4", "private_ipv6", "public_ipv4"]
