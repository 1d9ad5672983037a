# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Azure's clouds: where Resource Manager and the sign-in are (contract section 9)."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import SettingsError


class Cloud(NamedTuple):
    """One cloud.

    Attributes:
        environment: its name in the metadata service (``azEnvironment``).
        resource_manager: base URL of Azure Resource Manager, without a slash at the end.
        authority: base URL of the sign-in.
        audience: what a token must be issued for.
    """

    environment: str
    resource_manager: str
    authority: str
    audience: str


CLOUDS = {
    "public": Cloud(
        "AzurePublicCloud",
        "https://management.azure.com",
        "https://login.microsoftonline.com",
        "https://management.azure.com/",
    ),
    "us_government": Cloud(
        "AzureUSGovernmentCloud",
        "https://management.usgovcloudapi.net",
        "https://login.microsoftonline.us",
        "https://management.usgovcloudapi.net/",
    ),
    "china": Cloud(
        "AzureChinaCloud",
        "https://management.chinacloudapi.cn",
        "https://login.partner.microsoftonline.cn",
        "https://management.chinacloudapi.cn/",
    ),
}


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(option: str, url: str) -> str:
    """A base URL from an option, without a slash at the end.

    Raises:
        SettingsError: not an https URL (plain http is for loopback alone), or one with a user, a query or a fragment.
    """
    try:
        parts = urlsplit(url.strip())
        host, _port = parts.hostname, parts.port
    except ValueError as exc:
        raise SettingsError(f"{option}: {url!r} is not a URL: {exc}") from exc
    if parts.scheme not in ("https", "http") or not host:
        raise SettingsError(f"{option}: {url!r} is not of the form https://host[:port]")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(f"{option}: {url!r} has a user, a query or a fragment; give https://host[:port] alone")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(f"{option}: {url!r} would carry tokens unencrypted; http is allowed to loopback only")
    return url.strip().rstrip("/")


def choose(name: str, *, resource_manager: str | None, authority: str | None, audience: str | None) -> Cloud:
    """The named cloud with the user's own addresses in place of its own.

    Raises:
        SettingsError: an unknown name or a bad URL.
    """
    if name not in CLOUDS:
        raise SettingsError(f"cloud: {name!r} is none of {', '.join(CLOUDS)}")
    cloud = CLOUDS[name]
    return Cloud(
        cloud.environment,
        checked_url("resource_manager", resource_manager) if resource_manager else cloud.resource_manager,
        checked_url("authority", authority) if authority else cloud.authority,
        audience or cloud.audience,
    )


__all__ = ["CLOUDS", "Cloud", "checked_url", "choose", "is_loopback"]
