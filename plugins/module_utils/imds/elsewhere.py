# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""When nothing answers at Azure's own address: the one in a DHCP lease, else what is wrong with the way."""

from __future__ import annotations

import typing as t

from . import leases, routes
from .errors import AbsentError, BadAnswerError, UncertainError, UnreachableError

if t.TYPE_CHECKING:
    from .client import ImdsClient, RetryPolicy

T = t.TypeVar("T")


def ask_elsewhere(
    failure: UnreachableError,
    question: t.Callable[[ImdsClient], T],
    root: str,
    policy: RetryPolicy,
    make: t.Callable[..., ImdsClient],
) -> T:
    """Put the question to the address in a DHCP lease; without one, say what is wrong with the way to the usual one."""
    search = leases.find(root)
    if search.lease is not None and policy.total > 0:
        try:
            with make(f"http://{search.lease.address}", policy=policy) as client:
                return question(client)
        except UncertainError:
            raise
        except (UnreachableError, AbsentError, BadAnswerError) as exc:
            raise UnreachableError(
                f"{failure} The address of DHCP option 245 in {search.lease.path} is no help either: {exc}"
            ) from failure
    table = routes.read(root)
    hints = [] if table is None else [routes.diagnose(table) or ""]
    hints += [f"a lease file cannot be read: {problem}" for problem in search.unreadable]
    raise UnreachableError("; ".join([str(failure).rstrip("."), *filter(None, hints)]) + ".") from failure


__all__ = ["ask_elsewhere"]
