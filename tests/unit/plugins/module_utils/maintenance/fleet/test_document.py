"""The rules of the fleet document, and the stores that keep it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import Event
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet import document as fleet
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet import serialize
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.file import FileStore
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.memory import MemoryStore
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.fleet.store import StoreError, update
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.windows import Hold, Span

NOW = 1000.0


def event(*resources: str, key: str = "E1") -> Event:
    return Event(key, "Scheduled", "Reboot", "VirtualMachine", resources, 2000.0, "", "", "Platform", -1)


def members(count: int, *, zones: int = 3) -> fleet.FleetDocument:
    document = fleet.EMPTY
    for index in range(count):
        member = fleet.Member(str(index % zones), str(index % 2), str(index % 5), NOW)
        document = fleet.register(document, f"vm-{index}", member)
    return document


def claim(document: fleet.FleetDocument, vm: str, limits: fleet.Limits, **kwargs: object) -> fleet.ClaimResult:
    return fleet.claim(document, vm, kwargs.pop("event", event(vm)), limits, now=NOW, **kwargs)


@pytest.mark.parametrize(
    ("limits", "count", "allowed"),
    [
        (fleet.Limits(1), 10, 1),
        (fleet.Limits(3), 2, 3),
        (fleet.Limits("25%"), 10, 2),
        (fleet.Limits("25%"), 3, 1),
        (fleet.Limits(5, min_available=8), 10, 2),
        (fleet.Limits(1, min_available=3), 3, 0),
    ],
)
def test_how_many_may_be_out(limits: fleet.Limits, count: int, allowed: int) -> None:
    assert fleet.allowed_out(limits, count) == allowed


def test_slots_are_given_up_to_the_limit() -> None:
    limits = fleet.Limits(2)
    document = members(5)
    for vm in ("vm-0", "vm-1"):
        result = claim(document, vm, limits)
        assert result.granted
        document = result.document
    refused = claim(document, "vm-2", limits)
    assert not refused.granted
    assert refused.document == document
    assert refused.why == "3 of 5 would be out and 2 may be (out now: vm-0, vm-1)"


def test_a_second_claim_of_a_holder_is_granted_and_names_the_new_event() -> None:
    document = claim(members(2), "vm-0", fleet.Limits(1)).document
    again = claim(document, "VM-0", fleet.Limits(1), event=event("vm-0", key="E2"))
    assert again.granted
    assert again.document.holders["vm-0"].key == "e2"
    assert again.document.holders["vm-0"].since == NOW


def test_all_members_of_an_event_get_their_slots_or_none_does() -> None:
    limits = fleet.Limits(2)
    both = event("vm-0", "vm-1", "stranger")
    granted = claim(members(4), "vm-0", limits, event=both)
    assert set(granted.document.holders) == {"vm-0", "vm-1"}
    assert granted.document.holders["vm-1"].by == "vm-0"
    busy = claim(members(4), "vm-3", limits).document
    refused = claim(busy, "vm-0", limits, event=both)
    assert not refused.granted
    assert set(refused.document.holders) == {"vm-3"}


def test_a_forced_claim_is_granted_and_marked_when_it_breaks_the_limits() -> None:
    document = claim(members(4), "vm-0", fleet.Limits(1), forced=True).document
    assert not document.holders["vm-0"].forced
    document = claim(document, "vm-1", fleet.Limits(1), forced=True).document
    assert document.holders["vm-1"].forced


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (fleet.Limits(9, per_zone=1), "2 VMs of zone 0 would be out and 1 may be"),
        (fleet.Limits(9, per_fault_domain=1), "2 VMs of fault domain 1 would be out and 1 may be"),
        (fleet.Limits(9, per_update_domain=1), None),
    ],
)
def test_limits_by_domain(limits: fleet.Limits, why: str | None) -> None:
    document = claim(members(9), "vm-0", fleet.Limits(9)).document  # zone 0, fault domain 0, update domain 0
    document = claim(document, "vm-1", fleet.Limits(9)).document  # zone 1, fault domain 1, update domain 1
    result = claim(document, "vm-3", limits)  # zone 0, fault domain 1, update domain 3
    assert result.granted is (why is None)
    assert why is None or result.why == why


def test_a_vm_without_a_zone_is_in_no_zones_limit() -> None:
    document = fleet.EMPTY
    for name in ("a", "b"):
        document = fleet.register(document, name, fleet.Member(None, None, None, NOW))
    document = claim(document, "a", fleet.Limits(5, per_zone=1)).document
    assert claim(document, "b", fleet.Limits(5, per_zone=1)).granted


def test_release_and_readiness() -> None:
    document = claim(members(2), "vm-0", fleet.Limits(1)).document
    assert fleet.release(document, "VM-0").holders == {}
    document = fleet.report_ready(document, "vm-0", "e1", now=NOW)
    document = fleet.report_ready(document, "VM-0", "e1", now=NOW + 50)
    assert document.ready == {"e1": {"vm-0": NOW}}
    assert fleet.missing(document, event("vm-0", "VM-1")) == ["VM-1"]
    assert fleet.missing(document, event("vm-0", "VM-1"), assume_ready=["vm-1"]) == []
    assert fleet.withdraw_ready(document, "vm-0", "e1").ready == {}


def test_the_first_ready_one_of_resources_approves_and_the_next_takes_over() -> None:
    both = event("vm-1", "vm-0")
    document = fleet.report_ready(members(2), "vm-0", "e1", now=NOW)
    document = fleet.report_ready(document, "vm-1", "e1", now=NOW + 10)

    def turn(vm: str, now: float) -> bool:
        return fleet.approver(document, both, vm, now=now, takeover_after=30).mine

    assert turn("vm-1", NOW + 10)
    assert not turn("vm-0", NOW + 39)
    assert turn("vm-0", NOW + 40)
    assert not turn("vm-9", NOW + 999)


def test_what_is_over_is_pruned() -> None:
    old = fleet.FleetWindow(Span(0, 10, "past"), "me", None)
    new = fleet.FleetWindow(Span(0, NOW + 10, "now"), "me", ("vm-0",))
    document = members(1)._replace(
        windows=(old, new), hold=Hold(NOW - 1, "", ""), ready={"e": {"vm-0": NOW - 8 * 86400}}
    )
    pruned = fleet.prune(document, now=NOW)
    assert (pruned.windows, pruned.hold, pruned.ready) == ((new,), None, {})
    assert fleet.spans_for(pruned, "VM-0") == [new.span]
    assert fleet.spans_for(pruned, "vm-1") == []


names = st.text("abc-", min_size=1, max_size=3)
documents = st.builds(
    fleet.FleetDocument,
    st.dictionaries(
        names, st.builds(fleet.Member, st.none() | names, st.none() | names, st.none() | names, st.floats(0, 1e10))
    ),
    st.dictionaries(names, st.builds(fleet.Holder, st.floats(0, 1e10), names, st.booleans(), names)),
    st.dictionaries(names, st.dictionaries(names, st.floats(0, 1e10), min_size=1)),
    st.lists(
        st.builds(
            fleet.FleetWindow,
            st.builds(Span, st.floats(0, 1e10), st.floats(0, 1e10), names),
            names,
            st.none() | st.tuples(names),
        ),
        max_size=3,
    ).map(tuple),
    st.none() | st.builds(Hold, st.none() | st.floats(0, 1e10), names, names),
)


@given(documents)
def test_a_document_survives_its_text(document: fleet.FleetDocument) -> None:
    assert serialize.load(serialize.dump(document)) == document


@given(documents, names, st.lists(names, max_size=3), st.booleans())
def test_a_claim_never_breaks_the_limit_unless_forced(
    document: fleet.FleetDocument, vm: str, others: list[str], forced: bool
) -> None:
    limits = fleet.Limits(2)
    result = fleet.claim(document, vm, event(vm, *others), limits, now=NOW, forced=forced)
    new = set(result.document.holders) - set(document.holders)
    if result.granted and new and not forced:
        assert len(result.document.holders) <= 2
    if forced:
        assert result.granted
    assert not result.granted or vm.lower() in {n.lower() for n in result.document.holders}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "no format number"),
        ('{"format": 9}', "format 9, and this version of azure-maintenance knows 1; upgrade this host"),
        ('{"format": 1}', "members: an object expected"),
        ('{"format":1,"members":{"a":{"seen":"x"}},"holders":{},"ready":{},"windows":[]}', "members.a.seen: a number"),
        ('{"format":1,"members":{},"holders":{"a":{"forced":1}},"ready":{},"windows":[]}', "holders.a.forced: true or"),
        ('{"format":1,"members":{},"holders":{},"ready":{"e":[]},"windows":[]}', "ready.e: an object"),
        ('{"format":1,"members":{},"holders":{},"ready":{},"windows":{}}', "windows: an array"),
    ],
)
def test_what_is_no_fleet_document_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(fleet.FleetFormatError, match=message):
        serialize.load(text)


class TestStores:
    @pytest.fixture(params=["memory", "file"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path) -> object:
        return MemoryStore() if request.param == "memory" else FileStore(str(tmp_path / "fleet.json"))

    def test_an_empty_store_has_an_empty_document(self, store) -> None:
        assert store.load()[0] == fleet.EMPTY

    def test_a_save_needs_the_version_it_was_based_on(self, store) -> None:
        _document, version = store.load()
        assert store.save(members(1), version)
        assert not store.save(members(2), version)
        document, version = store.load()
        assert document == members(1)
        assert store.save(members(2), version)

    def test_a_lost_race_is_tried_again(self, store) -> None:
        interfered = []

        def change(document: fleet.FleetDocument) -> tuple[fleet.FleetDocument, str]:
            if not interfered:
                interfered.append(1)
                update(store, lambda d: (fleet.register(d, "other", fleet.Member(None, None, None, 1.0)), None))
            return fleet.register(document, "me", fleet.Member(None, None, None, 2.0)), "done"

        document, result = update(store, change)
        assert set(document.members) == {"me", "other"}
        assert result == "done"

    def test_nothing_is_written_when_nothing_changes(self, store) -> None:
        before = store.load()
        update(store, lambda document: (document, None))
        assert store.load() == before


def test_a_race_that_is_always_lost_is_an_error() -> None:
    class Busy(MemoryStore):
        def save(self, document, version) -> bool:
            return False

    with pytest.raises(StoreError, match="changed 20 times"):
        update(Busy(), lambda document: (members(1), None))


def test_a_foreign_fleet_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    path.write_text("precious")
    with pytest.raises(fleet.FleetFormatError):
        update(FileStore(str(path)), lambda document: (members(1), None))
    assert path.read_text() == "precious"


def test_a_fleet_file_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        FileStore(str(tmp_path)).load()
    with pytest.raises(StoreError, match="cannot be locked"):
        FileStore(str(tmp_path / "no" / "fleet.json")).save(fleet.EMPTY, None)


def _count(path: str, name: str, rounds: int) -> None:
    store = FileStore(path)
    for number in range(rounds):
        member = fleet.Member(None, None, None, float(number))
        update(store, lambda d, m=member, n=number: (fleet.register(d, f"{name}-{n}", m), None), attempts=10_000)


def test_processes_that_write_the_same_file_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "fleet.json")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(path, f"w{i}", 15)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(FileStore(path).load()[0].members) == 45
