# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user says about the sign-in, as plain values. Light, for it is needed even when Azure is not asked."""

from __future__ import annotations

from typing import NamedTuple

KINDS = ("auto", "managed_identity", "service_principal", "workload_identity", "cli", "default")


class SignIn(NamedTuple):
    """What the user says about the sign-in; everything may be absent.

    Attributes:
        kind: one of ``KINDS``.
        tenant_id, client_id: of a service principal or workload identity; client_id of a user-assigned identity too.
        client_secret, client_certificate_path, client_certificate_password: a service principal's proof.
        federated_token_file: where a workload identity's token is.
        identity_object_id, identity_resource_id: other names of a user-assigned identity.
        imds_endpoint: of the metadata service, for the managed identity; None for Azure's.
        ca_path: certificates to trust at the sign-in.
    """

    kind: str = "auto"
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    client_certificate_path: str | None = None
    client_certificate_password: str | None = None
    federated_token_file: str | None = None
    identity_object_id: str | None = None
    identity_resource_id: str | None = None
    imds_endpoint: str | None = None
    ca_path: str | None = None


__all__ = ["KINDS", "SignIn"]
