# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the faults that replace an answer answer, for the metadata service and for Resource Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure_emulator.imds import answers
from azure_emulator.messages import HTML, TEXT, Answer, json_answer

if TYPE_CHECKING:
    from azure_emulator.faults import Fault

_STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "gone": 410,
    "throttled": 429,
    "server_error": 500,
    "unavailable": 503,
}
_ARM_CODES = {
    400: "BadRequest",
    401: "InvalidAuthenticationToken",
    403: "AuthorizationFailed",
    404: "ResourceNotFound",
    410: "Gone",
    429: "OperationNotAllowed",
    500: "InternalServerError",
    503: "ServerTimeout",
}
_BREAKAGES = {"reset": "reset", "hang": "hang", "cut": "cut"}
_PROXY = b"<html><head><title>504 Gateway Time-out</title></head><body><h1>504 Gateway Time-out</h1></body></html>\n"
_PORTAL = b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>Please sign in.</body></html>\n"
_GARBAGE = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\xde\xad\xbe\xef\r\n\r\n"


def metadata_error(category: str, status: int, text: str | None) -> Answer:
    """An error as the metadata service words it."""
    return answers.error(category, status, text)


def resource_manager_error(status: int, code: str, message: str, **headers: str) -> Answer:
    """An error as Resource Manager words it."""
    return json_answer({"error": {"code": code, "message": message}}, status, **headers)


def failed_answer(fault: Fault, proper: Answer | None, *, category: str | None) -> Answer:
    """The answer that a fault puts in place of the proper one.

    Args:
        fault: one of the faults that replace.
        proper: what would have been answered, for the faults that spoil it.
        category: of the metadata service; None for Resource Manager.
    """
    spec = fault.spec
    answer = _answer(fault, proper, category)
    answer.fault = fault.id
    if spec.retry_after is not None:
        answer.headers["Retry-After"] = str(spec.retry_after)
    return answer


def _answer(fault: Fault, proper: Answer | None, category: str | None) -> Answer:
    spec, name = fault.spec, fault.spec.fault
    status = _STATUS.get(name)
    if status is not None:
        if category is not None:
            return metadata_error(category, status, spec.error)
        return resource_manager_error(status, _ARM_CODES[status], spec.error or "An injected fault.")
    if name in _BREAKAGES:
        answer = proper or Answer(200)
        answer.breakage = _BREAKAGES[name]
        answer.wait = spec.seconds if spec.seconds is not None else answer.wait
        return answer
    return _strange_answer(name, spec.seconds, proper)


def _strange_answer(name: str, seconds: float | None, proper: Answer | None) -> Answer:
    if name == "delay":
        answer = proper or Answer(200)
        answer.wait += seconds or 0.0
        return answer
    if name == "garbage":
        return Answer(200, _GARBAGE, breakage="raw")
    if name == "html":
        return Answer(504, _PROXY, HTML)
    if name == "portal":
        return Answer(200, _PORTAL, HTML)
    if name == "redirect":
        return Answer(302, b"", HTML, {"Location": "http://portal.invalid/login"})
    if name == "not_json":
        return Answer(200, b"It works!\n", TEXT)
    return Answer(200, b"")


# Faults that spoil a proper answer, so that one has to be made first.
SPOILING = ("delay", "cut")

__all__ = ["SPOILING", "failed_answer", "metadata_error", "resource_manager_error"]
