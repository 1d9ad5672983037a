"""The client's rules, on the wire: what it sends, what it retries and for how long, what it makes of an answer."""

from __future__ import annotations

import socket

import pytest
from scripted_server import FakeClock, ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import errors, wire
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.client import (
    DEFAULT_ENDPOINT,
    ImdsClient,
    RetryPolicy,
    parse_endpoint,
)

NEWEST = {
    "error": "Bad request. api-version is invalid or was not specified in the request.",
    "newest-versions": ["2021-02-01", "2021-01-01", "2020-12-01"],
}


def make(server: ScriptedServer, clock: FakeClock, **kwargs: object) -> ImdsClient:
    kwargs.setdefault("jitter", lambda: 1.0)
    return ImdsClient(server.endpoint, clock=clock, sleep=clock.sleep, **kwargs)


def test_a_get_carries_the_header_and_no_proxy(server: ScriptedServer, clock: FakeClock, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.script = [answer(200, {"compute": {}})]
    got = make(server, clock).get_json("instance", api_version="2021-02-01", query={"a": "b c"})
    assert got.value == {"compute": {}}
    assert got.api_version == "2021-02-01"
    request = server.requests[0].decode()
    assert request.startswith("GET /metadata/instance?api-version=2021-02-01&a=b+c HTTP/1.1\r\n")
    assert "\r\nMetadata: true\r\n" in request
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in request


def test_every_try_has_its_own_request_id(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(500), answer(200, {})]
    make(server, clock).get_json("versions")
    ids = [
        line for r in server.requests for line in r.decode().split("\r\n") if line.startswith("x-ms-client-request-id")
    ]
    assert len(set(ids)) == 2


def test_path_elements_are_quoted(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(200, {})]
    make(server, clock).get_json("instance/a b/../c?d", api_version="2021-02-01")
    assert server.heads()[0] == "GET /metadata/instance/a%20b/../c%3Fd?api-version=2021-02-01 HTTP/1.1"


@pytest.mark.parametrize("status", [410, 429, 500, 502, 503, 504, 408])
def test_what_says_later_is_asked_again(server: ScriptedServer, clock: FakeClock, status: int) -> None:
    server.script = [answer(status), answer(status), answer(200, {"ok": 1})]
    assert make(server, clock).get_json("versions").value == {"ok": 1}
    assert clock.sleeps == [1.0, 2.0]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.BadRequestError),
        (401, errors.BlockedError),
        (403, errors.BlockedError),
        (404, errors.AbsentError),
        (405, errors.BadRequestError),
        (302, errors.BadAnswerError),
        (418, errors.BadAnswerError),
    ],
)
def test_what_says_no_is_asked_once(server: ScriptedServer, clock: FakeClock, status: int, error: type) -> None:
    server.script = [answer(status, {"error": "why"}, Location="http://127.0.0.1:1/")]
    with pytest.raises(error, match=rf"/metadata/versions answered {status}.*why") as caught:
        make(server, clock).get_json("versions")
    assert caught.value.status == status
    assert len(server.requests) == 1
    assert clock.sleeps == []


def test_absent_is_asked_again_only_when_told(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(404), answer(200, {"access_token": "x"})]
    got = make(server, clock).get_json("identity/info", retry_absent=True)
    assert got.value == {"access_token": "x"}


def test_retry_after_is_honoured(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(429, Retry_After="7"), answer(200, {})]
    make(server, clock).get_json("versions")
    assert clock.sleeps == [7.0]


def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(429, Retry_After="31")]
    with pytest.raises(errors.ThrottledError, match=r"tried 1 time in 0\.0 s"):
        make(server, clock).get_json("versions")
    assert clock.sleeps == []


def test_the_wait_doubles_up_to_the_cap_with_jitter(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(503)] * 6 + [answer(200, {})]
    policy = RetryPolicy(total=100, retries=9, cap=8)
    make(server, clock, policy=policy, jitter=lambda: 0.0).get_json("versions")
    assert clock.sleeps == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_the_deadline_holds_over_all_tries(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(500)] * 50
    with pytest.raises(errors.ServiceError, match="tried 4 times"):
        make(server, clock, policy=RetryPolicy(total=10, retries=99)).get_json("versions")
    assert clock.sleeps == [1.0, 2.0, 4.0]


def test_retries_are_counted(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(500)] * 50
    with pytest.raises(errors.ServiceError, match="tried 3 times"):
        make(server, clock, policy=RetryPolicy(retries=2)).get_json("versions")


def test_an_update_of_the_service_is_waited_out(server: ScriptedServer, clock: FakeClock) -> None:
    """A 410 lasts up to 70 s (contract section 1.5): longer than the usual deadline and number of tries."""
    server.script = [answer(410)] * 7 + [answer(200, {})]
    make(server, clock, policy=RetryPolicy(total=5, retries=1)).get_json("versions")
    assert sum(clock.sleeps) == 71.0


def test_a_caller_with_its_own_rhythm_does_not_sit_out_an_update(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(410)]
    with pytest.raises(errors.GoneError):
        make(server, clock, policy=RetryPolicy(retries=0, gone_total=0)).get_json("versions")
    assert clock.sleeps == []


def test_nobody_listens(clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    client = ImdsClient(f"http://127.0.0.1:{port}", clock=clock, sleep=clock.sleep, jitter=lambda: 1.0)
    with pytest.raises(errors.UnreachableError) as caught:
        client.get_json("instance")
    text = str(caught.value)
    assert f"http://127.0.0.1:{port}/metadata/instance" in text
    assert "refused" in text
    assert "tried 3 times in 3.0 s" in text
    assert "Check that the endpoint is right" in text


def test_a_silent_server_is_given_up(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = ["hang", "hang"]
    with pytest.raises(errors.UnreachableError, match="no complete answer in time"):
        make(server, clock, policy=RetryPolicy(attempt=0.05, retries=1)).get_json("versions")
    assert len(server.requests) == 2


def test_a_dripping_server_cannot_outlast_the_deadline(server: ScriptedServer) -> None:
    """Each byte resets a per-read time-out; the deadline must not move."""
    ticks = iter(range(1000))

    def clock() -> float:
        return float(next(ticks))

    server.script = [(answer(200, b"x" * 100)[:-50], "hang")]
    with pytest.raises(errors.UnreachableError, match="no complete answer in time"):
        ImdsClient(server.endpoint, clock=clock, policy=RetryPolicy(total=3, retries=0)).get_json("versions")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not an HTTP service"),
        (b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", "a header line of"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n", "a body of -4 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "a body size of 'many'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "a body of 99999999999 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "a body size of 'zz'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}XX", "does not end where"),
        (b"x" * 70000, "without an end of line"),
    ],
)
def test_what_is_not_http_is_named(server: ScriptedServer, clock: FakeClock, raw: bytes, message: str) -> None:
    server.script = [raw]
    with pytest.raises(errors.BadAnswerError, match=message):
        make(server, clock).get_json("versions")


@pytest.mark.parametrize(
    "raw",
    [
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\nTrailer: t\r\n\r\n',
        b'HTTP/1.0 200 OK\r\n\r\n{"a":1}',
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 7\r\n\r\n{"a":1}',
    ],
)
def test_every_way_to_end_a_body(server: ScriptedServer, clock: FakeClock, raw: bytes) -> None:
    server.script = [(raw, "close")]
    with make(server, clock, keep_alive=True) as client:
        assert client.get_json("versions").value == {"a": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><title>Sign in</title></html>", "an HTML page"),
        (b"{", "something other than JSON"),
        (b"", "something other than JSON"),
        (b"\xff\xfe", "something other than JSON"),
        (b"[" * 100_000, "something other than JSON"),
    ],
)
def test_a_body_that_is_not_json_is_not_the_service(
    server: ScriptedServer, clock: FakeClock, body: bytes, message: str
) -> None:
    server.script = [answer(200, body)]
    with pytest.raises(errors.BadAnswerError, match=message):
        make(server, clock).get_json("versions")


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"40\r\n" + b" " * 64 + b"\r\n" + b"c0\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 300,
        b"HTTP/1.1 200 OK\r\nContent-Length: 257\r\n\r\n",
    ],
    ids=["chunked", "to the end", "announced"],
)
def test_a_huge_body_is_not_read_to_its_end(server, clock, monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(wire, "MAX_BODY", 255)
    server.script = [(raw, "hang")]
    with pytest.raises(errors.BadAnswerError, match=r"a body of (more than 255|257) bytes"):
        make(server, clock).get_json("versions")


def test_text_is_taken_as_it_is(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(200, "<Z\u00fcrich>".encode())]
    assert make(server, clock).get_text("instance/compute/tagsList/0/value").value == "<Z\u00fcrich>"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (answer(200, b"\xff\xfe"), "not UTF-8 text"),
        (answer(200, b"  <!DOCTYPE html><p>Sign in"), "an HTML page"),
        (answer(200, b"Sign in", Content_Type="text/html"), "an HTML page"),
        (answer(200, b"whole")[:-2], "closed the connection in the middle"),
    ],
)
def test_text_that_is_none(server: ScriptedServer, clock: FakeClock, raw: bytes, says: str) -> None:
    server.script = [(raw, "close")]
    with pytest.raises(errors.ImdsError, match=says):
        make(server, clock, policy=RetryPolicy(retries=0)).get_text("instance/compute/name")


def test_a_proxys_error_page_is_not_a_service_error(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(504, b"<html>Gateway Timeout</html>")]
    with pytest.raises(errors.BadAnswerError, match="a proxy"):
        make(server, clock).get_json("versions")


def test_a_sensitive_answer_is_never_quoted(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(200, b'{"access_token": "s3cret"')]
    with pytest.raises(errors.BadAnswerError) as caught:
        make(server, clock).get_json("identity/oauth2/token", sensitive=True)
    assert "s3cret" not in str(caught.value)


def test_control_characters_of_an_answer_do_not_reach_the_terminal(server: ScriptedServer, clock: FakeClock) -> None:
    server.script = [answer(400, b"\x1b[31mred" + b"x" * 500)]
    with pytest.raises(errors.BadRequestError) as caught:
        make(server, clock).get_json("versions")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


class TestApiVersions:
    def test_auto_falls_back_to_what_the_service_lists(self, server: ScriptedServer, clock: FakeClock) -> None:
        server.script = [answer(400, NEWEST), answer(200, {"compute": {}}), answer(200, {"compute": {}})]
        client = make(server, clock)
        assert client.get_json("instance").api_version == "2021-02-01"
        assert client.get_json("instance").api_version == "2021-02-01"
        assert [head.split("api-version=")[1][:10] for head in server.heads()] == ["2023-11-15", *["2021-02-01"] * 2]

    def test_auto_walks_down_a_service_that_lists_nothing(self, server: ScriptedServer, clock: FakeClock) -> None:
        old = answer(404, b'{ "error": "Not found. Invalid version requested" }')
        server.script = [old] * 6 + [answer(200, {"compute": {}})]
        assert make(server, clock).get_json("instance").api_version == "2017-12-01"

    def test_auto_ends_when_every_version_is_refused(self, server: ScriptedServer, clock: FakeClock) -> None:
        server.script = [answer(400, {"error": "Bad request. api-version is invalid"})] * 20
        with pytest.raises(errors.BadRequestError):
            make(server, clock).get_json("instance")
        assert len(server.requests) == 8

    def test_a_refusal_for_another_reason_is_not_about_the_version(self, server, clock) -> None:
        server.script = [answer(400, {"error": "Bad request. Required metadata header not specified"})]
        with pytest.raises(errors.BadRequestError, match="Required metadata header"):
            make(server, clock).get_json("instance")
        assert len(server.requests) == 1

    def test_a_chosen_version_is_kept_to(self, server: ScriptedServer, clock: FakeClock) -> None:
        server.script = [answer(400, NEWEST)]
        with pytest.raises(errors.BadRequestError) as caught:
            make(server, clock).get_json("instance", api_version="2025-04-07")
        assert caught.value.newest_versions == ("2021-02-01", "2021-01-01", "2020-12-01")

    def test_a_list_without_an_older_version_leads_down_the_ladder(self, server, clock) -> None:
        listed = {"error": "x", "newest-versions": ["2025-04-07", "2024-07-17", "2024-03-15"]}
        server.script = [answer(400, listed), answer(200, {"compute": {}})]
        assert make(server, clock).get_json("instance").api_version == "2021-12-13"

    @pytest.mark.parametrize("listed", ["text", [1, 2], None, {"a": 1}])
    def test_a_broken_list_counts_as_none(self, server: ScriptedServer, clock: FakeClock, listed: object) -> None:
        server.script = [answer(400, {"error": "bad api-version", "newest-versions": listed}), answer(200, {})]
        assert make(server, clock).get_json("instance").api_version == "2021-12-13"


class TestKeptConnection:
    def test_one_connection_serves_many_calls(self, server: ScriptedServer, clock: FakeClock) -> None:
        server.script = [answer(200, {})] * 3
        with make(server, clock, keep_alive=True) as client:
            for _ in range(3):
                client.get_json("versions")
        assert server.connections == 1

    def test_without_it_each_call_has_its_own(self, server: ScriptedServer, clock: FakeClock) -> None:
        server.script = [answer(200, {})] * 2
        client = make(server, clock)
        client.get_json("versions")
        client.get_json("versions")
        assert server.connections == 2
        assert b"Connection: close" in server.requests[0]

    def test_an_idle_connection_that_the_service_closed_is_no_failure(self, server, clock) -> None:
        server.script = [(answer(200, {"n": 1}), "close"), answer(200, {"n": 2})]
        with make(server, clock, keep_alive=True, policy=RetryPolicy(retries=0)) as client:
            assert client.get_json("versions").value == {"n": 1}
            assert client.get_json("versions").value == {"n": 2}
        assert clock.sleeps == []


class TestPost:
    def test_the_document_is_posted_once(self, server: ScriptedServer, clock: FakeClock) -> None:
        server.script = [answer(200)]
        make(server, clock).post_json("scheduledevents", {"StartRequests": []}, api_version="2020-07-01")
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /metadata/scheduledevents?api-version=2020-07-01 HTTP/1.1")
        assert body == b'{"StartRequests": []}'

    @pytest.mark.parametrize("status", [410, 429])
    def test_a_refusal_that_did_nothing_is_tried_again(self, server, clock, status: int) -> None:
        server.script = [answer(status), answer(200)]
        make(server, clock).post_json("scheduledevents", {}, api_version="2020-07-01")
        assert len(server.requests) == 2

    @pytest.mark.parametrize("item", ["close", "hang", (b"HTTP/1.1 20", "close")])
    def test_a_lost_answer_is_uncertain_and_not_tried_again(self, server, clock, item: object) -> None:
        server.script = [item]
        with pytest.raises(errors.UncertainError):
            make(server, clock, policy=RetryPolicy(attempt=0.05)).post_json("x", {}, api_version="1")
        assert len(server.requests) == 1

    def test_a_server_error_is_not_tried_again(self, server: ScriptedServer, clock: FakeClock) -> None:
        server.script = [answer(500)]
        with pytest.raises(errors.ServiceError):
            make(server, clock).post_json("x", {}, api_version="1")
        assert len(server.requests) == 1

    def test_it_never_rides_on_a_kept_connection(self, server: ScriptedServer, clock: FakeClock) -> None:
        server.script = [(answer(200, {}), "close"), answer(200)]
        with make(server, clock, keep_alive=True) as client:
            client.get_json("versions")
            client.post_json("x", {}, api_version="1")
        assert server.connections == 2


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (DEFAULT_ENDPOINT, ("169.254.169.254", 80, "169.254.169.254")),
        ("http://127.0.0.1:8169", ("127.0.0.1", 8169, "127.0.0.1:8169")),
        ("http://[::1]:81/", ("::1", 81, "[::1]:81")),
    ],
)
def test_endpoints(endpoint: str, expected: tuple) -> None:
    assert parse_endpoint(endpoint) == expected


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1",
        "https://a",
        "http://",
        "http://a/b",
        "http://u@a",
        "http://a:x",
        "http://a?b",
        "http://ä",
        "http://[::1",
    ],
)
def test_a_bad_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="is not of the form http://host"):
        ImdsClient(endpoint)


def test_error_kinds_are_what_results_show() -> None:
    assert errors.UnreachableError("x").kind == "unreachable"
    assert errors.BadRequestError("x").kind == "bad_request"
    assert errors.NotOnAzureError("x").kind == "not_on_azure"
