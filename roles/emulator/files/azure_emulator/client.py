# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the control side: standard library only, safe to use from several threads."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from azure_emulator.errors import EmulatorError, InputError


class ControlError(EmulatorError):
    """The control side refused, or cannot be reached.

    Args:
        message: what it said. status: HTTP status; None when there was no answer. path: the offending key, if any.
    """

    def __init__(self, message: str, *, status: int | None = None, path: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.path = path


class ControlClient:
    """Speaks to the control side of an emulator.

    Args:
        url: ``http://host:port``. timeout: seconds for one call.

    Raises:
        InputError: the address is none.
        ControlError: by every method, when the emulator refuses or does not answer.
    """

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise InputError("control", f"{url!r} is not of the form http://host:port")
        self.url = url.rstrip("/")
        self._host, self._port, self._timeout = parts.hostname, parts.port or 80, timeout

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One call; returns the decoded answer. Parameters that are None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        target = path + (f"?{urlencode(given)}" if given else "")
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, target, data, {"Content-Type": "application/json"} if data else {})
            response = connection.getresponse()
            status, answer = response.status, json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as exc:
            raise ControlError(
                f"no emulator answers at {self.url}: {exc}. Is it running, and is this its control address?"
            ) from exc
        finally:
            connection.close()
        if status >= 400:
            raise ControlError(answer["error"], status=status, path=answer.get("path", ""))
        return answer

    def health(self) -> Any:
        """Whether it is there: version, number of VMs, process id."""
        return self.call("GET", "/healthz")

    def fleet(self) -> Any:
        """The fleet with all addresses, ids and states."""
        return self.call("GET", "/fleet")

    def vm(self, name: str) -> Any:
        """One VM of the fleet."""
        return self.call("GET", f"/vms/{quote(name, safe='')}")

    def change_vm(self, name: str, **changes: Any) -> Any:
        """Give a VM other ``tags`` or ``user_data``."""
        return self.call("PATCH", f"/vms/{quote(name, safe='')}", changes)

    def schedule(self, type: str, resources: list[str] | tuple[str, ...] | str, **options: Any) -> Any:  # noqa: A002 - the API's name
        """Schedule an event; returns it. Options as of ``POST /events``."""
        names = [resources] if isinstance(resources, str) else list(resources)
        return self.call("POST", "/events", {"type": type, "resources": names, **options})

    def events(self, *, only_open: bool = False) -> Any:
        """All events with their history."""
        return self.call("GET", "/events", open="true" if only_open else None)

    def event(self, event_id: str) -> Any:
        """One event with its history."""
        return self.call("GET", f"/events/{quote(event_id, safe='')}")

    def cancel(self, event_id: str) -> Any:
        """Cancel a scheduled event."""
        return self.call("DELETE", f"/events/{quote(event_id, safe='')}")

    def reschedule(self, event_id: str, not_before: float) -> Any:
        """Move a scheduled event to so many seconds from now."""
        return self.call("PATCH", f"/events/{quote(event_id, safe='')}", {"not_before": not_before})

    def operate(self, operation: str, resources: list[str] | tuple[str, ...] | str, **options: Any) -> Any:
        """Do what a user does: restart, redeploy, delete, evict, start, stop or deallocate VMs."""
        names = [resources] if isinstance(resources, str) else list(resources)
        return self.call("POST", "/operations", {"operation": operation, "resources": names, **options})

    def requests(self, vm: str | None = None, *, category: str | None = None, since: int | None = None) -> Any:
        """Requests that the services got, oldest first."""
        return self.call("GET", "/requests", vm=vm, category=category, since=since)["requests"]

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        self.call("DELETE", "/requests")

    def faults(self) -> Any:
        """The faults that were asked for."""
        return self.call("GET", "/faults")

    def add_fault(self, **spec: Any) -> Any:
        """Have something go wrong; keys as of ``POST /faults``."""
        return self.call("POST", "/faults", spec)

    def remove_fault(self, fault_id: str) -> None:
        """End a fault."""
        self.call("DELETE", f"/faults/{quote(fault_id, safe='')}")

    def clear_faults(self) -> None:
        """End all faults."""
        self.call("DELETE", "/faults")

    def clock(self) -> Any:
        """The clock: mode, scale, now, and the anchors to compute it from real time."""
        return self.call("GET", "/clock")

    def advance(self, seconds: float) -> Any:
        """Put the clock forward; returns the clock once all that fell due has happened."""
        return self.call("POST", "/clock", {"advance": seconds})

    def idle(self) -> Any:
        """Whether no event is open, how many are, and when something is due next."""
        return self.call("GET", "/idle")

    def log(self, since: int = 0) -> Any:
        """What happened after an entry's number, oldest first."""
        return self.call("GET", "/log", since=since)["log"]


__all__ = ["ControlClient", "ControlError"]
