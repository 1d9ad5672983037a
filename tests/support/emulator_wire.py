"""The plainest HTTP client there is, for looking at the emulator's very bytes."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

HEADER = {"Metadata": "true"}
EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


class Reply(NamedTuple):
    """An answer: status, headers, body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def send(
    base: str, target: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None
) -> Reply:
    """One request on a connection of its own; ``Metadata: true`` unless other headers are given."""
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, target, body, HEADER if headers is None else headers)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def events(base: str, version: str = "2020-07-01") -> Any:
    """The events document."""
    reply = send(base, f"/metadata/scheduledevents?api-version={version}")
    assert reply.status == 200, reply
    return reply.json


def approve(base: str, *event_ids: str, version: str = "2020-07-01") -> Reply:
    """Approve events."""
    body = json.dumps({"StartRequests": [{"EventId": event_id} for event_id in event_ids]}).encode()
    return send(base, f"/metadata/scheduledevents?api-version={version}", method="POST", body=body)


def token(base: str, resource: str = "https://management.azure.com/", **more: str) -> Reply:
    """A token of the VM's identity."""
    query = urlencode({"api-version": "2018-02-01", "resource": resource, **more})
    return send(base, f"/metadata/identity/oauth2/token?{query}")


def bearer(base: str, resource: str = "https://management.azure.com/") -> dict[str, str]:
    """The header that opens Resource Manager."""
    return {"Authorization": "Bearer " + token(base, resource).json["access_token"]}


def follow(base: str, target: str, headers: dict[str, str]) -> tuple[list[Any], int]:
    """All entries of a list call, and how many pages they took."""
    entries: list[Any] = []
    pages = 0
    while target:
        reply = send(base, target, headers=headers)
        assert reply.status == 200, reply
        entries += reply.json["value"]
        pages += 1
        link = urlsplit(reply.json.get("nextLink", ""))
        target = f"{link.path}?{link.query}" if link.path else ""
    return entries, pages
