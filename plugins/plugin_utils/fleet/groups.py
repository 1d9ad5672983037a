# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups that a record belongs to, by name. Pure.

The number of a fault or update domain means something only inside one availability set or scale set, and that of a
zone only inside one region; so each of these groups exists plain and qualified::

    azure_update_domain_2    azure_availability_set_web_update_domain_2
    azure_fault_domain_1     azure_scale_set_api_fault_domain_1
    azure_zone_3             azure_location_westeurope_zone_3
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.maintenance import states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record

# Kinds that have a group for each value of one field; the names of Azure's resources do not distinguish case.
_BY_FIELD = {
    "environment": "environment",
    "subscription": "subscription_id",
    "resource_group": "resource_group",
    "location": "location",
    "zone": "zone",
    "physical_zone": "physical_zone",
    "size": "size",
    "os_type": "os_type",
    "priority": "priority",
    "power_state": "power_state",
    "fault_domain": "fault_domain",
    "update_domain": "update_domain",
}
_SETS = ("availability_set", "scale_set")
DEFAULT = (
    "location",
    "zone",
    "fault_domain",
    "update_domain",
    "tag",
    "availability_set",
    "scale_set",
    "maintenance",
)
KINDS = (*_BY_FIELD, *_SETS, "tag", "maintenance")


class Grouping:
    """Names the groups of records of one fleet.

    Args:
        by: kinds of groups, out of ``KINDS``.
        tags: patterns of the tag names that make groups.
        qualified: whether domains and zones also have groups inside their set or region.
        prefix: first part of each name.
        sanitize: makes a valid group name of any text.
    """

    def __init__(
        self,
        by: Iterable[str],
        *,
        tags: Sequence[str] = ("*",),
        qualified: bool = True,
        prefix: str = "azure_",
        sanitize: Callable[[str], str],
    ) -> None:
        self._by = frozenset(by)
        self._fields = [(kind, field) for kind, field in _BY_FIELD.items() if kind in self._by]
        self._tags, self._qualified, self._prefix, self._sanitize = tags, qualified, prefix, sanitize
        self._names: dict[tuple[str, ...], str] = {}
        self._wanted_tags: dict[str, bool] = {}
        self._labels: dict[tuple[str, str, str, str], str] = {}

    def of(self, records: Sequence[Record]) -> list[list[str]]:
        """The names of each record's groups, without repetition, in a fixed order.

        Sets of the same name in several resource groups or subscriptions share the group of the name, and each has one
        with its resource group (and subscription) in front, too; their domains only exist under the longer name.
        """
        self._labels = self._label_sets(records)
        return [list(dict.fromkeys(self._groups(record))) for record in records]

    def _groups(self, record: Record) -> Iterable[str]:
        values: Any = record
        for kind, field in self._fields:
            if values[field] is not None:
                yield self._name(kind, str(values[field]).lower())
        if self._qualified and "zone" in self._by and record["zone"] and record["location"]:
            yield self._name("location", record["location"], "zone", record["zone"])
        for kind in _SETS:
            if values[kind] is not None:
                yield from self._set_groups(kind, values[kind].lower(), record)
        if "tag" in self._by:
            for key, value in record["tags"].items():
                if self._is_wanted(key):
                    yield self._name("tag", key, value) if value else self._name("tag", key)
        if "maintenance" in self._by and record["maintenance"]:
            for state in states(record["maintenance"]):
                yield self._name("maintenance", state)

    def _set_groups(self, kind: str, name: str, record: Record) -> Iterable[str]:
        label = self._labels[_set_key(kind, name, record)]
        if kind in self._by:
            yield self._name(kind, name)
            if label != name:
                yield self._name(kind, label)
        if self._qualified:
            if "fault_domain" in self._by and record["fault_domain"] is not None:
                yield self._name(kind, label, "fault_domain", str(record["fault_domain"]))
            if "update_domain" in self._by and record["update_domain"] is not None:
                yield self._name(kind, label, "update_domain", str(record["update_domain"]))

    def _name(self, *parts: str) -> str:
        name = self._names.get(parts)
        if name is None:
            name = self._names[parts] = self._sanitize(self._prefix + "_".join(parts))
        return name

    def _is_wanted(self, key: str) -> bool:
        wanted = self._wanted_tags.get(key)
        if wanted is None:
            # Azure's tag names do not distinguish case.
            wanted = any(fnmatch.fnmatchcase(key.lower(), pattern.lower()) for pattern in self._tags)
            self._wanted_tags[key] = wanted
        return wanted

    def _label_sets(self, records: Iterable[Record]) -> dict[tuple[str, str, str, str], str]:
        """The shortest text that tells each set from all others of its kind."""
        keys = {
            _set_key(kind, str(values[kind]).lower(), record)
            for record in records
            for kind, values in ((kind, _any(record)) for kind in _SETS)
            if values[kind] is not None
        }
        labels: dict[tuple[str, str, str, str], str] = {}
        for parts in (1, 2, 3):
            users: dict[tuple[str, str], list[tuple[str, str, str, str]]] = {}
            for key in keys - labels.keys():
                users.setdefault((key[0], self._sanitize("_".join(key[4 - parts :]))), []).append(key)
            for same in users.values():
                if len(same) == 1 or parts == 3:
                    labels.update({key: "_".join(key[4 - parts :]) for key in same})
        return labels


def _any(record: Record) -> Any:
    return record


def _set_key(kind: str, name: str, record: Record) -> tuple[str, str, str, str]:
    """A set is in the resource group of its machines, so that theirs tell it from others of its name."""
    return kind, (record["subscription_id"] or "").lower(), (record["resource_group"] or "").lower(), name


__all__ = ["DEFAULT", "KINDS", "Grouping"]
