# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Patroni: a leader hands over before the maintenance, and is not made leader again while it lasts.

Source of the calls: Patroni's documentation, "Patroni REST API" (``/patroni``, ``/cluster``, ``/switchover``,
``/reload``) and "YAML Configuration Settings" (``tags``; files of a directory are read in the order of their names).
"""

from __future__ import annotations

import base64
import json
import os
import typing as t

from .. import files
from . import settings as s
from . import web
from .basis import Context, HookFailed, TryLater, read_secret

_NAME = s.matching(r"[^\s/]{1,128}", "the name of a member")
_FILE = s.optional(s.path)
SETTINGS: s.Schema = {
    "url": s.Field("http://127.0.0.1:8008", s.url, "Patroni's REST API on this VM."),
    "ca_file": s.Field(None, _FILE, "Certificates that the API's own must be signed by; the system's by default."),
    "cert_file": s.Field(None, _FILE, "Client certificate, when the API asks for one."),
    "key_file": s.Field(None, _FILE, "Its key, when it is not in the same file."),
    "user": s.Field(None, s.optional(s.string), "User of the API, when it has authentication."),
    "password_file": s.Field(None, _FILE, "File with the user's password, readable by its owner only."),
    "candidates": s.Field([], s.list_of(_NAME), "Members that may take over, best first; any by default."),
    "max_lag": s.Field(1048576, s.integer(0), "Bytes that a member may lag behind and still take over."),
    "tags_file": s.Field(
        None,
        _FILE,
        "File that is made in Patroni's configuration directory while this VM is drained, with the tag nofailover.",
    ),
    "time_limit": s.Field(60, s.seconds(1, 3600), "Seconds for the switchover."),
    "unreachable": s.Field(
        s.FAIL, s.choice(s.FAIL, s.IGNORE), "When Patroni does not answer: fail, or take it that no leader runs here."
    ),
}
REQUIRED = ()
LEADERS = ("leader", "master", "primary", "standby_leader")
# JSON is YAML; nofailover alone, so that the load balancer's health check decides about reads as before.
TAGS = b'{"tags": {"nofailover": true}}\n'


def verify(settings: dict[str, t.Any]) -> None:
    """A user has a password, and the tags are in a file that Patroni reads."""
    if (settings["user"] is None) != (settings["password_file"] is None):
        raise ValueError("user and password_file: one needs the other")
    if settings["tags_file"] is not None and not settings["tags_file"].endswith((".yml", ".yaml")):
        raise ValueError("tags_file: a name that ends in .yml expected, for Patroni reads no others")


def longest(settings: t.Mapping[str, t.Any]) -> float:
    """Seconds that one run may take at most."""
    return t.cast("float", 60 + settings["time_limit"])


class Api:
    """The REST API of the member on this VM."""

    def __init__(self, settings: t.Mapping[str, t.Any]) -> None:
        self._url = settings["url"].rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if settings["user"] is not None:
            pair = f"{settings['user']}:{read_secret(settings['password_file'])}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._tls = None
        if self._url.startswith("https:"):
            self._tls = web.make_context(settings["ca_file"], settings["cert_file"], settings["key_file"])

    def get(self, path: str) -> dict[str, t.Any]:
        """A document. Raises HookFailed."""
        answer = web.request("GET", self._url + path, limit=10, headers=self._headers, tls=self._tls)
        document = answer.document()
        if not isinstance(document, dict):
            raise HookFailed(f"Patroni's {path} is no object: {answer.text[:80]!r}")
        return document

    def post(self, path: str, document: t.Mapping[str, t.Any], *, limit: float) -> web.Answer:
        """Ask for something."""
        body = json.dumps(document).encode()
        return web.request("POST", self._url + path, limit=limit, body=body, headers=self._headers, tls=self._tls)


def drain(context: Context) -> None:
    """Hand over when this member leads, and keep it from leading again."""
    api = Api(context.settings)
    try:
        role = _role(api)
    except web.NoAnswerError as exc:
        if context.settings["unreachable"] == s.FAIL:
            raise TryLater(str(exc)) from exc
        context.say(f"{exc}; it is taken that no leader runs here")
        return
    if role in LEADERS:
        _hand_over(context, api)
    else:
        context.say(f"this member is a {role}; there is nothing to hand over")
    _forbid(context, api)


def _role(api: Api) -> str:
    return str(api.get("/patroni").get("role") or "member without a role")


def _members(api: Api) -> list[dict[str, t.Any]]:
    members = api.get("/cluster").get("members")
    if not isinstance(members, list):
        raise HookFailed("Patroni's /cluster has no list of members")
    return [member for member in members if isinstance(member, dict)]


def _leader(api: Api) -> str | None:
    return next((str(member.get("name")) for member in _members(api) if member.get("role") in LEADERS), None)


def _hand_over(context: Context, api: Api) -> None:
    # This member leads, so the cluster's leader is its name.
    leader = _leader(api)
    if leader is None:
        raise TryLater("the cluster has no leader just now")
    candidates = _candidates(context.settings, _members(api))
    if not candidates:
        raise TryLater(f"{leader} leads, and no other member can take over: none runs, has little lag, and may")
    limit = context.patience(context.settings["time_limit"])
    until = context.mono() + limit
    refusals = []
    for candidate in candidates:
        left = max(1.0, until - context.mono())
        try:
            answer = api.post("/switchover", {"leader": leader, "candidate": candidate}, limit=left)
        except web.NoAnswerError as exc:
            context.say(f"{exc}; the cluster is watched")  # the switchover may go on all the same
        else:
            if answer.status >= 400:
                refusals.append(f"{candidate}: {answer.text}")
                continue
        if context.wait(lambda: _handed_over(api, leader), max(1.0, until - context.mono()), every=0.5):
            context.say(f"{leader} handed over to {_leader(api)}")
            return
        raise TryLater(f"{leader} still leads after {limit:.0f} s")
    raise TryLater(f"Patroni refuses the switchover: {'; '.join(refusals)}")


def _handed_over(api: Api, old: str) -> bool:
    """Another member leads and says so itself, and this one has noticed."""
    try:
        leader = next((member for member in _members(api) if member.get("role") in LEADERS), None)
        if leader is None or leader.get("name") == old or leader.get("state") != "running":
            return False
        return _role(api) not in LEADERS
    except HookFailed:
        return False  # it restarts


def _candidates(settings: t.Mapping[str, t.Any], members: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Who may take over, best first: as listed; else synchronous ones, then the least behind."""
    fit = []
    synchronous = any(member.get("role") in ("sync_standby", "quorum_standby") for member in members)
    for member in members:
        role, lag = member.get("role"), member.get("lag", 0)
        if role in LEADERS or member.get("state") not in ("running", "streaming", "in archive recovery"):
            continue
        if (member.get("tags") or {}).get("nofailover"):
            continue
        # In synchronous mode only a synchronous standby has everything, and Patroni takes no other.
        if synchronous and role not in ("sync_standby", "quorum_standby"):
            continue
        if not isinstance(lag, int) or lag > settings["max_lag"]:
            continue
        fit.append((lag, str(member.get("name"))))
    names = [name for _lag, name in sorted(fit)]
    listed = settings["candidates"]
    return [name for name in listed if name in names] if listed else names


def _forbid(context: Context, api: Api) -> None:
    path = context.settings["tags_file"]
    if path is None:
        return
    done = context.memory.load()
    if os.path.lexists(path):
        if done.get("tags_file") != path:
            context.say(f"{path} is there already and not made here; it is left alone")
        return
    context.memory.save({"tags_file": path})
    try:
        files.replace_file(path, TAGS, mode=0o644)
        os.chmod(path, 0o644)  # Patroni runs as another user
    except OSError as exc:
        raise HookFailed(f"{path} cannot be made: {exc.strerror}") from exc
    _reload(api)


def _reload(api: Api) -> None:
    answer = api.post("/reload", {}, limit=10)
    if answer.status >= 400:
        raise HookFailed(f"Patroni does not reload its configuration: {answer.status} {answer.text}")


def ready(context: Context) -> None:
    """This member does not lead."""
    try:
        role = _role(Api(context.settings))
    except web.NoAnswerError as exc:
        if context.settings["unreachable"] == s.FAIL:
            raise TryLater(str(exc)) from exc
        return
    if role in LEADERS:
        raise HookFailed("this member leads again")


def resume(context: Context) -> None:
    """This member may lead again."""
    done = context.memory.load()
    path = done.get("tags_file")
    if path is None:
        return
    try:
        with open(path, "rb") as stream:
            ours = stream.read(1000) == TAGS
    except FileNotFoundError:
        ours = False
    except OSError as exc:
        raise HookFailed(f"{path} cannot be read: {exc.strerror}") from exc
    if ours:
        try:
            os.unlink(path)
        except OSError as exc:
            raise HookFailed(f"{path} cannot be removed: {exc.strerror}") from exc
    elif os.path.lexists(path):
        context.say(f"{path} was changed by somebody, and stays")
    try:
        _reload(Api(context.settings))
    except web.NoAnswerError as exc:
        context.say(f"{exc}; it reads its configuration when it starts")
    context.memory.save({})


def health(context: Context) -> None:
    """PostgreSQL runs under Patroni."""
    try:
        document = Api(context.settings).get("/patroni")
    except web.NoAnswerError as exc:
        if context.settings["unreachable"] == s.IGNORE:
            return
        raise TryLater(str(exc)) from exc
    if document.get("state") != "running":
        raise TryLater(f"PostgreSQL is {str(document.get('state'))[:60]}")


PHASES = {"drain": drain, "ready": ready, "resume": resume, "health": health}
