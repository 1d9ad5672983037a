# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a refused or lost request means, whether to ask again, and what to do about it.

Apart from the client, which loads it only when something goes wrong: most runs never need it.
"""

from __future__ import annotations

import json
import typing as t

from .errors import (
    AbsentError,
    BadAnswerError,
    BadRequestError,
    BlockedError,
    GoneError,
    ImdsError,
    ServiceError,
    ThrottledError,
    UncertainError,
    UnreachableError,
)
from .wire import ConnectError, ExchangeError

if t.TYPE_CHECKING:
    from .wire import Response

# What to do about an answer, where the answer itself does not say.
_GUARDED = (
    "Something on this VM guards the service: a guest proxy agent, a local firewall, a container runtime. "
    "Allow this user there, or run as one that is allowed."
)
_TOO_OFTEN = (
    "This VM's processes together ask more than five times a second (for tokens: twenty). "
    "Find out which asks so often, or allow more retries."
)
_STRANGER = (
    "That is not the Instance Metadata Service: a proxy, a captive portal or another cloud? "
    "See that no firewall rule sends this address elsewhere; proxies of the environment are not used."
)
_UNREACHABLE = (
    "Check that this is an Azure VM, that its primary network interface uses DHCP, that the route to this address "
    "leaves by that interface, and that no firewall drops it."
)
_NOBODY = "Check that the endpoint is right and that a service listens there."


def refused(where: str, response: Response) -> ImdsError:
    """The error that an answer other than 200 stands for (contract section 5.1).

    Args:
        where: method and address of the request.
        response: the answer. It is quoted, that to a sensitive request too: an error holds no secret but what is wrong.
    """
    status = response.status
    said = excerpt(response.body)
    text = f"{where} answered {status} {response.reason}".rstrip() + (f": {said}" if said else "")
    if status in (400, 405):
        return BadRequestError(text, status=status, newest_versions=_newest_versions(response.body))
    if status in (401, 403):
        return BlockedError(f"{text}. {_GUARDED}", status=status)
    if status == 404 and b"invalid version" in response.body.lower():
        return BadRequestError(text, status=status)  # the wording of 2017 to 2019 (contract section 5.2)
    if status == 404:
        return AbsentError(text, status=status)
    if status == 410:
        return GoneError(f"{text}. The service is being updated.", status=status)
    if status == 429:
        return ThrottledError(f"{text}. {_TOO_OFTEN}", status=status)
    if 300 <= status < 400:
        return BadAnswerError(f"{text}. The service never redirects; this was not followed. {_STRANGER}", status=status)
    if (status >= 500 or status == 408) and not _looks_like_html(response.body):
        return ServiceError(
            f"{text}. The service itself failed; if that lasts, Azure's support has to help.", status=status
        )
    return BadAnswerError(f"{text}. {_STRANGER}", status=status)


def lost(where: str, exc: Exception, method: str) -> ImdsError:
    """The error that stands for an exchange that came to no answer."""
    if isinstance(exc, ConnectError):
        return UnreachableError(f"{where}: {exc}")
    if isinstance(exc, ExchangeError):
        return (UncertainError if method == "POST" else UnreachableError)(f"{where}: {exc}")
    return BadAnswerError(f"{where} is not an HTTP service: {exc}")


def not_json(where: str, body: bytes, *, sensitive: bool) -> BadAnswerError:
    """The error for a body that is no JSON; one that may hold a secret is not quoted."""
    said = "" if sensitive else f": {excerpt(body)}"
    page = "an HTML page" if _looks_like_html(body) else "something other than JSON"
    return BadAnswerError(f"{where} answered {page}{said}. {_STRANGER}", status=200)


def not_text(where: str, what: str) -> BadAnswerError:
    """The error for a body that is no text of the service."""
    return BadAnswerError(f"{where} answered {what}. {_STRANGER}", status=200)


def final(error: ImdsError, tries: int, elapsed: float, *, own_endpoint: bool) -> ImdsError:
    """The same error, with how long was tried and, when nothing answered, what to check.

    Args:
        error: of the last try.
        tries: how many there were. elapsed: seconds that they took.
        own_endpoint: whether it was Azure's own address that was asked.
    """
    if not error.retryable:
        return error
    text = f"{error} (tried {tries} time{'s' if tries > 1 else ''} in {elapsed:.1f} s)"
    if isinstance(error, UnreachableError):
        text += f". {_UNREACHABLE if own_endpoint else _NOBODY}"
    return type(error)(text, status=error.status)


def retryable(error: ImdsError, method: str, *, retry_absent: bool) -> bool:
    """Whether to ask again: after what says "later", unless a request that changes something may have been heard."""
    if isinstance(error, UncertainError):
        return False
    if isinstance(error, ServiceError) and method == "POST":
        return False  # it may have acted before it failed
    return error.retryable or (retry_absent and isinstance(error, AbsentError))


def retry_after(response: Response) -> float | None:
    """Seconds after which the service wants to be asked again, if it says so."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else None


def blames_version(error: BadRequestError) -> bool:
    """Whether a refusal is about the api-version."""
    return bool(error.newest_versions) or "version" in str(error).lower()


def excerpt(body: bytes) -> str:
    """The beginning of a body on one line, without control characters."""
    text = " ".join(body[:600].decode("utf-8", "replace").split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 200 else text[:197] + "..."


def _newest_versions(body: bytes) -> tuple[str, ...]:
    try:
        listed = json.loads(body.decode("utf-8")).get("newest-versions", [])
    except (ValueError, AttributeError):
        return ()
    return tuple(v for v in listed if isinstance(v, str)) if isinstance(listed, list) else ()


def _looks_like_html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


__all__ = ["blames_version", "excerpt", "final", "lost", "not_json", "not_text", "refused", "retry_after", "retryable"]
