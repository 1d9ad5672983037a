# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command prints for people: one line for each thing, in columns."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from azure_emulator.clock import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    lines = [[str(head) for head in heads], *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _cell(value: Any) -> str:
    """A value on one line: control characters of foreign text must not reach the terminal."""
    if value is None:
        return "-"
    text = ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)


def _clock_time(when: float | None) -> str:
    return "-" if when is None else iso(when)[11:19]


def print_fleet(fleet: dict[str, Any]) -> None:
    """VMs with address, place and state."""
    print_vms(fleet["vms"])
    sys.stdout.write(f"Resource Manager: {fleet['resource_manager']}\n")


def print_vms(vms: Iterable[dict[str, Any]]) -> None:
    """VMs, a line each."""
    heads = ("VM", "STATE", "ENDPOINT", "ZONE", "FD", "UD", "SET")
    rows = (
        (
            vm["key"],
            vm["state"],
            vm["endpoint"],
            vm["zone"],
            vm["fault_domain"],
            vm["update_domain"],
            vm["availability_set"] or vm["scale_set"],
        )
        for vm in vms
    )
    _table(heads, rows)


def print_events(events: list[dict[str, Any]]) -> None:
    """Events with their times."""
    heads = ("EVENTID", "TYPE", "STATUS", "NOTBEFORE", "APPROVED", "STARTED", "ENDED", "RESOURCES")
    rows = (
        (
            event["event_id"],
            event["type"],
            event["status"],
            _clock_time(event["not_before"]),
            f"{_clock_time(event['approved_at'])} by {event['approved_by']}" if event["approved_at"] else None,
            _clock_time(event["started_at"]),
            _clock_time(event["gone_at"] or event["cancelled_at"]),
            event["resources"],
        )
        for event in events
    )
    _table(heads, rows)


def print_requests(requests: list[dict[str, Any]]) -> None:
    """Requests with their answers."""
    heads = ("SEQ", "AT", "VM", "METHOD", "PATH", "QUERY", "STATUS", "FAULT")
    rows = (
        (
            entry["seq"],
            _clock_time(entry["at"]),
            entry["vm"],
            entry["method"],
            entry["path"],
            "&".join(f"{name}={value}" for name, value in entry["query"].items()),
            entry.get("breakage") or entry["status"],
            entry["fault"],
        )
        for entry in requests
    )
    _table(heads, rows)


def print_faults(faults: list[dict[str, Any]]) -> None:
    """Faults with what they hit so far."""
    heads = ("ID", "FAULT", "VMS", "CATEGORY", "HITS", "OF", "ACTIVE")
    rows = (
        (f["id"], f["fault"], f["vms"] or "all", f["category"], f["hits"], f["count"], "yes" if f["active"] else "no")
        for f in faults
    )
    _table(heads, rows)


def print_log(entries: list[dict[str, Any]]) -> None:
    """What happened, a line each."""
    for entry in entries:
        rest = {name: value for name, value in entry.items() if name not in ("seq", "at", "at_text", "kind")}
        details = " ".join(f"{name}={_cell(value)}" for name, value in rest.items() if value is not None)
        sys.stdout.write(f"{entry['seq']:>6}  {entry['at_text']}  {entry['kind']:<18} {details}\n")


__all__ = ["print_events", "print_faults", "print_fleet", "print_log", "print_requests", "print_vms"]
