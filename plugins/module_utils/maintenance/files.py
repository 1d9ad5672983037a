# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Files that are either the old ones or the new ones, also after a power cut."""

from __future__ import annotations

import os


def replace_file(path: str, data: bytes, *, mode: int = 0o640, durable: bool = True) -> None:
    """Put data in place of a file's content, at once or not at all.

    A file that root puts into another user's directory is that user's.

    Args:
        mode: permission bits of a file that does not exist yet, whatever the umask.
        durable: wait until it is on disk (fsync of the file and of its directory).

    Raises:
        OSError: the old content is still there.
    """
    try:
        mode = os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        pass
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        remove_file(temporary)  # of a process that had this number before; or a trap, hence O_EXCL
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            _give_to_owner(stream.fileno(), os.path.dirname(path) or ".")
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError:
        remove_file(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path) or ".")


def _give_to_owner(descriptor: int, directory: str) -> None:
    if os.geteuid() == 0:
        owner = os.stat(directory)
        if owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def sync_directory(path: str) -> None:
    """Make a rename in a directory durable; a file system that cannot is not an error."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def remove_file(path: str) -> None:
    """Remove a file; one that is not there, or cannot be removed, is left alone."""
    try:
        os.unlink(path)
    except OSError:
        pass


__all__ = ["remove_file", "replace_file", "sync_directory"]
