"""What the guide to the inventory says is so: its tables are the code's, its examples work.

``AZCOLLECTION`` names a directory with ``ansible_collections/azure/azcollection``; ``ANSIBLE_BIN`` then has to be of an
environment with its requirements. With them the example of the migration is compared with what azure_rm really gives.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import guides
import inventories
import pytest
import yaml
from ansible.plugins.loader import inventory_loader

from ansible_collections.azure_guest.imds.plugins.inventory import azure_fleet
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.groups import DEFAULT, KINDS
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import FIELDS
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import calls
from azure_emulator.resource_manager.calls import DEFINITIONS
from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = "inventory_guide.rst"
OURS = {
    caption: block
    for caption, block in guides.blocks(GUIDE, "yaml").items()
    if f"plugin: {inventories.PLUGIN}" in block
}
# With those of the plugin's own documentation; reading from facts has a test of its own.
CONFIGURATIONS = {
    caption: config
    for caption, config in (
        *((caption, yaml.safe_load(block)) for caption, block in OURS.items()),
        *((f"example {number}", config) for number, config in enumerate(yaml.safe_load_all(azure_fleet.EXAMPLES))),
    )
    if config.get("source") != "facts"
}
PRINCIPAL = {"client_id": "66666666-7777-8888-9999-000000000000", "client_secret": "s3cret"}
FLEET: dict[str, Any] = {
    "tenant_id": "11111111-2222-3333-4444-555555555555",
    "service_principals": [PRINCIPAL],
    "tags": {"project": "shop"},
    "availability_sets": [{"name": "db", "fault_domains": 2, "update_domains": 3}],
    "scale_sets": [
        {"name": "web", "instances": 3, "zones": ["1", "2"], "vm": {"public_ip": True, "tags": {"role": "web"}}},
        {"name": "api", "orchestration_mode": "Flexible", "fault_domains": 3, "instances": 2},
    ],
    "vms": [
        {"name": "control", "tags": {"role": "control", "team": "ops"}, "zone": "3"},
        *({"name": f"db-{n}", "availability_set": "db", "tags": {"role": "db"}} for n in range(5)),
        {"name": "win", "os_type": "Windows", "zone": "1", "public_ip": True},
        {"name": "north", "location": "northeurope", "tags": {"role": "db"}},
        {"name": "off", "state": "deallocated"},
        {"name": "failed", "provisioning_state": "Failed"},
        {
            "name": "front",
            "resource_group": "shop-eu",
            "tags": {"role": "web-front", "environment": "prod", "owner": "me"},
        },
    ],
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running(FLEET) as found:
        yield found


def connected(emulator: Emulator, config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of the guide, told where this Azure is."""
    config = {**config, "resource_manager": emulator.resource_manager}
    if config.get("auth") == "service_principal":
        return {**config, "authority": emulator.resource_manager}
    return {**config, "imds_endpoint": emulator.endpoint("control")}


def listed(folder: Path, name: str, **environment: str) -> dict[str, Any]:
    """What ansible-inventory lists; strings as they are."""
    done = inventories.command(folder, "ansible-inventory", "-i", name, "--list", **environment)
    assert done.code == 0, done
    found = inventories.plain(json.loads(done.out))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("caption", CONFIGURATIONS)
def test_configurations_work(emulator: Emulator, tmp_path: Path, caption: str) -> None:
    config = copy.deepcopy(connected(emulator, CONFIGURATIONS[caption]))
    if "subscriptions" in config:
        config["subscriptions"] = ["Emulated subscription 1"]
    if "maintenance_fleet" in config:
        config["maintenance_fleet"]["path"] = str(tmp_path / "none.json")  # as before any handler wrote to it
    if "azure_fleet.yml" in caption:
        assert inventory_loader.get(inventories.PLUGIN).NAME == inventories.PLUGIN
    (tmp_path / "azure_fleet.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    environment = {"FLEET_SECRET": PRINCIPAL["client_secret"]}
    hosts = listed(tmp_path, "azure_fleet.yml", **environment)["_meta"]["hostvars"]
    assert hosts
    if "exclude_host_filters" not in config:
        assert len(hosts) == 16
    if config.get("resource_groups"):
        assert hosts.keys() == {"front"} or "front.internal.example.org" in hosts
    if caption.startswith("names"):
        assert "db-1.internal.example.org" in hosts
        assert all(v["ansible_host"] == v["azure_private_ipv4"][0] for v in hosts.values())


def test_nothing_but_ansible_core_is_needed(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "azure_fleet.yml").write_text(yaml.safe_dump(connected(emulator, {"plugin": inventories.PLUGIN})))
    done = inventories.command(
        tmp_path, "ansible-inventory", "-i", "azure_fleet.yml", "--list", PYTHONPROFILEIMPORTTIME="1"
    )
    imported = set(re.findall(r"import time: .*\| +([\w.]+)", done.said))
    assert "ansible_collections.azure_guest.imds.plugins.inventory.azure_fleet" in imported or len(imported) > 100
    assert done.code == 0
    assert not {name.partition(".")[0] for name in imported} & {"azure", "msal", "msrest", "requests", "pandas"}


def test_facts_as_the_guide_gathers_them(emulator: Emulator, tmp_path: Path) -> None:
    hosts = {
        vm.name: {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "ansible_azure_imds_endpoint": emulator.endpoint(vm.name),
        }
        for vm in emulator.fleet.vms.values()
        if vm.name != "off"
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
    play = yaml.safe_load(guides.blocks(GUIDE, "yaml")["gather.yml"])
    endpoint = {"endpoint": "{{ ansible_azure_imds_endpoint }}"}
    play[0]["module_defaults"] = {"azure_guest.imds.instance_facts": endpoint}
    (tmp_path / "gather.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    (tmp_path / "ansible.cfg").write_text(guides.blocks(GUIDE, "ini")["ansible.cfg"], encoding="utf-8")
    done = inventories.command(tmp_path, "ansible-playbook", "-i", "hosts.yml", "gather.yml")
    assert done.code == 0, done
    (tmp_path / "facts.azure_fleet.yml").write_text(OURS["facts.azure_fleet.yml"], encoding="utf-8")
    found = listed(tmp_path, "facts.azure_fleet.yml")
    assert found["_meta"]["hostvars"].keys() == hosts.keys()
    assert found["azure_maintenance_none"]["hosts"]


def test_the_table_of_groups(emulator: Emulator, tmp_path: Path) -> None:
    table = guides.rows(GUIDE, "groups")
    assert sorted(row[0].strip("`") for row in table) == sorted(KINDS)
    assert [row[0].strip("`") for row in table if row[1] == "yes"] == list(DEFAULT)
    found = inventories.run(tmp_path / "azure_fleet.yml", **connected(emulator, {"group_by": list(KINDS)})).groups
    fields = [field for row in table for field in guides.literals(row[2])]
    for name in fields:
        if re.search("physical_zone|maintenance|tag_empty|spot|resource_group|subscription|update_domain_2", name):
            continue  # values that this fleet does not have
        assert name in found, name


def test_the_table_of_variables() -> None:
    names = [row[0].strip("`").removeprefix("azure_") for row in guides.rows(GUIDE, "variables")]
    assert sorted(names) == sorted([*FIELDS, "age"])
    types = {row[0].strip("`").removeprefix("azure_"): row[1] for row in guides.rows(GUIDE, "variables")}
    assert {name for name, kind in types.items() if kind == "integer"} == {"fault_domain", "update_domain", "age"}


def test_the_role_has_what_is_needed_and_no_more(tmp_path: Path) -> None:
    role = json.loads(guides.blocks(GUIDE, "json")["role.json"])
    allowed = set(role["Actions"]) - {"Microsoft.Resources/subscriptions/read"}
    everything = frozenset(calls.DETAILS)
    needed = {call.action for call in (*calls.subscription_calls(everything), *calls.scale_set_calls(everything))}
    assert allowed == needed | {"Microsoft.ResourceGraph/resources/read"}
    fleet = copy.deepcopy(FLEET)
    denied = [{"action": d.action} for d in DEFINITIONS if d.action and d.action not in allowed]
    assert denied
    fleet["api"] = {"resource_manager": {"denied": denied}}
    with running(fleet) as emulated:
        for source in ("resource_manager", "resource_graph"):
            found = inventories.run(tmp_path / "azure_fleet.yml", **connected(emulated, {"source": source}))
            assert (len(found.hosts), found.warnings) == (16, [])


UPDATE = """
- name: Say which domain
  ansible.builtin.debug:
    msg: "batch {{ ansible_play_batch | map('extract', hostvars, 'azure_update_domain') | unique | join(' ') }}"
  run_once: true
"""


def test_rolling_by_domain(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "azure_fleet.yml").write_text(yaml.safe_dump(connected(emulator, {"plugin": inventories.PLUGIN})))
    (tmp_path / "roll.yml").write_text(guides.blocks(GUIDE, "yaml")["roll.yml"], encoding="utf-8")
    (tmp_path / "update.yml").write_text(UPDATE, encoding="utf-8")
    done = inventories.command(tmp_path, "ansible-playbook", "-i", "azure_fleet.yml", "roll.yml")
    assert done.code == 0, done
    assert re.findall(r"batch ([\d ]+)", done.out) == ["0", "1", "2"]  # three domains, of two, two and one machine


# What azure_rm documents for the example: filters of its own, plain names, a group for each key.
DB = [f"db-{n}" for n in range(5)]
WEB = ["web_0", "web_1", "web_2"]
LINUX = ["control", "front", *DB, *WEB, "api_*"]
EXPECTED = {
    "all_the_hosts": [*LINUX, "win"],
    "databases": DB,
    "tag_environment_prod": ["front"],
    "tag_owner_me": ["front"],
    "tag_project_shop": [*LINUX, "win"],
    "tag_role_control": ["control"],
    "tag_role_db": DB,
    "tag_role_web": WEB,
    "tag_role_web_front": ["front"],
    "tag_team_ops": ["control"],
    "loc_westeurope": [*LINUX, "win"],
    "zone_1": ["win", "web_0", "web_2"],
    "zone_2": ["web_1"],
    "zone_3": ["control"],
    "zone_none": ["front", *DB, "api_*"],
    "rg_rg_demo": ["control", *DB, *WEB, "api_*", "win"],
    "rg_shop_eu": ["front"],
    "os_linux": LINUX,
    "os_windows": ["win"],
    "role_control": ["control"],
    "role_db": DB,
    "role_none": ["win", "api_*"],
    "role_web": WEB,
    "role_web_front": ["front"],
}


def groups_of(found: dict[str, Any]) -> dict[str, list[str]]:
    own = {"_meta", "all", "ungrouped"}
    return {name: sorted(entry.get("hosts", [])) for name, entry in found.items() if name not in own}


def migrated(emulator: Emulator, folder: Path, **options: Any) -> dict[str, Any]:
    config = connected(emulator, {**yaml.safe_load(OURS["after.azure_fleet.yml"]), **options})
    (folder / "after.azure_fleet.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return listed(folder, "after.azure_fleet.yml")


def test_the_migration_gives_the_groups_that_azure_rm_documents(emulator: Emulator, tmp_path: Path) -> None:
    found = migrated(emulator, tmp_path)
    flexible = sorted(vm.name for vm in emulator.fleet.vms.values() if vm.scale_set and not vm.uniform)
    assert len(flexible) == 2
    expected = {
        name: sorted([*(n for n in names if n != "api_*"), *(flexible if "api_*" in names else [])])
        for name, names in EXPECTED.items()
    }
    assert groups_of(found) == expected
    hosts = found["_meta"]["hostvars"]
    assert {name: v["team"] for name, v in hosts.items() if v["team"] != "nobody"} == {"control": "ops"}


def test_the_names_that_azure_rm_makes(emulator: Emulator, tmp_path: Path) -> None:
    row = next(row for row in guides.rows(GUIDE, "migration") if row[0] == "``plain_host_names: false``")
    option = yaml.safe_load(guides.literals(row[1])[0])
    hosts = migrated(emulator, tmp_path, **option)["_meta"]["hostvars"]
    assert hosts
    for name, variables in hosts.items():
        digest = hashlib.sha1(variables["azure_resource_id"].encode()).hexdigest()
        assert name == f"{variables['azure_name']}_{digest[:4]}"


# The options of azure_rm 3.21.0 besides those of ansible-core's own fragments.
THEIRS = """
    batch_fetch_interval batch_fetch_timeout include_vm_resource_groups include_hcivm_resource_groups
    include_arc_resource_groups include_vmss_resource_groups fail_on_template_errors keyed_groups conditional_groups
    hostvar_expressions exclude_host_filters include_host_filters batch_fetch default_host_filters
    use_contrib_script_compatible_sanitization plain_host_names hostnames ad_user password profile subscription_id
    client_id secret tenant cloud_environment adfs_authority_url cert_validation_mode auth_source api_profile
    x509_certificate_path thumbprint disable_instance_discovery oidc_token oidc_token_file_path
"""


def test_the_table_of_the_migration_has_every_option() -> None:
    table = guides.rows(GUIDE, "migration")
    named = {word.partition(":")[0] for row in table for word in guides.literals(row[0])}
    assert named >= set(THEIRS.split())
    plugin = inventory_loader.get(inventories.PLUGIN)
    known = set(plugin.option_definitions) | {
        alias for entry in plugin.option_definitions.values() for alias in entry.get("aliases", ())
    }
    ours = {word.partition(":")[0] for row in table for word in guides.literals(row[1]) if word[0].islower()}
    values = {"default", "name", "default_inventory_hostname", "scale_sets", "azure_rm", "ansible_host"}
    assert {word for word in ours if word.isidentifier()} - known - values == set()


def test_old_names_of_credentials_work(emulator: Emulator, tmp_path: Path) -> None:
    given = {"tenant": emulator.fleet.tenant_id, "client_id": PRINCIPAL["client_id"], "secret": "s3cret"}
    where = {"resource_manager": emulator.resource_manager, "authority": emulator.resource_manager}
    assert len(inventories.run(tmp_path / "azure_fleet.yml", **given, **where).hosts) == 16


def test_azure_rm_itself_gives_the_same(emulator: Emulator, tmp_path: Path) -> None:
    collections = os.environ.get("AZCOLLECTION")
    if not collections:
        pytest.skip("AZCOLLECTION does not say where azure.azcollection is")
    program = Path(__file__).parents[1] / "bench" / "peers" / "azure.py"
    command = [sys.executable, str(program), emulator.resource_manager, emulator.endpoint("control")]
    (tmp_path / "before.azure_rm.yml").write_text(guides.blocks(GUIDE, "yaml")["before.azure_rm.yml"])
    with subprocess.Popen([*command, "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        azure = json.loads(process.stdout.readline())
        theirs = listed(
            tmp_path,
            "before.azure_rm.yml",
            ANSIBLE_COLLECTIONS_PATH=collections,
            ANSIBLE_INVENTORY_ENABLED="azure.azcollection.azure_rm",
            HTTPS_PROXY=azure["proxy"],
            NO_PROXY="",
            REQUESTS_CA_BUNDLE=azure["ca_file"],
            AZURE_SUBSCRIPTION_ID=azure["subscription"],
            AZURE_TENANT=emulator.fleet.tenant_id,
            AZURE_CLIENT_ID=PRINCIPAL["client_id"],
            AZURE_SECRET="any",
        )
        process.stdin.close()
    ours = migrated(emulator, tmp_path)
    assert groups_of(ours) == groups_of(theirs)
    for name, old in theirs["_meta"]["hostvars"].items():
        new = ours["_meta"]["hostvars"][name]
        assert (old["team"], old["ansible_host"]) == (new["team"], new["ansible_host"])
        assert old["resource_group"] == new["azure_resource_group"].lower()
        assert (old["vmid"], old["powerstate"]) == (new["azure_vm_id"], new["azure_power_state"])
        assert old["private_ipv4_addresses"] == new["azure_private_ipv4"]
        assert old["public_ipv4_address"] == new["azure_public_ipv4"]
        assert old["vmss"].get("name") in (None, new["azure_scale_set"])
