"""The instance document: versions against a table of its own, value rules, routes and text."""

from __future__ import annotations

from typing import Any

import pytest

from azure_emulator.fleet.loading import load_fleet
from azure_emulator.imds.fields import COMPUTE_FIELDS, WITHDRAWN
from azure_emulator.imds.instance import compute_document, instance_document
from azure_emulator.imds.routes import RouteError, as_text, walk
from azure_emulator.imds.versions import INSTANCE_VERSIONS

FULL = {
    "vms": [
        {
            "name": "a",
            "tags": {"foo": "bar", "baz": "b:a;sh"},
            "public_ip": True,
            "ipv6": True,
            "public_keys": [{"key_data": "ssh-rsa 0"}],
            "data_disks": [{}, {"ultra": True, "bytes_per_second": 979202048, "operations_per_second": 65280}],
        }
    ]
}


def paths(value: Any, prefix: str = "") -> set[str]:
    """Every leaf below a document, array indexes written as ``[]``."""
    if isinstance(value, dict):
        return {p for name, item in value.items() for p in paths(item, f"{prefix}.{name}" if prefix else name)}
    if isinstance(value, list):
        return {p for item in value for p in paths(item, f"{prefix}[]")}
    return {prefix}


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def document(version: str, **extra: Any) -> dict[str, Any]:
    return instance_document(load_fleet(FULL).vm("a"), version, **extra)


def test_the_document_has_every_field_of_the_table_and_no_other() -> None:
    known = {path for group in COMPUTE_FIELDS.values() for path in group}
    assert paths(compute_document(load_fleet(FULL).vm("a"))) == known


@pytest.mark.parametrize("version", INSTANCE_VERSIONS)
def test_each_version_has_what_came_by_then(version: str) -> None:
    expected = {
        path for since, group in COMPUTE_FIELDS.items() if since <= max(version, "2017-04-02") for path in group
    }
    gone = {p.removeprefix("compute.") for p, until in WITHDRAWN.items() if version > until}
    assert paths(document(version)["compute"]) == expected - gone


@pytest.mark.parametrize("version", INSTANCE_VERSIONS)
def test_every_value_is_text(version: str) -> None:
    assert {type(leaf) for leaf in leaves(document(version))} == {str}


def test_extended_comes_when_asked_for_and_not_before_its_version() -> None:
    expected = {"compute": {"hasCustomData": False, "ppsType": "None"}}
    assert document("2021-08-01", extended=True)["extended"] == expected
    assert "extended" not in document("2021-05-01", extended=True)
    assert "extended" not in document("2021-08-01")


def test_ultra_figures_are_empty_for_other_disks() -> None:
    plain, ultra = document("2021-05-01")["compute"]["storageProfile"]["dataDisks"]
    assert (plain["isUltraDisk"], plain["opsPerSecondThrottle"], plain["isSharedDisk"]) == ("false", "", "")
    assert (ultra["isUltraDisk"], ultra["opsPerSecondThrottle"]) == ("true", "65280")


def test_tags_have_an_ambiguous_and_a_safe_form() -> None:
    compute = document("2025-04-07")["compute"]
    assert compute["tags"] == "foo:bar;baz:b:a;sh"
    assert compute["tagsList"] == [{"name": "foo", "value": "bar"}, {"name": "baz", "value": "b:a;sh"}]


def test_a_custom_image_has_no_gallery_names() -> None:
    fleet = load_fleet({"vms": [{"name": "a", "image": {"id": "/subscriptions/x/images/y"}}]})
    compute = compute_document(fleet.vm("a"))
    assert [compute[name] for name in ("publisher", "offer", "sku", "version")] == [""] * 4
    assert compute["storageProfile"]["imageReference"]["id"] == "/subscriptions/x/images/y"


def test_behind_a_load_balancer_the_public_address_is_hidden() -> None:
    fleet = load_fleet(
        {
            "load_balancers": [{"name": "lb", "frontend_ip": "203.0.113.1"}],
            "vms": [{"name": "a", "public_ip": "203.0.113.2", "load_balancers": ["lb"]}],
        }
    )
    interface = instance_document(fleet.vm("a"), "2021-02-01")["network"]["interface"][0]
    assert interface["ipv4"]["ipAddress"][0]["publicIpAddress"] == ""


@pytest.mark.parametrize("version", ["2017-04-02", "2025-04-07"])
def test_the_flexible_set_is_named_by_id_and_the_uniform_one_by_name(version: str) -> None:
    sets = [{"name": "u", "instances": 1}, {"name": "f", "orchestration_mode": "Flexible", "instances": 1}]
    fleet = load_fleet({"scale_sets": sets})
    uniform, flexible = (instance_document(vm, version)["compute"] for vm in fleet.vms.values())
    if version == "2017-04-02":
        assert "vmScaleSetName" not in uniform
        return
    assert (uniform["vmScaleSetName"], uniform["virtualMachineScaleSet"]["id"]) == ("u", "")
    assert uniform["placementGroupId"]
    assert flexible["virtualMachineScaleSet"]["id"].endswith("/virtualMachineScaleSets/f")


@pytest.mark.parametrize(
    "route", ["compute/vmid", "compute/name/x", "network/interface/1", "network/interface/00", "x"]
)
def test_a_route_that_leads_nowhere(route: str) -> None:
    with pytest.raises(RouteError):
        walk(document("2021-02-01"), route.split("/"))


def test_text_form_of_each_kind_of_element() -> None:
    whole = document("2019-06-04")
    assert as_text(whole) == "compute/\nnetwork/"
    assert as_text(walk(whole, ["compute", "tagsList"])) == "0/\n1/"
    assert as_text(walk(whole, ["compute", "plan"])) == "name\nproduct\npublisher"
    assert as_text(walk(whole, ["compute", "zone"])) == ""
    assert as_text(walk(whole, ["network", "interface", "0"])) == "ipv4/\nipv6/\nmacAddress"
    assert as_text(walk(whole, ["compute", "tagsList", "1", "value"])) == "b:a;sh"
