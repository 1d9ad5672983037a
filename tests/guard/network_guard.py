"""Refuse every dial that does not stay on this machine.

Installed in the test process by ``tests/conftest.py`` and in each Python child by ``sitecustomize.py`` beside this
file, which the environment puts on their path. A refused dial is also written to a file that the test session reads
at its end, so that code which swallows the error does not hide it.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

LOG_VARIABLE = "NETWORK_GUARD_LOG"
_EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def is_local(address: Any) -> bool:
    """Whether a socket address is loopback or no internet address at all (a Unix path, netlink)."""
    if not isinstance(address, tuple) or not address or not isinstance(address[0], str):
        return True
    host = address[0].split("%", 1)[0]
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _EVENTS and len(args) > 1 and not is_local(args[1]):
        message = f"network guard: {event} to {args[1]!r} is not loopback"
        log = os.environ.get(LOG_VARIABLE)
        if log:
            with Path(log).open("a", encoding="utf-8") as stream:
                stream.write(f"{message} (pid {os.getpid()}, {sys.argv[:2]})\n")
        raise PermissionError(message)


def install() -> None:
    """Guard this process, for good: an audit hook cannot be removed."""
    sys.addaudithook(_hook)
