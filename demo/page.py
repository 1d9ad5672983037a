# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account as one self-contained HTML page: no script, nothing to fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from demo.evidence import DOWN, DRAINED, DRAINING, FROZEN, RESUMING, Account, Event, most_out, stretches
from demo.story import tier_of
from demo.timeline import clock

_WIDTH, _LABEL, _ROW, _BAR, _TOP = 1000, 90, 38, 20, 30
_KINDS = {
    DRAINING: "draining",
    DRAINED: "drained, waits for its turn, for Azure or to settle",
    DOWN: "down: Azure reboots or redeploys it",
    FROZEN: "frozen for some seconds",
    RESUMING: "resuming",
}

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #ffffff; --lane: #e8f3ec;
  --draining: #f2c744; --drained: #e8923a; --down: #b42318; --frozen: #3b82c4; --resuming: #4caf7d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117;
  --lane: #16261d; --draining: #d9ae2b; --drained: #d07a24; --down: #e5534b; --frozen: #539bf5; --resuming: #57ab5a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; } p { color: var(--soft); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
text { fill: var(--soft); } text.vm { fill: var(--ink); font-weight: 600; }
.lane { fill: var(--lane); } .grid { stroke: var(--line); } .approved { fill: var(--ink); }
.draining { fill: var(--draining); background: var(--draining); }
.drained { fill: var(--drained); background: var(--drained); }
.down { fill: var(--down); background: var(--down); } .frozen { fill: var(--frozen); background: var(--frozen); }
.resuming { fill: var(--resuming); background: var(--resuming); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; list-style: none; color: var(--soft); }
.legend i { display: inline-block; width: 1rem; height: .8rem; border-radius: 2px; margin-right: .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; } td.n { font-variant-numeric: tabular-nums; }
.verdict { border-left: 4px solid var(--resuming); padding: .5rem 1rem; margin: 1rem 0; }
.verdict.bad { border-color: var(--down); }
"""


def render(account: Account, problems: Sequence[str], limits: Mapping[str, int]) -> str:
    """The page's text."""
    size = f"{len(account.vms)} VMs, {len(account.events)} events, {clock(account.end - account.start)} minutes"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>A round of maintenance</title><style>{_STYLE}</style></head><body>",
            "<h1>A round of maintenance</h1>",
            f"<p>{size} of the emulator's time.</p>",
            "<p>Told by the emulator's own history and the diaries of the hooks, not by the handlers.</p>",
            _verdict(account, problems, limits),
            _chart(account),
            _legend(),
            "<h2>Events</h2>",
            _table(account.events, account.start),
            "</body></html>",
        ]
    )


def _verdict(account: Account, problems: Sequence[str], limits: Mapping[str, int]) -> str:
    if problems:
        items = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
        return f'<div class="verdict bad"><b>Broken promises</b><ul>{items}</ul></div>'
    out = "; ".join(
        f"of the tier {tier} at most {most_out(account, tier, tier_of)} out at once, {limit} allowed"
        for tier, limit in limits.items()
    )
    return (
        '<div class="verdict"><b>Every promise was kept.</b> No approval before its VM was drained, none before every '
        f"VM of the event was ready; every VM is back in service; {escape(out)}.</div>"
    )


def _chart(account: Account) -> str:
    height = _TOP + _ROW * len(account.vms) + 10
    span = max(1.0, account.end - account.start)

    def x(moment: float) -> float:
        return _LABEL + (moment - account.start) / span * (_WIDTH - _LABEL)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="What each VM was when">']
    step = next(s for s in (30, 60, 120, 300, 600, 1800, 86400) if span / s <= 14)
    for tick in range(0, int(span) + 1, step):
        at = x(account.start + tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 8}" y2="{height}"/>')
        parts.append(f'<text x="{at + 3:.1f}" y="{_TOP - 12}">{clock(tick)}</text>')
    for row, vm in enumerate(account.vms):
        top = _TOP + row * _ROW + (_ROW - _BAR) / 2
        parts.append(f'<text class="vm" x="0" y="{top + 15}">{escape(vm)}</text>')
        parts.append(f'<rect class="lane" x="{_LABEL}" y="{top}" width="{_WIDTH - _LABEL}" height="{_BAR}" rx="3"/>')
        parts += _bars(account, vm, top, x)
    return "\n".join([*parts, "</svg>"])


def _bars(account: Account, vm: str, top: float, x: object) -> list[str]:
    place = x if callable(x) else float
    parts = []
    # What Azure does is drawn over what the hooks did.
    for stretch in sorted(stretches(account), key=lambda s: s.kind in (DOWN, FROZEN)):
        if stretch.vm != vm:
            continue
        left, right = place(stretch.start), place(stretch.end)
        title = f"{vm}: {stretch.kind} {clock(stretch.start - account.start)} to {clock(stretch.end - account.start)}"
        parts.append(
            f'<rect class="{stretch.kind}" x="{left:.1f}" y="{top}" width="{max(1.5, right - left):.1f}" '
            f'height="{_BAR}"><title>{escape(title)}</title></rect>'
        )
    for event in account.events:
        for at, by in event.approvals:
            if by == vm:
                left = place(at)
                title = f"{vm} approved the {event.type} of {', '.join(event.resources)} at {clock(at - account.start)}"
                parts.append(
                    f'<path class="approved" d="M{left:.1f} {top + 4} l-5 -9 h10 z">'
                    f"<title>{escape(title)}</title></path>"
                )
    return parts


def _legend() -> str:
    items = "".join(f'<li><i class="{kind}"></i>{escape(text)}</li>' for kind, text in _KINDS.items())
    return f'<ul class="legend">{items}<li>&#9662; approved</li></ul>'


def _table(events: Sequence[Event], start: float) -> str:
    rows = []
    for event in events:
        approved = ", ".join(f"{clock(at - start)} by {escape(by)}" for at, by in event.approvals) or "not by us"
        cells = [
            "".join(f"<td>{escape(text)}</td>" for text in (event.type, event.source, ", ".join(event.resources))),
            f'<td class="n">{clock(event.scheduled - start)}</td><td class="n">{approved}</td>',
            f'<td class="n">{_moment(event.started, start)}</td><td class="n">{_moment(event.gone, start)}</td>',
            f'<td class="n">{clock(event.not_before - start)}</td>',
        ]
        rows.append("<tr>" + "".join(cells) + "</tr>")
    head = "".join(
        f"<th>{name}</th>"
        for name in ("Type", "Source", "VMs", "Announced", "Approved", "Started", "Over", "Not before")
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _moment(at: float | None, start: float) -> str:
    return "never" if at is None else clock(at - start)


__all__ = ["render"]
