# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens from Microsoft Entra by a service principal's secret or certificate, or by a federated token."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import answers
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import (
    AzureError,
    CredentialError,
    SettingsError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import (
        Response,
        Transport,
    )

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TRIES = 4
# Active Directory Federation Services, which sign in to an Azure Stack without Entra, are the tenant of this name.
ADFS = "adfs"


class Principal(NamedTuple):
    """An application of a tenant."""

    tenant_id: str
    client_id: str


class Wire(NamedTuple):
    """The way to the sign-in, and the time that it may take: a clock in monotonic seconds and its deadline."""

    transport: Transport
    deadline: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep


def token_by_secret(wire: Wire, principal: Principal, audience: str, secret: str) -> str:
    """An access token for a service principal with a client secret. Raises AzureError."""
    return _token(wire, principal, audience, {"client_secret": secret})


def token_by_assertion(wire: Wire, principal: Principal, audience: str, assertion: str) -> str:
    """An access token for a signed statement about the principal: its own, or a federated one. Raises AzureError."""
    proof = {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
    return _token(wire, principal, audience, proof)


def token_by_certificate(wire: Wire, principal: Principal, audience: str, path: str, password: str | None) -> str:
    """An access token for a service principal with a certificate: a PEM file with its key, or a PFX file.

    Raises:
        SettingsError: the file cannot be used.
        AzureError: the sign-in failed.
    """
    key, certificate = load_certificate(path, password)
    url = wire.transport.base_url + token_path(principal.tenant_id)
    assertion = sign_assertion(key, certificate, principal, url, now=int(time.time()))
    return token_by_assertion(wire, principal, audience, assertion)


def token_path(tenant_id: str) -> str:
    """Where tokens of a tenant are given out."""
    if tenant_id.lower() == ADFS:
        return "/oauth2/token"
    return f"/{quote(tenant_id, safe='')}/oauth2/v2.0/token"


def load_certificate(path: str, password: str | None) -> tuple[RSAPrivateKey, x509.Certificate]:
    """The private key and the certificate in a PEM or PFX file.

    Raises:
        SettingsError: unreadable, wrong password, no RSA key or no certificate in it.
    """
    # Of ansible-core's own requirements; imported only for this way of signing in.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12  # noqa: PLC0415

    secret = password.encode() if password else None
    try:
        data = Path(path).expanduser().read_bytes()
        if b"-----BEGIN" in data:
            key: Any = load_pem_private_key(data, secret if b"ENCRYPTED" in data else None)
            certificate: x509.Certificate | None = x509.load_pem_x509_certificate(data)
        else:
            key, certificate, _chain = pkcs12.load_key_and_certificates(data, secret)
    except OSError as exc:
        raise SettingsError(f"client_certificate_path: {path}: {exc.strerror}") from exc
    except (ValueError, TypeError) as exc:
        raise SettingsError(
            f"client_certificate_path: {path} holds no usable key and certificate, or the password is wrong"
        ) from exc
    if not isinstance(key, RSAPrivateKey) or certificate is None:
        raise SettingsError(f"client_certificate_path: {path} must hold an RSA key and its certificate")
    return key, certificate


def sign_assertion(
    key: RSAPrivateKey, certificate: x509.Certificate, principal: Principal, audience: str, *, now: int
) -> str:
    """The signed statement (JWT) by which a certificate proves who asks; valid for ten minutes from ``now``."""
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415

    der = certificate.public_bytes(serialization.Encoding.DER)
    adfs = principal.tenant_id.lower() == ADFS  # it knows the older algorithm only
    header = {"typ": "JWT", "alg": "RS256" if adfs else "PS256"}
    if adfs:
        header["x5t"] = _base64url(hashlib.sha1(der, usedforsecurity=False).digest())
    else:
        header["x5t#S256"] = _base64url(hashlib.sha256(der).digest())
    claims = {
        "aud": audience,
        "iss": principal.client_id,
        "sub": principal.client_id,
        "jti": str(uuid.uuid4()),
        "nbf": now,
        "exp": now + 600,
    }
    signed = f"{_base64url(json.dumps(header).encode())}.{_base64url(json.dumps(claims).encode())}"
    pad = padding.PKCS1v15() if adfs else padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return f"{signed}.{_base64url(key.sign(signed.encode(), pad, hashes.SHA256()))}"


def discover_stack(wire: Wire) -> tuple[str, str]:
    """The sign-in address and the token audience of an Azure Stack, as its Resource Manager announces them.

    Raises:
        AzureError: no such announcement.
    """
    path = "/metadata/endpoints"
    where = f"GET {wire.transport.base_url}{path}"
    document = _exchange(wire, where, "GET", f"{path}?api-version=2015-01-01", {"Accept": "application/json"}, None)
    authentication = document.get("authentication")
    login = authentication.get("loginEndpoint") if isinstance(authentication, dict) else None
    audiences = authentication.get("audiences") if isinstance(authentication, dict) else None
    if not isinstance(login, str) or not isinstance(audiences, list) or not audiences:
        raise CredentialError(f"{where} does not announce a sign-in; set authority and audience")
    return login.rstrip("/"), str(audiences[0])


def _token(wire: Wire, principal: Principal, audience: str, proof: Mapping[str, str]) -> str:
    form = {"grant_type": "client_credentials", "client_id": principal.client_id, **proof}
    if principal.tenant_id.lower() == ADFS:
        form["resource"] = audience
    else:
        form["scope"] = audience.rstrip("/") + "/.default"
    path = token_path(principal.tenant_id)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    where = f"sign-in of application {principal.client_id} at {wire.transport.base_url}"
    target = wire.transport.target(path)
    token = _exchange(wire, where, "POST", target, headers, urlencode(form).encode()).get("access_token")
    if not isinstance(token, str) or not token:
        raise CredentialError(f"{where}: the answer holds no access token")
    return token


def _exchange(
    wire: Wire, where: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None
) -> dict[str, Any]:
    """One request, tried a few times while it may help. Nothing of what was sent is ever part of an error."""
    pause = 0.25
    for attempt in range(1, _TRIES + 1):
        try:
            response = wire.transport.exchange(method, target, headers, body, deadline=wire.deadline)
            wire.transport.close()  # there is nothing more to say here
            if response.status == 200:
                return answers.decode(where, response)
            error = _error(where, response)
        except AzureError as exc:
            error = exc
        if not error.retryable or attempt == _TRIES or wire.clock() + pause >= wire.deadline:
            break
        wire.sleep(pause)
        pause *= 2
    raise error


def _error(where: str, response: Response) -> AzureError:
    """Entra says ``{"error": "invalid_client", "error_description": "AADSTS7000215: ... Trace ID: ..."}``."""
    try:
        document = json.loads(response.body)
        name, said = document["error"], document["error_description"]
    except (ValueError, KeyError, TypeError):
        return answers.error_of(where, response)
    if not isinstance(name, str) or not isinstance(said, str):
        return answers.error_of(where, response)
    text = answers.printable(said.split("Trace ID:")[0])
    if response.status in (408, 429) or response.status >= 500:
        return answers.error_of(where, response)
    name = answers.printable(name, 80)
    return CredentialError(f"{where}: {name}: {text}", status=response.status, code=name)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


__all__ = [
    "Principal",
    "Wire",
    "discover_stack",
    "load_certificate",
    "sign_assertion",
    "token_by_assertion",
    "token_by_certificate",
    "token_by_secret",
    "token_path",
]
