"""The client's rules, on the wire: pages, tries, waits, and what an answer means."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from scripted_server import FakeClock, ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import answers, errors
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import Response

if TYPE_CHECKING:
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.client import Client

Make = "Callable[..., Client]"
VERSION = {"api-version": "2024-07-01"}


def page(*names: str, next_link: str | None = None) -> bytes:
    body: dict[str, Any] = {"value": [{"id": name} for name in names]}
    return answer(200, {**body, "nextLink": next_link} if next_link else body)


def names(client: Client) -> list[str]:
    return [item["id"] for items in client.pages("/subscriptions/s/x", VERSION) for item in items]


def test_pages_are_followed_as_they_are_over_one_connection(server: ScriptedServer, make: Make) -> None:
    server.script = [page("a", "b", next_link=f"{server.endpoint}/other/Path?$skiptoken=%2Fx&b=1"), page("c")]
    assert names(make()) == ["a", "b", "c"]
    assert server.heads() == [
        "GET /subscriptions/s/x?api-version=2024-07-01 HTTP/1.1",
        "GET /other/Path?$skiptoken=%2Fx&b=1 HTTP/1.1",
    ]
    assert server.connections == 1
    assert b"Authorization: Bearer secret-token\r\n" in server.requests[1]


def test_a_next_link_to_another_server_never_sees_the_token(server: ScriptedServer, make: Make) -> None:
    server.script = [page("a", next_link="http://127.0.0.1:1/steal")]
    with pytest.raises(errors.BadAnswerError, match=r"points to another server.*the access token is not sent there"):
        names(make())
    assert len(server.requests) == 1


def test_pages_that_turn_in_a_circle_end(server: ScriptedServer, make: Make) -> None:
    again = f"{server.endpoint}/p?n=1"
    server.script = [page("a", next_link=again), page("b", next_link=again)]
    with pytest.raises(errors.BadAnswerError, match="one that was there before"):
        names(make())


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": {"a": 1}}, {"error": {"code": "x"}}])
def test_an_answer_without_a_list_is_no_empty_list(server: ScriptedServer, make: Make, body: Any) -> None:
    server.script = [answer(200, body)]
    with pytest.raises(errors.BadAnswerError, match="GET /subscriptions/s/x answered no list"):
        names(make())


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_says_later_is_asked_again(server: ScriptedServer, clock: FakeClock, make: Make, status: int) -> None:
    server.script = [answer(status), answer(status), page("a")]
    assert names(make()) == ["a"]
    assert clock.sleeps == ([1.0, 2.0] if status == 429 else [0.25, 0.5])


@pytest.mark.parametrize("header", ["17", "Thu, 01 Jan 1970 00:00:17 GMT"])
def test_retry_after_is_honoured_as_seconds_and_as_a_date(
    server: ScriptedServer, clock: FakeClock, make: Make, header: str
) -> None:
    server.script = [answer(429, Retry_After=header), page("a")]
    assert names(make()) == ["a"]
    assert clock.sleeps == [17.0]


def test_rest_that_azure_wants_is_kept_by_the_next_request_too(
    server: ScriptedServer, clock: FakeClock, make: Make
) -> None:
    client = make()
    server.script = [answer(429, Retry_After="30"), page("a"), page("b")]
    begin = clock.now
    assert names(client) == ["a"]
    assert clock.now - begin == 30.0
    assert names(client) == ["b"]
    assert clock.sleeps == [30.0]


def test_a_rest_beyond_the_deadline_ends_it_at_once(server: ScriptedServer, clock: FakeClock, make: Make) -> None:
    server.script = [answer(429, {"error": {"code": "TooMany", "message": "slow down"}}, Retry_After="300")]
    with pytest.raises(errors.ThrottledError, match=r"TooMany: slow down \(tried 1 time, .*Azure asks to wait 300 s"):
        names(make())
    assert clock.sleeps == []


def test_the_deadline_is_one_for_all_requests(server: ScriptedServer, clock: FakeClock, make: Make) -> None:
    client = make(timeout=10.0)
    server.script = [answer(503)] * 3 + [page("a")] + [answer(503)] * 50
    assert names(client) == ["a"]
    with pytest.raises(errors.ServiceError, match="option timeout is 10 s"):
        names(client)
    assert sum(clock.sleeps) < 10.0
    clock.sleep(10.0)
    with pytest.raises(errors.DeadlineError, match="the 10 s for all requests together are over"):
        names(client)


GARBLED = ["close", answer(200, {"value": []})[:-2], b"SSH-2.0-x\r\n\r\n", answer(200, b"<html>")]


@pytest.mark.parametrize("item", GARBLED)
def test_an_answer_that_is_cut_or_garbled_is_asked_for_again(server: ScriptedServer, make: Make, item: Any) -> None:
    server.script = [(item, "close") if item != "close" else "close", page("a")]
    assert names(make()) == ["a"]


def test_what_stays_garbled_says_what_it_looks_like(server: ScriptedServer, make: Make) -> None:
    server.script = [answer(200, b"<html>login</html>")] * 9
    with pytest.raises(errors.BadAnswerError, match=r"answered an HTML page; a proxy.*\(tried 3 times"):
        names(make())


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, errors.RefusedError), (403, errors.ForbiddenError), (404, errors.AbsentError), (409, errors.RefusedError)],
)
def test_what_says_no_is_asked_once(
    server: ScriptedServer, clock: FakeClock, make: Make, status: int, error: type[errors.AzureError]
) -> None:
    server.script = [answer(status, {"error": {"code": "Some\nCode", "message": "why\x1b[2J\n not"}})]
    with pytest.raises(error, match=rf"answered {status} OK: Some Code: why\?\[2J not") as caught:
        names(make())
    assert caught.value.code == "Some Code"
    assert clock.sleeps == []


def test_a_forbidden_answer_tells_the_action() -> None:
    message = "The client 'x' does not have authorization to perform action 'Microsoft.Compute/a/read' over scope '/s'."
    body = json.dumps({"error": {"code": "AuthorizationFailed", "message": message}}).encode()
    error = answers.error_of("GET /x", Response(403, "Forbidden", {}, body))
    assert isinstance(error, errors.ForbiddenError)
    assert error.action == "Microsoft.Compute/a/read"
    plain = answers.error_of("GET /x", Response(403, "Forbidden", {}, b"no"))
    assert isinstance(plain, errors.ForbiddenError)
    assert plain.action is None


def test_a_refused_token_is_renewed_once(server: ScriptedServer, make: Make) -> None:
    given: list[bool] = []

    def token(refused: bool) -> str:
        given.append(refused)
        return f"token-{refused}"

    server.script = [answer(401), page("a")]
    assert names(make(token)) == ["a"]
    assert given == [False, True]
    server.script = [answer(401, {"error": {"code": "InvalidAuthenticationToken"}})] * 2
    with pytest.raises(errors.UnauthorizedError, match="InvalidAuthenticationToken") as caught:
        names(make(token))
    assert "token-" not in str(caught.value)


def test_gzip_is_asked_for_and_understood(server: ScriptedServer, make: Make) -> None:
    packed = gzip.compress(json.dumps({"value": [{"id": "a"}]}).encode())
    server.script = [answer(200, packed, Content_Encoding="gzip")]
    assert names(make()) == ["a"]
    assert b"Accept-Encoding: gzip\r\n" in server.requests[0]
    server.script = [answer(200, b"not", Content_Encoding="gzip")] * 3
    with pytest.raises(errors.BadAnswerError, match="says it is gzip and is not"):
        names(make())


def test_a_question_is_posted_as_json(server: ScriptedServer, make: Make) -> None:
    server.script = [answer(200, {"data": []})]
    assert make().query("/providers/x", VERSION, {"query": "y"}) == {"data": []}
    assert server.requests[0].endswith(b'\r\n\r\n{"query": "y"}')
    assert b"Content-Type: application/json\r\n" in server.requests[0]


def test_a_connection_that_died_idle_is_replaced_without_a_word(
    server: ScriptedServer, clock: FakeClock, make: Make
) -> None:
    client = make()
    server.script = [(page("a"), "close")]
    assert names(client) == ["a"]
    server.script = [page("b")]
    assert names(client) == ["b"]
    assert clock.sleeps == []
    assert server.connections == 2


def test_giving_up_ends_what_waits(server: ScriptedServer, make: Make) -> None:
    import threading

    client = make(timeout=1000.0)
    server.script = ["hang"]
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            names(client)
        except errors.AzureError as exc:
            caught.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    while not server.requests:
        pass
    client.abort()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(caught[0], (errors.UnreachableError, errors.DeadlineError))
