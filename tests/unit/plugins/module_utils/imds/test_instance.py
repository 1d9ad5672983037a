"""Facts out of the instance document: names, types, and what each quirk of the service becomes."""

from __future__ import annotations

import copy
import json

import azure_documents as azure
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import facts, instance
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.system import System

ALONE = System()
HERE = System({"00:0d:3a:f8:06:ec": "eth0", "00:0d:3a:f8:06:ed": "eth1"}, "eth0", azure.VM_ID)


def derive(system: System = ALONE, **compute: object) -> dict:
    return instance.derive(azure.instance(**compute), system)


def test_values_have_the_types_that_people_compare_with() -> None:
    found = derive()
    assert found["fault_domain"] == 0
    assert found["update_domain"] == 42
    assert found["sub_fault_domain"] is None
    assert found["zone"] == "2"
    assert found["physical_zone"] == "westeurope-az2"
    assert found["hibernation_enabled"] is False
    assert found["security"] == {
        "type": "TrustedLaunch",
        "secure_boot": True,
        "virtual_tpm": True,
        "encryption_at_host": False,
    }
    assert found["license_type"] is None
    assert found["placement_group_id"] is None
    assert found["dedicated_host_id"] is None
    assert found["dedicated_host_group_id"] == "group-of-hosts"


def test_spelling_is_azures_whatever_the_service_writes() -> None:
    found = derive()
    assert found["os_type"] == "Linux"
    assert found["priority"] == "Spot"
    assert found["eviction_policy"] == "Deallocate"
    assert found["environment"] == "AzurePublicCloud"
    assert found["location"] == "westeurope"
    assert found["vm_id"] == azure.VM_ID
    assert derive(priority="Platinum")["priority"] == "Platinum"


def test_the_image_the_plan_and_the_disks() -> None:
    found = derive(plan={"name": "pro", "product": "waf", "publisher": "acme"})
    assert found["image"] == {
        "publisher": "Canonical",
        "offer": "0001-com-ubuntu-server-jammy",
        "sku": "22_04-lts-gen2",
        "version": "22.04.202607010",
        "exact_version": "22.04.202607010",
        "id": None,
    }
    assert found["plan"] == {"name": "pro", "product": "waf", "publisher": "acme"}
    assert found["os_disk"]["size_gb"] == 30
    assert found["os_disk"]["ephemeral"] is True
    assert [(disk["lun"], disk["name"], disk["size_gb"]) for disk in found["data_disks"]] == [
        (0, "data", 64),
        (10, "log", 1024),
    ]


@pytest.mark.parametrize("name", ["id", "sharedGalleryImageId", "communityGalleryImageId"])
def test_a_custom_image_has_an_id_instead_of_an_offer(name: str) -> None:
    custom = {"publisher": "", "offer": "", "sku": "", "version": "", "storageProfile": {"imageReference": {name: "x"}}}
    image = derive(**custom)["image"]
    assert image["id"] == "x"
    assert image["offer"] is None


def test_the_document_is_there_as_it_came_without_secrets() -> None:
    document = azure.instance()
    before = copy.deepcopy(document)
    found = instance.derive(document, ALONE)
    assert document == before
    assert found["network"] == before["network"]
    withheld = {"customData", "userData", "publicKeys"}
    assert found["compute"] == {name: value for name, value in before["compute"].items() if name not in withheld}
    assert found["compute"]["platformUpdateDomain"] == "42"
    text = json.dumps(found)
    for secret in ("c2VjcmV0IGN1c3RvbQ==", "c2Vj", "AAAA"):
        assert secret not in text


def test_keys_and_user_data_are_read_only_when_asked_for() -> None:
    document = azure.instance()
    assert instance.public_keys(document) == [
        {"path": "/home/azureuser/.ssh/authorized_keys", "key_data": "ssh-rsa AAAABBBB me"}
    ]
    assert instance.user_data(document) == "c2VjcmV0"
    assert instance.user_data({"compute": {"userData": ""}}) is None
    assert instance.user_data({}) is None
    assert instance.public_keys({}) == []


def test_a_tag_is_its_text() -> None:
    assert derive()["tags"] == {"role": "web", "cost:center": "42;7", "template": "{{ 1 + 1 }}"}
    assert derive(tagsList=None)["tags"] == {"role": "web"}


class TestAddresses:
    def test_the_primary_interface_is_the_one_with_azures_routes(self) -> None:
        found = derive(HERE)
        assert [i["device"] for i in found["interfaces"]] == ["eth0", "eth1"]
        assert [i["primary"] for i in found["interfaces"]] == [True, False]
        assert found["mac_address"] == "00:0d:3a:f8:06:ec"
        assert found["private_ipv4"] == ["10.1.0.4", "10.1.0.5", "10.2.0.4"]
        assert found["public_ipv4"] == ["20.0.0.4"]
        assert found["private_ipv6"] == ["fd00::4"]
        assert found["interfaces"][0]["ipv4_subnets"] == ["10.1.0.0/24"]
        assert found["interfaces"][0]["ipv6_subnets"] == []

    @pytest.mark.parametrize("system", [ALONE, HERE._replace(primary=None), HERE._replace(primary="wg0")])
    def test_where_it_cannot_be_told_nothing_is_claimed(self, system: System) -> None:
        found = derive(system)
        assert [i["primary"] for i in found["interfaces"]] == [None, None]
        assert found["private_ipv4"] == ["10.2.0.4", "10.1.0.4", "10.1.0.5"]

    def test_a_single_interface_is_the_primary_one(self) -> None:
        document = azure.instance()
        del document["network"]["interface"][0]
        assert instance.derive(document, ALONE)["interfaces"][0]["primary"] is True

    @pytest.mark.parametrize("network", [{}, {"interface": []}, {"interface": None}, {"interface": [None]}])
    def test_no_interface_is_no_address(self, network: dict) -> None:
        found = instance.derive({"compute": {}, "network": network}, HERE)
        assert found["interfaces"] == []
        assert found["private_ipv4"] == []
        assert found["mac_address"] is None

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("000D3AF806EC", "00:0d:3a:f8:06:ec"),
            ("00-0D-3A-F8-06-EC", "00:0d:3a:f8:06:ec"),
            ("xyz", "xyz"),
            ("", None),
            (None, None),
        ],
    )
    def test_a_mac_looks_as_in_ansibles_own_facts(self, text: str | None, expected: str | None) -> None:
        assert instance.normal_mac(text) == expected


class TestScaleSets:
    def scale_set(self, **compute: object) -> tuple:
        found = derive(**compute)
        return tuple(found[f"scale_set{end}"] for end in ("", "_mode", "_instance_id", "_id"))

    def test_none(self) -> None:
        assert self.scale_set() == (None, None, None, None)

    def test_an_instance_of_a_uniform_set(self) -> None:
        assert self.scale_set(
            name="web_85",
            vmScaleSetName="web",
            resourceId=f"{azure.GROUP}/virtualMachineScaleSets/web/virtualMachines/85",
        ) == ("web", "Uniform", "85", f"{azure.GROUP}/virtualMachineScaleSets/web")

    def test_an_instance_of_a_flexible_set(self) -> None:
        set_id = f"{azure.GROUP}/virtualMachineScaleSets/web"
        assert self.scale_set(
            name="web_1a2b3c4d",
            virtualMachineScaleSet={"id": set_id},
            resourceId=f"{azure.GROUP}/virtualMachines/web_1a2b3c4d",
        ) == ("web", "Flexible", "web_1a2b3c4d", set_id)

    def test_a_service_that_knows_no_resource_id_yet(self) -> None:
        old = {"resourceId": None, "virtualMachineScaleSet": None, "name": "web_85", "vmScaleSetName": "web"}
        assert self.scale_set(**old) == ("web", "Uniform", "85", f"{azure.GROUP}/virtualMachineScaleSets/web")
        assert derive(**old)["resource_id"] == f"{azure.GROUP}/virtualMachineScaleSets/web/virtualMachines/85"

    def test_a_name_of_another_form_gives_no_instance(self) -> None:
        old = {"resourceId": None, "virtualMachineScaleSet": None, "name": "other", "vmScaleSetName": "web"}
        assert self.scale_set(**old)[2] is None
        assert derive(**old)["resource_id"] is None

    def test_a_flexible_set_before_the_service_had_its_id(self) -> None:
        found = self.scale_set(vmScaleSetName="web", virtualMachineScaleSet=None)
        assert found == ("web", "Flexible", "web-0", f"{azure.GROUP}/virtualMachineScaleSets/web")


class TestOldServices:
    def test_the_id_is_put_together(self) -> None:
        assert derive(resourceId=None)["resource_id"] == f"{azure.GROUP}/virtualMachines/web-0"
        assert derive(resourceId=None, subscriptionId=None)["resource_id"] is None

    @pytest.mark.parametrize(
        ("location", "environment"),
        [
            ("CentralUS", "AzurePublicCloud"),
            ("usgovvirginia", "AzureUSGovernmentCloud"),
            ("usdodeast", "AzureUSGovernmentCloud"),
            ("chinaeast2", "AzureChinaCloud"),
            ("germanycentral", "AzureGermanCloud"),
            ("germanywestcentral", "AzurePublicCloud"),
        ],
    )
    def test_the_environment_is_told_from_the_location(self, location: str, environment: str) -> None:
        assert derive(azEnvironment=None, location=location)["environment"] == environment

    def test_a_classic_vm_has_a_network_and_nothing_else(self) -> None:
        found = instance.derive({"network": azure.NETWORK}, ALONE)
        assert found["name"] is None
        assert found["environment"] is None
        assert found["compute"] == {}
        assert found["tags"] == {}
        assert len(found["private_ipv4"]) == 3

    def test_an_unknown_cloud_keeps_its_name(self) -> None:
        found = derive(azEnvironment="AzureMoonCloud")
        assert (found["environment"], found["resource_manager"]) == ("AzureMoonCloud", None)
        assert derive(azEnvironment="AzureStack")["resource_manager"] is None


def test_every_fact_has_its_place_in_the_blank_ones() -> None:
    blank = facts.blank(now=0)
    found = derive()
    assert set(found) <= set(blank)
    for name, value in blank.items():
        if isinstance(value, dict) and name not in ("tags", "compute", "network"):
            assert set(found[name]) == set(value), name


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from([*azure.COMPUTE, "unheard-of"]), anything, max_size=12),
    st.fixed_dictionaries({}, optional={"interface": anything}),
)
def test_no_document_is_too_strange(compute: dict, network: dict) -> None:
    found = instance.derive({"compute": compute, "network": network}, HERE)
    json.dumps(found)
    assert set(found) <= set(facts.blank(now=0))
