# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request must be before it is answered, in the order in which Azure is taken to look (contract section 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from azure_emulator.imds.answers import error, header_missing, version_refused
from azure_emulator.imds.versions import nearest_events_version, versions_of
from azure_emulator.messages import RefusedError, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure_emulator.fleet.specification import ApiSpec
    from azure_emulator.messages import Answer


class Endpoint(NamedTuple):
    """A path and what it asks of a request (contract section 2)."""

    path: str
    category: str
    methods: tuple[str, ...] = ("GET",)
    header: bool = True
    versioned: bool = True
    routes: bool = False


ENDPOINTS = (
    Endpoint("/metadata/instance", "instance", routes=True),
    Endpoint("/metadata/versions", "versions", header=False, versioned=False),
    Endpoint("/metadata/scheduledevents", "scheduledevents", methods=("GET", "POST")),
    Endpoint("/metadata/attested/document", "attested"),
    Endpoint("/metadata/identity/oauth2/token", "identity"),
    Endpoint("/metadata/identity/info", "identity"),
    Endpoint("/metadata/loadbalancer", "loadbalancer"),
    Endpoint("/metadata/v1/InstanceInfo", "v1", header=False, versioned=False),
)
CATEGORIES = tuple(dict.fromkeys(endpoint.category for endpoint in ENDPOINTS))
_EXACT = {endpoint.path: endpoint for endpoint in ENDPOINTS}


class Call(NamedTuple):
    """A request that passed the checks."""

    request: Request
    endpoint: Endpoint
    route: list[str]
    version: str


class Rules(NamedTuple):
    """What the checks need to know.

    Attributes:
        newest: newest instance api-version of the region.
        grant: takes a token of a category's rate limit; false when there is none.
    """

    api: ApiSpec
    newest: str
    grant: Callable[[str], bool]


def endpoint_of(path: str) -> tuple[Endpoint, list[str]] | None:
    """The endpoint of a path, and the route below it; None for an unknown path. One trailing slash is taken."""
    exact = _EXACT.get(path.removesuffix("/"))
    if exact is not None:
        return exact, []
    for endpoint in ENDPOINTS:
        if endpoint.routes and path.startswith(endpoint.path + "/"):
            return endpoint, path.removesuffix("/").split("/")[3:]
    return None


def check(request: Request, rules: Rules) -> Call:
    """Let a request pass, or refuse it with the first thing that is wrong with it.

    The order: path, method, header, X-Forwarded-For, rate, parameters, api-version. The route (404) and the format
    (400) come after that, when the document is at hand.

    Raises:
        RefusedError: with the answer to send.
    """
    found = endpoint_of(request.path)
    if found is None:
        raise RefusedError(_unknown_path(request))
    endpoint, route = found
    category = endpoint.category
    if request.method not in endpoint.methods:
        text = f"Http method is not allowed: {_where(request)}" if category == "loadbalancer" else None
        raise RefusedError(error(category, 405, text))
    if endpoint.header and not _header_is_true(request, category, rules.api):
        raise RefusedError(header_missing(category))
    if "X-Forwarded-For" in request.headers:
        raise RefusedError(error(category, 400, "Bad request. The X-Forwarded-For header is not allowed"))
    if not rules.grant(category):
        raise RefusedError(error(category, 429))
    _refuse_duplicates(request, category)
    if request.too_long:
        raise RefusedError(error(category, 400, "Bad request. The body is too long"))
    version = _version(request, category, rules) if endpoint.versioned else ""
    return Call(request, endpoint, route, version)


def _unknown_path(request: Request) -> Answer:
    """The load balancer's part words it in its own way (contract section 5.2)."""
    if request.path.startswith("/metadata/loadbalancer/"):
        return error("loadbalancer", 404, f"API is not found: {_where(request)}")
    return error("identity" if "/identity/" in request.path else "", 404)


def _where(request: Request) -> str:
    return f'Path = "{request.path}", Method = "{request.method}"'


def _header_is_true(request: Request, category: str, api: ApiSpec) -> bool:
    value = request.headers.get("Metadata", "")
    return value == "true" if api.strict_header and category == "identity" else value.lower() == "true"


def _refuse_duplicates(request: Request, category: str) -> None:
    names = [name for name, _value in request.query]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RefusedError(error(category, 400, f"Bad request. The query parameter {twice} is given twice"))
    if category == "loadbalancer" and not {*names} <= {"api-version", "format"}:
        raise RefusedError(error(category, 400, "Unexpected request. Please check the query parameters"))


def _version(request: Request, category: str, rules: Rules) -> str:
    """The api-version to answer in; it matches exactly, as a string (contract section 3.1)."""
    events = rules.api.scheduled_events
    newest = events.newest_version if category == "scheduledevents" else rules.newest
    asked = request.parameter("api-version") or ""
    versions = versions_of(category, newest)
    if asked in versions:
        return asked
    if category == "scheduledevents" and events.lenient_versions:
        nearest = nearest_events_version(asked, newest)
        if nearest is not None:
            return nearest
    raise RefusedError(version_refused(category, versions))


__all__ = ["CATEGORIES", "ENDPOINTS", "Call", "Endpoint", "Rules", "check", "endpoint_of"]
