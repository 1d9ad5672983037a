"""Resource Manager's side of the fleet (contract section 12)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from emulator_wire import SUBSCRIPTION, bearer, follow, send, token

from azure_emulator.testing import Emulator, running

PREFIX = f"/subscriptions/{SUBSCRIPTION}/providers"
COMPUTE = f"{PREFIX}/Microsoft.Compute"
NETWORK = f"{PREFIX}/Microsoft.Network"
VERSION = "?api-version=2024-07-01"
NETWORK_VERSION = "?api-version=2024-01-01"
DB = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-demo/providers/Microsoft.Compute/virtualMachineScaleSets/db"


class Caller:
    """Asks Resource Manager with the token of a VM."""

    def __init__(self, emulator: Emulator) -> None:
        self.base = emulator.resource_manager
        self.headers = bearer(emulator.endpoint("solo"))

    def list(self, target: str) -> list[Any]:
        return follow(self.base, target, self.headers)[0]

    def refused(self, target: str, **kwargs: Any) -> tuple[int, str]:
        reply = send(self.base, target, **{"headers": self.headers, **kwargs})
        return reply.status, reply.json["error"]["code"]


@pytest.fixture
def caller(emulator: Emulator) -> Caller:
    return Caller(emulator)


def test_the_list_of_vms_has_the_model_but_no_uniform_instance_and_no_status(caller: Caller) -> None:
    vms = {vm["name"]: vm for vm in caller.list(f"{COMPUTE}/virtualMachines{VERSION}")}
    assert sorted(name.split("_")[0] for name in vms) == ["cache", "cache", "solo", "web-0", "web-1"]
    web, solo = vms["web-0"], vms["solo"]
    assert web["tags"] == {"project": "demo", "role": "web"}
    assert web["properties"]["availabilitySet"]["id"].endswith("/availabilitySets/web")
    assert (solo["zones"], solo["properties"]["hardwareProfile"]["vmSize"]) == (["3"], "Standard_E4s_v5")
    assert "instanceView" not in str(vms)
    assert "/resourceGroups/RG-DEMO/" in web["id"]
    flexible = next(vm for name, vm in vms.items() if name.startswith("cache_"))
    assert flexible["properties"]["virtualMachineScaleSet"]["id"].endswith("/virtualMachineScaleSets/cache")


def test_the_vm_ids_of_both_sides_agree(emulator: Emulator, caller: Caller) -> None:
    (solo,) = (vm for vm in caller.list(f"{COMPUTE}/virtualMachines{VERSION}") if vm["name"] == "solo")
    compute = send(emulator.endpoint("solo"), "/metadata/instance/compute?api-version=2021-02-01").json
    assert solo["properties"]["vmId"] == compute["vmId"]
    assert solo["id"].lower() == compute["resourceId"].lower()


def test_status_only_joins_by_id_without_case(caller: Caller) -> None:
    models = {vm["id"].lower(): vm for vm in caller.list(f"{COMPUTE}/virtualMachines{VERSION}")}
    status = {
        vm["id"].lower(): vm["properties"] for vm in caller.list(f"{COMPUTE}/virtualMachines{VERSION}&statusOnly=true")
    }
    assert models.keys() == status.keys()
    view = next(p["instanceView"] for vm_id, p in status.items() if vm_id.endswith("/web-1"))
    assert (view["platformFaultDomain"], view["platformUpdateDomain"]) == (1, 1)
    assert [s["code"] for s in view["statuses"]] == ["ProvisioningState/succeeded", "PowerState/running"]


def test_uniform_instances_have_their_own_calls(caller: Caller) -> None:
    instances = caller.list(f"{DB}/virtualMachines{VERSION}&$expand=instanceView")
    assert [(i["name"], i["instanceId"], i["zones"]) for i in instances] == [("db_0", "0", ["1"]), ("db_1", "1", ["2"])]
    assert instances[1]["properties"]["instanceView"]["platformFaultDomain"] == 1
    assert "instanceView" not in caller.list(f"{DB}/virtualMachines{VERSION}")[0]["properties"]
    nics = caller.list(f"{DB}/networkInterfaces?api-version=2018-10-01")
    assert [nic["properties"]["virtualMachine"]["id"] for nic in nics] == [i["id"] for i in instances]
    addresses = caller.list(f"{DB}/publicipaddresses?api-version=2018-10-01")
    wanted = [n["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]["id"] for n in nics]
    assert [address["id"] for address in addresses] == wanted
    assert caller.refused(f"{DB}/networkInterfaces{VERSION}") == (400, "InvalidResourceType")


def test_interfaces_and_public_addresses_lead_back_to_the_vm(emulator: Emulator, caller: Caller) -> None:
    nics = caller.list(f"{NETWORK}/networkInterfaces{NETWORK_VERSION}")
    nic = next(n["properties"] for n in nics if n["properties"]["virtualMachine"]["id"].endswith("/web-0"))
    metadata = send(emulator.endpoint("web-0"), "/metadata/instance/network/interface/0?api-version=2021-02-01").json
    assert nic["macAddress"].replace("-", "") == metadata["macAddress"]
    configuration = nic["ipConfigurations"][0]["properties"]
    assert configuration["privateIPAddress"] == metadata["ipv4"]["ipAddress"][0]["privateIpAddress"]
    addresses = {a["id"]: a["properties"] for a in caller.list(f"{NETWORK}/publicIPAddresses{NETWORK_VERSION}")}
    assert addresses[configuration["publicIPAddress"]["id"]]["ipAddress"] == "203.0.113.10"
    assert len(nics) == 5
    assert len(addresses) == 1


def test_sets(caller: Caller) -> None:
    modes = {
        s["name"]: s["properties"]["orchestrationMode"]
        for s in caller.list(f"{COMPUTE}/virtualMachineScaleSets{VERSION}")
    }
    assert modes == {"db": "Uniform", "cache": "Flexible"}
    (web,) = caller.list(f"{COMPUTE}/availabilitySets{VERSION}")
    assert (web["properties"]["platformFaultDomainCount"], web["properties"]["platformUpdateDomainCount"]) == (2, 5)
    assert len(web["properties"]["virtualMachines"]) == 2


def test_the_flexible_set_can_be_filtered_and_expanded(caller: Caller) -> None:
    cache = DB.removesuffix("db") + "cache"
    condition = quote(f"'virtualMachineScaleSet/id' eq '{cache}'")
    listed = caller.list(f"{COMPUTE}/virtualMachines{VERSION}&$filter={condition}&$expand=instanceView")
    assert [vm["properties"]["instanceView"]["platformFaultDomain"] for vm in listed] == [0, 1]
    assert "platformUpdateDomain" not in listed[0]["properties"]["instanceView"]
    assert caller.refused(f"{COMPUTE}/virtualMachines{VERSION}&$expand=instanceView") == (400, "InvalidParameter")
    assert caller.refused(f"{COMPUTE}/virtualMachines{VERSION}&$filter=name")[0] == 400


def test_instances_of_a_uniform_set_can_be_selected_and_filtered() -> None:
    fleet = {
        "scale_sets": [{"name": "db", "instances": 1}],
        "vms": [{"name": "solo"}, {"name": "db_7", "scale_set": "db", "instance_view": "no_statuses"}],
    }
    power = quote("startswith(instanceView/statuses/code,'PowerState') eq true")
    with running(fleet) as emulator:
        caller = Caller(emulator)
        selected = caller.list(f"{DB}/virtualMachines{VERSION}&$select=instanceView")
        assert all("instanceView" in instance["properties"] for instance in selected)
        filtered = caller.list(f"{DB}/virtualMachines{VERSION}&$expand=instanceView&$filter={power}")
        assert ([i["instanceId"] for i in selected], [i["instanceId"] for i in filtered]) == (["7", "0"], ["0"])
        assert caller.refused(f"{DB}/virtualMachines{VERSION}&$filter=name")[0] == 400
        assert caller.refused(f"{DB}/virtualMachines{VERSION}&$select=name")[0] == 400
        for path in ("networkInterfaces", "publicipaddresses"):  # served by Network's side, at one version alone
            assert caller.refused(f"{DB}/{path}{VERSION}") == (400, "InvalidResourceType")
            assert caller.list(f"{DB}/{path}?api-version=2018-10-01") is not None


def test_one_vm_is_asked_for_its_instance_view_a_few_times_a_minute(fleet: dict[str, Any]) -> None:
    with running(fleet, rate_limit=True) as emulator:
        headers = bearer(emulator.endpoint("solo"))
        place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-demo/providers/Microsoft.Compute/virtualMachines"
        replies = [
            send(emulator.resource_manager, f"{place}/solo/instanceView{VERSION}", headers=headers) for _ in range(37)
        ]
        assert [reply.status for reply in replies] == [200] * 36 + [429]
        assert replies[-1].headers["Retry-After"] == "5"
        other = send(emulator.resource_manager, f"{place}/web-0/instanceView{VERSION}", headers=headers)
        assert other.status == 200


def test_the_instance_view_of_one_vm(caller: Caller) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/RG-demo/providers/Microsoft.Compute/virtualMachines"
    view = send(caller.base, f"{path}/WEB-1/instanceView{VERSION}", headers=caller.headers).json
    assert view["platformFaultDomain"] == 1
    assert caller.refused(f"{path}/none/instanceView{VERSION}") == (404, "ResourceNotFound")


def test_pages_are_linked_and_lose_nothing(fleet: dict[str, Any]) -> None:
    with running({**fleet, "api": {"resource_manager": {"page_size": 2}}}) as emulator:
        caller = Caller(emulator)
        entries, pages = follow(caller.base, f"{COMPUTE}/virtualMachines{VERSION}", caller.headers)
        assert (len(entries), pages, len({e["id"] for e in entries})) == (5, 3, 5)
        first = send(caller.base, f"{COMPUTE}/virtualMachines{VERSION}&statusOnly=true", headers=caller.headers).json
        assert first["nextLink"].startswith(caller.base)
        assert "statusOnly=true" in first["nextLink"]
        assert caller.refused(f"{COMPUTE}/virtualMachines{VERSION}&$skiptoken=xx") == (400, "InvalidSkipToken")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "AuthenticationFailed"),
        ({"Authorization": "Basic x"}, "AuthenticationFailed"),
        ({"Authorization": "Bearer x.y.z"}, "InvalidAuthenticationToken"),
    ],
)
def test_without_a_token_nobody_gets_in(emulator: Emulator, headers: dict[str, str], code: str) -> None:
    reply = send(emulator.resource_manager, f"{COMPUTE}/virtualMachines{VERSION}", headers=headers)
    assert (reply.status, reply.json["error"]["code"]) == (401, code)
    assert "Bearer authorization_uri" in reply.headers["WWW-Authenticate"]


def test_a_token_for_something_else_or_an_old_one(emulator: Emulator, caller: Caller) -> None:
    vault = {
        "Authorization": "Bearer " + token(emulator.endpoint("solo"), "https://vault.azure.net").json["access_token"]
    }
    target = f"{COMPUTE}/virtualMachines{VERSION}"
    assert caller.refused(target, headers=vault) == (401, "InvalidAuthenticationTokenAudience")
    emulator.control.advance(86400)
    assert caller.refused(target) == (401, "ExpiredAuthenticationToken")
    assert send(caller.base, target, headers=bearer(emulator.endpoint("solo"))).status == 200


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        (f"{COMPUTE}/virtualMachines", 400, "MissingApiVersionParameter"),
        (f"{COMPUTE}/virtualMachines?api-version=2050-01-01", 400, "InvalidResourceType"),
        (f"{COMPUTE}/virtualMachines?api-version=2019-03-01&statusOnly=true", 400, "InvalidParameter"),
        (f"{COMPUTE}/disks{VERSION}", 404, "InvalidResourceType"),
        (f"{DB}x/virtualMachines{VERSION}", 404, "ResourceNotFound"),
        (
            f"/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.Compute/virtualMachines{VERSION}",
            404,
            "SubscriptionNotFound",
        ),
    ],
)
def test_what_is_refused(caller: Caller, target: str, status: int, code: str) -> None:
    assert caller.refused(target) == (status, code)


def test_paths_count_in_any_case(caller: Caller) -> None:
    assert len(caller.list(f"{COMPUTE}/virtualMachines{VERSION}".lower())) == 5


def test_several_subscriptions_and_one_that_may_not_be_read() -> None:
    other = "22222222-2222-2222-2222-222222222222"
    fleet = {
        "vms": [{"name": "solo"}, {"name": "b", "subscription_id": other}],
        "api": {"resource_manager": {"denied": [{"subscription_id": other, "action": "Microsoft.Network/*"}]}},
    }
    with running(fleet) as emulator:
        caller = Caller(emulator)
        listed = send(caller.base, "/subscriptions?api-version=2020-01-01", headers=caller.headers).json["value"]
        assert [s["subscriptionId"] for s in listed] == [SUBSCRIPTION, other]
        foreign = f"/subscriptions/{other}/providers"
        assert [v["name"] for v in caller.list(f"{foreign}/Microsoft.Compute/virtualMachines{VERSION}")] == ["b"]
        refused = caller.refused(f"{foreign}/Microsoft.Network/networkInterfaces{NETWORK_VERSION}")
        assert refused == (403, "AuthorizationFailed")


def test_vms_that_are_off_or_broken() -> None:
    fleet = {
        "vms": [
            {"name": "solo"},
            {"name": "off", "state": "deallocated", "public_ip": True},
            {"name": "bare", "instance_view": "no_statuses"},
            {"name": "lost", "instance_view": "absent", "provisioning_state": "Failed"},
        ]
    }
    with running(fleet) as emulator:
        caller = Caller(emulator)
        status = {
            v["name"]: v["properties"] for v in caller.list(f"{COMPUTE}/virtualMachines{VERSION}&statusOnly=true")
        }
        off = status["off"]["instanceView"]
        assert off["statuses"][1]["code"] == "PowerState/deallocated"
        assert "platformFaultDomain" not in off
        assert "statuses" not in status["bare"]["instanceView"]
        assert status["lost"] == {"provisioningState": "Failed"}
        (address,) = caller.list(f"{NETWORK}/publicIPAddresses{NETWORK_VERSION}")
        assert "ipAddress" not in address["properties"]
        emulator.control.operate("delete", "bare")
        assert "bare" not in {v["name"] for v in caller.list(f"{COMPUTE}/virtualMachines{VERSION}")}


def test_reads_are_counted_and_refused_beyond_the_limit(fleet: dict[str, Any]) -> None:
    with running(fleet, rate_limit=True) as emulator:
        caller = Caller(emulator)
        target = f"{NETWORK}/networkInterfaces{NETWORK_VERSION}"
        first = send(caller.base, target, headers=caller.headers)
        assert first.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
        statuses = [send(caller.base, target, headers=caller.headers).status for _ in range(250)]
        assert statuses == [200] * 249 + [429]
        refused = send(caller.base, target, headers=caller.headers)
        assert refused.headers["Retry-After"] == "1"
        emulator.control.advance(1)
        assert send(caller.base, target, headers=caller.headers).status == 200
        listed = send(caller.base, f"{COMPUTE}/virtualMachines{VERSION}", headers=caller.headers)
        assert listed.headers["x-ms-ratelimit-remaining-resource"].startswith("Microsoft.Compute/HighCostGet3Min;899,")
