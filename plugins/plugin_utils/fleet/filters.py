# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that need no template, applied before anything is fetched for a single scale set. Pure."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.resource_ids import location, parse_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import Record
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.documents import ScaleSet


class Filters(NamedTuple):
    """What a machine must be to be in the inventory; an empty filter lets all pass.

    Attributes:
        resource_groups, exclude_resource_groups: patterns as of a shell, without regard to case.
        locations: names of regions.
        tags: for each tag name the values that pass, patterns too; None stands for any value.
    """

    resource_groups: Sequence[str] = ()
    exclude_resource_groups: Sequence[str] = ()
    locations: Sequence[str] = ()
    tags: Mapping[str, Sequence[str] | None] = {}

    def keeps(self, record: Record) -> bool:
        """Whether a machine passes."""
        return self._passes(record["resource_group"], record["location"], record["tags"])

    def keeps_set(self, scale_set: ScaleSet) -> bool:
        """Whether the instances of a uniform scale set may pass: they have its resource group, region and tags."""
        return self._passes(parse_id(scale_set.id).group, scale_set.location, scale_set.tags)

    def _passes(self, group: str | None, region: str | None, tags: Mapping[str, str]) -> bool:
        name = (group or "").lower()
        if self.resource_groups and not _matches(name, self.resource_groups):
            return False
        if _matches(name, self.exclude_resource_groups):
            return False
        if self.locations and region not in {location(wanted) for wanted in self.locations}:
            return False
        return all(self._has_tag(tags, key, values) for key, values in self.tags.items())

    @staticmethod
    def _has_tag(tags: Mapping[str, str], key: str, values: Sequence[str] | None) -> bool:
        found = [value for name, value in tags.items() if name.lower() == key.lower()]
        return bool(found) and (values is None or any(fnmatch.fnmatchcase(found[0], pattern) for pattern in values))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in patterns)


def read_tag_filter(value: Any) -> dict[str, list[str] | None]:
    """The ``tags`` option: a value, a list of values, or null for "has the tag".

    Raises:
        ValueError: a value of another kind; the text says which.
    """
    if not isinstance(value, dict):
        raise ValueError(f"a dictionary of tag names is needed, not {type(value).__name__}")
    filters: dict[str, list[str] | None] = {}
    for key, wanted in value.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if wanted is None:
            filters[str(key)] = None
        elif all(isinstance(item, (str, int, float)) for item in values):
            filters[str(key)] = [
                ("true" if item else "false") if isinstance(item, bool) else str(item) for item in values
            ]
        else:
            raise ValueError(f"{key}: a value, a list of values or null is needed")
    return filters


__all__ = ["Filters", "read_tag_filter"]
