# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a place for the fleet document must be able to do, and the one way to change a document in it."""

from __future__ import annotations

import typing as t

from .document import FleetDocument

Version = t.Optional[str]
T = t.TypeVar("T")


class StoreError(Exception):
    """The document cannot be read or written now; the text says where, why, and what to check."""


class Store(t.Protocol):
    """Holds one fleet document."""

    def load(self) -> tuple[FleetDocument, Version]:
        """The document and its version; an empty one and None when there is none yet.

        Raises:
            StoreError: it cannot be read.
            FleetFormatError: what is stored is no fleet document.
        """

    def save(self, document: FleetDocument, version: Version) -> bool:
        """Store the document if the stored version is still this one; whether it was stored.

        Raises:
            StoreError: unknown whether it was stored; load to see.
        """


def update(
    store: Store, change: t.Callable[[FleetDocument], tuple[FleetDocument, T]], *, attempts: int = 20
) -> tuple[FleetDocument, T]:
    """Change the document so that no other change is lost.

    Args:
        change: a pure function from a document to the new one and a result; called again after a lost race.

    Returns:
        The stored document and the result that belongs to it. Nothing is written when nothing changes.

    Raises:
        StoreError: the store failed, or every attempt lost the race.
    """
    for _attempt in range(attempts):
        document, version = store.load()
        changed, result = change(document)
        if changed == document or store.save(changed, version):
            return changed, result
    raise StoreError(f"the fleet document changed {attempts} times while it was being written; is a host in a loop?")


__all__ = ["Store", "StoreError", "Version", "update"]
