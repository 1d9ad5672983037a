# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Telling the service manager how the service is (sd_notify(3)): ready, status, alive, reloading, stopping."""

from __future__ import annotations

import os
import socket
import time
import typing as t

# A first question may take so long that a usual watchdog would end the service for it.
PATIENT_WATCHDOG = 200.0


class Notifier:
    """Speaks to the service manager that started this process; says nothing when there is none.

    Args:
        environ: where ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC`` are.
        mono: monotonic seconds, of the kernel's own clock.
    """

    def __init__(
        self, environ: t.Mapping[str, str] | None = None, *, mono: t.Callable[[], float] = time.monotonic
    ) -> None:
        environ = os.environ if environ is None else environ
        self._mono = mono
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environ) if self._address else None
        self._current = self.watchdog
        self._pinged = float("-inf")
        self._status = ""

    @property
    def longest_pause(self) -> float:
        """Seconds between two calls of :meth:`alive` at the most; infinite without a watchdog."""
        return float("inf") if self.watchdog is None else self.watchdog / 3

    def ready(self) -> None:
        """The service is up, or has finished reading its configuration anew."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read anew."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._mono() * 1e6)}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """What ``systemctl status`` shows; told only when it is something new."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Keep the watchdog quiet; not more often than is of use."""
        if self.watchdog is not None and self._mono() - self._pinged >= self.watchdog / 10:
            self._pinged = self._mono()
            self._send("WATCHDOG=1")

    def patient(self, wanted: bool) -> None:
        """Ask for a longer watchdog while one step may take long, and for the usual one after that."""
        if self.watchdog is None:
            return
        seconds = max(self.watchdog, PATIENT_WATCHDOG) if wanted else self.watchdog
        if seconds != self._current:
            self._current = seconds
            self._send(f"WATCHDOG_USEC={int(seconds * 1e6)}")

    def _send(self, message: str) -> None:
        """Nothing here may stop the service: a manager that does not listen is its own problem."""
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError:
            pass


def _address(text: str) -> str | None:
    """A path, or a name in the abstract namespace, which begins with @. Other kinds (vsock) are not for services."""
    if text.startswith("@"):
        return f"\0{text[1:]}"
    return text if text.startswith("/") else None


def _watchdog(environ: t.Mapping[str, str]) -> float | None:
    """Seconds of the watchdog, when it is meant for this process."""
    try:
        seconds = int(environ["WATCHDOG_USEC"]) / 1e6
        pid = int(environ.get("WATCHDOG_PID") or os.getpid())
    except (KeyError, ValueError):
        return None
    return seconds if seconds > 0 and pid == os.getpid() else None


__all__ = ["PATIENT_WATCHDOG", "Notifier"]
