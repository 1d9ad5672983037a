# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for hosts: valid, and unique by construction. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record

# Characters that mean something in host patterns, ranges or templates, or that no terminal should be sent.
_UNFIT = re.compile(r"[^\w.@+-]", re.ASCII)


def is_fit(name: str) -> bool:
    """Whether a text can be a host's name: letters, digits and ``. _ - @ +``, or an IP address."""
    if not name or name[0] in "-.@+":
        return False
    if _UNFIT.search(name) is None:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def made_fit(name: str) -> str:
    """The text with an underscore in place of every character that a host's name cannot have."""
    fit = _UNFIT.sub("_", name)
    return fit if fit and fit[0] not in "-.@+" else f"vm{fit}"


def first_fit(candidates: Iterable[object]) -> str | None:
    """The first candidate that is a text and can be a host's name."""
    return next((c for c in candidates if isinstance(c, str) and is_fit(c)), None)


def unique(records: Sequence[Record], wanted: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A different name for each record.

    Machines that want the same name (compared without case) all get their resource group behind it; those of the same
    resource group name in several subscriptions get the subscription too, and what is still the same the VM's id. No
    machine keeps the short name, so that none depends on the order of the lists.

    Args:
        records: the machines.
        wanted: a name for each.

    Returns:
        the names in the order of the records, and for each name that several wanted the names that they have now.
    """
    levels = [0] * len(records)
    while True:
        names = [_longer(record, name, level) for record, name, level in zip(records, wanted, levels, strict=True)]
        users: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            users.setdefault(name.lower(), []).append(index)
        clashing = [i for same in users.values() if len(same) > 1 for i in same if levels[i] < _LAST]
        if not clashing:
            break
        for index in clashing:
            levels[index] += 1
    for same in users.values():  # one machine twice: facts of two hosts that are the same
        for number, index in enumerate(same[1:], 2):
            names[index] += f"_{number}"
    clashes: dict[str, list[str]] = {}
    for index, level in enumerate(levels):
        if level:
            clashes.setdefault(wanted[index], []).append(names[index])
    return names, clashes


_LAST = 3


def _longer(record: Record, name: str, level: int) -> str:
    parts = [name]
    if level >= 1:
        parts.append((record["resource_group"] or "").lower())
    if level >= 2:
        parts.append((record["subscription_id"] or "").lower())
    if level >= _LAST:
        parts.append(record["vm_id"] or record["resource_id"].lower())
    return name if level == 0 else made_fit("_".join(parts))


__all__ = ["first_fit", "is_fit", "made_fit", "unique"]
