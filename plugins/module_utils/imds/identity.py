# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Access tokens of the VM's managed identities (contract section 7)."""

from __future__ import annotations

import typing as t

from .documents import integer, text
from .errors import BadAnswerError

if t.TYPE_CHECKING:
    from .client import ImdsClient

PATH = "identity/oauth2/token"
# A token that is about to expire may do so on its way; MSAL and azure-identity take the same five minutes.
MARGIN = 300.0
_DEFAULT_SCOPE = "/.default"


class Identity(t.NamedTuple):
    """Which of the VM's identities: at most one of the three; none for the system-assigned or the only one."""

    client_id: str | None = None
    object_id: str | None = None
    resource_id: str | None = None

    def query(self) -> dict[str, str]:
        """The request's parameters. The service spells the third one ``msi_res_id``.

        Raises:
            ValueError: more than one is given.
        """
        names = {"client_id": self.client_id, "object_id": self.object_id, "msi_res_id": self.resource_id}
        given = {name: value for name, value in names.items() if value}
        if len(given) > 1:
            raise ValueError("client_id, object_id and resource_id name an identity; give one of them only")
        return given


class Token(t.NamedTuple):
    """A token, and what it is good for.

    Attributes:
        expires_on: epoch seconds.
    """

    access_token: str
    expires_on: float
    resource: str
    client_id: str | None
    token_type: str

    def __repr__(self) -> str:
        return f"Token(resource={self.resource!r}, expires_on={self.expires_on:.0f})"

    def is_fresh(self, now: float) -> bool:
        """Whether it may still be handed out."""
        return now < self.expires_on - MARGIN


def resource_of(scope: str) -> str:
    """The resource that an OAuth scope means: ``https://vault.azure.net/.default`` is ``https://vault.azure.net``.

    Raises:
        ValueError: a scope with anything but ``.default`` at its end, which managed identities do not have.
    """
    if not scope.endswith(_DEFAULT_SCOPE) or len(scope) == len(_DEFAULT_SCOPE):
        raise ValueError(f"scope {scope!r} does not end in {_DEFAULT_SCOPE}; managed identities have no other scopes")
    return scope[: -len(_DEFAULT_SCOPE)]


def fetch_token(client: ImdsClient, resource: str, identity: Identity | None = None) -> Token:
    """Ask for a token. A 404 is asked again for a while: a fresh identity takes time to be known.

    Args:
        client: speaks to the service.
        resource: for whom the token is, such as ``https://management.azure.com/``.
        identity: which identity asks.

    Raises:
        ValueError: the identity is named twice.
        ImdsError: no token; the text never holds one.
    """
    query = {"resource": resource, **(identity or Identity()).query()}
    value = client.get_json(PATH, query=query, retry_absent=True, sensitive=True).value
    answer = value if isinstance(value, dict) else {}
    token, expires = text(answer.get("access_token")), integer(answer.get("expires_on"))
    if token is None or expires is None:
        raise BadAnswerError(f"{client.endpoint} answered JSON but no token: access_token or expires_on is missing")
    return Token(
        token,
        float(expires),
        text(answer.get("resource")) or resource,
        text(answer.get("client_id")),
        text(answer.get("token_type")) or "Bearer",
    )


__all__ = ["MARGIN", "Identity", "Token", "fetch_token", "resource_of"]
