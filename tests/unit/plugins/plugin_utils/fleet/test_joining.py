"""From lists to records: one odd document, or one that came or went meanwhile, is one odd host and nothing worse."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.groups import KINDS, Grouping
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.joining import from_listing
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import FIELDS, Record
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import errors, listing

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
ROOT = f"/subscriptions/{SUBSCRIPTION}"
COMPUTE = f"{ROOT}/resourceGroups/RG/providers/Microsoft.Compute"
NETWORK = f"{ROOT}/resourceGroups/rg/providers/Microsoft.Network"
VM, NIC, PIP = f"{COMPUTE}/virtualMachines/a", f"{NETWORK}/networkInterfaces/a-nic", f"{NETWORK}/publicIPAddresses/a-ip"
SET = f"{COMPUTE}/virtualMachineScaleSets/web"
Lists = dict[str, list[dict[str, Any]]]

STATUSES = [
    {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"},
    {"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"},
]
VIEW = {"platformFaultDomain": 1, "platformUpdateDomain": 2, "computerName": "a", "statuses": STATUSES}
INTERFACE = {
    "macAddress": "00-0D-3A-00-00-01",
    "primary": True,
    "virtualMachine": {"id": VM},
    "ipConfigurations": [
        {"name": "2", "properties": {"privateIPAddress": "10.0.0.5", "primary": False}},
        {"name": "6", "properties": {"privateIPAddress": "fd00::5", "primary": False}},
        {"name": "1", "properties": {"privateIPAddress": "10.0.0.4", "primary": True, "publicIPAddress": {"id": PIP}}},
    ],
}
MODEL = {
    "vmId": "ABCD",
    "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
    "provisioningState": "Succeeded",
    "storageProfile": {"osDisk": {"osType": "Linux"}},
    "osProfile": {"computerName": "a"},
    "availabilitySet": {"id": f"{COMPUTE}/availabilitySets/DB"},
    "networkProfile": {"networkInterfaces": [{"id": NIC, "properties": {"primary": True}}]},
}
LISTS: Lists = {
    f"{ROOT}/providers/Microsoft.Compute/virtualMachines": [
        {"id": VM, "name": "a", "location": "westeurope", "zones": ["1"], "tags": {"k": "v"}, "properties": MODEL}
    ],
    f"{ROOT}/providers/Microsoft.Compute/virtualMachines?status": [
        {"id": VM.lower(), "name": "a", "properties": {"instanceView": VIEW}}
    ],
    f"{ROOT}/providers/Microsoft.Compute/virtualMachineScaleSets": [
        {"id": SET, "name": "web", "location": "westeurope", "properties": {"orchestrationMode": "Uniform"}}
    ],
    f"{ROOT}/providers/Microsoft.Network/networkInterfaces": [{"id": NIC, "name": "a-nic", "properties": INTERFACE}],
    f"{ROOT}/providers/Microsoft.Network/publicIPAddresses": [
        {"id": PIP, "properties": {"ipAddress": "20.0.0.1", "dnsSettings": {"fqdn": "a.example.org"}}}
    ],
    f"{SET}/virtualMachines": [
        {
            "id": f"{SET}/virtualMachines/0",
            "name": "web_0",
            "instanceId": "0",
            "location": "westeurope",
            "sku": {"name": "Standard_D2s_v5"},
            "properties": {"instanceView": VIEW, "networkProfile": {"networkInterfaces": [{"id": f"{SET}/nic/0"}]}},
        }
    ],
    f"{SET}/networkInterfaces": [
        {
            "id": f"{SET}/nic/0",
            "properties": {
                "virtualMachine": {"id": f"{SET}/virtualMachines/0"},
                "ipConfigurations": [{"properties": {"privateIPAddress": "10.0.0.9"}}],
            },
        }
    ],
    f"{SET}/publicipaddresses": [],
}


class Shelf:
    """Gives lists in pages of one item, or the error that stands in for a list."""

    def __init__(self, lists: dict[str, Any]) -> None:
        self._lists = lists

    def pages(self, path: str, query: dict[str, str]) -> Iterator[list[Any]]:
        found = self._lists[path + ("?status" if "statusOnly" in query else "")]
        if isinstance(found, Exception):
            raise found
        for item in found:
            yield [item]

    def remaining(self) -> float:
        return 60.0

    def abort(self) -> None:
        pass


def read(lists: dict[str, Any]) -> tuple[dict[str, Record], listing.Outcome]:
    """The records by name."""
    outcome = listing.read_fleet(Shelf(lists), listing.Query((SUBSCRIPTION,)))  # type: ignore[arg-type]
    records = from_listing(outcome.listing, environment="AzurePublicCloud", collected_at="2026-01-01T00:00:00Z")
    return {record["name"]: record for record in records}, outcome


def test_a_whole_answer() -> None:
    records, outcome = read(LISTS)
    record = records["a"]
    assert (record["power_state"], record["fault_domain"], record["update_domain"]) == ("running", 1, 2)
    assert record["private_ipv4"] == ["10.0.0.4", "10.0.0.5"]  # the primary one first
    assert (record["private_ipv6"], record["public_ipv4"]) == (["fd00::5"], ["20.0.0.1"])
    assert (record["public_fqdns"], record["availability_set"], record["vm_id"]) == (["a.example.org"], "DB", "abcd")
    assert (records["web_0"]["scale_set"], records["web_0"]["private_ipv4"]) == ("web", ["10.0.0.9"])
    assert all(r["problems"] == [] for r in records.values())
    assert (outcome.failures, outcome.notes) == ([], [])


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything inside of a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield (*way, key)
        yield from places(item, (*way, key))


MISSING = object()
ODDITIES = [MISSING, None, "", "text", 7, True, [], {}, [None], {"id": None}]


@pytest.mark.parametrize("path", LISTS)
def test_whatever_is_odd_in_a_document_the_others_come(path: str) -> None:
    tried = 0
    for way in places(LISTS[path]):
        for oddity in ODDITIES:
            lists = copy.deepcopy(LISTS)
            holder: Any = lists[path]
            for key in way[:-1]:
                holder = holder[key]
            if oddity is MISSING:
                del holder[way[-1]]
            else:
                holder[way[-1]] = oddity
            if oddity is not MISSING and len(way) == 1 and not isinstance(oddity, dict):
                continue  # the client leaves out what is no object
            records, outcome = read(lists)
            tried += 1
            assert outcome.failures == []
            # The other kind of machine is as it was, and this one is there as long as it has an id and a name.
            other = "a" if path.startswith(SET) else "web_0"
            if "virtualMachineScaleSets" not in path.rpartition("/")[2]:
                assert other in records, (way, oddity)
            for record in records.values():
                assert tuple(record) == FIELDS
                assert all(isinstance(problem, str) for problem in record["problems"])
            Grouping(KINDS, sanitize=str).of(list(records.values()))
    assert tried > 50 or not LISTS[path]


def without(path: str, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(LISTS), path: [], **changes}


def test_a_machine_without_interface() -> None:
    lists = copy.deepcopy(LISTS)
    machine = lists[f"{ROOT}/providers/Microsoft.Compute/virtualMachines"][0]
    del machine["properties"]["networkProfile"]
    lists[f"{ROOT}/providers/Microsoft.Network/networkInterfaces"] = []
    record = read(lists)[0]["a"]
    assert (record["private_ipv4"], record["public_ipv4"], record["problems"]) == ([], [], ["no network interface"])


def test_what_came_or_went_while_the_lists_were_read() -> None:
    record = read(without(f"{ROOT}/providers/Microsoft.Network/networkInterfaces"))[0]["a"]
    assert record["problems"] == [
        "the network interface a-nic is not in the list: deleted while it was read, or not readable"
    ]
    record = read(without(f"{ROOT}/providers/Microsoft.Compute/virtualMachines?status"))[0]["a"]
    assert record["power_state"] is None
    assert record["problems"] == ["no run-time status: created or deleted while the lists were read"]
    gone = errors.AbsentError("GET x answered 404", status=404)
    records, outcome = read({**LISTS, f"{SET}/virtualMachines": gone, f"{SET}/networkInterfaces": gone})
    assert (list(records), outcome.failures) == (["a"], [])
    assert outcome.notes == ["scale set web was deleted while it was being read"]


def test_a_subscription_that_never_had_such_a_thing_is_no_failure() -> None:
    never = errors.RefusedError("no", status=409, code="MissingSubscriptionRegistration")
    lists: dict[str, Any] = dict.fromkeys(LISTS, never)
    records, outcome = read(lists)
    assert (records, outcome.failures) == ({}, [])


def test_a_machine_that_is_in_two_pages_is_one_host() -> None:
    lists = copy.deepcopy(LISTS)
    machines = lists[f"{ROOT}/providers/Microsoft.Compute/virtualMachines"]
    machines.append({**machines[0], "id": VM.upper()})
    assert list(read(lists)[0]) == ["a", "web_0"]


def test_items_without_id_are_counted() -> None:
    lists = copy.deepcopy(LISTS)
    lists[f"{ROOT}/providers/Microsoft.Compute/virtualMachines"].append({"name": "b"})
    (note,) = read(lists)[1].notes
    assert note.startswith(
        f"1 of 2 items in the list of virtual machines of subscription {SUBSCRIPTION} have no proper"
    )


@pytest.mark.parametrize(
    "identity", ["text", "//example.org/x", f"{SET}?x=1", f"{SET}/../y", SET.replace("RG", ".."), f"{ROOT}/x"]
)
def test_what_is_no_id_of_a_scale_set_is_asked_for_nothing(identity: str) -> None:
    lists = copy.deepcopy(LISTS)
    lists[f"{ROOT}/providers/Microsoft.Compute/virtualMachineScaleSets"][0]["id"] = identity
    records, outcome = read(lists)  # a list that is not there would be an error
    assert list(records) == ["a"]
    assert "no proper id" in outcome.notes[0]


def test_failed_provisioning_says_why() -> None:
    lists = copy.deepcopy(LISTS)
    lists[f"{ROOT}/providers/Microsoft.Compute/virtualMachines"][0]["properties"]["provisioningState"] = "Failed"
    view = lists[f"{ROOT}/providers/Microsoft.Compute/virtualMachines?status"][0]["properties"]["instanceView"]
    view["statuses"][0] = {"code": "ProvisioningState/failed/AllocationFailed", "message": "no room"}
    assert read(lists)[0]["a"]["problems"] == ["provisioning failed: no room"]


def test_redeploy_windows_are_given_as_they_are() -> None:
    lists = copy.deepcopy(LISTS)
    view = lists[f"{ROOT}/providers/Microsoft.Compute/virtualMachines?status"][0]["properties"]["instanceView"]
    view["maintenanceRedeployStatus"] = {"isCustomerInitiatedMaintenanceAllowed": True}
    assert read(lists)[0]["a"]["redeploy_status"] == {"isCustomerInitiatedMaintenanceAllowed": True}
