# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which subscriptions to list: the user's ids and display names, or all that the identity can see."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.answers import printable
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.calls import SUBSCRIPTIONS_API_VERSION
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.client import Client

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def resolve(client: Client, wanted: Sequence[str]) -> tuple[str, ...]:
    """The ids of the wanted subscriptions; Azure is only asked when a name is among them, or nothing.

    Raises:
        SettingsError: a name that no visible subscription has, or that several have; or none is visible.
        AzureError: the list of subscriptions could not be read.
    """
    if wanted and all(_ID.fullmatch(entry) for entry in wanted):
        return tuple(dict.fromkeys(entry.lower() for entry in wanted))
    visible = list_visible(client)
    if not wanted:
        if not visible:
            raise SettingsError(
                "subscriptions: the sign-in works, but the identity can see no subscription. Give it the role Reader"
                " on the subscriptions of the inventory."
            )
        return tuple(identity for identity, _name in visible)
    return tuple(dict.fromkeys(_resolve_one(entry, visible) for entry in wanted))


def list_visible(client: Client) -> list[tuple[str, str]]:
    """Id and display name of each subscription that the identity can see, without deleted ones. Raises AzureError."""
    found: list[tuple[str, str]] = []
    for page in client.pages("/subscriptions", {"api-version": SUBSCRIPTIONS_API_VERSION}):
        for item in page:
            identity, name, state = (item.get(key) for key in ("subscriptionId", "displayName", "state"))
            if isinstance(identity, str) and str(state).lower() != "deleted":
                found.append((identity.lower(), name if isinstance(name, str) else ""))
    return found


def _resolve_one(entry: str, visible: Sequence[tuple[str, str]]) -> str:
    if _ID.fullmatch(entry):
        return entry.lower()
    matching = [identity for identity, name in visible if name.lower() == entry.lower()]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise SettingsError(f"subscriptions: {entry!r} is the name of several: {', '.join(matching)}; give the id")
    near = difflib.get_close_matches(entry, [name for _id, name in visible], n=1)
    hint = f"; did you mean {printable(near[0])!r}?" if near else ""
    raise SettingsError(
        f"subscriptions: {entry!r} is neither an id nor the name of a subscription that the identity can see{hint}"
    )


__all__ = ["list_visible", "resolve"]
