# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bearer tokens: JSON Web Tokens that only this emulator issues and takes.

Signed with a key that derives from the fleet's seed (HS256), where Entra signs with RSA: clients must not look inside.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from azure_emulator.messages import compact


class TokenError(ValueError):
    """A bearer token that is not taken; ``code`` is Resource Manager's."""

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(problem)
        self.code = code


class TokenIssuer:
    """Issues and verifies.

    Args:
        seed: what the key derives from. tenant: the directory.
    """

    def __init__(self, seed: str, tenant: str) -> None:
        self._key = hashlib.sha256(f"{seed}/{tenant}".encode()).digest()
        self.tenant = tenant

    def issue(self, *, audience: str, client_id: str, object_id: str, now: float, lifetime: int, **more: str) -> str:
        """A token, good from now on for so many seconds."""
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self.tenant}/",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now) + lifetime,
            "appid": client_id,
            "oid": object_id,
            "sub": object_id,
            "tid": self.tenant,
            "ver": "1.0",
            **more,
        }
        signed = f"{_encode(compact({'typ': 'JWT', 'alg': 'HS256'}))}.{_encode(compact(claims))}"
        return f"{signed}.{self._signature(signed)}"

    def verify(self, token: str, now: float) -> dict[str, Any]:
        """The claims of a token.

        Raises:
            TokenError: it is none of ours, or no longer good.
        """
        signed, _dot, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise TokenError("InvalidAuthenticationToken", "The access token is invalid.")
        claims: dict[str, Any] = json.loads(_decode(signed.split(".")[1]))
        if now >= claims["exp"]:
            raise TokenError("ExpiredAuthenticationToken", "The access token expiry is before the current time.")
        return claims

    def _signature(self, signed: str) -> str:
        return _encode(hmac.new(self._key, signed.encode(), hashlib.sha256).digest())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


__all__ = ["TokenError", "TokenIssuer"]
