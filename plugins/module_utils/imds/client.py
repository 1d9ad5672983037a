# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A client of the Azure Instance Metadata Service: no proxy, no redirect, one deadline over all tries."""

from __future__ import annotations

import json
import os
import time
import typing as t
from urllib.parse import quote, urlencode, urlsplit

from . import api_versions
from .errors import BadRequestError, GoneError, ImdsError
from .version import VERSION
from .wire import ConnectError, Connection, ExchangeError, MalformedError, Response

if t.TYPE_CHECKING:
    from types import ModuleType

# The one place where Azure's address is written (contract section 1).
DEFAULT_ENDPOINT = "http://169.254.169.254"
USER_AGENT = f"azure_guest.imds/{VERSION}"


class RetryPolicy(t.NamedTuple):
    """How long and how often to try; all figures in seconds but for the two counts.

    Attributes:
        total: over all tries of one call.
        attempt: for one answer, from the request on. The service's own target is 10 s.
        connect: for making a connection; link-local, so it is there at once or not at all.
        retries: further tries after an answer that says "later".
        connect_retries: further tries when no connection can be made: early boot, or no route.
        gone_total: replaces ``total`` once a 410 was seen, for that is over within 70 s (contract section 1.5); 0 to
            treat a 410 as any other answer that says "later".
        base, cap: first and longest wait between two tries; it doubles from one to the other.
    """

    total: float = 30.0
    attempt: float = 10.0
    connect: float = 2.0
    retries: int = 5
    connect_retries: int = 2
    gone_total: float = 75.0
    base: float = 1.0
    cap: float = 20.0


class Answer(t.NamedTuple):
    """What the service said: the decoded value, the api-version that it was asked for, and the answer's headers."""

    value: t.Any
    api_version: str | None
    headers: t.Mapping[str, str]


class _Try(t.NamedTuple):
    """What one try of a call brought: an answer or an error, and when the service wants to be asked again."""

    response: Response | None = None
    error: ImdsError | None = None
    connected: bool = True
    retry_after: float | None = None


class _Request(t.NamedTuple):
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: bytes | None = None
    retry_absent: bool = False
    sensitive: bool = False

    def target(self) -> str:
        target = "/metadata/" + "/".join(quote(part, safe="") for part in self.path.strip("/").split("/"))
        return target + ("?" + urlencode(self.query) if self.query else "")


class ImdsClient:
    """Speaks to one Instance Metadata Service.

    Args:
        endpoint: ``http://host[:port]``; None for Azure's link-local address.
        policy: how long and how often to try.
        keep_alive: keep the connection open between calls (a daemon); call :meth:`close` at the end.
        clock: monotonic seconds. sleep: waits so many of them. jitter: a number in [0, 1), random by default.

    Raises:
        ValueError: the endpoint is not a plain http address.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        policy: RetryPolicy | None = None,
        keep_alive: bool = False,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
        jitter: t.Callable[[], float] | None = None,
    ) -> None:
        self.endpoint = (endpoint or DEFAULT_ENDPOINT).rstrip("/")
        host, port, self._host_header = parse_endpoint(self.endpoint)
        self._policy = policy or RetryPolicy()
        self._keep_alive = keep_alive
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._connection = Connection(host, port, clock=clock)
        self._negotiated: dict[str, str] = {}

    def __enter__(self) -> ImdsClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the kept connection, if any."""
        self._connection.close()

    def get_json(
        self,
        path: str,
        *,
        api_version: str = api_versions.AUTO,
        query: t.Mapping[str, str] | None = None,
        policy: RetryPolicy | None = None,
        retry_absent: bool = False,
        sensitive: bool = False,
    ) -> Answer:
        """GET a path below ``/metadata`` and decode its JSON.

        Args:
            path: for instance ``instance`` or ``instance/compute``; each element is quoted.
            api_version: a version, or ``auto``: the preferred one, and older ones while the service refuses.
            query: further parameters.
            policy: replaces the client's own for this call (the first scheduledevents call may take two minutes).
            retry_absent: treat 404 as "not yet": a service that is starting, an identity that is propagating.
            sensitive: never quote the answer in an error.

        Raises:
            ImdsError: one of its subclasses; see ``errors.py``.
        """
        request = _Request("GET", path, tuple((query or {}).items()), None, retry_absent, sensitive)
        response, version = self._negotiate(request, api_version, policy)
        return Answer(self._decode(request, response), version, response.headers)

    def get_text(self, path: str, *, api_version: str = api_versions.AUTO, retry_absent: bool = False) -> Answer:
        """GET a path of the instance category with ``format=text``: a bare value, or a listing of names."""
        request = _Request("GET", path, (("format", "text"),), None, retry_absent)
        response, version = self._negotiate(request, api_version, None)
        # A value may begin with "<"; a portal's page says what it is.
        if "html" in response.headers.get("content-type", "").lower() or _is_html_page(response.body):
            raise _failures().not_text(self._where(request), "an HTML page")
        try:
            return Answer(response.body.decode("utf-8"), version, response.headers)
        except UnicodeDecodeError as exc:
            raise _failures().not_text(self._where(request), "bytes that are not UTF-8 text") from exc

    def post_json(self, path: str, document: t.Any, *, api_version: str) -> None:
        """POST a JSON document. Tried again only while the service surely did not act on it.

        Raises:
            UncertainError: the answer was lost; read the state before trying again.
            ImdsError: any other; the service did not act.
        """
        body = json.dumps(document).encode("utf-8")
        request = _Request("POST", path, (("api-version", api_version),), body)
        # A kept connection may be dead without our knowing, and a POST cannot tell "never seen" from "answer lost".
        self._connection.close()
        self._call(request, None)

    def _negotiate(
        self, request: _Request, api_version: str, policy: RetryPolicy | None
    ) -> tuple[Response, str | None]:
        category = api_versions.category_of(request.path)
        automatic = api_version == api_versions.AUTO
        version = self._negotiated.get(category, api_versions.preferred(category)) if automatic else api_version
        if version is None:
            return self._call(request, policy), None
        refused: list[str] = []
        while True:
            try:
                query = (("api-version", version), *request.query)
                response = self._call(request._replace(query=query), policy)
            except BadRequestError as exc:
                refused.append(version)
                older = api_versions.fallback(category, refused, exc.newest_versions) if automatic else None
                # Another 400 is about the request itself, and no version would mend it.
                if older is None or not _failures().blames_version(exc):
                    raise
                version = older
                continue
            if automatic:
                self._negotiated[category] = version
            return response, version

    def _call(self, request: _Request, policy: RetryPolicy | None) -> Response:
        """Try until there is an answer or the policy says stop; returns only answers with status 200."""
        policy = policy or self._policy
        started = self._clock()
        deadline = started + policy.total
        tries, waits = 0, 0
        while True:
            tries += 1
            outcome = self._attempt(request, policy, deadline)
            if outcome.response is not None:
                return outcome.response
            error = t.cast("ImdsError", outcome.error)
            sit_out = isinstance(error, GoneError) and policy.gone_total > 0
            if sit_out:
                deadline = max(deadline, started + policy.gone_total)
            allowed = policy.retries if outcome.connected else min(policy.retries, policy.connect_retries)
            pause = self._pause(policy, waits, outcome.retry_after)
            # The time that a 410 may last counts, not the number of tries.
            out_of_tries = tries > allowed and not sit_out
            again = _failures().retryable(error, request.method, retry_absent=request.retry_absent)
            if not again or out_of_tries or self._clock() + pause >= deadline:
                own = self.endpoint == DEFAULT_ENDPOINT
                raise _failures().final(error, tries, self._clock() - started, own_endpoint=own)
            self._sleep(pause)
            waits += 1

    def _pause(self, policy: RetryPolicy, waits: int, retry_after: float | None) -> float:
        if self._jitter is None:
            from random import random

            self._jitter = random
        pause = min(policy.cap, policy.base * 2.0**waits) * (0.5 + self._jitter() / 2)
        return max(pause, retry_after or 0.0)

    def _attempt(self, request: _Request, policy: RetryPolicy, deadline: float) -> _Try:
        limit = min(deadline, self._clock() + policy.attempt)
        reused = self._connection.is_open
        try:
            response = self._exchange(request, policy, limit)
        except (ConnectError, ExchangeError, MalformedError) as exc:
            if reused and isinstance(exc, ExchangeError) and not exc.answered and not exc.timed_out:
                return self._attempt(request, policy, deadline)  # the service closed the idle connection
            connected = not isinstance(exc, ConnectError)
            return _Try(error=_failures().lost(self._where(request), exc, request.method), connected=connected)
        if response.status == 200:
            return _Try(response=response)
        failures = _failures()
        error = failures.refused(self._where(request), response)
        return _Try(error=error, retry_after=failures.retry_after(response))

    def _exchange(self, request: _Request, policy: RetryPolicy, limit: float) -> Response:
        lines = [
            f"{request.method} {request.target()} HTTP/1.1",
            f"Host: {self._host_header}",
            "Metadata: true",
            f"User-Agent: {USER_AGENT}",
            f"x-ms-client-request-id: {_request_id()}",
            "Connection: " + ("keep-alive" if self._keep_alive else "close"),
        ]
        if request.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(request.body)}"]
        head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
        response = self._connection.exchange(
            head + (request.body or b""), connect_timeout=policy.connect, deadline=limit
        )
        if not self._keep_alive:
            self._connection.close()
        return response

    def _where(self, request: _Request) -> str:
        return f"{request.method} {self.endpoint}/metadata/{request.path.strip('/')}"

    def _decode(self, request: _Request, response: Response) -> t.Any:
        try:
            return json.loads(response.body.decode("utf-8"))
        except (ValueError, RecursionError) as exc:
            raise _failures().not_json(self._where(request), response.body, sensitive=request.sensitive) from exc


def parse_endpoint(endpoint: str) -> tuple[str, int, str]:
    """Split ``http://host[:port]`` into host, port and the value of a Host header.

    Raises:
        ValueError: another scheme, a user, a path, a query, no host, or a bad port.
    """
    problem = f"endpoint {endpoint!r} is not of the form http://host[:port]"
    try:
        parts = urlsplit(endpoint)
        port = parts.port or 80
    except ValueError as exc:
        raise ValueError(f"{problem}: {exc}") from exc
    if parts.scheme != "http":
        raise ValueError(f"{problem}: the service speaks plain http only")
    if not parts.hostname or parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(problem)
    try:
        parts.netloc.encode("ascii")
    except UnicodeEncodeError as exc:
        raise ValueError(f"{problem}: not ASCII") from exc
    return parts.hostname, port, parts.netloc


def _request_id() -> str:
    raw = os.urandom(16).hex()
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"


def _failures() -> ModuleType:
    """What is only needed when something goes wrong. Most modules run once, and Python compiles them in each run."""
    from . import failures

    return failures


def _is_html_page(body: bytes) -> bool:
    return body.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html"))


__all__ = ["DEFAULT_ENDPOINT", "Answer", "ImdsClient", "RetryPolicy", "parse_endpoint"]
