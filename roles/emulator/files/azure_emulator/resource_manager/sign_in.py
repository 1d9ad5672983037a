# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no token: signing in with a client secret, and the cloud's description (contract section 9).

Both stand on Resource Manager's address, so that one address is all that a caller has to be told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from azure_emulator.fleet.identifiers import made_up_guid
from azure_emulator.messages import Answer, RefusedError, Request, json_answer

if TYPE_CHECKING:
    from azure_emulator.fleet.model import Fleet
    from azure_emulator.tokens import TokenIssuer

LIFETIME = 3599
TOKEN_PATH = re.compile(r"/(?P<tenant>[^/]+)/oauth2/(?P<v2>v2\.0/)?token", re.IGNORECASE)
CONFIGURATION_PATH = re.compile(r"/(?P<tenant>[^/]+)/(?:v2\.0/)?\.well-known/openid-configuration", re.IGNORECASE)
ENDPOINTS_PATH = "/metadata/endpoints"
CLOUDS = {
    "AzurePublicCloud": ("AzureCloud", "public"),
    "AzureUSGovernmentCloud": ("AzureUSGovernment", "usGovCloud"),
    "AzureChinaCloud": ("AzureChinaCloud", "chinaCloud"),
    "AzureGermanCloud": ("AzureGermanCloud", "germanCloud"),
    "AzureStack": ("AzureStack", "public"),
}


class SignIn:
    """Answers the paths that need no token; None for every other path."""

    def __init__(self, fleet: Fleet, issuer: TokenIssuer) -> None:
        self._fleet, self._issuer = fleet, issuer

    def answer(self, request: Request, now: float) -> Answer | None:
        """The answer, or None when the path is not one of these."""
        if request.path.rstrip("/").lower() == ENDPOINTS_PATH:
            return self._cloud(request)
        token = TOKEN_PATH.fullmatch(request.path)
        configuration = CONFIGURATION_PATH.fullmatch(request.path)
        match = token or configuration
        if match is None:
            return None
        try:
            self._check_tenant(match["tenant"])
            if token is not None:
                return self._token(request, now, second=token["v2"] is not None)
        except RefusedError as exc:
            return exc.answer
        return json_answer(self._configuration(request.base, match["tenant"]))

    def _check_tenant(self, tenant: str) -> None:
        if tenant.lower() not in (self._fleet.tenant_id.lower(), "common", "organizations"):
            raise _refuse(400, "invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")

    def _token(self, request: Request, now: float, *, second: bool) -> Answer:
        """A token for an application's secret; by the second version's rules, or by the first's."""
        if request.method != "POST":
            raise _refuse(405, "invalid_request", "AADSTS900561: The endpoint only accepts POST requests.")
        form = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            raise _refuse(400, "unsupported_grant_type", "AADSTS70003: The emulator only has client_credentials.")
        client = self._client(form)
        audience = form.get("scope", "").removesuffix(".default") if second else form.get("resource", "")
        if not audience or (second and not form["scope"].endswith("/.default")):
            name = "scope" if second else "resource"
            raise _refuse(
                400,
                "invalid_scope",
                f"AADSTS1002012: The provided value for the input parameter '{name}' is not valid.",
            )
        token = self._issuer.issue(
            audience=audience,
            client_id=client,
            object_id=made_up_guid(self._fleet.seed, "principal", client),
            now=now,
            lifetime=LIFETIME,
        )
        if second:
            lifetimes = {"expires_in": LIFETIME, "ext_expires_in": LIFETIME}
            return json_answer({"token_type": "Bearer", **lifetimes, "access_token": token})
        times = {"expires_in": str(LIFETIME), "expires_on": str(int(now) + LIFETIME), "not_before": str(int(now))}
        return json_answer({"token_type": "Bearer", **times, "resource": audience, "access_token": token})

    def _client(self, form: dict[str, str]) -> str:
        wanted = form.get("client_id", "")
        known = next((p for p in self._fleet.service_principals if p.client_id.lower() == wanted.lower()), None)
        if known is None:
            raise _refuse(
                400, "unauthorized_client", f"AADSTS700016: Application with identifier '{wanted}' was not found."
            )
        if form.get("client_secret") != known.client_secret:
            raise _refuse(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        return known.client_id

    def _configuration(self, base: str, tenant: str) -> dict[str, Any]:
        return {
            "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
            "issuer": f"{base}/{self._fleet.tenant_id}/v2.0",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def _cloud(self, request: Request) -> Answer:
        """The cloud's endpoints, in the three forms that the versions have."""
        version = request.parameter("api-version") or ""
        name, old_name = CLOUDS[self._fleet.environment]
        if version < "2019-05-01":
            locations = sorted({self._fleet.location, *(vm.spec.location for vm in self._fleet.vms.values())})
            clouds: dict[str, Any] = {label: {"locations": []} for _name, label in CLOUDS.values()}
            clouds[old_name] = {"endpoint": request.base.partition("://")[2], "locations": locations}
            return json_answer({"cloudEndpoint": clouds})
        cloud = {
            "name": name,
            "resourceManager": request.base,
            "authentication": {
                "loginEndpoint": request.base,
                "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
                "tenant": self._fleet.tenant_id,
                "identityProvider": "AAD",
            },
        }
        return json_answer(cloud if version >= "2022-09-01" else [cloud])


def _refuse(status: int, code: str, text: str) -> RefusedError:
    return RefusedError(json_answer({"error": code, "error_description": text}, status))


__all__ = ["CLOUDS", "SignIn"]
