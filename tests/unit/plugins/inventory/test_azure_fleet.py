"""The inventory of an emulated fleet: hosts, variables, groups, names, addresses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible.errors import AnsibleParserError

if TYPE_CHECKING:
    from azure_emulator.testing import Emulator

Inventory = "Callable[..., Fleet]"
FIRST = "00000000-0000-0000-0000-000000000001"


def test_every_kind_of_machine_is_a_host(inventory: Inventory, emulator: Emulator) -> None:
    found = inventory()
    assert set(found.hosts) == {vm.name for vm in emulator.fleet.vms.values()}
    assert len(found.hosts) == 12
    assert found.warnings == []


def test_no_call_per_machine(inventory: Inventory, emulator: Emulator) -> None:
    emulator.control.clear_requests()
    inventory()
    asked = [r["path"] for r in emulator.control.requests() if r["path"].startswith("/subscriptions")]
    # 1 of the subscriptions; in the first of them 7 machines and as many statuses and interfaces in pages of 3, two
    # sets, one address, and three lists of two pages each for the uniform set; in the second one page of each of five.
    assert len(asked) == 1 + (3 + 3 + 3 + 1 + 1) + 3 * 2 + 5
    assert not any("instanceView" in path.rpartition("/")[2] for path in asked)


def test_a_machine_of_an_availability_set(inventory: Inventory, emulator: Emulator) -> None:
    machine = emulator.fleet.vm("db-1")
    variables = inventory().hosts["db-1"]
    assert variables == {
        "ansible_host": machine.nics[0].private_ips[0],
        "azure_age": variables["azure_age"],
        "azure_availability_set": "db",
        "azure_collected_at": variables["azure_collected_at"],
        "azure_computer_name": machine.computer_name,
        "azure_environment": "AzurePublicCloud",
        "azure_fault_domain": 1,
        "azure_location": "westeurope",
        "azure_maintenance": None,
        "azure_name": "db-1",
        "azure_os_type": "Linux",
        "azure_physical_zone": None,
        "azure_power_state": "running",
        "azure_priority": None,
        "azure_private_ipv4": [machine.nics[0].private_ips[0]],
        "azure_private_ipv6": [],
        "azure_problems": [],
        "azure_provisioning_state": "Succeeded",
        "azure_public_fqdns": [],
        "azure_public_ipv4": [],
        "azure_public_ipv6": [],
        "azure_redeploy_status": None,
        "azure_resource_group": "RG-DEMO",
        "azure_resource_id": variables["azure_resource_id"],
        "azure_scale_set": None,
        "azure_scale_set_instance_id": None,
        "azure_size": "Standard_D2s_v5",
        "azure_subscription_id": FIRST,
        "azure_tags": {"project": "shop", "role": "db", "empty": ""},
        "azure_update_domain": 1,
        "azure_vm_id": machine.vm_id,
        "azure_zone": None,
    }
    assert 0 <= variables["azure_age"] < 60
    assert variables["azure_resource_id"].lower() == machine.resource_id.lower()


def test_groups(inventory: Inventory) -> None:
    groups = inventory(group="fleet").groups
    web = ["web_0", "web_1", "web_2", "web_3"]
    assert groups["azure_scale_set_web"] == web
    assert groups["azure_tag_role_web"] == web
    assert groups["azure_zone_1"] == ["web_0", "web_2", "win"]
    assert groups["azure_location_northeurope_zone_1"] == ["win"]
    assert groups["azure_location_westeurope_zone_1"] == ["web_0", "web_2"]
    assert groups["azure_availability_set_db"] == ["db-0", "db-1"]
    assert groups["azure_availability_set_db_update_domain_1"] == ["db-1"]
    assert groups["azure_scale_set_web_fault_domain_1"] == ["web_1"]
    assert set(groups["azure_update_domain_1"]) >= {"db-1", "web_1"}
    assert groups["azure_tag_empty"] == ["db-1"]
    assert len(groups["fleet"]) == 12
    assert not any("update_domain" in name for name in groups if name.startswith("azure_scale_set_api"))


def test_each_kind_of_group_can_be_switched_off(inventory: Inventory) -> None:
    assert inventory(group_by=[]).groups == {}
    assert set(inventory(group_by=["zone"], qualified_groups=False).groups) == {f"azure_zone_{n}" for n in (1, 2, 3)}
    names = inventory(group_by=["tag", "power_state"], group_by_tags=["ro*"]).groups
    assert set(names) == {
        "azure_tag_role_web",
        "azure_tag_role_db",
        "azure_tag_role_control",
        "azure_power_state_running",
        "azure_power_state_deallocated",
    }


def test_constructed_options(inventory: Inventory) -> None:
    found = inventory(
        group_by=[],
        strict=True,
        compose={
            "role": "azure_tags.role | default('none')",
            "ansible_port": "azure_fault_domain | default(0, true) + 22",
        },
        groups={"databases": "role == 'db'"},
        keyed_groups=[{"key": "azure_size", "prefix": "size"}, {"key": "azure_tags", "prefix": "tag"}],
    )
    assert found.hosts["db-1"]["role"] == "db"
    assert int(found.hosts["db-1"]["ansible_port"]) == 23  # text on core 2.18
    assert found.groups["databases"] == ["db-0", "db-1"]
    assert len(found.groups["size_Standard_D2s_v5"]) == 12
    assert found.groups["tag_role_control"] == ["control"]


def test_addresses_and_windows(inventory: Inventory, emulator: Emulator) -> None:
    machine = emulator.fleet.vm("win")
    found = inventory(windows_connection="psrp").hosts
    assert found["win"]["ansible_host"] == machine.nics[0].public_ip
    assert found["win"]["azure_private_ipv6"] == [machine.nics[0].ipv6]
    assert found["win"]["ansible_connection"] == "psrp"
    assert "ansible_connection" not in found["db-0"]
    assert found["off"]["azure_public_ipv4"] == []
    assert found["off"]["ansible_host"] == emulator.fleet.vm("off").nics[0].private_ips[0]
    found = inventory(connect_with=["private_ipv6", "computer_name"]).hosts
    assert found["win"]["ansible_host"] == machine.nics[0].ipv6
    assert found["db-0"]["ansible_host"] == emulator.fleet.vm("db-0").computer_name
    assert "ansible_host" not in inventory(connect_with=[]).hosts["db-0"]


def test_hostnames(inventory: Inventory) -> None:
    found = inventory(hostnames=["tags.missing", "azure_name ~ '.' ~ azure_location ~ '.example.org'"])
    assert "win.northeurope.example.org" in found.hosts
    found = inventory(hostnames=["private_ipv4"])
    assert all(variables["azure_private_ipv4"] == [name] for name, variables in found.hosts.items())


def test_filters_leave_scale_sets_unasked(inventory: Inventory, emulator: Emulator) -> None:
    emulator.control.clear_requests()
    found = inventory(subscriptions=[FIRST], tags={"role": ["db", "control"]})
    assert set(found.hosts) == {"db-0", "db-1", "control"}
    asked = [r["path"] for r in emulator.control.requests()]
    assert not any("virtualMachineScaleSets/web" in path for path in asked)
    assert set(inventory(resource_groups=["RG-F*"]).hosts) == {"far"}
    assert set(inventory(exclude_resource_groups=["rg-demo"]).hosts) == {"far"}
    assert set(inventory(locations=["North Europe"]).hosts) == {"win"}
    assert set(inventory(exclude_host_filters=["azure_power_state != 'running'", "azure_scale_set"]).hosts) == {
        "control",
        "db-0",
        "db-1",
        "far",
        "win",
    }
    assert set(inventory(include_host_filters=["azure_os_type == 'Windows'", "azure_priority == 'Spot'"]).hosts) == {
        "win",
        "off",
    }


def test_the_output_of_a_run_survives_json(inventory: Inventory) -> None:
    found = inventory(include_raw=True)
    for variables in found.hosts.values():
        assert json.loads(json.dumps(variables)) == variables
    raw = found.hosts["web_1"]["azure_raw"]
    assert raw["virtual_machine"]["instanceId"] == "1"
    assert len(raw["network_interfaces"]) == len(raw["public_addresses"]) == 1
    assert found.hosts["db-0"]["azure_raw"]["status"]["properties"]["instanceView"]["platformFaultDomain"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regoins": []}, "unknown option 'regoins'"),
        ({"subscription": []}, "unknown option 'subscription'; did you mean subscriptions"),
        ({"hostnames": ["computername"]}, "did you mean computer_name"),
        ({"host_variables": ["tag"]}, "did you mean tags"),
        ({"hostvars_prefix": ""}, "belong to Ansible: environment, name, tags"),
        ({"hostvars_prefix": "a-b"}, "invalid variable names"),
        ({"tags": {"a": {"b": 1}}}, "tags: a: a value, a list"),
        ({"subscriptions": ["Emulated subscription 3"]}, "did you mean 'Emulated subscription"),
        ({"resource_manager": "http://192.0.2.1"}, "http is allowed to loopback only"),
        ({"auth": "service_principal"}, "tenant_id is not set"),
        ({"on_partial": "stale"}, "needs cache and stale_if_error"),
    ],
)
def test_a_wrong_configuration_says_what_and_what_to_do(
    inventory: Inventory, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnsibleParserError, match=message):
        inventory(**options)
