# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between the controller and Azure Resource Manager, named by what a user would do about it."""

from __future__ import annotations


class AzureError(Exception):
    """Root of every error of this library. The text says what failed, where, and what to check; never a secret.

    Attributes:
        status: HTTP status of the answer that led to the error, None when there was no answer.
        code: Azure's own error code of that answer (``AuthorizationFailed``), None when it had none.
        retryable: whether the same request may well succeed later.
    """

    retryable = False

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class SettingsError(AzureError):
    """An option is wrong or missing; nothing was sent."""


class CredentialError(AzureError):
    """No access token: the sign-in failed, or its tool or library is not there."""


class UnreachableError(AzureError):
    """No answer: refused, timed out, reset, unknown name, a proxy that says no."""

    retryable = True


class UntrustedError(AzureError):
    """The server's certificate does not verify. Never tried again."""


class ThrottledError(AzureError):
    """429: too many requests of this subscription and identity."""

    retryable = True


class ServiceError(AzureError):
    """408 or 5xx: Azure failed."""

    retryable = True


class UnauthorizedError(AzureError):
    """401: the token is not accepted."""


class ForbiddenError(AzureError):
    """403: the identity may not do this. ``action`` is the missing permission as Azure names it, if it does."""

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, action: str | None = None
    ) -> None:
        super().__init__(message, status=status, code=code)
        self.action = action


class AbsentError(AzureError):
    """404: no such subscription, group, scale set; deleted meanwhile, or invisible to this identity."""


class RefusedError(AzureError):
    """Another 4xx: the request is wrong, for instance an api-version that this cloud does not have."""


class BadAnswerError(AzureError):
    """An answer that Azure would not give: cut short, not JSON, another shape. Tried again, for proxies cut answers."""

    retryable = True


class DeadlineError(AzureError):
    """The time that was given for all requests together is over."""


__all__ = [
    "AbsentError",
    "AzureError",
    "BadAnswerError",
    "CredentialError",
    "DeadlineError",
    "ForbiddenError",
    "RefusedError",
    "ServiceError",
    "SettingsError",
    "ThrottledError",
    "UnauthorizedError",
    "UnreachableError",
    "UntrustedError",
]
