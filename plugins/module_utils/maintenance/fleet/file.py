# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The fleet document in a file: several handlers on one machine (rehearsals, the demo), or a shared file system.

The compare and swap needs locks that work: on NFS that means version 4 or a running lock service.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from ..files import replace_file
from .document import EMPTY, FleetDocument
from .serialize import dump, load
from .store import StoreError, Version


class FileStore:
    """See :class:`.store.Store`. The version is the file's own text, which needs no digest and cannot collide."""

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> tuple[FleetDocument, Version]:
        """The document and its version."""
        text = self._read()
        return (EMPTY if text is None else load(text)), text

    def save(self, document: FleetDocument, version: Version) -> bool:
        """Compare and swap under a lock."""
        with self._locked():
            if self._read() != version:
                return False
            try:
                replace_file(self._path, dump(document).encode("utf-8"))
            except OSError as exc:
                raise StoreError(f"fleet file {self._path} cannot be written: {exc.strerror}") from exc
            return True

    def _read(self) -> str | None:
        try:
            with open(self._path, encoding="utf-8", errors="surrogateescape") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StoreError(f"fleet file {self._path} cannot be read: {exc.strerror}") from exc

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[None]:
        # A file of its own, never replaced: a lock on the document's file would go with the replaced file.
        try:
            lock = os.open(self._path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except OSError as exc:
            raise StoreError(f"fleet file {self._path} cannot be locked: {exc.strerror}") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


__all__ = ["FileStore"]
