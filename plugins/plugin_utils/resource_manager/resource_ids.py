# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ids and names of Azure's resources. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple


class ResourceId(NamedTuple):
    """The parts of a resource's id; None where it has no such part."""

    subscription: str | None
    group: str | None
    names: dict[str, str]  # by lower-case type: {"virtualmachinescalesets": "web", "virtualmachines": "0"}

    @property
    def name(self) -> str | None:
        """The last name, that of the resource itself."""
        return next(reversed(self.names.values()), None)


def parse_id(value: str) -> ResourceId:
    """Split ``/subscriptions/s/resourceGroups/g/providers/p/type/name[/type/name]``, in any case of the key words."""
    parts = value.strip("/").split("/")
    pairs = dict(zip((p.lower() for p in parts[0::2]), parts[1::2], strict=False))
    subscription, group = pairs.pop("subscriptions", None), pairs.pop("resourcegroups", None)
    if "providers" in pairs:  # the provider stands between: types and names begin behind it
        at = [p.lower() for p in parts].index("providers")
        rest = parts[at + 2 :]
        pairs = dict(zip((p.lower() for p in rest[0::2]), rest[1::2], strict=False))
    return ResourceId(subscription, group, pairs)


def location(value: Any) -> str | None:
    """A region's name: ``westeurope`` for ``West Europe`` too."""
    return value.replace(" ", "").lower() if isinstance(value, str) and value else None


def os_type(value: Any) -> str | None:
    """``Linux`` or ``Windows`` in this case, whatever the service's (contract section 3.2)."""
    return value.capitalize() if isinstance(value, str) and value else None


def lowered(value: Any) -> str | None:
    """A string in lower case, None for an empty or absent one: ids are compared so."""
    return value.lower() if isinstance(value, str) and value else None


__all__ = ["ResourceId", "location", "lowered", "os_type", "parse_id"]
