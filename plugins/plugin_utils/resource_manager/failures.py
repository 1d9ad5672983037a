# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures in words: which subscription, which list, which permission, what to do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import (
    AbsentError,
    ForbiddenError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.listing import Failure


def describe(failures: Sequence[Failure]) -> str:
    """All failures, by subscription; what has one cause is said once."""
    by_subscription: dict[str, list[Failure]] = {}
    for failure in failures:
        by_subscription.setdefault(failure.subscription, []).append(failure)
    return " ".join(_subscription(name, found) for name, found in by_subscription.items())


def _subscription(name: str, failures: Sequence[Failure]) -> str:
    forbidden = [f for f in failures if isinstance(f.error, ForbiddenError)]
    others = [f for f in failures if not isinstance(f.error, ForbiddenError)]
    parts = []
    if forbidden:
        actions = sorted({missing_action(f) for f in forbidden})
        parts.append(
            f"{_joined(_title(f) for f in forbidden)} may not be read: the identity lacks {_joined(actions)}"
            " (the role Reader on the subscription has it all; a role assignment takes some minutes to work)"
        )
    if others and all(isinstance(f.error, AbsentError) for f in others):
        parts.append(f"no such subscription for this identity: {others[0].error}")
    else:
        parts += [f"{_title(f)}: {f.error}" for f in others]
    # One query of Resource Graph is for many subscriptions.
    return f"Subscription{'s' if ' ' in name or name == 'all' else ''} {name}: {'; '.join(parts)}."


def missing_action(failure: Failure) -> str:
    """The permission that Azure names in its answer, else the one that the list is known to need."""
    named = failure.error.action if isinstance(failure.error, ForbiddenError) else None
    return named or failure.call.action


def _title(failure: Failure) -> str:
    return failure.call.title + (f" of scale set {failure.scale_set.name}" if failure.scale_set else "")


def _joined(words: Iterable[str]) -> str:
    unique = list(dict.fromkeys(words))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} and {unique[-1]}"


__all__ = ["describe", "missing_action"]
