"""Fleet files: what they make, and what is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from azure_emulator.errors import InputError, NotFoundError
from azure_emulator.fleet.generate import as_yaml, generate
from azure_emulator.fleet.loading import load_fleet

VM = {"name": "a"}


def vms(*specs: dict[str, Any], **fleet: Any) -> dict[str, Any]:
    return {"vms": list(specs), **fleet}


@pytest.mark.parametrize(
    ("fleet", "path", "problem"),
    [
        ({"vmss": []}, "vmss", "unknown key; did you mean vms?"),
        (vms({"name": "a", "fault_domian": 1}), "vms[0].fault_domian", "unknown key; did you mean fault_domain?"),
        (vms({"size": "x"}), "vms[0]", "the key name is missing"),
        (vms({"name": ""}), "vms[0].name", "must not be empty"),
        (vms(VM, VM), "vms[1]", "a second VM 'a'"),
        (vms({"name": "a", "zone": True}), "vms[0].zone", "expected text, found a boolean"),
        (vms({"name": "a", "tags": {"on": True}}), "vms[0].tags.on", "expected text, found a boolean"),
        (vms({"name": "a", "fault_domain": -1}), "vms[0].fault_domain", "-1 is less than 0"),
        (vms({"name": "a", "state": "sleeping"}), "vms[0].state", "'sleeping' is none of running"),
        (vms({"name": "a", "private_ip": "10.0.0"}), "vms[0].private_ip", "no IPv4 address"),
        (vms({"name": "a", "subscription_id": "x"}), "vms[0].subscription_id", "no GUID"),
        (vms({"name": "a", "availability_set": "w"}), "vms[0].availability_set", "no 'w'; the fleet defines none"),
        (
            vms({"name": "a", "availability_set": "wep"}, availability_sets=[{"name": "web"}]),
            "vms[0].availability_set",
            "no 'wep'; did you mean web?",
        ),
        (
            vms({"name": "a", "availability_set": "web", "fault_domain": 2}, availability_sets=[{"name": "web"}]),
            "vms[0].fault_domain",
            "2 is beyond the set's 2",
        ),
        (vms({"name": "a", "scale_set": "db"}, scale_sets=[{"name": "db"}]), "vms[0].name", "is named db_<number>"),
        (vms(VM, scale_sets=[{"name": "s", "vm": {"sise": 1}}]), "scale_sets[0].vm.sise", "did you mean size?"),
        (vms(VM, defaults={"taggs": {}}), "defaults.taggs", "did you mean tags?"),
        (vms(VM, api={"newest_version": "2021-02-02"}), "api.newest_version", "is none of"),
        (vms({"name": "a", "private_ip": "10.0.0.9"}, {"name": "b", "private_ip": "10.0.0.9"}), "vms[1]", "already"),
        (vms({"name": "a", "nics": [{"mac": "zz"}]}), "vms[0].nics[0].mac", "no hardware address"),
        (vms({"name": "a", "nics": [{"primary": False}]}), "vms[0].nics", "0 of the interfaces are primary"),
        (vms({"name": "a", "nics": [{}], "public_ip": True}), "vms[0]", "not both"),
        (vms({"name": "a", "terminate_notification": "PT20M"}), "vms[0].terminate_notification", "PT5M to PT15M"),
        (vms(VM, scale_sets=[{"name": "big", "instances": 101}]), "scale_sets[0].instances", "single_placement_group"),
        (vms(VM, defaults={"zone": [1]}), "defaults.zone", "expected text, found a list"),
        (
            vms(VM, scale_sets=[{"name": "s", "instances": 1, "vm": {"size": [1]}}]),
            "scale_sets[0].vm.size",
            "expected text, found a list",
        ),
        (vms({"name": "a/b"}), "vms[0].name", "has a '/'"),
        (vms(VM, resource_group="rg#demo"), "resource_group", "has a '#'"),
        (
            vms({"name": "a", "client_addresses": ["10.0.0.1"]}, {"name": "b", "client_addresses": ["10.0.0.1"]}),
            "vms[1].client_addresses[0]",
            "already stands for a VM at vms[0].client_addresses[0]",
        ),
        ({}, "vms", "the fleet has no VM"),
        ([], "", "expected a mapping, found a list"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(fleet: Any, path: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        load_fleet(fleet)
    assert caught.value.path == path
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [("vms:\n- {name: a\n", "line 3"), ("name: a\nname: b\n", "the key name comes twice"), ("vms: [\x01]\n", "YAML")],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_fleet(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Any) -> None:
    with pytest.raises(InputError, match=r"none\.yml: cannot be read: No such file"):
        load_fleet(tmp_path / "none.yml")


def test_tags_add_up_and_the_nearest_wins() -> None:
    fleet = load_fleet(
        vms(
            {"name": "s_0", "scale_set": "s", "tags": {"d": "vm"}},
            tags={"a": "fleet", "b": "fleet", "c": "fleet", "d": "fleet"},
            defaults={"tags": {"b": "defaults", "c": "defaults"}},
            scale_sets=[{"name": "s", "vm": {"tags": {"c": "set"}}}],
        )
    )
    assert fleet.vm("s_0").tags == {"a": "fleet", "b": "defaults", "c": "set", "d": "vm"}


def test_domains_are_dealt_out_in_turn_unless_given() -> None:
    members = [{"name": f"w{n}", "availability_set": "web"} for n in range(4)]
    members[2]["fault_domain"] = 0
    fleet = load_fleet(vms(*members, availability_sets=[{"name": "web", "fault_domains": 2, "update_domains": 3}]))
    assert [(vm.fault_domain, vm.update_domain) for vm in fleet.vms.values()] == [(0, 0), (1, 1), (0, 2), (1, 0)]


def test_scope_is_the_set_the_placement_group_or_the_vm_alone() -> None:
    gpu = {"name": "gpu", "instances": 2, "fault_domains": 1, "vm": {"size": "Standard_NC24"}}
    big = {"name": "big", "instances": 150, "single_placement_group": False}
    fleet = load_fleet(
        vms({"name": "a", "availability_set": "s"}, {"name": "b", "availability_set": "s"}, {"name": "c"},
            availability_sets=[{"name": "s"}], scale_sets=[gpu, big])
    )  # fmt: skip
    scopes = {key: vm.scope for key, vm in fleet.vms.items()}
    assert scopes["a"] == scopes["b"] != scopes["c"]
    assert scopes["gpu_0"] != scopes["gpu_1"]
    assert scopes["big_0"] == scopes["big_99"] != scopes["big_100"]


def test_names_follow_the_kind_of_scale_set() -> None:
    fleet = load_fleet(
        {
            "scale_sets": [
                {"name": "uni", "instances": 38},
                {"name": "flex", "orchestration_mode": "flexible", "instances": 1},
            ],
            "vms": [{"name": "uni_3", "scale_set": "uni"}],
        }
    )
    uniform = fleet.vm("uni_37")
    assert (uniform.instance_id, uniform.computer_name) == ("37", "uni000011")  # 37 in base 36
    assert uniform.resource_id.endswith("/virtualMachineScaleSets/uni/virtualMachines/37")
    assert sorted(int(vm.instance_id) for vm in fleet.vms.values() if vm.uniform) == list(range(39))
    flexible = next(vm for key, vm in fleet.vms.items() if key.startswith("flex_"))
    assert len(flexible.name) == len("flex_") + 8
    assert flexible.resource_id.endswith(f"/Microsoft.Compute/virtualMachines/{flexible.name}")


def test_two_vms_may_share_a_name_in_different_groups_by_an_alias() -> None:
    fleet = load_fleet(vms(VM, {"name": "a", "alias": "a2", "resource_group": "rg-2"}))
    assert [vm.name for vm in fleet.vms.values()] == ["a", "a"]
    assert fleet.vm("A2").resource_id != fleet.vm("a").resource_id


def test_the_same_file_makes_the_same_fleet_and_a_seed_another() -> None:
    ids = [load_fleet(vms(VM, seed=seed)).vm("a").vm_id for seed in ("x", "x", "y")]
    assert ids[0] == ids[1] != ids[2]


def test_addresses_are_unique_and_avoid_the_given_ones() -> None:
    fleet = load_fleet(vms({"name": "a", "private_ip": "10.1.0.5"}, *({"name": f"b{n}"} for n in range(600))))
    nics = [nic for vm in fleet.vms.values() for nic in vm.nics]
    assert len({nic.private_ips for nic in nics}) == len({nic.mac for nic in nics}) == 601


def test_an_unknown_vm_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean web-0"):
        load_fleet(vms({"name": "web-0"})).vm("wbe-0")


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000])
def test_a_generated_fleet_has_so_many_vms(count: int) -> None:
    assert len(load_fleet(as_yaml(generate(count))).vms) == count
