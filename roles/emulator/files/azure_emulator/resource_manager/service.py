# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource Manager: from a request to an answer, without a socket. Sign-in, permission, limits, paging."""

from __future__ import annotations

import base64
import fnmatch
import json
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from azure_emulator.failures import SPOILING, failed_answer, resource_manager_error
from azure_emulator.faults import RESOURCE_MANAGER, Faults, Target
from azure_emulator.limits import Buckets, Rate
from azure_emulator.messages import Answer, RefusedError, Request, compact, json_answer
from azure_emulator.resource_manager import graph
from azure_emulator.resource_manager.calls import VIRTUAL_MACHINES_STATUS, Definition, call_name, definition_of
from azure_emulator.resource_manager.sign_in import SignIn
from azure_emulator.tokens import TokenError, TokenIssuer

if TYPE_CHECKING:
    from azure_emulator.clock import Clock
    from azure_emulator.fleet.model import Fleet
    from azure_emulator.resource_manager.lists import Entries, Lists

# Contract section 9; the audience of a token names the cloud's own address, with a slash at its end or without.
AUDIENCES = (
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",
    "https://management.core.chinacloudapi.cn",
    "https://management.microsoftazure.de",
    "https://management.core.cloudapi.de",
)
# Contract section 12.4.
_READS = Rate(250, 25)
_COST = {"high": Rate(900, 5), "low": Rate(24000, 8000 / 60)}
_EACH_VM = Rate(36, 12 / 60)
_TOO_MANY = "The server rejected the request because too many requests have been received."
_UNSIGNED = "Authentication failed. The 'Authorization' header is missing."
_GRAPH_WINDOW = 5
_GRAPH = Rate(15, 15 / _GRAPH_WINDOW)
_POLICY = {"high": "HighCostGet", "low": "LowCostGet"}


class ResourceManager:
    """Answers for all subscriptions of the fleet.

    Args:
        fleet: the resources. lists: what the calls list. clock: tells the time. faults: what is to go wrong.
        issuer: whose tokens are taken. rate_limit: whether calls are counted.
    """

    def __init__(
        self, fleet: Fleet, lists: Lists, clock: Clock, faults: Faults, issuer: TokenIssuer, *, rate_limit: bool
    ) -> None:
        self._fleet, self._lists, self._clock, self._faults, self._issuer = fleet, lists, clock, faults, issuer
        self._spec = fleet.api.resource_manager
        self._anonymous = SignIn(fleet, issuer)
        self._buckets = Buckets(enabled=rate_limit)

    def answer(self, request: Request) -> Answer:
        """The answer to a request."""
        found = definition_of(request.path.rstrip("/"))
        replacing = self._fault(request, found)
        if replacing is not None and replacing.spec.fault not in SPOILING:
            answer = failed_answer(replacing, None, category=None)
        else:
            answer = self._proper_answer(request, found)
            if replacing is not None:
                answer = failed_answer(replacing, answer, category=None)
        answer.real_wait += self._spec.latency
        return answer

    def _fault(self, request: Request, found: tuple[Definition, dict[str, str]] | None) -> Any:
        if not self._faults:
            return None
        name = call_name(request.path)
        status = name == "virtual_machines" and request.parameter("statusOnly") is not None
        categories = (RESOURCE_MANAGER, VIRTUAL_MACHINES_STATUS if status else name)
        subscription = found[1].get("subscription") if found else None
        target = Target(None, categories, request.method, subscription)
        return next(iter(self._faults.choose(target, self._clock.now())), None)

    def _proper_answer(self, request: Request, found: tuple[Definition, dict[str, str]] | None) -> Answer:
        if request.too_long:
            return resource_manager_error(413, "RequestEntityTooLarge", "The body is too long.")
        anonymous = self._anonymous.answer(request, self._clock.now())
        if anonymous is not None:
            return anonymous
        try:
            claims = self._sign_in(request)
            if found is None:
                message = "The resource type or path could not be found."
                raise RefusedError(resource_manager_error(404, "InvalidResourceType", message))
            definition, names = found
            self._check(request, definition, names, claims)
            if definition.name == "resource_graph":
                return self._graph(request, claims)
            headers = self._count(definition, request.path, names.get("subscription", ""), claims)
            answer = self._dispatch(request, definition, names)
            answer.headers.update(headers)
        except RefusedError as exc:
            return exc.answer
        return answer

    # May the caller?

    def _sign_in(self, request: Request) -> dict[str, Any]:
        scheme, _blank, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise self._unauthorized("AuthenticationFailed", _UNSIGNED)
        try:
            claims = self._issuer.verify(token.strip(), self._clock.now())
        except TokenError as exc:
            raise self._unauthorized(exc.code, str(exc)) from exc
        audience = str(claims["aud"]).rstrip("/")
        if audience not in (*AUDIENCES, request.base.rstrip("/")):
            message = f"The access token has been obtained for wrong audience or resource '{claims['aud']}'."
            raise self._unauthorized("InvalidAuthenticationTokenAudience", message)
        return claims

    def _unauthorized(self, code: str, message: str) -> RefusedError:
        challenge = (
            f'Bearer authorization_uri="https://login.microsoftonline.com/{self._issuer.tenant}",'
            f' error="invalid_token", error_description="{message}"'
        )
        return RefusedError(resource_manager_error(401, code, message, **{"WWW-Authenticate": challenge}))

    def _check(self, request: Request, definition: Definition, names: dict[str, str], claims: dict[str, Any]) -> None:
        if request.method != definition.method:
            message = f"The requested resource does not support http method '{request.method}'."
            raise RefusedError(resource_manager_error(405, "MethodNotAllowed", message))
        version = request.parameter("api-version")
        if not version:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise RefusedError(resource_manager_error(400, "MissingApiVersionParameter", message))
        if version not in definition.versions:
            message = (
                f"The resource type '{definition.type}' could not be found for api version '{version}'. The supported"
                f" api-versions are '{','.join(definition.versions)}'."
            )
            raise RefusedError(resource_manager_error(400, "InvalidResourceType", message))
        subscription = names.get("subscription")
        if subscription is not None:
            self._check_subscription(subscription, definition.action, claims)

    def _check_subscription(self, subscription: str, action: str, claims: dict[str, Any]) -> None:
        if subscription.lower() not in (known.lower() for known in self._fleet.subscriptions):
            message = f"The subscription '{subscription}' could not be found."
            raise RefusedError(resource_manager_error(404, "SubscriptionNotFound", message))
        if self.denied(subscription, action, claims):
            who = claims["oid"]
            message = (
                f"The client '{who}' with object id '{who}' does not have authorization to perform action '{action}'"
                f" over scope '/subscriptions/{subscription}' or the scope is invalid. If access was recently granted,"
                " please refresh your credentials."
            )
            raise RefusedError(resource_manager_error(403, "AuthorizationFailed", message))

    def denied(self, subscription: str, action: str, claims: dict[str, Any]) -> bool:
        """Whether the fleet file denies a caller an action in a subscription."""
        return any(
            (rule.subscription_id is None or rule.subscription_id.lower() == subscription.lower())
            and (rule.client_id is None or rule.client_id.lower() == str(claims["appid"]).lower())
            and fnmatch.fnmatchcase(action.lower(), rule.action.lower())
            for rule in self._spec.denied
        )

    # How often?

    def _count(self, definition: Definition, path: str, subscription: str, claims: dict[str, Any]) -> dict[str, str]:
        """Take a token of each limit that the call counts against; returns the headers that tell what is left."""
        if not self._buckets.enabled:
            return {}
        now, place = self._clock.now(), subscription.lower()
        reads = self._buckets.bucket(("reads", place, str(claims["oid"])), _READS, now)
        if not reads.take(now):
            message = "Number of requests for this subscription and caller exceeded the limit. Please try again later."
            raise self._throttled("SubscriptionRequestsThrottled", message, reads.wait(now))
        headers = {"x-ms-ratelimit-remaining-subscription-reads": str(reads.remaining(now))}
        if definition.cost == "low":
            each = self._buckets.bucket(("vm", path.lower()), _EACH_VM, now)
            if not each.take(now):
                raise self._throttled("OperationNotAllowed", _TOO_MANY, each.wait(now))
        if definition.cost:
            compute = self._buckets.bucket((definition.cost, place), _COST[definition.cost], now)
            if not compute.take(now):
                raise self._throttled("OperationNotAllowed", _TOO_MANY, compute.wait(now))
            left, policy = compute.remaining(now), f"Microsoft.Compute/{_POLICY[definition.cost]}"
            headers["x-ms-ratelimit-remaining-resource"] = f"{policy}3Min;{left},{policy}30Min;{left * 10}"
        return headers

    @staticmethod
    def _throttled(code: str, message: str, wait: float) -> RefusedError:
        seconds = str(max(1, math.ceil(wait)))
        return RefusedError(resource_manager_error(429, code, message, Retry_After=seconds))

    # What?

    def _dispatch(self, request: Request, definition: Definition, names: dict[str, str]) -> Answer:
        name, subscription, lists = definition.name, names.get("subscription", ""), self._lists
        if name == "subscriptions":
            return self._subscriptions()
        if name == "instance_view":
            return json_answer(lists.instance_view(request.path.rstrip("/").rpartition("/")[0]))
        if name == "virtual_machines":
            return self._page(lists.virtual_machines(subscription, request), request)
        if name.startswith("scale_set_"):
            group = lists.scale_set(subscription, names["group"], names["name"])
            if name == "scale_set_virtual_machines":
                return self._page(lists.scale_set_virtual_machines(group, request), request)
            return self._page(getattr(lists, name)(group), request)
        return self._page(getattr(lists, name)(subscription), request)

    def _graph(self, request: Request, claims: dict[str, Any]) -> Answer:
        """A page of a Resource Graph query, with its own quota (contract section 12.3)."""
        headers = self._graph_quota(str(claims["oid"]))
        try:
            body = json.loads(request.body.decode("utf-8"))
        except ValueError as exc:
            raise RefusedError(resource_manager_error(400, "BadRequest", "The body is not JSON.")) from exc
        body = body if isinstance(body, dict) else {}
        query = graph.parse_query(body.get("query"))
        wanted = body.get("subscriptions") or self._fleet.subscriptions
        for subscription in wanted:
            self._check_subscription(str(subscription), "Microsoft.Compute/virtualMachines/read", claims)
        page = graph.page(query, self._lists, [str(each) for each in wanted], body.get("options"))
        cut = page.token is None and len(page.rows) < page.total and not body.get("options", {}).get("$skipToken")
        result = {
            "totalRecords": page.total,
            "count": len(page.rows),
            "resultTruncated": "true" if cut else "false",
            **({"$skipToken": page.token} if page.token else {}),
            "data": page.rows,
            "facets": [],
        }
        return json_answer(result, 200, **headers)

    def _graph_quota(self, caller: str) -> dict[str, str]:
        if not self._buckets.enabled:
            return {}
        now = self._clock.now()
        bucket = self._buckets.bucket(("graph", caller), _GRAPH, now)
        granted = bucket.take(now)
        seconds = math.ceil(bucket.wait(now))
        headers = {
            "x-ms-user-quota-remaining": str(bucket.remaining(now)),
            "x-ms-user-quota-resets-after": f"00:00:{_GRAPH_WINDOW:02d}",
        }
        if not granted:
            text = "Please retry after the quota has been reset."
            raise RefusedError(resource_manager_error(429, "RateLimiting", text, Retry_After=str(seconds), **headers))
        return headers

    def _subscriptions(self) -> Answer:
        value = [
            {
                "id": f"/subscriptions/{subscription}",
                "subscriptionId": subscription,
                "tenantId": self._fleet.tenant_id,
                "displayName": f"Emulated subscription {index + 1}",
                "state": "Enabled",
            }
            for index, subscription in enumerate(self._fleet.subscriptions)
        ]
        return json_answer({"value": value, "count": {"type": "Total", "value": len(value)}})

    def _page(self, entries: Entries, request: Request) -> Answer:
        """One page of a list, with the link to the next: absolute, opaque, to be followed as it is."""
        start = _offset(request.parameter("$skiptoken"))
        end = start + self._spec.page_size
        page: dict[str, Any] = {"value": entries.page(start, end)}
        if end < len(entries):
            kept = [(name, value) for name, value in request.query if name.lower() != "$skiptoken"]
            query = urlencode([*kept, ("$skiptoken", _token(end))])
            page["nextLink"] = f"{request.base}{request.path}?{query}"
        return Answer(200, compact(page))


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        offset = json.loads(base64.urlsafe_b64decode(token))["offset"]
    except (ValueError, KeyError, TypeError):
        offset = None
    if not isinstance(offset, int) or offset < 0:
        message = "The provided skip token is not valid. Follow the nextLink as it is."
        raise RefusedError(resource_manager_error(400, "InvalidSkipToken", message))
    return offset


__all__ = ["AUDIENCES", "ResourceManager"]
