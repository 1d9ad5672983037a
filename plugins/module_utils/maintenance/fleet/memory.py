# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The fleet of one: the document in this process. Events that touch other VMs find nobody else ready."""

from __future__ import annotations

from .document import EMPTY, FleetDocument
from .store import Version


class MemoryStore:
    """See :class:`.store.Store`."""

    def __init__(self) -> None:
        self._document = EMPTY
        self._version = 0

    def load(self) -> tuple[FleetDocument, Version]:
        """The document and its version."""
        return self._document, str(self._version)

    def save(self, document: FleetDocument, version: Version) -> bool:
        """Compare and swap."""
        if version != str(self._version):
            return False
        self._document, self._version = document, self._version + 1
        return True


__all__ = ["MemoryStore"]
