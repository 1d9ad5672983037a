# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What every door of the collection does to reach the service: is this Azure, and where does it listen?"""

from __future__ import annotations

import time
import typing as t

from . import detection
from .client import ImdsClient, RetryPolicy
from .errors import UncertainError, UnreachableError
from .settings import AUTO, Settings

T = t.TypeVar("T")


def require_azure(settings: Settings, *, root: str = "/") -> None:
    """Make sure that there may be a service to ask: a configured endpoint is such a statement, else SMBIOS decides.

    Raises:
        NotOnAzureError: this machine is no Azure VM; nothing was sent.
    """
    if settings.endpoint == AUTO:
        detection.require_azure(root.rstrip("/") + "/sys/class/dmi/id")


def ask(
    settings: Settings,
    question: t.Callable[[ImdsClient], T],
    *,
    root: str = "/",
    usual: RetryPolicy | None = None,
    clock: t.Callable[[], float] = time.monotonic,
    make: t.Callable[..., ImdsClient] = ImdsClient,
) -> T:
    """Put a question to the service, wherever it listens.

    With ``endpoint: auto`` that is Azure's link-local address; only when nothing answers there, the address that DHCP
    gave to a classic VM outside of a virtual network. An explicit timeout bounds both together.

    Args:
        settings: the connection options.
        question: what to ask; it may call the client several times.
        root: where the file system begins.
        usual: the policy that suits the category.
        clock: monotonic seconds.
        make: makes the client.

    Raises:
        ImdsError: one of its subclasses.
    """
    policy = settings.policy(usual)
    started = clock()
    endpoint = None if settings.endpoint == AUTO else settings.endpoint
    try:
        with make(endpoint, policy=policy) as client:
            return question(client)
    except UncertainError:
        raise
    except UnreachableError as exc:
        if endpoint is not None:
            raise
        left = policy.total - (clock() - started) if settings.timeout else policy.total
        from .elsewhere import ask_elsewhere  # only ever needed when something is wrong

        return ask_elsewhere(exc, question, root, policy._replace(total=left, gone_total=max(left, 0.0)), make)


__all__ = ["ask", "require_azure"]
