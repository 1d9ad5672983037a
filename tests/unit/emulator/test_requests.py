"""What a request must be, on the wire, and in which order that is looked at (contract section 13)."""

from __future__ import annotations

import pytest
from emulator_wire import send, token

from azure_emulator.testing import Emulator, running

INSTANCE = "/metadata/instance?api-version=2021-02-01"
NAME = "/metadata/instance/compute/name?api-version=2021-02-01"


@pytest.fixture
def base(emulator: Emulator) -> str:
    return emulator.endpoint("web-0")


def test_headers_of_an_answer(emulator: Emulator, base: str) -> None:
    emulator.control.advance(61)
    reply = send(base, INSTANCE)
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "imds" in reply.headers["Server"].lower()
    assert reply.headers["Date"] == "Mon, 05 Jan 2026 08:01:01 GMT"
    assert len(reply.headers["x-ms-request-id"]) == 36
    assert b'", "' not in reply.body  # compact JSON


def test_a_leaf_is_text_only(base: str) -> None:
    reply = send(base, NAME + "&format=text")
    assert (reply.status, reply.text, reply.headers["Content-Type"]) == (200, "web-0", "text/plain; charset=utf-8")
    for form in ("", "&format=json"):
        assert send(base, NAME + form).status == 400


def test_an_empty_leaf_is_an_empty_body(base: str) -> None:
    reply = send(base, "/metadata/instance/compute/zone?api-version=2021-02-01&format=text")
    assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", "0")


def test_sub_trees_are_unwrapped(base: str) -> None:
    assert send(base, "/metadata/instance/compute?api-version=2017-04-02").json["name"] == "web-0"
    assert list(send(base, "/metadata/instance/network/?api-version=2017-04-02").json) == ["interface"]


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_the_header_counts_in_any_case(base: str, value: str) -> None:
    assert send(base, INSTANCE, headers={"metadata": value}).status == 200


@pytest.mark.parametrize("headers", [{}, {"Metadata": "false"}, {"Metadata": ""}, {"Metadata": "true, true"}])
def test_without_the_header(base: str, headers: dict[str, str]) -> None:
    reply = send(base, INSTANCE, headers=headers)
    assert (reply.status, reply.json) == (400, {"error": "Bad request. Required metadata header not specified"})
    identity = send(base, "/metadata/identity/info?api-version=2018-02-01", headers=headers)
    assert identity.json == {
        "error": "bad_request_102",
        "error_description": "Required metadata header not specified",
    }


@pytest.mark.parametrize("headers", [{}, {"Metadata": "true"}])
def test_versions_needs_no_header(base: str, headers: dict[str, str]) -> None:
    listed = send(base, "/metadata/versions", headers=headers).json["apiVersions"]
    assert (len(listed), listed[0], listed[-1]) == (35, "2017-03-01", "2025-04-07")
    assert listed == sorted(listed)


@pytest.mark.parametrize(
    "query", ["", "?api-version=", "?api-version=2021-02-02", "?api-version={latest}", "?Api-Version=2021-02-01"]
)
def test_the_api_version_is_exact_and_the_newest_three_are_named(base: str, query: str) -> None:
    reply = send(base, "/metadata/instance" + query)
    assert reply.status == 400
    assert reply.json["newest-versions"] == ["2025-04-07", "2024-07-17", "2024-03-15"]
    assert "api-version" in reply.json["error"]


@pytest.mark.parametrize("version", ["2017-11-01", "2019-01-01", "2019-04-01", "2020-07-01"])
def test_the_two_lists_of_versions_differ(base: str, version: str) -> None:
    assert send(base, f"/metadata/scheduledevents?api-version={version}").status == 200
    assert send(base, f"/metadata/instance?api-version={version}").status == 400
    assert send(base, "/metadata/scheduledevents?api-version=2021-02-01").status == 400


@pytest.mark.parametrize(
    ("path", "older", "first"),
    [
        ("attested/document", "2018-04-02", "2018-10-01"),
        ("identity/info", "2017-12-01", "2018-02-01"),
        ("loadbalancer", "2020-09-01", "2020-10-01"),
    ],
)
def test_categories_begin_with_a_version(base: str, path: str, older: str, first: str) -> None:
    assert send(base, f"/metadata/{path}?api-version={older}").status == 400
    assert send(base, f"/metadata/{path}?api-version={first}").status in (200, 404)


def test_a_parameter_given_twice(base: str) -> None:
    assert send(base, INSTANCE + "&api-version=2021-02-01").status == 400


def test_forwarded_requests_are_refused(base: str) -> None:
    assert send(base, INSTANCE, headers={"Metadata": "true", "X-Forwarded-For": "10.0.0.1"}).status == 400


@pytest.mark.parametrize(
    "path", ["/", "/metadata", "/metadata/nothing", "/metadata/instances", "/metadata/instance//compute"]
)
def test_unknown_paths(base: str, path: str) -> None:
    assert send(base, path + "?api-version=2021-02-01").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_get_but_for_scheduledevents(base: str, method: str) -> None:
    assert send(base, INSTANCE, method=method).status == 405
    expected = 400 if method == "POST" else 405
    assert send(base, "/metadata/scheduledevents?api-version=2020-07-01", method=method).status == expected


@pytest.mark.parametrize(
    ("target", "method", "headers", "status"),
    [
        ("/metadata/nothing", "PUT", {}, 404),
        ("/metadata/instance", "PUT", {}, 405),
        ("/metadata/instance", "GET", {"X-Forwarded-For": "1.2.3.4"}, 400),
        ("/metadata/instance/nowhere?format=yaml", "GET", {"Metadata": "true"}, 400),
        ("/metadata/instance/nowhere?api-version=2021-02-01&format=yaml", "GET", {"Metadata": "true"}, 404),
        ("/metadata/instance/compute?api-version=2021-02-01&format=yaml", "GET", {"Metadata": "true"}, 400),
    ],
)
def test_the_first_thing_that_is_wrong_decides(
    base: str, target: str, method: str, headers: dict[str, str], status: int
) -> None:
    assert send(base, target, method=method, headers=headers).status == status


@pytest.mark.parametrize(
    ("target", "method", "status", "words"),
    [
        ("?api-version=2020-10-01&x=1", "GET", 400, "Unexpected request"),
        ("?api-version=2020-10-01&format=json", "GET", 404, "No load balancer metadata is found"),
        ("?api-version=2020-10-01", "POST", 405, 'Http method is not allowed: Path = "/metadata/loadbalancer"'),
        ("/inboundRules?api-version=2020-10-01", "GET", 404, "API is not found"),
    ],
)
def test_the_load_balancers_part_has_words_of_its_own(
    base: str, target: str, method: str, status: int, words: str
) -> None:
    reply = send(base, f"/metadata/loadbalancer{target}", method=method)
    assert reply.status == status
    assert words in reply.json["error"]


def test_a_body_that_is_too_long_is_refused(emulator: Emulator, base: str) -> None:
    body = b" " * (2**20 + 1)
    events = "/metadata/scheduledevents?api-version=2020-07-01"
    assert send(base, events, method="POST", body=body).json == {"error": "Bad request. The body is too long"}
    assert send(emulator.control.url, "/events", method="POST", body=body).json == {"error": "the body is too long"}
    assert send(emulator.resource_manager, "/subscriptions", method="POST", body=body).status == 413
    assert [entry["status"] for entry in emulator.control.requests(category="scheduledevents")] == [400]


def test_five_requests_a_second_for_each_vm(fleet: dict[str, object]) -> None:
    with running(fleet, rate_limit=True) as emulator:
        base = emulator.endpoint("web-0")
        assert [send(base, INSTANCE).status for _ in range(6)] == [200] * 5 + [429]
        assert "Retry-After" not in send(base, INSTANCE).headers
        assert send(emulator.endpoint("web-1"), INSTANCE).status == 200
        assert token(base).status == 200  # counted apart
        emulator.control.advance(0.4)
        assert [send(base, INSTANCE).status for _ in range(3)] == [200, 200, 429]


def test_a_refused_request_costs_nothing_unless_it_reached_the_limit(fleet: dict[str, object]) -> None:
    with running(fleet, rate_limit=True) as emulator:
        base = emulator.endpoint("web-0")
        assert {send(base, INSTANCE, headers={}).status for _ in range(10)} == {400}
        assert send(base, INSTANCE).status == 200


def test_twenty_tokens_a_second(fleet: dict[str, object]) -> None:
    with running(fleet, rate_limit=True) as emulator:
        base = emulator.endpoint("web-0")
        statuses = [token(base).status for _ in range(21)]
        assert statuses == [200] * 20 + [429]
        reply = token(base)
        assert reply.json["error"] == "too_many_requests"
        assert "Temporarily throttled, too many requests" in reply.text


def test_region_lag(fleet: dict[str, object]) -> None:
    with running({**fleet, "api": {"newest_version": "2021-02-01"}}) as emulator:
        base = emulator.endpoint("solo")
        reply = send(base, "/metadata/instance?api-version=2021-03-01")
        assert (reply.status, reply.json["newest-versions"][0]) == (400, "2021-02-01")
        assert send(base, INSTANCE).status == 200
        assert send(base, "/metadata/versions").json["apiVersions"][-1] == "2021-02-01"


def test_the_legacy_document_of_placement(base: str) -> None:
    assert send(base, "/metadata/v1/InstanceInfo", headers={}).json == {"ID": "_web-0", "UD": "0", "FD": "0"}
