"""The same emulated fleet by each source: the same hosts, variables and groups, as far as each can know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible import constants
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.loader import cache_loader

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.facts import Wish, gather
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import resource_graph

if TYPE_CHECKING:
    from pathlib import Path

    from azure_emulator.testing import Emulator

Inventory = "Callable[..., Fleet]"
# What facts cannot know: see records.py.
NOT_FROM_FACTS = (
    *("azure_provisioning_state", "azure_power_state", "azure_public_fqdns", "azure_public_ipv6"),
    *("azure_redeploy_status", "azure_availability_set"),
)
NOT_FROM_RESOURCE_MANAGER = ("azure_physical_zone",)
OFF = "off"  # nobody answers on a machine that is switched off
# Different by their nature.
OF_THE_READING = ("azure_collected_at", "azure_age")


@pytest.fixture
def facts(emulator: Emulator, tmp_path: Path) -> dict[str, Any]:
    """Options for the facts of every running machine, gathered by the real library, kept by a real cache plugin."""
    options = {"fact_cache_plugin": "jsonfile", "fact_cache_connection": str(tmp_path / "facts")}
    store = cache_loader.get("jsonfile", _uri=options["fact_cache_connection"], _prefix="", _timeout=0)
    for vm in emulator.fleet.vms.values():
        if vm.name == OFF:
            continue
        gathered = gather(Wish(options={"endpoint": emulator.endpoint(vm.name)}))
        assert gathered.error is None
        store.set(vm.name, {"azure": gathered.facts, "discovered_interpreter_python": "/usr/bin/python3"})
    return {"source": "facts", **options}


def test_both_sources_give_the_same_variables(inventory: Inventory, facts: dict[str, Any], emulator: Emulator) -> None:
    asked, remembered = inventory().hosts, inventory(**facts).hosts
    assert asked.keys() - {OFF} == remembered.keys()
    for name, variables in asked.items():
        if name == OFF:
            continue
        other = remembered[name]
        assert variables.keys() - {"ansible_host"} == other.keys() - {"ansible_host"}
        for key in variables:
            if key in (*NOT_FROM_FACTS, *NOT_FROM_RESOURCE_MANAGER, *OF_THE_READING):
                continue
            mine, theirs = variables[key], other[key]
            if key in ("azure_resource_group", "azure_resource_id"):
                mine, theirs = mine.lower(), theirs.lower()  # Azure's services write it as they like
            if key in ("azure_fault_domain", "azure_update_domain") and mine is None:
                continue  # off, or of a flexible set, which has no update domains for Resource Manager
            assert mine == theirs, (name, key)
        for key in NOT_FROM_FACTS:
            assert other[key] is None
        for key in NOT_FROM_RESOURCE_MANAGER:
            assert variables[key] is None


def test_both_sources_give_the_same_groups(inventory: Inventory, facts: dict[str, Any]) -> None:
    asked, remembered = inventory().groups, inventory(**facts).groups
    for name, hosts in asked.items():
        if name.startswith("azure_availability_set_"):
            assert name not in remembered  # the metadata service does not know availability sets
        else:
            assert set(hosts) - {OFF} <= set(remembered.get(name, [])), name
    only_facts = {n: h for n, h in remembered.items() if n not in asked}
    assert all("domain" in name for name in only_facts)


def test_resource_graph_gives_the_same_as_resource_manager(inventory: Inventory, emulator: Emulator) -> None:
    asked = inventory(include_raw=False)
    emulator.control.clear_requests()
    graph = inventory(source="resource_graph")
    assert asked.groups == graph.groups
    for name, variables in asked.hosts.items():
        for key in variables:
            mine, theirs = variables[key], graph.hosts[name][key]
            if key in ("azure_resource_group", "azure_resource_id"):
                mine, theirs = mine.lower(), theirs.lower()
            assert key in OF_THE_READING or mine == theirs, (name, key)
    asked_paths = [r["path"] for r in emulator.control.requests() if r["category"] != "identity"]
    assert sum("ResourceGraph" in path for path in asked_paths) == 1
    assert not any("Microsoft.Network" in path for path in asked_paths)


def test_resource_graph_is_asked_for_so_many_subscriptions_at_a_time(
    inventory: Inventory, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = inventory(source="resource_graph")
    monkeypatch.setattr(resource_graph, "SCOPE", 1)
    emulator.control.clear_requests()
    again = inventory(source="resource_graph")
    assert (again.groups, again.hosts.keys()) == (whole.groups, whole.hosts.keys())
    assert sum("ResourceGraph" in r["path"] for r in emulator.control.requests()) == 2
    emulator.control.add_fault(fault="forbidden", category="resource_graph", count=1)
    with pytest.raises(AnsibleError, match=r"Subscriptions \d to \d of 2: resource graph may not be read"):
        inventory(source="resource_graph")


def test_resource_graph_that_is_forbidden_or_down(inventory: Inventory, emulator: Emulator) -> None:
    emulator.control.add_fault(fault="forbidden", category="resource_graph")
    with pytest.raises(AnsibleError, match=r"Subscriptions all: .* lacks Microsoft.ResourceGraph/resources/read"):
        inventory(source="resource_graph")
    emulator.control.clear_faults()
    emulator.control.add_fault(fault="throttled", category="resource_graph", count=1)
    assert len(inventory(source="resource_graph").hosts) == 12
    emulator.control.add_fault(fault="unavailable", category="resource_graph")
    with pytest.raises(AnsibleError, match=r"Subscriptions all: resource graph: POST .* 503.*option timeout is 5 s"):
        inventory(source="resource_graph", timeout=5)


def test_resource_graph_without_status_has_the_power_state_and_no_domains(inventory: Inventory) -> None:
    found = inventory(source="resource_graph", details=["interfaces"]).hosts
    assert found["off"]["azure_power_state"] == "deallocated"
    assert found["db-1"]["azure_computer_name"] == "db-1"
    assert found["db-1"]["azure_fault_domain"] is None
    assert found["db-1"]["azure_private_ipv4"]
    assert found["win"]["azure_public_ipv4"] is None
    assert "web_0" not in found


def test_resource_names_come_from_the_inventory_of_the_facts(
    inventory: Inventory, facts: dict[str, Any], tmp_path: Path
) -> None:
    store = cache_loader.get("jsonfile", _uri=facts["fact_cache_connection"], _prefix="", _timeout=0)
    store.set("db.example.org", store.get("db-0"))
    store.delete("db-0")
    assert "db.example.org" in inventory(**facts).hosts
    assert "db-0" in inventory(hostnames=["name"], **facts).hosts


def test_hosts_outside_azure_and_without_facts_are_no_hosts(inventory: Inventory, facts: dict[str, Any]) -> None:
    store = cache_loader.get("jsonfile", _uri=facts["fact_cache_connection"], _prefix="", _timeout=0)
    store.set("laptop", {"azure": {"available": False, "error": "not_on_azure", "reason": "a laptop"}})
    store.set("router", {"os_family": "x"})
    found = inventory(**facts)
    assert not found.hosts.keys() & {"laptop", "router"}
    assert found.said == ["azure_fleet: 11 machines in the fact cache, 1 hosts outside Azure, 1 without its facts"]


def test_facts_that_could_not_be_gathered_are_an_error(inventory: Inventory, facts: dict[str, Any]) -> None:
    store = cache_loader.get("jsonfile", _uri=facts["fact_cache_connection"], _prefix="", _timeout=0)
    store.set("db-0", {"azure": {"available": False, "error": "unreachable", "reason": "no answer from it"}})
    with pytest.raises(AnsibleError, match="the facts of db-0 cannot be read: they were not gathered: no answer from"):
        inventory(**facts)
    found = inventory(on_partial="warn", **facts)
    assert len(found.hosts) == 10
    assert "db-0" in found.warnings[0]


def test_a_broken_entry_does_not_hide_the_others(inventory: Inventory, facts: dict[str, Any], tmp_path: Path) -> None:
    broken = next(path for path in (tmp_path / "facts").iterdir() if path.name.endswith("db-1"))
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(AnsibleError, match="the facts of db-1 cannot be read"):
        inventory(**facts)
    broken.write_text("{", encoding="utf-8")  # Ansible's own plugin removes what it cannot read
    found = inventory(on_partial="warn", **facts)
    assert len(found.hosts) == 10


def test_facts_that_are_too_old(inventory: Inventory, facts: dict[str, Any]) -> None:
    store = cache_loader.get("jsonfile", _uri=facts["fact_cache_connection"], _prefix="", _timeout=0)
    old = store.get("win")
    store.set("win", {"azure": {**old["azure"], "collected_at": "2024-01-01T00:00:00Z"}})
    with pytest.raises(AnsibleError, match=r"1 hosts are older than max_age \(86400 s\).*win"):
        inventory(**facts)
    assert "win" not in inventory(on_partial="warn", **facts).hosts
    stale = inventory(on_partial="stale", **facts)
    assert stale.hosts["win"]["azure_age"] > 3e7
    assert stale.warnings
    assert "win" in inventory(max_age=0, **facts).hosts


def test_an_unreadable_fact_cache_says_which(inventory: Inventory, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises((AnsibleError, AnsibleParserError), match="file"):
        inventory(source="facts", fact_cache_plugin="jsonfile", fact_cache_connection=str(tmp_path / "file"))
    with pytest.raises(AnsibleError, match=r"cache plugin .*nowhere"):
        inventory(source="facts", fact_cache_plugin="nowhere")


def test_no_facts_at_all(inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {"source": "facts", "fact_cache_plugin": "jsonfile", "fact_cache_connection": str(tmp_path / "none")}
    assert inventory(**empty).warnings == [
        "azure_fleet: no hosts. The source was read without an error and has no machines."
    ]
    monkeypatch.setattr(constants, "CACHE_PLUGIN", "memory")
    with pytest.raises(AnsibleParserError, match="Set fact_caching"):
        inventory(source="facts")


def test_a_trusted_string_in_the_fact_cache_is_no_template(inventory: Inventory, facts: dict[str, Any]) -> None:
    template = pytest.importorskip("ansible.template", reason="core 2.18 marks no templates")
    if not hasattr(template, "trust_as_template"):
        pytest.skip("core 2.18 marks no templates")
    store = cache_loader.get("jsonfile", _uri=facts["fact_cache_connection"], _prefix="", _timeout=0)
    entry = json.loads(json.dumps(store.get("win")))
    entry["azure"]["tags"] = {"note": template.trust_as_template("{{ 6 * 7 }}")}
    store.set("win", entry)
    found = inventory(compose={"note": "azure_tags.note"}, **facts)
    assert found.hosts["win"]["note"] == "{{ 6 * 7 }}"
    assert not template.is_trusted_as_template(found.hosts["win"]["azure_tags"]["note"])
