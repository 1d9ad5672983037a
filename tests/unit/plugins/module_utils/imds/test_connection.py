"""Options of a door, "is this Azure?", and the way to an address that only DHCP knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure_documents as azure
import pytest
from scripted_server import FakeClock, ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import connection, errors
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.client import ImdsClient, RetryPolicy
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


class TestSettings:
    def test_what_is_not_given_has_its_default(self) -> None:
        assert Settings.of({}) == Settings("auto", "auto", None, 5)
        given = {"endpoint": "", "api_version": None, "timeout": None, "retries": None, "other": 1}
        assert Settings.of(given) == Settings()

    @pytest.mark.parametrize(
        ("option", "value", "says"),
        [
            ("endpoint", "https://a", "endpoint 'https://a'"),
            ("endpoint", "169.254.169.254", "is not of the form"),
            ("api_version", "latest", "api_version 'latest' is neither auto nor a date"),
            ("timeout", 0.0, "timeout is 0 and must be more than 0"),
            ("timeout", 3601.0, "at most 3600"),
            ("timeout", float("nan"), "timeout is nan"),
            ("retries", -1, "retries is -1"),
        ],
    )
    def test_what_is_wrong_is_named(self, option: str, value: object, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            Settings.of({option: value})

    def test_an_explicit_timeout_holds_whatever_the_service_says(self) -> None:
        policy = Settings(timeout=4).policy(RetryPolicy(total=150, attempt=130))
        assert (policy.total, policy.gone_total, policy.attempt) == (4, 4, 4)

    def test_without_it_the_category_decides(self) -> None:
        policy = Settings(retries=1).policy(RetryPolicy(total=150, attempt=130))
        assert (policy.total, policy.attempt, policy.retries, policy.connect_retries) == (150, 130, 1, 1)
        assert Settings().policy().gone_total > 70


class TestRequireAzure:
    def test_another_machine_is_told_so(self, tmp_path: Path) -> None:
        with pytest.raises(errors.NotOnAzureError, match=r"not an Azure VM: no chassis asset tag.*Nothing was sent"):
            connection.require_azure(Settings(), root=str(tmp_path))

    def test_an_azure_vm_may_ask(self, tmp_path: Path) -> None:
        connection.require_azure(Settings(), root=azure.azure_root(tmp_path))

    def test_an_endpoint_is_a_statement(self, tmp_path: Path) -> None:
        connection.require_azure(Settings(endpoint="http://127.0.0.1:1"), root=str(tmp_path))


class Ways:
    """Makes clients: Azure's address is the one, an address from a lease the other of two scripted servers."""

    def __init__(self, usual: str, leased: str, clock: FakeClock) -> None:
        self.usual, self.leased, self.clock = usual, leased, clock
        self.asked: list[str | None] = []
        self.policies: list[RetryPolicy] = []

    def __call__(self, endpoint: str | None, *, policy: RetryPolicy) -> ImdsClient:
        self.asked.append(endpoint)
        self.policies.append(policy)
        target = self.usual if endpoint is None else self.leased
        return ImdsClient(target, policy=policy, clock=self.clock, sleep=self.clock.sleep, jitter=lambda: 1.0)


class TestAsk:
    NOBODY = "http://127.0.0.1:1"

    @pytest.fixture
    def lease(self, tmp_path: Path) -> str:
        directory = tmp_path / "run/systemd/netif/leases"
        directory.mkdir(parents=True)
        (directory / "2").write_text("OPTION_245=7f000009\n")
        return str(tmp_path)

    def ask(self, ways: Ways, root: str, **settings: object) -> object:
        return connection.ask(
            Settings(**settings),
            lambda client: client.get_json("versions").value,
            root=root,
            clock=ways.clock,
            make=ways,
        )

    def test_azures_own_address_comes_first(self, server: ScriptedServer, clock: FakeClock, lease: str) -> None:
        server.script = [answer(200, {"n": 1})]
        ways = Ways(server.endpoint, self.NOBODY, clock)
        assert self.ask(ways, lease) == {"n": 1}
        assert ways.asked == [None]

    def test_then_the_address_in_the_lease(self, server: ScriptedServer, clock: FakeClock, lease: str) -> None:
        server.script = [answer(200, {"n": 2})]
        ways = Ways(self.NOBODY, server.endpoint, clock)
        assert self.ask(ways, lease) == {"n": 2}
        assert ways.asked == [None, "http://127.0.0.9"]

    def test_a_timeout_bounds_both_together(self, server: ScriptedServer, clock: FakeClock, lease: str) -> None:
        server.script = [answer(200, {})]
        ways = Ways(self.NOBODY, server.endpoint, clock)
        self.ask(ways, lease, timeout=8.0)
        assert [policy.total for policy in ways.policies] == [8.0, 8.0 - sum(clock.sleeps)]

    def test_both_failures_are_told(self, clock: FakeClock, lease: str) -> None:
        with pytest.raises(errors.UnreachableError, match=r"Check .* option 245 in .*leases/2 is no help either: GET"):
            self.ask(Ways(self.NOBODY, self.NOBODY, clock), lease)

    def test_the_wire_server_is_no_metadata_service(self, server: ScriptedServer, clock: FakeClock, lease: str) -> None:
        """On most VMs option 245 is the wire server, which answers other questions."""
        server.script = [answer(404, b"<?xml version='1.0'?><Error/>")]
        with pytest.raises(errors.UnreachableError, match="no help either"):
            self.ask(Ways(self.NOBODY, server.endpoint, clock), lease)

    def test_what_the_route_table_shows_is_told(self, clock: FakeClock, tmp_path: Path) -> None:
        root = azure.azure_root(tmp_path, routes="head\n")
        with pytest.raises(errors.UnreachableError, match="there is no route to"):
            self.ask(Ways(self.NOBODY, self.NOBODY, clock), root)

    def test_a_configured_endpoint_is_the_only_one(self, server: ScriptedServer, clock: FakeClock, lease: str) -> None:
        ways = Ways(self.NOBODY, self.NOBODY, clock)
        with pytest.raises(errors.UnreachableError):
            self.ask(ways, lease, endpoint=self.NOBODY)
        assert ways.asked == [self.NOBODY]

    def test_a_lost_approval_is_not_put_elsewhere(self, server: ScriptedServer, clock: FakeClock, lease: str) -> None:
        server.script = ["close"]
        ways = Ways(server.endpoint, self.NOBODY, clock)
        with pytest.raises(errors.UncertainError):
            connection.ask(
                Settings(),
                lambda client: client.post_json("x", {}, api_version="1"),
                root=lease,
                make=ways,
                clock=clock,
            )
        assert ways.asked == [None]
