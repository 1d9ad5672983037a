# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What notices say, in the words of each service. Text from the cloud is escaped as each asks for it.

Sources: Slack "Sending messages using incoming webhooks" and "Formatting text"; Microsoft Teams "Create incoming
webhooks with Workflows" and the Adaptive Cards schema; Apprise API "POST /notify/{KEY}".
"""

from __future__ import annotations

import re
import time
import typing as t

from .basis import Event

GENERIC, SLACK, TEAMS, EDA, APPRISE = "generic", "slack", "teams", "eda", "apprise"
FORMATS = (GENERIC, SLACK, TEAMS, EDA, APPRISE)
LONGEST = 500
_BAD = ("overrun", "held")
_GOOD = ("done", "cancelled")


def facts(event: Event) -> list[tuple[str, str]]:
    """What a person wants to know, as names and values."""
    azure = event.document.get("event") or {}
    rows = [
        ("VM", event.vm_name),
        ("Event", f"{event.event_type or 'unknown'} by {azure.get('event_source') or 'unknown'}"),
        ("State", topic(event)),
        ("Why", str(event.document.get("why") or "")),
        ("Not before", "" if event.not_before is None else moment(event.not_before)),
        ("Duration", _duration(azure.get("duration_in_seconds"))),
        ("Also touches", ", ".join(n for n in _strings(azure.get("resources")) if n.lower() != event.vm_name.lower())),
        ("Azure says", str(azure.get("description") or "")),
        ("Event ID", event.event_id),
    ]
    return [(name, value[:LONGEST]) for name, value in rows if value]


def topic(event: Event) -> str:
    """The state that the event came into."""
    return event.topic or str(event.document.get("topic") or event.document.get("state") or "unknown")


def title(event: Event) -> str:
    """One line."""
    return f"{event.vm_name or 'This VM'}: {event.event_type or 'maintenance'} is {topic(event)}"[:200]


def moment(seconds: float) -> str:
    """A time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _duration(seconds: t.Any) -> str:
    if not isinstance(seconds, int):
        return ""
    return "unknown" if seconds < 0 else f"{seconds} s"


def _strings(value: t.Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []


def severity(event: Event) -> str:
    """In Apprise's words: info, success, warning, failure."""
    if topic(event) in _BAD:
        return "failure"
    if topic(event) in _GOOD:
        return "success"
    return "warning" if event.event_type in ("Preempt", "Terminate") else "info"


def make(kind: str, event: Event) -> dict[str, t.Any]:
    """The body of a notice."""
    return {GENERIC: _generic, EDA: _eda, SLACK: _slack, TEAMS: _teams, APPRISE: _apprise}[kind](event)


def _generic(event: Event) -> dict[str, t.Any]:
    return {
        "title": title(event),
        "severity": severity(event),
        "topic": topic(event),
        "vm_name": event.vm_name,
        **{key: event.document.get(key) for key in ("why", "service", "state", "event")},
    }


def _eda(event: Event) -> dict[str, t.Any]:
    """For ansible.eda.webhook, whose rules see the body as event.payload."""
    return {"azure_maintenance": _generic(event)}


def _slack(event: Event) -> dict[str, t.Any]:
    def plain(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    lines = [f"{plain(name)}: {plain(value)}" for name, value in facts(event)]
    # Text objects of the kind plain_text know no links, no mentions and no formatting.
    text = "\n".join(f"{name}: {value}" for name, value in facts(event))[:2900]
    return {
        "text": plain(title(event)) + "\n" + "\n".join(lines),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title(event)[:150], "emoji": False}},
            {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}},
        ],
    }


def _teams(event: Event) -> dict[str, t.Any]:
    def plain(text: str) -> str:
        """Adaptive Cards read some Markdown."""
        return re.sub(r"([\\`*_\[\]()<>#~|!-])", r"\\\1", " ".join(text.split()))

    colours = {"failure": "Attention", "success": "Good", "warning": "Warning"}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {
                "type": "TextBlock",
                "size": "Medium",
                "weight": "Bolder",
                "wrap": True,
                "color": colours.get(severity(event), "Default"),
                "text": plain(title(event)),
            },
            {"type": "FactSet", "facts": [{"title": name, "value": plain(value)} for name, value in facts(event)]},
        ],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _apprise(event: Event) -> dict[str, t.Any]:
    body = "\n".join(f"{name}: {value}" for name, value in facts(event))
    return {"title": title(event), "body": body, "type": severity(event), "format": "text"}


__all__ = ["FORMATS", "make"]
