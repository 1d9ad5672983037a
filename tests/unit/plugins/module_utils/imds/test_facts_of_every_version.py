"""Facts from an emulated service: every api-version, and everything that can go wrong between here and there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import facts, instance
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.api_versions import INSTANCE_VERSIONS
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.documents import check_instance
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.facts import Gathered, Wish
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.system import System
from azure_emulator.distortions import DISTORTIONS
from azure_emulator.faults import REPLACEMENTS
from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

FLEET: dict[str, Any] = {
    "scale_sets": [
        {"name": "uniform", "instances": 2},
        {"name": "flexible", "orchestration_mode": "Flexible", "fault_domains": 2, "instances": 1},
    ],
    "vms": [
        {
            "name": "full",
            "zone": "2",
            "sub_fault_domain": 3,
            "tags": {"role": "web", "cost:center": "42;7"},
            "nics": [
                {"private_ips": ["10.0.0.4"], "public_ip": "203.0.113.10", "ipv6": True},
                {"private_ips": ["10.0.0.5"]},
            ],
            "plan": {"name": "pro", "product": "waf", "publisher": "acme"},
            "public_keys": [{"path": "/home/azureuser/.ssh/authorized_keys", "key_data": "ssh-rsa AAAABBBB me"}],
            "user_data": "c2VjcmV0",
            "has_custom_data": True,
            "license_type": "RHEL_BYOS",
            "priority": "Spot",
            "host_group_id": "group-of-hosts",
            "extended_location": "microsoftlosangeles",
            "hibernation": True,
            "security": {"security_type": "TrustedLaunch", "encryption_at_host": True},
            "data_disks": [{"name": "data", "lun": 1, "size_gb": 64}],
        },
    ],
}
# Contract section 3.3: the first api-version that can tell the fact.
SINCE = {
    "name": "2017-03-01",
    "location": "2017-03-01",
    "fault_domain": "2017-03-01",
    "update_domain": "2017-03-01",
    "vm_id": "2017-03-01",
    "size": "2017-03-01",
    "os_type": "2017-03-01",
    "environment": "2017-03-01",
    "resource_manager": "2017-03-01",
    "mac_address": "2017-03-01",
    "private_ipv4": "2017-03-01",
    "public_ipv4": "2017-03-01",
    "private_ipv6": "2017-03-01",
    "subscription_id": "2017-08-01",
    "resource_group": "2017-08-01",
    "resource_id": "2017-08-01",
    "tags": "2017-08-01",
    "zone": "2017-12-01",
    "plan.name": "2018-04-02",
    "public_keys": "2018-04-02",
    "os_disk.size_gb": "2019-06-01",
    "data_disks": "2019-06-01",
    "security.secure_boot": "2020-06-01",
    "computer_name": "2020-07-15",
    "license_type": "2020-09-01",
    "priority": "2020-12-01",
    "eviction_policy": "2020-12-01",
    "user_data": "2021-01-01",
    "extended_location": "2021-03-01",
    "sub_fault_domain": "2021-10-01",
    "hibernation_enabled": "2021-11-01",
    "security.encryption_at_host": "2021-11-01",
    "dedicated_host_group_id": "2021-11-15",
    "security.type": "2021-12-13",
    "image.exact_version": "2023-07-01",
    "physical_zone": "2023-11-15",
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running(FLEET, clock="real") as found:  # a delay passes by the service's clock
        yield found


@pytest.fixture(autouse=True)
def _no_faults(emulator: Emulator) -> None:
    emulator.control.clear_faults()
    emulator.control.clear_requests()


def gather(emulator: Emulator, vm: str = "full", **wish: Any) -> Gathered:
    options = {"endpoint": emulator.endpoint(vm), "retries": 0, **wish.pop("options", {})}
    return facts.gather(Wish(options=options, public_keys=True, user_data=True, **wish), root="/nowhere")


def look_up(gathered: Gathered, name: str) -> Any:
    if name == "user_data":
        return gathered.user_data
    value: Any = gathered.facts
    for part in name.split("."):
        value = value[part]
    return value


@pytest.mark.parametrize("version", INSTANCE_VERSIONS)
def test_every_version_tells_what_it_can(emulator: Emulator, version: str) -> None:
    found = gather(emulator, options={"api_version": version})
    assert found.facts["api_version"] == version
    told = {name for name in SINCE if look_up(found, name) not in (None, [], {})}
    assert told == {name for name, since in SINCE.items() if version >= since}
    assert "userData" not in json.dumps(found.facts)
    assert "customData" not in json.dumps(found.facts)


def test_the_newest_version_tells_everything(emulator: Emulator) -> None:
    found = gather(emulator).facts
    assert found["tags"] == {"role": "web", "cost:center": "42;7"}
    assert found["private_ipv4"] == ["10.0.0.4", "10.0.0.5"]
    assert found["interfaces"][0]["ipv4_subnets"] == ["10.0.0.0/24"]
    assert found["public_ipv4"] == ["203.0.113.10"]
    assert found["environment"] == "AzurePublicCloud"
    assert found["scale_set"] is None
    assert found["data_disks"][0]["lun"] == 1
    assert len(emulator.control.requests("full")) == 1


@pytest.mark.parametrize("version", ["2017-12-01", "2018-10-01", "2020-06-01", "2021-03-01", "2025-04-07"])
def test_scale_sets(emulator: Emulator, version: str) -> None:
    uniform = gather(emulator, "uniform_1", options={"api_version": version}).facts
    assert [uniform[f"scale_set{end}"] for end in ("", "_mode", "_instance_id")] == ["uniform", "Uniform", "1"]
    assert uniform["resource_id"].endswith("/virtualMachineScaleSets/uniform/virtualMachines/1")
    assert uniform["scale_set_id"].endswith("/virtualMachineScaleSets/uniform")
    name = next(vm for vm in emulator.fleet.vms if vm.startswith("flexible_"))
    flexible = gather(emulator, name, options={"api_version": version}).facts
    if version >= "2021-03-01":
        assert [flexible[f"scale_set{end}"] for end in ("", "_mode", "_instance_id")] == ["flexible", "Flexible", name]


def test_a_region_that_lags(emulator: Emulator) -> None:
    emulator.control.add_fault(fault="region_lag", value="2019-11-01")
    found = gather(emulator)
    assert found.facts["available"] is True
    assert "2018-10-01" <= found.facts["api_version"] <= "2019-11-01"
    assert found.facts["tags"]["cost:center"] == "42;7"


@pytest.mark.parametrize("fault", REPLACEMENTS)
def test_every_failure_is_told_apart(emulator: Emulator, fault: str) -> None:
    expected = {
        "bad_request": "bad_request",
        "unauthorized": "blocked",
        "forbidden": "blocked",
        "not_found": "absent",
        "gone": "gone",
        "throttled": "throttled",
        "server_error": "service",
        "unavailable": "service",
        "reset": "unreachable",
        "hang": "unreachable",
        "delay": None,
        "cut": "unreachable",
        "garbage": "bad_answer",
        "html": "bad_answer",
        "portal": "bad_answer",
        "redirect": "bad_answer",
        "not_json": "bad_answer",
        "empty": "bad_answer",
    }[fault]
    # What is waited out is not waited for here; a hang has to be, for a moment.
    spec = {"seconds": 0.01} if fault == "delay" else {}
    emulator.control.add_fault(fault=fault, **spec)
    timeout = 0.5 if fault in ("hang", "gone") else 20
    found = gather(emulator, options={"timeout": timeout})
    assert found.facts["error"] == expected
    assert found.facts["available"] is (expected is None)
    assert bool(found.facts["reason"]) is bool(expected)
    assert len(found.warnings) == (1 if expected else 0)


@pytest.mark.parametrize("fault", [name for name, what in DISTORTIONS.items() if what.category == "instance"])
def test_every_oddity_degrades_to_what_can_be_known(emulator: Emulator, fault: str) -> None:
    usual = gather(emulator).facts
    emulator.control.add_fault(fault=fault, **({"value": "2021-02-01"} if fault == "region_lag" else {}))
    odd = gather(emulator).facts
    assert odd["available"] is True
    changed = {name for name, value in usual.items() if odd[name] != value} - {"collected_at", "compute", "network"}
    nothing = facts.blank(now=0)
    allowed = {
        "empty_zone": {"zone"},
        "odd_tags": {"tags"},
        "carriage_returns": set(),
        "mixed_case_location": set(),
        "upper_case_environment": set(),
        "numbers": set(),
        "interfaces_swapped": {"interfaces", "private_ipv4", "mac_address"},
        "without_public_addresses": {"public_ipv4", "interfaces"},
        "without_network": {"interfaces", "private_ipv4", "private_ipv6", "public_ipv4", "mac_address"},
    }
    if fault in allowed:
        assert changed == allowed[fault]
    if fault == "without_compute":
        known = {name for name in odd if odd[name] != nothing[name]} - {"collected_at"}
        networked = {"interfaces", "private_ipv4", "private_ipv6", "public_ipv4", "mac_address", "network"}
        assert known == networked | {"available", "endpoint", "api_version", "public_keys"}
    if fault == "odd_tags":
        assert odd["tags"]["odd"] == "a:b;c"


SAMPLES = os.environ.get("IMDS_SAMPLES", "")


@pytest.mark.skipif(not SAMPLES, reason="IMDS_SAMPLES names no directory with Azure's own samples")
def test_azures_own_samples() -> None:
    """The published sample of each version, which is not ours to keep."""
    paths = sorted(Path(SAMPLES).glob("*/examples/*etInstanceMetadata.json"))
    assert paths
    for path in paths:
        body = json.loads(path.read_text(encoding="utf-8"))["responses"]["200"]["body"]
        found = instance.derive(check_instance(body), System())
        assert found["name"] == body["compute"]["name"], path
        assert found["update_domain"] == int(body["compute"]["platformUpdateDomain"]), path
        assert found["os_type"] == "Linux"
        json.dumps(found)
