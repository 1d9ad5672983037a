# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Lines of log: to systemd's journal with fields, or to standard error."""

from __future__ import annotations

import os
import socket
import struct
import sys
import typing as t

Log = t.Callable[[str, str, t.Mapping[str, t.Any]], None]
JOURNAL_SOCKET = "/run/systemd/journal/socket"
_PRIORITY = {"error": 3, "warning": 4, "info": 6}


class StderrLog:
    """Bare lines, for a terminal or a file."""

    def __init__(self, stream: t.TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def __call__(self, level: str, line: str, _fields: t.Mapping[str, t.Any]) -> None:
        """Write a line; one level other than info is named."""
        self._stream.write(line + "\n" if level == "info" else f"{level}: {line}\n")
        self._stream.flush()


class JournalLog:
    """Entries in the journal's own protocol, so that every field can be searched for:
    ``journalctl AZURE_MAINTENANCE_STEP=approve``.
    """

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __call__(self, level: str, line: str, fields: t.Mapping[str, t.Any]) -> None:
        """Send an entry; one that the journal does not take goes to standard error."""
        entry = {"MESSAGE": line, "PRIORITY": _PRIORITY[level], "SYSLOG_IDENTIFIER": "azure-maintenance"}
        entry.update(
            {f"AZURE_MAINTENANCE_{name.upper()}": value for name, value in fields.items() if value is not None}
        )
        try:
            self._socket.sendto(b"".join(_field(name, str(value)) for name, value in entry.items()), self._path)
        except OSError:
            sys.stderr.write(f"<{_PRIORITY[level]}>{line}\n")

    def close(self) -> None:
        """End it."""
        self._socket.close()


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return name.encode("ascii") + b"=" + data + b"\n"
    return name.encode("ascii") + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


def default_log() -> Log:
    """The journal when standard error leads there, else standard error itself."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    if stream and os.path.exists(JOURNAL_SOCKET):
        try:
            status = os.fstat(2)
        except OSError:
            return StderrLog()
        if stream == f"{status.st_dev}:{status.st_ino}":
            return JournalLog()
    return StderrLog()


__all__ = ["JournalLog", "Log", "StderrLog", "default_log"]
