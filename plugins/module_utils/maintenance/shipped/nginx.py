# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""nginx: a flag file makes the site's health location answer 503, so that load balancers send nobody any more."""

from __future__ import annotations

import os
import re
import typing as t

from .. import files
from . import settings as s
from . import web
from .basis import Context, HookFailed, TryLater, counted

_ANY_URL = s.optional(s.url)
CONNECTIONS, REQUESTS = "connections", "requests"
SETTINGS: s.Schema = {
    "flag_file": s.Field(
        "/etc/nginx/azure-maintenance.drained", s.path, "The file that the site's health location looks for."
    ),
    "notice_time": s.Field(
        15,
        s.seconds(0, 3600),
        "Seconds that load balancers need to notice: their interval by the probes that must fail.",
    ),
    "status_url": s.Field(
        None,
        _ANY_URL,
        "Page of nginx' stub_status, to wait until nobody is connected; without it nobody is waited for.",
    ),
    "count": s.Field(
        CONNECTIONS,
        s.choice(CONNECTIONS, REQUESTS),
        "What must end: all connections, or only requests that are being answered.",
    ),
    "remaining": s.Field(0, s.integer(0), "So many of them may stay."),
    "time_limit": s.Field(120, s.seconds(0, 86400), "Seconds to wait for them."),
    "on_timeout": s.Field(
        s.PROCEED, s.choice(s.PROCEED, s.FAIL), "When some are left: go on, or fail and try again later."
    ),
    "health_url": s.Field(
        None, _ANY_URL, "Must answer 200 before anything is resumed; not the location that the flag file closes."
    ),
}
REQUIRED = ()
_ACTIVE = re.compile(r"Active connections:\s*(\d+)")
_WAITING = re.compile(r"Waiting:\s*(\d+)")


def verify(settings: dict[str, t.Any]) -> None:
    """The directory of the flag file is one that survives a reboot."""
    for place in ("/run/", "/var/run/", "/dev/shm/"):  # noqa: S108 - it is refused
        if settings["flag_file"].startswith(place):
            raise ValueError(
                f"flag_file: {place} is empty after a reboot, so that load balancers would come back before the "
                "health hooks were asked; choose another directory"
            )


def longest(settings: t.Mapping[str, t.Any]) -> float:
    """Seconds that one run may take at most."""
    return t.cast("float", 30 + settings["notice_time"] + settings["time_limit"])


def _mark(token: str) -> bytes:
    return f"azure-maintenance drained this server: {token}\n".encode("ascii")


def _is_ours(path: str, token: str | None) -> bool:
    """Whether the flag file is the one that was made here. Raises HookFailed."""
    try:
        with open(path, "rb") as stream:
            return token is not None and stream.read(1000) == _mark(token)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise HookFailed(f"{path} cannot be read: {exc.strerror}") from exc


def drain(context: Context) -> None:
    """Make the flag file, give load balancers time to notice, and wait until nobody is connected."""
    path = context.settings["flag_file"]
    done = context.memory.load()
    if not os.path.lexists(path):
        done = {"token": os.urandom(16).hex(), "since": context.wall()}
        context.memory.save(done)
        try:
            files.replace_file(path, _mark(done["token"]), mode=0o644)
            os.chmod(path, 0o644)  # the workers of nginx look for it, whatever this process' umask is
        except OSError as exc:
            raise HookFailed(f"{path} cannot be made: {exc.strerror}") from exc
    elif not _is_ours(path, done.get("token")):
        context.say(f"{path} is there already and not made here; it is left alone")
    _let_notice(context, done)
    _wait(context)


def _let_notice(context: Context, done: t.Mapping[str, t.Any]) -> None:
    """What of the time to notice is left; after a clock step at most all of it."""
    needed = context.settings["notice_time"]
    left = min(needed, max(0.0, done.get("since", 0.0) + needed - context.wall()))
    context.wait(lambda: False, context.patience(left))


def _wait(context: Context) -> None:
    url = context.settings["status_url"]
    if url is None:
        return
    what, allowed = context.settings["count"], context.settings["remaining"]
    limit = context.patience(context.settings["time_limit"])
    if context.wait(lambda: _count(url, what) <= allowed, limit):
        context.say(f"drained: at most {allowed} {what} are left")
        return
    said = f"{counted(_count(url, what), what[:-1])} left after {limit:.0f} s"
    if context.settings["on_timeout"] == s.FAIL:
        raise TryLater(said)
    context.say(f"{said}; going on")


def _count(url: str, what: str) -> int:
    """Connections or requests of others than this hook, which itself is one."""
    answer = web.request("GET", url, limit=5)
    text = answer.body.decode("utf-8", "replace")
    active, waiting = _ACTIVE.search(text), _WAITING.search(text)
    if answer.status != 200 or active is None or waiting is None:
        raise HookFailed(f"{url} is no page of stub_status: status {answer.status}, {answer.text[:80]!r}")
    others = int(active.group(1)) - 1
    return others if what == CONNECTIONS else max(0, others - int(waiting.group(1)))


def ready(context: Context) -> None:
    """The flag file is still there."""
    if not os.path.lexists(context.settings["flag_file"]):
        raise HookFailed(f"{context.settings['flag_file']} is gone")


def resume(context: Context) -> None:
    """Remove the flag file if it is the one that was made here."""
    path = context.settings["flag_file"]
    done = context.memory.load()
    if _is_ours(path, done.get("token")):
        try:
            os.unlink(path)
        except OSError as exc:
            raise HookFailed(f"{path} cannot be removed: {exc.strerror}") from exc
        files.sync_directory(os.path.dirname(path))
    elif os.path.lexists(path):
        context.say(f"{path} was not made here and stays: this server remains out of service")
    context.memory.save({})


def health(context: Context) -> None:
    """The site answers."""
    url = context.settings["health_url"]
    if url is None:
        return
    try:
        answer = web.request("GET", url, limit=10)
    except web.NoAnswerError as exc:
        raise TryLater(str(exc)) from exc
    if answer.status != 200:
        raise TryLater(f"{web.place(url)} answers {answer.status}")


PHASES = {"drain": drain, "ready": ready, "resume": resume, "health": health}
