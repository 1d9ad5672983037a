# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which api-version to ask for: a preferred one for each category, and what to fall back on when it is refused.

New versions reach regions and sovereign clouds at different times, so a refusal (400) is normal and an older version
is then the right answer (contract section 3.1). ``/metadata/versions`` says nothing about scheduledevents, whose list
is its own.
"""

from __future__ import annotations

import typing as t

AUTO = "auto"

# Contract section 3.1, oldest first.
INSTANCE_VERSIONS = (
    *("2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02"),
    *("2018-10-01", "2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01"),
    *("2019-08-15", "2019-11-01", "2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01"),
    *("2021-01-01", "2021-02-01", "2021-03-01", "2021-05-01", "2021-08-01", "2021-10-01", "2021-11-01"),
    *("2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15", "2024-03-15", "2024-07-17", "2025-04-07"),
)
# Contract section 6.2, oldest first.
SCHEDULED_EVENTS_VERSIONS = (
    *("2017-03-01", "2017-08-01", "2017-11-01", "2019-01-01", "2019-04-01", "2019-08-01", "2020-07-01"),
)


class Ladder(t.NamedTuple):
    """The versions to try for a category, preferred first; ``since`` is the first version that has the category."""

    rungs: tuple[str, ...]
    since: str


# The preferred version is the oldest that has every field we use; the further rungs are the versions that brought a
# field worth keeping, so that an old service loses as little as possible.
LADDERS: t.Mapping[str, Ladder] = {
    "instance": Ladder(
        (
            "2023-11-15",
            "2021-12-13",
            "2021-02-01",
            "2020-06-01",
            "2019-06-04",
            "2018-10-01",
            "2017-12-01",
            "2017-04-02",
        ),
        "2017-04-02",
    ),
    "scheduledevents": Ladder(tuple(reversed(SCHEDULED_EVENTS_VERSIONS)), "2017-03-01"),
    "attested": Ladder(("2020-09-01", "2018-10-01"), "2018-10-01"),
    "identity": Ladder(("2018-02-01",), "2018-02-01"),
    "loadbalancer": Ladder(("2020-10-01",), "2020-10-01"),
}


def category_of(path: str) -> str:
    """First element of a path below ``/metadata``: ``instance`` for ``instance/compute/name``."""
    return path.strip("/").split("/", 1)[0]


def preferred(category: str) -> str | None:
    """The api-version to ask for first, or None for a category that takes none (``versions``)."""
    ladder = LADDERS.get(category)
    return ladder.rungs[0] if ladder else None


def fallback(category: str, refused: t.Collection[str], newest_versions: t.Sequence[str]) -> str | None:
    """The next api-version to try after a refusal, or None when there is none left.

    Args:
        category: as of :func:`category_of`.
        refused: the versions that were refused so far.
        newest_versions: what the service's answer listed, in any order; empty when it listed nothing.
    """
    ladder = LADDERS.get(category)
    if ladder is None:
        return None
    ceiling = min(refused)
    listed = [v for v in newest_versions if ladder.since <= v < ceiling]
    if listed:
        return max(listed)
    # The list names only the newest three: with all of them newer than what was refused, the ladder goes on.
    return next((v for v in ladder.rungs if v < ceiling), None)


__all__ = [
    "AUTO",
    "INSTANCE_VERSIONS",
    "LADDERS",
    "SCHEDULED_EVENTS_VERSIONS",
    "category_of",
    "fallback",
    "preferred",
]
