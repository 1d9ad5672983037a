# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The identity category: tokens for a VM's managed identities (contract section 7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from azure_emulator.imds.answers import error
from azure_emulator.messages import Answer, RefusedError, Request, json_answer

if TYPE_CHECKING:
    from azure_emulator.fleet.model import Identity, Vm
    from azure_emulator.fleet.specification import IdentityApiSpec
    from azure_emulator.tokens import TokenIssuer

# Requests that may be under way at once for one VM (contract section 1.4).
IN_FLIGHT = 5
_SELECTORS = ("client_id", "object_id", "msi_res_id")
_SEVERAL = (
    "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token"
    " request"
)
_RESOURCE = re.compile(r"(?:https?|api)://\S+|[0-9a-fA-F-]{36}")
_CACHE_LIMIT = 4096  # any text can be asked for as a resource
_REFRESH = 300  # seconds before its end at which the service asks for a new token


class _Issued(NamedTuple):
    token: str
    at: int
    expires: int


class IdentityService:
    """Tokens of all VMs, with the service's own cache."""

    def __init__(self, issuer: TokenIssuer, spec: IdentityApiSpec) -> None:
        self._issuer, self._spec = issuer, spec
        self._cache: dict[tuple[str, str, str], _Issued] = {}

    def info(self) -> Answer:
        """The directory of the VM."""
        return json_answer({"tenantId": self._issuer.tenant})

    def token(self, vm: Vm, request: Request, now: float) -> Answer:
        """A token for a resource.

        Raises:
            RefusedError: a documented error.
        """
        resource = _resource(request, self._issuer.tenant)
        selector = _selector(request)
        identity = _identity(vm, selector)
        place = (vm.key, identity.client_id, resource)
        issued = self._cache.get(place)
        fresh = request.parameter("bypass_cache") == "true" or issued is None or issued.expires - now < _REFRESH
        if fresh or issued is None:
            if len(self._cache) >= _CACHE_LIMIT:
                self._cache.clear()
            issued = self._cache[place] = self._issue(identity, resource, now)
        answer = json_answer(_body(issued, identity, resource, now, selector))
        answer.wait = self._spec.latency if fresh else 0.0
        answer.in_flight = True
        return answer

    def _issue(self, identity: Identity, resource: str, now: float) -> _Issued:
        lifetime = self._spec.token_lifetime
        token = self._issuer.issue(
            audience=resource,
            client_id=identity.client_id,
            object_id=identity.object_id,
            now=now,
            lifetime=lifetime,
            xms_mirid=identity.resource_id,
        )
        return _Issued(token, int(now), int(now) + lifetime)


def _body(
    issued: _Issued, identity: Identity, resource: str, now: float, selector: tuple[str, str] | None
) -> dict[str, str]:
    """All figures are strings."""
    left = issued.expires - int(now)
    body = {
        "access_token": issued.token,
        "client_id": identity.client_id,
        "expires_in": str(left),
        "expires_on": str(issued.expires),
        "ext_expires_in": str(left),
        "not_before": str(issued.at),
        "resource": resource,
        "token_type": "Bearer",
    }
    if selector is not None and selector[0] != "client_id":
        body[selector[0]] = selector[1]
    return body


def _refuse(text: str, *, status: int = 400, code: str = "invalid_request") -> RefusedError:
    return RefusedError(error("identity", status, text, code=code))


def _resource(request: Request, tenant: str) -> str:
    resource = request.parameter("resource")
    if not resource:
        raise _refuse("Required query variable 'resource' is missing")
    if not _RESOURCE.fullmatch(resource):
        text = f"AADSTS50001: The application named {resource} was not found in the tenant named {tenant}."
        raise _refuse(text, code="invalid_resource")
    return resource


def _selector(request: Request) -> tuple[str, str] | None:
    """Which identity is asked for, by one of three names; App Service's name for the third is not taken here."""
    if request.parameter("mi_res_id") is not None:
        raise _refuse("mi_res_id is not a parameter of this service; the resource id of an identity is msi_res_id")
    given = [(name, value) for name in _SELECTORS if (value := request.parameter(name)) is not None]
    if len(given) > 1:
        raise _refuse(f"Specify at most one of {', '.join(_SELECTORS)}")
    return given[0] if given else None


def _identity(vm: Vm, selector: tuple[str, str] | None) -> Identity:
    """The identity that is asked for; without a word about it the VM's own, or its only user-assigned one."""
    if selector is not None:
        name, value = selector
        attribute = "resource_id" if name == "msi_res_id" else name
        found = [i for i in vm.identities if getattr(i, attribute).lower() == value.lower() and _named(i, name)]
    else:
        found = [i for i in vm.identities if not i.name] or list(vm.identities)
    if not found:
        raise _refuse("Identity not found")
    if len(found) > 1:
        raise _refuse(_SEVERAL)
    return found[0]


def _named(identity: Identity, selector: str) -> bool:
    """Whether a selector can mean it: the resource id of the VM does not stand for its own identity."""
    return bool(identity.name) or selector != "msi_res_id"


__all__ = ["IN_FLIGHT", "IdentityService"]
