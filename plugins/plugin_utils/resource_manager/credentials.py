# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks: the ways to an access token, and which of them is taken when the user does not say.

No token is kept on disk, and none is ever part of a message.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.connection import ask, require_azure
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.detection import detect
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.errors import BadRequestError, ImdsError
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.identity import Identity, fetch_token
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.settings import Settings as Connection
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.answers import printable
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import (
    CredentialError,
    SettingsError,
)
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.sign_in_settings import KINDS, SignIn
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.clouds import Cloud


class Surroundings(NamedTuple):
    """What ``auto`` looks at besides the settings; nothing of it needs a network."""

    on_azure: Callable[[], bool]
    has_cli: Callable[[], bool]


def surroundings() -> Surroundings:
    """Those of this machine."""
    return Surroundings(lambda: detect().on_azure, lambda: shutil.which("az") is not None)


def choose(settings: SignIn, around: Surroundings) -> str:
    """The kind of sign-in to use.

    ``auto`` is the first of: a service principal or workload identity that is configured completely, the managed
    identity when this machine is an Azure VM (or an endpoint for it is set), the Azure CLI when it is installed.

    Raises:
        SettingsError: an unknown kind, or nothing to sign in with.
    """
    if settings.kind not in KINDS:
        raise SettingsError(f"auth: {settings.kind!r} is none of {', '.join(KINDS)}")
    if settings.kind != "auto":
        return settings.kind
    if settings.client_secret or settings.client_certificate_path:
        return "service_principal"
    if settings.federated_token_file and settings.tenant_id and settings.client_id:
        return "workload_identity"
    if settings.imds_endpoint or around.on_azure():
        return "managed_identity"
    if around.has_cli():
        return "cli"
    raise SettingsError(
        "auth: nothing to sign in to Azure with. This machine is no Azure VM (so it has no managed identity), the"
        " Azure CLI is not installed, and no client_secret, client_certificate_path or federated_token_file is set."
    )


class TokenSource:
    """Gives the current access token; asks for another when told that it was refused. Safe to share by threads.

    Args:
        fetch: gets a token.
    """

    def __init__(self, fetch: Callable[[], str]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renewed = False

    def __call__(self, refused: bool = False) -> str:
        """The token. Raises AzureError when there is none to be had."""
        with self._lock:
            # Several threads find out about the same refusal; one renewal is enough.
            if self._token is None or (refused and not self._renewed):
                self._renewed = self._token is not None
                self._token = self._fetch()
            return self._token


def token_source(settings: SignIn, kind: str, cloud: Cloud, *, deadline: float) -> TokenSource:
    """What gets tokens in the way of a kind.

    Raises:
        SettingsError: a setting that this way needs is missing.
    """
    if kind == "managed_identity":
        return TokenSource(lambda: managed_identity_token(settings, cloud.audience))
    if kind == "cli":
        return TokenSource(lambda: cli_token(cloud.audience, settings.tenant_id))
    if kind == "default":
        return TokenSource(lambda: azure_identity_token(settings, cloud))
    return TokenSource(_by_proof(settings, kind, cloud, deadline))


def _by_proof(settings: SignIn, kind: str, cloud: Cloud, deadline: float) -> Callable[[], str]:
    """The way of a service principal or a workload identity."""
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import sign_in  # noqa: PLC0415 rare

    principal = sign_in.Principal(
        _required(settings.tenant_id, "tenant_id", kind), _required(settings.client_id, "client_id", kind)
    )
    wire = sign_in.Wire(Transport(cloud.authority, ca_path=settings.ca_path), deadline)
    if kind == "workload_identity":
        path = _required(settings.federated_token_file, "federated_token_file", kind)
        return lambda: sign_in.token_by_assertion(wire, principal, cloud.audience, _read_token(path))
    if settings.client_certificate_path:
        path, password = settings.client_certificate_path, settings.client_certificate_password
        return lambda: sign_in.token_by_certificate(wire, principal, cloud.audience, path, password)
    secret = _required(settings.client_secret, "client_secret or client_certificate_path", kind)
    return lambda: sign_in.token_by_secret(wire, principal, cloud.audience, secret)


def managed_identity_token(settings: SignIn, audience: str) -> str:
    """The token of this machine's managed identity (contract section 7).

    Raises:
        SettingsError: the endpoint or the identity is not given properly.
        CredentialError: no Azure VM, no identity, no metadata service, or it refuses.
    """
    identity = Identity(settings.client_id, settings.identity_object_id, settings.identity_resource_id)
    try:
        service = Connection.of({"endpoint": settings.imds_endpoint})
        require_azure(service)
        return ask(service, lambda client: fetch_token(client, audience, identity)).access_token
    except ValueError as exc:
        raise SettingsError(f"managed identity: {exc}") from exc
    except BadRequestError as exc:
        raise CredentialError(
            f"managed identity: {exc}. Does this VM have an identity? With several user-assigned ones, name one by"
            " client_id, identity_object_id or identity_resource_id.",
            status=exc.status,
        ) from exc
    except ImdsError as exc:
        raise CredentialError(f"managed identity: {exc}", status=exc.status) from exc


def cli_token(audience: str, tenant_id: str | None, *, timeout: float = 60.0) -> str:
    """The token of whoever is logged in with the Azure CLI.

    Raises:
        CredentialError: it is not installed, nobody is logged in, or it fails.
    """
    program = shutil.which("az")
    if program is None:
        raise CredentialError("auth cli: the Azure CLI (az) is not on the PATH")
    command = [program, "account", "get-access-token", "--output", "json", "--resource", audience]
    command += ["--tenant", tenant_id] if tenant_id else []
    try:
        done = subprocess.run(  # noqa: S603 a fixed command, no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise CredentialError(f"auth cli: az did not answer within {timeout:g} s") from exc
    except OSError as exc:
        raise CredentialError(f"auth cli: {program} cannot be run: {exc.strerror}") from exc
    if done.returncode != 0:
        said = printable(done.stderr.decode(errors="replace"))
        raise CredentialError(f"auth cli: az account get-access-token ended with {done.returncode}: {said}")
    return _token_in(done.stdout, "accessToken")


def azure_identity_token(settings: SignIn, cloud: Cloud) -> str:
    """The token that ``DefaultAzureCredential`` of the package azure-identity finds.

    Raises:
        CredentialError: the package is missing, or finds none.
    """
    try:
        from azure.core.exceptions import AzureError as SdkError  # noqa: PLC0415
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415
    except ImportError as exc:
        raise CredentialError(
            "auth default: the Python package azure-identity is not installed in the environment of Ansible itself"
        ) from exc
    try:
        with DefaultAzureCredential(
            authority=cloud.authority, managed_identity_client_id=settings.client_id
        ) as credential:
            scope = cloud.audience.rstrip("/") + "/.default"
            token: Any = credential.get_token(scope, tenant_id=settings.tenant_id)
    except (SdkError, ValueError) as exc:
        raise CredentialError(f"auth default: azure-identity found no way to sign in: {printable(str(exc))}") from exc
    return str(token.token)


def _required(value: str | None, option: str, kind: str) -> str:
    if not value:
        raise SettingsError(f"auth {kind}: {option} is not set")
    return value


def _read_token(path: str) -> str:
    try:
        token = Path(path).expanduser().read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"federated_token_file: {path} cannot be read: {exc}") from exc
    if not token:
        raise SettingsError(f"federated_token_file: {path} is empty")
    return token


def _token_in(output: bytes, key: str) -> str:
    try:
        token = json.loads(output)[key]
    except (ValueError, KeyError, TypeError) as exc:
        raise CredentialError("auth cli: az answered something other than a token") from exc
    if not isinstance(token, str) or not token:
        raise CredentialError("auth cli: az answered an empty token")
    return token


__all__ = [
    "Surroundings",
    "TokenSource",
    "azure_identity_token",
    "choose",
    "cli_token",
    "managed_identity_token",
    "surroundings",
    "token_source",
]
