# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which api-versions there are, category by category (contract sections 2, 3.1 and 6.2)."""

from __future__ import annotations

from functools import cache

INSTANCE_VERSIONS = (
    "2017-03-01",
    "2017-04-02",
    "2017-08-01",
    "2017-10-01",
    "2017-12-01",
    "2018-02-01",
    "2018-04-02",
    "2018-10-01",
    "2019-02-01",
    "2019-03-11",
    "2019-04-30",
    "2019-06-01",
    "2019-06-04",
    "2019-08-01",
    "2019-08-15",
    "2019-11-01",
    "2020-06-01",
    "2020-07-15",
    "2020-09-01",
    "2020-10-01",
    "2020-12-01",
    "2021-01-01",
    "2021-02-01",
    "2021-03-01",
    "2021-05-01",
    "2021-08-01",
    "2021-10-01",
    "2021-11-01",
    "2021-11-15",
    "2021-12-13",
    "2023-07-01",
    "2023-11-15",
    "2024-03-15",
    "2024-07-17",
    "2025-04-07",
)
"""Contract section 3.1, oldest first; what ``/metadata/versions`` lists."""

EVENTS_VERSIONS = (
    "2017-03-01",
    "2017-08-01",
    "2017-11-01",
    "2019-01-01",
    "2019-04-01",
    "2019-08-01",
    "2020-07-01",
)
"""Contract section 6.2: a list of its own, of which ``/metadata/versions`` says nothing."""

FIRST_VERSION = {
    "instance": "2017-03-01",
    "scheduledevents": "2017-03-01",
    "identity": "2018-02-01",
    "attested": "2018-10-01",
    "loadbalancer": "2020-10-01",
}
"""Contract section 2: the first api-version that has the category."""


@cache
def versions_of(category: str, newest: str) -> tuple[str, ...]:
    """The api-versions of a category, oldest first, in a region that has got as far as a newest one."""
    known = EVENTS_VERSIONS if category == "scheduledevents" else INSTANCE_VERSIONS
    return tuple(v for v in known if FIRST_VERSION[category] <= v <= newest)


def nearest_events_version(version: str, newest: str) -> str | None:
    """The scheduledevents version that any known version stands for under lenient rules; None for no version."""
    if version not in EVENTS_VERSIONS and version not in INSTANCE_VERSIONS:
        return None
    return max(v for v in versions_of("scheduledevents", newest) if v <= version)


__all__ = ["EVENTS_VERSIONS", "FIRST_VERSION", "INSTANCE_VERSIONS", "nearest_events_version", "versions_of"]
