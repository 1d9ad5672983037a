"""The cache: what is kept, under which key, for how long, and what it is good for when Azure is not."""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from ansible.errors import AnsibleError

from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inventories import Fleet

Inventory = "Callable[..., Fleet]"
FIRST = "00000000-0000-0000-0000-000000000001"
SECOND = "00000000-0000-0000-0000-000000000002"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def cached(inventory: Inventory, kept: Path) -> Callable[..., Fleet]:
    """The inventory with a cache."""
    return functools.partial(inventory, cache=True, cache_plugin="jsonfile", cache_connection=str(kept))


def asked(emulator: Emulator) -> int:
    """How many requests Resource Manager got since the last time."""
    count = len([r for r in emulator.control.requests() if r["category"] not in ("identity",)])
    emulator.control.clear_requests()
    return count


def age(kept: Path, seconds: float) -> None:
    """Make what is kept older than it is."""
    for path in kept.iterdir():
        wrapped = json.loads(path.read_text())
        entry = json.loads(wrapped["__payload__"]) if "__payload__" in wrapped else wrapped
        entry["collected_at"] -= seconds
        records = json.loads(entry["records"])
        for record in records:
            record["collected_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry["collected_at"]))
        entry["records"] = json.dumps(records)
        path.write_text(json.dumps({"__payload__": json.dumps(entry)} if "__payload__" in wrapped else entry))


def test_a_second_run_asks_nobody_and_gives_the_same(cached: Inventory, emulator: Emulator, kept: Path) -> None:
    first = cached()
    assert asked(emulator) > 0
    before = [(path.name, path.stat().st_mtime_ns) for path in kept.iterdir()]
    again = cached()
    assert asked(emulator) == 0
    for name, variables in first.hosts.items():
        assert again.hosts[name] == {**variables, "azure_age": again.hosts[name]["azure_age"]}
    assert again.groups == first.groups
    assert [(path.name, path.stat().st_mtime_ns) for path in kept.iterdir()] == before  # not written again


def test_a_refresh_asks_and_keeps(cached: Inventory, emulator: Emulator, kept: Path) -> None:
    cached()
    asked(emulator)
    old = [path.stat().st_mtime_ns for path in kept.iterdir()]
    cached(fresh=True)
    assert asked(emulator) > 0
    assert [path.stat().st_mtime_ns for path in kept.iterdir()] != old
    cached()
    assert asked(emulator) == 0


def test_filters_and_names_are_applied_to_what_is_kept(cached: Inventory, emulator: Emulator) -> None:
    cached()
    asked(emulator)
    found = cached(hostnames=["computer_name"], group_by=["zone"], exclude_host_filters=["azure_zone is none"])
    assert asked(emulator) == 0
    assert "web000000" in found.hosts


@pytest.mark.parametrize(
    "options",
    [
        {"subscriptions": [FIRST]},
        {"tags": {"role": "web"}},
        {"details": ["status"]},
        {"include_raw": True},
        {"source": "resource_graph"},
        {"compute_api_version": "2024-03-01"},
    ],
)
def test_what_shapes_the_question_has_an_entry_of_its_own(
    cached: Inventory, emulator: Emulator, options: dict[str, Any]
) -> None:
    cached()
    asked(emulator)
    cached(**options)
    assert asked(emulator) > 0
    cached(**options)
    assert asked(emulator) == 0


def test_who_asks_has_an_entry_of_their_own(fleet: dict[str, Any], cached: Inventory) -> None:
    fleet["identities"] = [{"name": "other"}]
    fleet["vms"][0]["identity"] = {"user_assigned": ["other"]}
    with running(fleet) as emulator:
        address = {"resource_manager": emulator.resource_manager, "imds_endpoint": emulator.endpoint("control")}
        other = next(i for i in emulator.fleet.vm("control").identities if i.name)
        cached(**address)
        for option in (
            {"client_id": other.client_id},
            {"identity_object_id": other.object_id},
            {"identity_resource_id": other.resource_id},
        ):
            asked(emulator)
            cached(**address, **option)
            assert asked(emulator) > 0, option


def test_what_is_too_old_is_read_anew(cached: Inventory, emulator: Emulator, kept: Path) -> None:
    cached(cache_timeout=600)
    age(kept, 601)
    asked(emulator)
    assert cached(cache_timeout=600).hosts["win"]["azure_age"] < 60
    assert asked(emulator) > 0
    age(kept, 500)
    assert cached(cache_timeout=600).hosts["win"]["azure_age"] >= 500
    assert asked(emulator) == 0


def test_an_old_entry_helps_when_azure_does_not_answer(cached: Inventory, emulator: Emulator, kept: Path) -> None:
    whole = cached()
    age(kept, 5000)
    emulator.control.add_fault(fault="unavailable", category="resource_manager")
    with pytest.raises(AnsibleError, match="503"):
        cached(timeout=5)
    with pytest.raises(AnsibleError, match="503"):
        cached(timeout=5, stale_if_error=4000)
    stale = cached(timeout=5, stale_if_error=6000)
    assert stale.groups == whole.groups
    assert all(5000 <= seconds < 5100 for seconds in stale.values("azure_age").values())
    assert "Going on with the inventory of 500" in stale.warnings[0]
    with pytest.raises(AnsibleError, match="503"):  # whoever asks for fresh data does not want old ones
        cached(timeout=5, stale_if_error=6000, fresh=True)


def test_an_old_entry_stands_in_for_a_subscription_that_fails(
    cached: Inventory, emulator: Emulator, kept: Path
) -> None:
    cached()
    age(kept, 5000)
    emulator.control.add_fault(fault="forbidden", category="virtual_machines", subscription_id=SECOND)
    found = cached(on_partial="stale", stale_if_error=6000)
    assert found.hosts["far"]["azure_age"] >= 5000
    assert found.hosts["win"]["azure_age"] < 100
    assert SECOND in found.warnings[0]
    with pytest.raises(AnsibleError, match=SECOND):
        cached(on_partial="stale", stale_if_error=4000)


def test_what_is_incomplete_is_not_kept(cached: Inventory, emulator: Emulator, kept: Path) -> None:
    emulator.control.add_fault(fault="forbidden", category="virtual_machines", subscription_id=SECOND)
    assert len(cached(on_partial="warn").hosts) == 11
    emulator.control.clear_faults()
    assert len(cached(on_partial="warn").hosts) == 12


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_file_that_is_broken_is_read_anew_with_a_warning(
    cached: Inventory, emulator: Emulator, kept: Path, content: bytes
) -> None:
    cached()
    for path in kept.iterdir():
        path.write_bytes(content)
    assert "what the inventory cache holds cannot be used" in cached().warnings[0]
    asked(emulator)
    assert cached().warnings == []
    assert asked(emulator) == 0


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"format": 0},
        {"format": 1, "collected_at": "today", "records": "[]"},
        {"format": 1, "collected_at": 1, "records": "[1]"},
        {"format": 1, "collected_at": 1, "records": "{"},
        {"format": 1, "collected_at": 1},
    ],
)
def test_an_entry_that_is_broken_is_read_anew_with_a_warning(
    cached: Inventory, kept: Path, entry: dict[str, Any]
) -> None:
    cached()
    for path in kept.iterdir():
        wrapped = "__payload__" in json.loads(path.read_text())
        path.write_text(json.dumps({"__payload__": json.dumps(entry)} if wrapped else entry))
    found = cached()
    assert len(found.hosts) == 12
    assert "what the inventory cache holds cannot be used" in found.warnings[0]


def test_an_entry_of_another_version_is_read_anew(cached: Inventory, kept: Path) -> None:
    cached()
    for path in kept.iterdir():
        path.write_text(path.read_text().replace("power_state", "power_stat"))
    assert "other than records" in cached().warnings[0]


def test_no_secret_is_kept(cached: Inventory, kept: Path, emulator: Emulator) -> None:
    cached()
    for path in kept.iterdir():
        text = path.read_text()
        assert "Bearer" not in text
        assert "eyJ" not in text


def test_a_cache_that_cannot_be_had_is_an_error(cached: Inventory, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleError, match="file"):
        cached(cache_connection=str(tmp_path / "file" / "below"))
