# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account as text: a line for each VM, a line for each event."""

from __future__ import annotations

from collections.abc import Iterable

from demo.evidence import DOWN, DRAINED, DRAINING, FROZEN, RESUMING, Account, Event, stretches

SIGNS = {DRAINING: "-", DRAINED: "=", DOWN: "#", FROZEN: "*", RESUMING: "+"}
LEGEND = ". in service   - draining   = drained   # down   * frozen   + resuming   A approved"
# Where a column holds several things, the later in this list is shown.
_RANK = [None, DRAINED, DRAINING, RESUMING, DOWN, FROZEN]


def render(account: Account, *, width: int = 100) -> str:
    """The timeline, as wide as the terminal."""
    label = max((len(vm) for vm in account.vms), default=0) + 2
    columns = max(20, width - label)
    scale = (account.end - account.start) / columns or 1.0
    lines = [" " * label + _ruler(account, columns, scale)]
    for vm in account.vms:
        lines.append(vm.ljust(label) + _row(account, vm, columns, scale))
    lines += ["", " " * label + LEGEND, ""]
    lines += [_event_line(event, account.start) for event in account.events]
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """Minutes and seconds since the start."""
    return f"{int(seconds) // 60:d}:{int(seconds) % 60:02d}"


def _ruler(account: Account, columns: int, scale: float) -> str:
    line = [" "] * (columns + 8)
    step = next(s for s in (30, 60, 120, 300, 600, 1800, 86400) if s / scale >= 10)
    moment = 0.0
    while account.start + moment <= account.end:
        at = int(moment / scale)
        for offset, sign in enumerate("|" + clock(moment)):
            if at + offset < len(line):
                line[at + offset] = sign
        moment += step
    return "".join(line).rstrip()


def _row(account: Account, vm: str, columns: int, scale: float) -> str:
    kinds: list[str | None] = [None] * columns
    for stretch in stretches(account):
        if stretch.vm == vm:
            first = int((stretch.start - account.start) / scale)
            last = max(first, int((stretch.end - account.start) / scale - 0.5))
            for column in range(max(0, first), min(columns, last + 1)):
                kinds[column] = max(kinds[column], stretch.kind, key=_RANK.index)
    signs = [SIGNS[kind] if kind else "." for kind in kinds]
    for at, by in _approvals(account.events):
        if by == vm:
            signs[min(columns - 1, int((at - account.start) / scale))] = "A"
    return "".join(signs)


def _approvals(events: Iterable[Event]) -> list[tuple[float, str]]:
    return [approval for event in events for approval in event.approvals]


def _event_line(event: Event, start: float) -> str:
    moments = [f"announced {clock(event.scheduled - start)}"]
    moments += [f"approved {clock(at - start)} by {by}" for at, by in event.approvals]
    if event.started is not None:
        moments.append(f"started {clock(event.started - start)}")
    if event.gone is not None:
        moments.append(f"over {clock(event.gone - start)}")
    moments.append(f"not before {clock(event.not_before - start)}")
    return f"{event.type:<9}{', '.join(event.resources):<14} {', '.join(moments)}"


__all__ = ["clock", "render"]
