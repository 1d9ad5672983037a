# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong when one speaks to the Instance Metadata Service, named by what a caller would do about it."""

from __future__ import annotations

import typing as t


class ImdsError(Exception):
    """Root of every error of this library. The text says what failed, where, and what to check.

    Attributes:
        status: HTTP status of the answer that led to the error, or None when there was no answer.
        retryable: whether the same request may well succeed later.
    """

    retryable = False

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def kind(self) -> str:
        """The error's name in results, for instance ``unreachable`` for UnreachableError."""
        name = type(self).__name__
        if name.endswith("Error"):
            name = name[: -len("Error")]
        return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class NotOnAzureError(ImdsError):
    """This machine is not an Azure VM; nothing was sent."""


class UnreachableError(ImdsError):
    """No answer: refused, timed out, reset, no route. Fix the network, or wait."""

    retryable = True


class UncertainError(UnreachableError):
    """A request that changes something was sent and its answer was lost: read the state before trying again."""


class ThrottledError(ImdsError):
    """429: more than five requests a second on this VM, by all its processes together. Ask less often."""

    retryable = True


class BadRequestError(ImdsError):
    """400 or 405: the request is wrong. ``newest_versions`` is what the service says that it supports, or empty."""

    def __init__(self, message: str, *, status: int | None = None, newest_versions: t.Sequence[str] = ()) -> None:
        super().__init__(message, status=status)
        self.newest_versions = tuple(newest_versions)


class BlockedError(ImdsError):
    """401 or 403: something between us and the service refuses, such as a guest proxy agent or a firewall."""


class AbsentError(ImdsError):
    """404: the service answers and has no such element."""


class GoneError(ImdsError):
    """410: the service is being updated; it is back within 70 seconds."""

    retryable = True


class ServiceError(ImdsError):
    """5xx: the service failed; a support case if it lasts."""

    retryable = True


class BadAnswerError(ImdsError):
    """An answer that the service would not give: HTML, a redirect, broken JSON, another shape. Probably not IMDS."""


__all__ = [
    "AbsentError",
    "BadAnswerError",
    "BadRequestError",
    "BlockedError",
    "GoneError",
    "ImdsError",
    "NotOnAzureError",
    "ServiceError",
    "ThrottledError",
    "UncertainError",
    "UnreachableError",
]
