"""Groups and variables of coming and running maintenance, from each place that knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.loader import cache_loader

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.facts import Wish, gather
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import Event
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet import document
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.file import FileStore
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.maintenance import of_events

if TYPE_CHECKING:
    from pathlib import Path

    from inventories import Fleet

    from azure_emulator.testing import Emulator

Inventory = "Callable[..., Fleet]"


def maintained(found: Fleet) -> dict[str, list[str]]:
    start = "azure_maintenance_"
    return {name.removeprefix(start): hosts for name, hosts in found.groups.items() if name.startswith(start)}


def test_nothing_is_asked_unless_told_to(inventory: Inventory, emulator: Emulator) -> None:
    assert maintained(inventory()) == {}
    assert not [r for r in emulator.control.requests() if r["category"] == "scheduledevents"]


def test_the_events_of_the_controllers_own_scope(inventory: Inventory, emulator: Emulator) -> None:
    """A controller in the availability set ``db`` sees the events of the set, and of nobody else."""
    own = {"imds_endpoint": emulator.endpoint("db-0"), "maintenance_from": ["events"]}
    assert maintained(inventory(**own)) == {"none": ["db-0", "db-1"]}
    emulator.control.schedule("Reboot", ["db-1"])
    emulator.control.schedule("Reboot", ["web_0"])
    found = inventory(**own)
    assert maintained(found) == {"none": ["db-0"], "scheduled": ["db-1"]}
    known = found.hosts["db-1"]["azure_maintenance"]
    assert (known["event"], known["event_type"], known["handler"]) == ("scheduled", "Reboot", None)
    assert known["not_before"].endswith("Z")
    assert found.hosts["web_0"]["azure_maintenance"] is None
    emulator.control.advance(901)
    assert maintained(inventory(**own))["started"] == ["db-1"]


def test_events_that_cannot_be_read(inventory: Inventory, emulator: Emulator) -> None:
    emulator.control.add_fault(fault="forbidden", category="scheduledevents")
    with pytest.raises(AnsibleError, match=r"maintenance from events: .*403"):
        inventory(maintenance_from=["events"])
    found = inventory(maintenance_from=["events"], on_partial="warn")
    assert len(found.hosts) == 12
    assert "maintenance from events" in found.warnings[0]


def test_facts_with_scheduled_events(inventory: Inventory, emulator: Emulator, tmp_path: Path) -> None:
    emulator.control.schedule("Redeploy", ["win"])
    options = {"fact_cache_plugin": "jsonfile", "fact_cache_connection": str(tmp_path / "facts")}
    store = cache_loader.get("jsonfile", _uri=options["fact_cache_connection"], _prefix="", _timeout=0)
    for name, parts in (("win", ("scheduled_events",)), ("far", ("scheduled_events",)), ("db-0", ())):
        facts = gather(Wish(options={"endpoint": emulator.endpoint(name)}, parts=parts)).facts
        store.set(name, {"azure": facts})
    found = inventory(source="facts", **options)
    assert maintained(found) == {"none": ["far"], "scheduled": ["win"]}
    assert found.hosts["win"]["azure_maintenance"]["event_type"] == "Redeploy"
    assert found.hosts["db-0"]["azure_maintenance"] is None


@pytest.fixture
def fleet_file(tmp_path: Path) -> Path:
    """A fleet document as the handlers write it: db-0 is out, db-1 is ready for an event, web_0 is in service."""
    event = Event("E-1", "Scheduled", "Reboot", "VirtualMachine", ("db-1",), None, "", "", "Platform", 0)
    known = document.EMPTY
    for name in ("DB-0", "db-1", "web_0", "elsewhere"):
        known = document.register(known, name, document.Member(None, "0", "0", 1.0))
    for name in ("db-0", "db-1"):
        known = document.claim(known, name, event, document.Limits(max_unavailable=2), now=1.0, forced=True).document
    known = document.report_ready(known, "db-1", event.key, now=2.0)
    assert FileStore(str(tmp_path / "fleet.json")).save(known, None)
    return tmp_path / "fleet.json"


def test_the_fleet_document_of_the_handlers(inventory: Inventory, fleet_file: Path, emulator: Emulator) -> None:
    options: dict[str, Any] = {"maintenance_from": ["fleet"], "maintenance_fleet": {"path": str(fleet_file)}}
    found = inventory(**options)
    assert maintained(found) == {"none": ["web_0"], "out": ["db-0"], "ready": ["db-1"]}
    assert found.hosts["win"]["azure_maintenance"] is None
    emulator.control.schedule("Reboot", ["db-1"])
    both = inventory(**{**options, "maintenance_from": ["events", "fleet"], "imds_endpoint": emulator.endpoint("db-0")})
    assert maintained(both) == {"none": ["web_0"], "out": ["db-0"], "ready": ["db-1"], "scheduled": ["db-1"]}
    assert inventory(**options, group_by=["zone"]).hosts["db-1"]["azure_maintenance"]["handler"] == "ready"


def test_a_fleet_document_that_is_none(inventory: Inventory, tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text("{")
    options: dict[str, Any] = {"maintenance_from": ["fleet"]}
    with pytest.raises(AnsibleError, match="maintenance from fleet"):
        inventory(**options, maintenance_fleet={"path": str(tmp_path / "fleet.json")})
    with pytest.raises(AnsibleParserError, match="store file, with its path"):
        inventory(**options)
    with pytest.raises(AnsibleParserError, match="unknown key pth"):
        inventory(**options, maintenance_fleet={"pth": "x"})


def test_the_most_pressing_event_counts() -> None:
    later = {"event_status": "Scheduled", "event_id": "b", "event_type": "Freeze", "not_before": "2026-01-02T00:00:00Z"}
    sooner = {**later, "event_id": "a", "not_before": "2026-01-01T00:00:00Z"}
    started = {**later, "event_id": "c", "event_status": "Started", "not_before": None}
    assert of_events([later, sooner])["event_id"] == "a"
    assert of_events([later, sooner, started])["event_id"] == "c"
    assert of_events([])["event"] == "none"
