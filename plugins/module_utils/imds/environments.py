# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The Azure clouds: which one a VM is in, and where its Resource Manager and sign-in are (contract section 9)."""

from __future__ import annotations

import typing as t


class Environment(t.NamedTuple):
    """One Azure cloud.

    Attributes:
        name: Azure's own spelling, as in ``azEnvironment``.
        resource_manager: base URL of its Resource Manager; None where each stamp has its own (Azure Stack).
        authority: base URL of its sign-in service; None likewise.
    """

    name: str
    resource_manager: str | None
    authority: str | None


PUBLIC = Environment("AzurePublicCloud", "https://management.azure.com", "https://login.microsoftonline.com")
US_GOVERNMENT = Environment(
    "AzureUSGovernmentCloud", "https://management.usgovcloudapi.net", "https://login.microsoftonline.us"
)
CHINA = Environment("AzureChinaCloud", "https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn")
GERMAN = Environment("AzureGermanCloud", "https://management.microsoftazure.de", "https://login.microsoftonline.de")
STACK = Environment("AzureStack", None, None)
ENVIRONMENTS = (PUBLIC, US_GOVERNMENT, CHINA, GERMAN, STACK)

# The CLI and the script in Azure's documentation call some of them otherwise.
_ALIASES = {"azurecloud": PUBLIC, "azureusgovernment": US_GOVERNMENT}
_BY_NAME = {**{environment.name.lower(): environment for environment in ENVIRONMENTS}, **_ALIASES}
# The German cloud had these two; germanywestcentral and germanynorth are public.
_GERMAN_LOCATIONS = ("germanycentral", "germanynortheast")


def normal_location(location: str) -> str:
    """A location in Azure's canonical spelling: ``westus`` for the ``West US`` and ``WestUS`` of older answers."""
    return "".join(location.split()).lower()


def by_name(name: str) -> Environment:
    """The environment that ``azEnvironment`` names, in any case; an unknown one is kept, without its addresses."""
    return _BY_NAME.get(name.lower()) or Environment(name, None, None)


def by_location(location: str) -> Environment:
    """The environment of a location, for services older than 2018-10-01 that do not name it.

    Azure's documentation compares with a list fetched from the internet. The sovereign clouds' locations are few and
    plain from their names, so that a table does; whatever is not theirs is public.
    """
    location = normal_location(location)
    if location.startswith(("usgov", "usdod")):
        return US_GOVERNMENT
    if location.startswith("china"):
        return CHINA
    return GERMAN if location in _GERMAN_LOCATIONS else PUBLIC


def identify(az_environment: str | None, location: str | None) -> Environment | None:
    """The environment, from what the service says of itself or else from the location; None when it says neither."""
    if az_environment:
        return by_name(az_environment)
    return by_location(location) if location else None


__all__ = ["ENVIRONMENTS", "Environment", "by_location", "by_name", "identify", "normal_location"]
