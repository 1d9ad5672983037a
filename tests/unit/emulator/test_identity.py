"""Managed identities (contract section 7)."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from emulator_wire import send, token

from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

FLEET = {
    "identities": [{"name": "one"}, {"name": "two"}],
    "vms": [
        {"name": "own"},
        {"name": "both", "identity": {"user_assigned": ["one"]}},
        {"name": "one", "identity": {"system_assigned": False, "user_assigned": ["one"]}},
        {"name": "several", "identity": {"system_assigned": False, "user_assigned": ["one", "two"]}},
        {"name": "none", "identity": {"system_assigned": False}},
    ],
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running(FLEET) as running_emulator:
        yield running_emulator


def test_a_token_has_all_its_figures_as_text(emulator: Emulator) -> None:
    body = token(emulator.endpoint("own")).json
    assert {type(value) for value in body.values()} == {str}
    assert body["resource"] == "https://management.azure.com/"
    assert body["token_type"] == "Bearer"
    assert int(body["expires_on"]) - int(emulator.now()) == int(body["expires_in"]) == 86400
    assert "object_id" not in body


def test_the_service_keeps_a_token_until_it_is_nearly_over_or_told_not_to(emulator: Emulator) -> None:
    base = emulator.endpoint("own")
    first = token(base).json
    emulator.control.advance(3600)
    again = token(base).json
    assert (again["access_token"], again["expires_in"]) == (first["access_token"], "82800")
    fresh = token(base, bypass_cache="true").json
    assert (fresh["access_token"] != first["access_token"], fresh["expires_in"]) == (True, "86400")
    emulator.control.advance(86400 - 200)
    assert token(base).json["expires_in"] == "86400"


@pytest.mark.parametrize(
    ("vm", "selector", "identity"),
    [("own", None, ""), ("both", None, ""), ("one", None, "one"), ("several", "client_id", "two"),
     ("several", "object_id", "one"), ("both", "msi_res_id", "one")],
)  # fmt: skip
def test_which_identity_a_token_is_of(emulator: Emulator, vm: str, selector: str | None, identity: str) -> None:
    expected = next(i for i in emulator.fleet.vm(vm).identities if i.name == identity)
    value = getattr(expected, "resource_id" if selector == "msi_res_id" else selector or "name")
    body = token(emulator.endpoint(vm), **({selector: value.upper()} if selector else {})).json
    assert body["client_id"] == expected.client_id
    if selector in ("object_id", "msi_res_id"):
        assert body[selector] == value.upper()


@pytest.mark.parametrize(
    ("vm", "more", "code", "words"),
    [
        ("none", {}, "invalid_request", "Identity not found"),
        ("several", {}, "invalid_request", "Multiple user assigned identities exist"),
        ("own", {"client_id": "00000000-0000-0000-0000-000000000009"}, "invalid_request", "Identity not found"),
        ("own", {"client_id": "x", "object_id": "y"}, "invalid_request", "at most one"),
        ("own", {"mi_res_id": "x"}, "invalid_request", "msi_res_id"),
        ("own", {"resource": "nonsense"}, "invalid_resource", "AADSTS50001"),
        ("own", {"resource": ""}, "invalid_request", "'resource' is missing"),
    ],
)
def test_documented_refusals(emulator: Emulator, vm: str, more: dict[str, str], code: str, words: str) -> None:
    reply = token(emulator.endpoint(vm), **more)
    assert (reply.status, reply.json["error"]) == (400, code)
    assert words in reply.json["error_description"]


def test_the_directory_of_the_vm(emulator: Emulator) -> None:
    reply = send(emulator.endpoint("own"), "/metadata/identity/info?api-version=2018-02-01")
    assert reply.json == {"tenantId": emulator.fleet.tenant_id}


def test_no_more_than_five_at_once() -> None:
    """Requests that take ten seconds each: five are under way, the sixth is refused, and then there is room again."""
    fleet = {"api": {"identity": {"latency": 10}}, "vms": [{"name": "a"}, {"name": "b"}]}
    with running(fleet, rate_limit=True) as emulator, ThreadPoolExecutor(6) as pool:
        base = emulator.endpoint("a")
        asked = [pool.submit(token, base, bypass_cache="true") for _ in range(5)]
        deadline = time.monotonic() + 30
        while emulator.control.idle()["waiting_requests"] < 5:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        assert token(base).status == 429
        other = pool.submit(token, emulator.endpoint("b"))
        while emulator.control.idle()["waiting_requests"] < 6:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        emulator.control.advance(10)
        assert [reply.result().status for reply in [*asked, other]] == [200] * 6
        assert token(base).status == 200
