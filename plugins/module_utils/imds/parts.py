# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What can be gathered beside the instance document: load balancer, scheduled events, attested document, versions.

Each reader is named as its part, takes the client, the facts so far and the settings, and returns the part's own keys;
``blank`` gives the same keys for a part that could not be read.
"""

from __future__ import annotations

import typing as t

from .documents import integer, objects, text
from .errors import AbsentError, BadAnswerError, ImdsError

if t.TYPE_CHECKING:
    from .client import ImdsClient
    from .settings import Settings

Facts = t.Mapping[str, t.Any]

_BLANKS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "load_balancer": {"public_addresses": [], "inbound_rules": [], "outbound_rules": []},
    "scheduled_events": {"document_incarnation": None, "events": []},
    "attested": {"encoding": None, "signature": None},
    "versions": {"api_versions": []},
}
# A VM without a Standard load balancer or public address has no such document (contract section 2.1): no news.
EXPECTED: t.Mapping[str, tuple[type[ImdsError], ...]] = {"load_balancer": (AbsentError,)}


def blank(name: str) -> dict[str, t.Any]:
    """The keys of a part that could not be read."""
    return {key: value.copy() if isinstance(value, list) else value for key, value in _BLANKS[name].items()}


def load_balancer(client: ImdsClient, _facts: Facts, _settings: Settings) -> dict[str, t.Any]:
    """Public addresses and rules of a Standard load balancer (contract section 2.1). Raises ImdsError."""
    value = client.get_json("loadbalancer").value
    inner = value.get("loadbalancer") if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        raise BadAnswerError("the answer is JSON but no load-balancer document: it has no loadbalancer object")
    return {
        "public_addresses": [_rule(entry) for entry in objects(inner.get("publicIpAddresses"))],
        "inbound_rules": [
            {
                **_rule(entry),
                "protocol": (text(entry.get("protocol")) or "").lower() or None,
                "frontend_port": integer(entry.get("frontendPort")),
                "backend_port": integer(entry.get("backendPort")),
            }
            for entry in objects(inner.get("inboundRules"))
        ],
        "outbound_rules": [_rule(entry) for entry in objects(inner.get("outboundRules"))],
    }


def _rule(entry: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {
        "frontend_address": _address(entry.get("frontendIpAddress")),
        "private_address": _address(entry.get("privateIpAddress")),
    }


def _address(value: t.Any) -> str | None:
    """An address without the brackets that this category puts around IPv6."""
    return (text(value) or "").strip("[]") or None


def add_public_addresses(facts: dict[str, t.Any]) -> None:
    """Add the public IPv4 addresses that only the load-balancer document knows (contract section 11)."""
    pairs = facts["load_balancer"]["public_addresses"]
    for interface in facts["interfaces"]:
        for pair in pairs:
            public = pair["frontend_address"]
            own = pair["private_address"] in interface["private_ipv4"]
            if own and public and ":" not in public and public not in interface["public_ipv4"]:
                interface["public_ipv4"].append(public)
    facts["public_ipv4"] = [address for interface in facts["interfaces"] for address in interface["public_ipv4"]]


def scheduled_events(client: ImdsClient, facts: Facts, settings: Settings) -> dict[str, t.Any]:
    """The events that this VM is shown, each marked as mine or not. Raises ImdsError."""
    from .event_results import describe
    from .scheduled_events import FIRST_CALL_POLICY, ScheduledEvents

    document = ScheduledEvents(client, first_policy=settings.policy(FIRST_CALL_POLICY)).read()
    if document.problems:
        raise BadAnswerError("the events document has entries that cannot be read: " + "; ".join(document.problems))
    return {
        "document_incarnation": document.incarnation,
        "events": [describe(event, facts.get("name")) for event in document.events],
    }


def attested(client: ImdsClient, _facts: Facts, _settings: Settings) -> dict[str, t.Any]:
    """The signed document that proves which VM this is (contract section 8). Raises ImdsError."""
    value = client.get_json("attested/document", sensitive=True).value
    signature = text(value.get("signature")) if isinstance(value, dict) else None
    if signature is None:
        raise BadAnswerError("the answer is JSON but no attested document: it has no signature")
    return {"encoding": text(value.get("encoding")), "signature": signature}


def versions(client: ImdsClient, _facts: Facts, _settings: Settings) -> dict[str, t.Any]:
    """The api-versions that the service says it supports. Raises ImdsError."""
    value = client.get_json("versions").value
    listed = value.get("apiVersions") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise BadAnswerError("the answer is JSON but no list of versions: it has no apiVersions array")
    return {"api_versions": [version for version in listed if isinstance(version, str)]}


__all__ = ["EXPECTED", "add_public_addresses", "attested", "blank", "load_balancer", "scheduled_events", "versions"]
