# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error answers of the metadata service (contract sections 5.2, 7 and 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure_emulator.messages import Answer, json_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Not allowed",
    410: "Gone",
    429: "Too many requests",
    500: "Server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}
_IDENTITY = {
    400: "invalid_request",
    401: "unknown_source",
    403: "access_denied",
    404: "not_found",
    405: "method_not_allowed",
    410: "gone",
    429: "too_many_requests",
    500: "server_error",
    503: "service_unavailable",
}
_HEADER = "Required metadata header not specified"
_VERSION = (
    "Bad request. api-version is invalid or was not specified in the request. For more information refer to"
    " aka.ms/azureimds"
)


def error(category: str, status: int, text: str | None = None, *, code: str | None = None) -> Answer:
    """An error in the shape of its category.

    Args:
        category: the identity category has its own shape.
        status: HTTP status.
        text: what is wrong; None for what the official examples say.
        code: for the identity category, in place of the usual one.
    """
    plain = text or _PLAIN.get(status, "Error")
    if category != "identity":
        return json_answer({"error": plain}, status)
    if status == 429 and text is None:
        plain = "Temporarily throttled, too many requests"
    return json_answer({"error": code or _IDENTITY.get(status, "unknown"), "error_description": plain}, status)


def header_missing(category: str) -> Answer:
    """The answer to a request without ``Metadata: true``."""
    if category == "identity":
        return error(category, 400, _HEADER, code="bad_request_102")
    return error(category, 400, f"Bad request. {_HEADER}")


def version_refused(category: str, versions: Sequence[str]) -> Answer:
    """The answer to a missing or unknown api-version; it names the newest three.

    For scheduledevents they are those of the category's own list: what Azure says there was not observed.
    """
    newest = list(reversed(versions[-3:]))
    if category == "identity":
        body = {"error": "invalid_request", "error_description": _VERSION, "newest-versions": newest}
        return json_answer(body, 400)
    return json_answer({"error": _VERSION, "newest-versions": newest}, 400)


__all__ = ["error", "header_missing", "version_refused"]
