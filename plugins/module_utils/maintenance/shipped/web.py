# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Requests of hooks: no redirect, no proxy unless one is named, certificates verified, limits on time and size."""

from __future__ import annotations

import http.client
import json
import ssl
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from .basis import HookFailed

ANSWER_LIMIT = 1024 * 1024


class NoAnswerError(HookFailed):
    """Nobody answered, or not in HTTP. The text names the host only: paths and queries may hold secrets."""


class Answer(t.NamedTuple):
    """What came back; also an error's status is an answer."""

    status: int
    headers: t.Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The beginning of the body on one line, for a message."""
        return " ".join(self.body[:2000].decode("utf-8", "replace").split())[:200]

    def document(self) -> t.Any:
        """The body as JSON. Raises HookFailed."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            raise HookFailed(f"the answer is not JSON: {self.text[:80]!r}") from exc


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: t.Any, **_kwargs: t.Any) -> None:
        """Nowhere else: what is sent may be secret."""


def place(url: str) -> str:
    """A URL without what may be secret in it."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def make_context(ca_file: str | None, cert_file: str | None = None, key_file: str | None = None) -> ssl.SSLContext:
    """TLS that verifies the other side. Raises HookFailed."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as exc:
        named = ", ".join(name for name in (ca_file, cert_file, key_file) if name)
        raise HookFailed(f"the certificates {named} cannot be used: {exc}") from exc
    return context


def request(
    method: str,
    url: str,
    *,
    limit: float,
    body: bytes | None = None,
    headers: t.Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> Answer:
    """Send one request.

    Raises:
        NoAnswerError: no connection, no trust in the certificate, no HTTP, or not in time.
    """
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}),
        _NoRedirect(),
    ]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=tls or make_context(None)))
    opener = urllib.request.build_opener(*handlers)
    message = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310 - see settings.url
    try:
        try:
            answer = opener.open(message, timeout=limit)
        except urllib.error.HTTPError as exc:
            answer = exc
        with answer:
            return Answer(int(answer.status or 0), dict(answer.headers.items()), answer.read(ANSWER_LIMIT))
    except urllib.error.URLError as exc:
        raise NoAnswerError(f"{place(url)} does not answer: {_why(exc.reason)}") from exc
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise NoAnswerError(f"{place(url)} does not answer: {_why(exc)}") from exc


def _why(reason: t.Any) -> str:
    """What went wrong, without a URL in it."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, (TimeoutError, OSError)):
        return reason.strerror or str(reason) or type(reason).__name__
    return type(reason).__name__ if isinstance(reason, Exception) else str(reason)


__all__ = ["Answer", "NoAnswerError", "make_context", "place", "request"]
