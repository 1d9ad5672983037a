# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Is this machine an Azure VM? Answered from SMBIOS tables on disk, without a packet (contract section 10)."""

from __future__ import annotations

import typing as t

# Decimal ASCII pairs of "MSFT AZURE VM": the one decisive sign; "Microsoft Corporation" alone is any Hyper-V guest.
AZURE_CHASSIS_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"
DMI_DIRECTORY = "/sys/class/dmi/id"


class Detection(t.NamedTuple):
    """Whether this is an Azure VM, and the observation that says so."""

    on_azure: bool
    reason: str


def detect(directory: str = DMI_DIRECTORY) -> Detection:
    """Decide from the chassis asset tag, which every process may read.

    An absent tag (no SMBIOS, a container without sysfs), an unreadable one and an empty one are told apart in the
    reason, and none of them is taken for Azure.
    """
    path = directory + "/chassis_asset_tag"
    try:
        with open(path, "rb") as stream:
            tag = stream.read(256).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return Detection(False, f"no chassis asset tag: {path} does not exist")
    except OSError as exc:
        return Detection(False, f"the chassis asset tag cannot be read: {path}: {exc.strerror}")
    if tag == AZURE_CHASSIS_ASSET_TAG:
        return Detection(True, "the chassis asset tag is Azure's")
    if not tag:
        return Detection(False, f"the chassis asset tag is empty: {path}")
    return Detection(False, f"the chassis asset tag is {tag[:60]!r}, not Azure's")


def require_azure(directory: str | None = None) -> None:
    """Before anything is sent to Azure's own address.

    Raises:
        NotOnAzureError: this machine is no Azure VM.
    """
    found = detect(directory or DMI_DIRECTORY)
    if not found.on_azure:
        from .errors import NotOnAzureError

        raise NotOnAzureError(
            f"this machine is not an Azure VM: {found.reason}. Nothing was sent. "
            "If a metadata service is to be asked all the same, name its endpoint."
        )


__all__ = ["AZURE_CHASSIS_ASSET_TAG", "Detection", "detect", "require_azure"]
