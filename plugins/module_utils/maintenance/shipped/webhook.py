# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Webhooks: notices to Slack, Microsoft Teams, Event-Driven Ansible, Apprise, or anything that takes JSON.

Addresses, tokens and signing keys are read from files that only root can read. They are in no argument, no environment
and no message.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import typing as t
import urllib.parse

from . import messages, web
from . import settings as s
from .basis import Context, HookFailed, TryLater, counted, read_secret

_FILE = s.optional(s.path)
_HEADER = s.matching(r"[A-Za-z0-9-]{1,64}", "the name of a header")
_WORDS = s.list_of(s.matching(r"[A-Za-z_]{1,40}", "a word"))
TARGET: s.Schema = {
    "format": s.Field("generic", s.choice(*messages.FORMATS), "What the other side understands."),
    "url": s.Field(None, s.optional(s.url), "Where to send to."),
    "url_file": s.Field(
        None,
        _FILE,
        "File with the URL, readable by its owner only: for URLs that are secrets, as those of Slack and Teams.",
    ),
    "token_file": s.Field(None, _FILE, "File with a token, sent as Authorization: Bearer."),
    "secret_file": s.Field(None, _FILE, "File with a key, by which the body is signed (HMAC-SHA256)."),
    "signature_header": s.Field(
        "X-Hub-Signature-256", _HEADER, "Header of the signature: sha256= and the digest in hexadecimal."
    ),
    "topics": s.Field([], _WORDS, "Send only when an event came into one of these states; always when empty."),
    "types": s.Field([], _WORDS, "Send only for events of these types, in any case; for all when empty."),
    "ca_file": s.Field(None, _FILE, "Certificates that the other side's must be signed by; the system's by default."),
    "proxy": s.Field(None, s.optional(s.url), "Proxy to go through; none by default, whatever the environment says."),
    "allow_http": s.Field(False, s.boolean, "Send without TLS to another host than this one."),
    "attempts": s.Field(3, s.integer(1), "How often to try, when the other side is busy or cannot be reached."),
    "timeout": s.Field(10, s.seconds(0.1, 300), "Seconds for one attempt."),
}
LONGEST_PAUSE = 10.0
BUSY = (408, 425, 429, 500, 502, 503, 504)


def _verify_target(target: dict[str, t.Any]) -> None:
    if (target["url"] is None) == (target["url_file"] is None):
        raise ValueError("either url or url_file expected")
    if target["url"] is not None:
        _refuse_open(target["url"], allowed=target["allow_http"])


SETTINGS: s.Schema = {
    "targets": s.Field([], s.objects(TARGET, _verify_target), "Where notices are sent, each by itself."),
}
REQUIRED = ("targets",)
NESTED = {"targets": TARGET}


def verify(_settings: dict[str, t.Any]) -> None:
    """Each target was looked at by itself."""


def longest(settings: t.Mapping[str, t.Any]) -> float:
    """Seconds that one run may take at most."""
    return t.cast("float", 5 + sum(one["attempts"] * (one["timeout"] + LONGEST_PAUSE) for one in settings["targets"]))


def _refuse_open(url: str, *, allowed: bool) -> None:
    """Raises ValueError for a URL without TLS that leaves this host."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1") and not allowed:
        raise ValueError("http sends everything in the clear; use https, or set allow_http")


def notify(context: Context) -> None:
    """Send the notice to every target that wants it; one that fails does not keep it from the others."""
    problems: list[HookFailed] = []
    for index, target in enumerate(context.settings["targets"]):
        if not _wanted(context, target):
            continue
        try:
            _send(context, target)
        except HookFailed as exc:
            problems.append(type(exc)(f"targets[{index}]: {exc}"))
    if problems:
        later = all(isinstance(problem, TryLater) for problem in problems)
        raise (TryLater if later else HookFailed)("; ".join(str(problem) for problem in problems))


def _wanted(context: Context, target: t.Mapping[str, t.Any]) -> bool:
    event = context.event
    types = [name.lower() for name in target["types"]]
    topic = event.topic or str(event.document.get("topic") or "")
    return (not target["topics"] or topic in target["topics"]) and (not types or event.event_type.lower() in types)


def _url(target: t.Mapping[str, t.Any]) -> str:
    if target["url"] is not None:
        return t.cast("str", target["url"])
    try:
        url = s.url(read_secret(target["url_file"]))
        _refuse_open(url, allowed=target["allow_http"])
    except ValueError as exc:
        raise HookFailed(f"{target['url_file']}: {exc}") from None  # the cause may have the URL in it
    return url


def _send(context: Context, target: t.Mapping[str, t.Any]) -> None:
    url = _url(target)
    body = json.dumps(messages.make(target["format"], context.event)).encode("ascii")
    headers = {"Content-Type": "application/json", "User-Agent": "azure-maintenance"}
    if target["token_file"] is not None:
        headers["Authorization"] = f"Bearer {_latin(read_secret(target['token_file']), target['token_file'])}"
    if target["secret_file"] is not None:
        key = read_secret(target["secret_file"]).encode()
        headers[target["signature_header"]] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
    tls = web.make_context(target["ca_file"]) if url.startswith("https:") else None
    for attempt in range(1, target["attempts"] + 1):
        last = attempt == target["attempts"]
        pause = _attempt(url, body, headers, target, tls, attempt)
        if pause is None:
            context.say(f"told {web.place(url)}")
            return
        if last:
            raise TryLater(f"{pause[1]}, {counted(attempt, 'time')}")
        context.sleep(pause[0])


def _latin(text: str, path: str) -> str:
    if not text.isascii():
        raise HookFailed(f"{path} must hold ASCII text")
    return text


def _attempt(
    url: str,
    body: bytes,
    headers: t.Mapping[str, str],
    target: t.Mapping[str, t.Any],
    tls: ssl.SSLContext | None,
    attempt: int,
) -> tuple[float, str] | None:
    """None once it was taken; else how long to pause, and what is the matter. Raises HookFailed when it is no use."""
    usual = min(LONGEST_PAUSE, float(2 ** (attempt - 1)))
    try:
        answer = web.request(
            "POST", url, limit=target["timeout"], body=body, headers=headers, tls=tls, proxy=target["proxy"]
        )
    except web.NoAnswerError as exc:
        return usual, str(exc)
    if 200 <= answer.status < 300:
        return None
    said = f"{web.place(url)} answers {answer.status}"
    if answer.status not in BUSY:
        raise HookFailed(f"{said}: {_hint(answer.status)}")
    asked = {name.lower(): value for name, value in answer.headers.items()}.get("retry-after", "")
    return (min(LONGEST_PAUSE, float(asked)) if asked.isdigit() else usual), said


def _hint(status: int) -> str:
    """What the status means here. The answer's text is not told: some services repeat the request in it."""
    if 300 <= status < 400:
        return "a redirect is not followed; name the final address"
    return {
        400: "it does not understand the notice; look at the setting format",
        401: "token or signature are not accepted",
        403: "token or signature are not accepted",
        404: "nobody is at this address (any more)",
        410: "nobody is at this address any more",
        413: "the notice is too long for it",
    }.get(status, "the notice was not taken")


PHASES = {"notify": notify}
