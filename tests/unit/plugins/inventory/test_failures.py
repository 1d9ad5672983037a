"""Never wrong quietly: what a failing or forbidding Azure makes of the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible.errors import AnsibleError

from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventories import Fleet

Inventory = "Callable[..., Fleet]"
FIRST = "00000000-0000-0000-0000-000000000001"
SECOND = "00000000-0000-0000-0000-000000000002"


FAULTS = ["throttled", "server_error", "unavailable", "reset", "cut", "garbage", "html", "not_json"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_costs_time_and_nothing_else(inventory: Inventory, emulator: Emulator, fault: str) -> None:
    whole = inventory()
    emulator.control.add_fault(fault=fault, category="resource_manager", count=1, skip=4)
    again = inventory()
    assert again.groups == whole.groups
    assert again.hosts.keys() == whole.hosts.keys()
    assert again.warnings == []
    assert [f["hits"] for f in emulator.control.faults()] == [1]


def test_one_in_twenty_requests_failing_changes_nothing(inventory: Inventory, emulator: Emulator) -> None:
    whole = inventory()
    for fault, seed in (("throttled", "a"), ("server_error", "b")):
        emulator.control.add_fault(fault=fault, category="resource_manager", probability=0.05, seed=seed)
    for _ in range(3):
        again = inventory()
        assert again.groups == whole.groups
        assert again.values("azure_private_ipv4") == whole.values("azure_private_ipv4")


def test_an_azure_that_stays_down_is_an_error_by_the_deadline(inventory: Inventory, emulator: Emulator) -> None:
    emulator.control.add_fault(fault="server_error", category="network_interfaces")
    with pytest.raises(AnsibleError, match=rf"{FIRST}: network interfaces: GET .* 500.*option timeout is 5 s"):
        inventory(timeout=5)
    found = inventory(timeout=5, on_partial="warn")
    assert len(found.hosts) == 12
    assert found.hosts["db-0"]["azure_private_ipv4"] is None
    assert found.hosts["web_0"]["azure_private_ipv4"]
    assert "the network interfaces could not be read" in found.hosts["db-0"]["azure_problems"][0]
    assert found.warnings[0].startswith("azure_fleet: The inventory is incomplete. Subscription")


def test_an_azure_that_hangs_is_given_up(inventory: Inventory, emulator: Emulator) -> None:
    emulator.control.add_fault(fault="hang", category="virtual_machines", subscription_id=SECOND)
    with pytest.raises(AnsibleError, match=rf"Subscription {SECOND}: virtual machines: "):
        inventory(timeout=5)
    emulator.control.clear_faults()


def test_a_token_that_is_refused_once_is_renewed(inventory: Inventory, emulator: Emulator) -> None:
    emulator.control.add_fault(fault="unauthorized", category="resource_manager", count=1, skip=3)
    assert len(inventory().hosts) == 12
    emulator.control.add_fault(fault="unauthorized", category="resource_manager")
    with pytest.raises(AnsibleError, match="401"):
        inventory()


def forbidden(fleet: dict[str, Any], action: str, subscription: str | None = None) -> dict[str, Any]:
    fleet["api"]["resource_manager"]["denied"] = [{"action": action, "subscription_id": subscription}]
    return fleet


def denied_run(fleet: dict[str, Any], inventory_of: Callable[..., Fleet], **options: Any) -> Fleet:
    with running(fleet) as emulator:
        return inventory_of(
            resource_manager=emulator.resource_manager, imds_endpoint=emulator.endpoint("control"), **options
        )


def test_a_forbidden_subscription_is_named_with_what_is_missing(fleet: dict[str, Any], inventory: Inventory) -> None:
    forbidden(fleet, "*", SECOND)
    with pytest.raises(AnsibleError) as caught:
        denied_run(fleet, inventory)
    text = str(caught.value)
    assert f"Subscription {SECOND}: " in text
    assert FIRST not in text
    for action in (
        "Microsoft.Compute/virtualMachines/read",
        "Microsoft.Compute/virtualMachineScaleSets/read",
        "Microsoft.Network/networkInterfaces/read",
        "Microsoft.Network/publicIPAddresses/read",
    ):
        assert action in text
    found = denied_run(fleet, inventory, on_partial="warn")
    assert len(found.hosts) == 11
    assert SECOND in found.warnings[0]


@pytest.mark.parametrize(
    ("detail", "action", "field", "machine"),
    [
        ("interfaces", "Microsoft.Network/networkInterfaces/read", "azure_private_ipv4", "db-0"),
        ("public_addresses", "Microsoft.Network/publicIPAddresses/read", "azure_public_ipv4", "win"),
        (
            "interfaces",
            "Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read",
            "azure_private_ipv4",
            "web_1",
        ),
        (
            "public_addresses",
            "Microsoft.Compute/virtualMachineScaleSets/publicIPAddresses/read",
            "azure_public_ipv4",
            "web_1",
        ),
    ],
)
def test_the_least_permission_of_each_detail(
    fleet: dict[str, Any], inventory: Inventory, detail: str, action: str, field: str, machine: str
) -> None:
    forbidden(fleet, action)
    with pytest.raises(AnsibleError, match=action):
        denied_run(fleet, inventory)
    everything = ["status", "scale_sets", "interfaces", "public_addresses"]
    without = denied_run(fleet, inventory, details=[name for name in everything if name != detail])
    assert len(without.hosts) == 12
    assert without.hosts[machine][field] is None
    assert without.hosts[machine]["azure_problems"] == []


def test_without_details_one_permission_is_enough(fleet: dict[str, Any], inventory: Inventory) -> None:
    fleet["api"]["resource_manager"]["denied"] = [
        {"action": action} for action in ("Microsoft.Network/*", "Microsoft.Compute/virtualMachineScaleSets*")
    ]
    found = denied_run(fleet, inventory, details=[])
    assert len(found.hosts) == 8  # all but those of the uniform set
    assert found.hosts["db-0"]["azure_power_state"] is None
    assert found.hosts["db-0"]["azure_availability_set"] == "db"


def test_a_subscription_that_is_not_there(inventory: Inventory) -> None:
    missing = "99999999-0000-0000-0000-000000000000"
    with pytest.raises(AnsibleError, match=f"Subscription {missing}: no such subscription for this identity"):
        inventory(subscriptions=[missing])


def test_an_api_version_that_this_cloud_does_not_have(inventory: Inventory) -> None:
    with pytest.raises(AnsibleError, match=r"could not be found for api version '2099-01-01'. The supported"):
        inventory(compute_api_version="2099-01-01")


BROKEN = [
    {"name": "failed", "provisioning_state": "Failed"},
    {"name": "creating", "provisioning_state": "Creating", "instance_view": "absent"},
    {"name": "mute", "instance_view": "no_statuses"},
]


def test_broken_machines_are_hosts_with_nulls(fleet: dict[str, Any], inventory: Inventory) -> None:
    fleet["vms"] += BROKEN
    found = denied_run(fleet, inventory)
    assert len(found.hosts) == 15
    assert found.warnings == []
    assert found.hosts["failed"]["azure_problems"] == ["provisioning failed"]
    assert found.hosts["creating"]["azure_power_state"] is None
    assert found.hosts["creating"]["azure_fault_domain"] is None
    assert found.hosts["mute"]["azure_power_state"] is None
    assert found.hosts["mute"]["azure_fault_domain"] == 0
    assert found.hosts["off"]["azure_power_state"] == "deallocated"


def test_no_machines_at_all_says_so(inventory: Inventory) -> None:
    empty = inventory(resource_groups=["nothing-*"])
    assert empty.warnings == [
        "azure_fleet: no hosts. No machine passes resource_groups, exclude_resource_groups, locations and tags."
    ]
    empty = inventory(include_host_filters=["false"])
    assert empty.warnings == ["azure_fleet: no hosts. Of 12 machines none passes the host filters."]


def test_nobody_there(inventory: Inventory) -> None:
    with pytest.raises(AnsibleError, match=r"http://127\.0\.0\.1:1: Connection refused \(tried 4 times"):
        inventory(resource_manager="http://127.0.0.1:1")
    with pytest.raises(AnsibleError, match=r"managed identity: GET http://127\.0\.0\.1:1/metadata/identity"):
        inventory(imds_endpoint="http://127.0.0.1:1")


def test_off_azure_without_credentials(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AnsibleError, match="nothing to sign in to Azure with"):
        inventory(imds_endpoint=None)
