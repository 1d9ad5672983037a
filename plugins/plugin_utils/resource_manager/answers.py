# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer means: its JSON, the error that it stands for, and when Azure wants to be asked again. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import (
    AbsentError,
    AzureError,
    BadAnswerError,
    ForbiddenError,
    RefusedError,
    ServiceError,
    ThrottledError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import Response

_ACTION = re.compile(r"perform action '([^']{1,200})'")


def printable(text: str, limit: int = 400) -> str:
    """Text of others, fit for a message: one line, no control characters, no longer than ``limit``."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 3] + "..."


def decode(where: str, response: Response) -> dict[str, Any]:
    """The JSON object in an answer with status 200.

    Raises:
        BadAnswerError: anything else, such as the HTML page of a proxy.
    """
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError) as exc:
        what = "an HTML page" if response.body.lstrip()[:1] == b"<" else "something other than JSON"
        raise BadAnswerError(f"{where} answered {what}; a proxy or a portal in between?", status=200) from exc
    if not isinstance(document, dict):
        raise BadAnswerError(f"{where} answered JSON that is no object", status=200)
    return document


def error_of(where: str, response: Response) -> AzureError:
    """The error that an answer other than 200 stands for, with Azure's own code and message."""
    status = response.status
    code, message = _code_and_message(response.body)
    said = ": ".join(filter(None, [code, message]))
    text = f"{where} answered {status} {printable(response.reason)}".rstrip() + (f": {said}" if said else "")
    if status == 401:
        return UnauthorizedError(text, status=status, code=code)
    if status == 403:
        found = _ACTION.search(message or "")
        return ForbiddenError(text, status=status, code=code, action=found.group(1) if found else None)
    if status == 404:
        return AbsentError(text, status=status, code=code)
    if status == 429:
        return ThrottledError(text, status=status, code=code)
    if status == 408 or status >= 500:
        return ServiceError(text, status=status, code=code)
    if 400 <= status < 500:
        return RefusedError(text, status=status, code=code)
    return BadAnswerError(text + ". Azure Resource Manager would not say that here.", status=status, code=code)


def retry_after(response: Response, now: float) -> float | None:
    """Seconds that the answer asks to wait, None when it does not say; ``now`` is in epoch seconds."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    if not value:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 the rare form

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError):
        return None


def _code_and_message(body: bytes) -> tuple[str | None, str | None]:
    """Azure's ``{"error": {"code": ..., "message": ...}}``, or the same without the envelope."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    error = document.get("error", document) if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return None, None
    code, message = error.get("code"), error.get("message")
    return (
        printable(code, 80) if isinstance(code, str) and code else None,
        printable(message) if isinstance(message, str) and message else None,
    )


__all__ = ["decode", "error_of", "printable", "retry_after"]
