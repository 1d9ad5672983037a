# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user says about reading Azure, as plain values. Light, for it is needed even when Azure is not asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.filters import Filters
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.sign_in_settings import SignIn


class AzureSettings(NamedTuple):
    """How to read a fleet from Azure; the options of the inventory plugin have the same names."""

    sign_in: SignIn
    graph: bool
    cloud: str
    resource_manager: str | None
    authority: str | None
    audience: str | None
    subscriptions: tuple[str, ...]
    details: frozenset[str]
    filters: Filters
    keep_raw: bool
    compute_api_version: str
    network_api_version: str
    timeout: float
    connections: int


__all__ = ["AzureSettings"]
