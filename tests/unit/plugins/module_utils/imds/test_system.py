"""What the machine knows of itself: devices, primary interface, UUID in both byte orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure_documents as azure
import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import routes, system

if TYPE_CHECKING:
    from pathlib import Path

SWAPPED = "8eb3085c-574d-234c-ac45-aca61037f084"


def test_an_azure_vm(tmp_path: Path) -> None:
    root = azure.azure_root(tmp_path, uuid=azure.VM_ID.upper(), devices=True)
    found = system.read(root)
    assert found.devices == {"00:0d:3a:f8:06:ec": "eth0", "00:0d:3a:f8:06:ed": "eth1"}
    assert found.primary == "eth0"
    assert found.uuid == azure.VM_ID


def test_a_machine_that_shows_nothing(tmp_path: Path) -> None:
    assert system.read(str(tmp_path)) == system.System()


def test_devices_are_read_only_when_wanted(tmp_path: Path) -> None:
    root = azure.azure_root(tmp_path, devices=True)
    assert system.read(root, interfaces=0).devices == {}
    alone = system.read(root, interfaces=1)
    assert (bool(alone.devices), alone.primary) == (True, None)


@pytest.mark.parametrize(
    ("vm_id", "uuid", "expected"),
    [
        (azure.VM_ID, azure.VM_ID, True),
        (azure.VM_ID.upper(), azure.VM_ID, True),
        (azure.VM_ID, SWAPPED, True),
        (azure.VM_ID, "00000000-0000-0000-0000-000000000000", False),
        (azure.VM_ID, None, None),
        (None, azure.VM_ID, None),
    ],
)
def test_the_id_of_either_generation(vm_id: str | None, uuid: str | None, expected: bool | None) -> None:
    assert system.System(uuid=uuid).is_vm(vm_id) is expected


def test_swapping_twice_is_nothing() -> None:
    assert system.swapped(azure.VM_ID) == SWAPPED
    assert system.swapped(SWAPPED) == azure.VM_ID


class TestRoutes:
    def test_the_kernels_table(self) -> None:
        table = routes.parse(azure.ROUTES)
        assert [(r.device, r.metric) for r in table if not r.mask] == [("eth1", 200), ("eth0", 100)]
        assert routes.primary_device(table) == "eth0"
        assert routes.diagnose(table) is None

    def table(self, *lines: str) -> list[routes.Route]:
        rows = [line.split() for line in lines]
        text = "\n".join(
            f"{d}\t{dest}\t00000000\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0" for d, dest, mask, flags, metric in rows
        )
        return routes.parse("head\n" + text)

    def test_without_azures_routes_the_default_one_counts(self) -> None:
        table = self.table("eth1 00000000 00000000 0003 50", "eth0 00000000 00000000 0003 40")
        assert routes.primary_device(table) == "eth0"
        assert routes.primary_device([]) is None

    def test_no_route(self) -> None:
        assert "no route to 169.254.169.254" in str(routes.diagnose([]))

    def test_a_route_by_another_interface(self) -> None:
        """The route of a failover cluster, or of avahi's link-local network (contract section 1)."""
        table = self.table("eth0 00000000 00000000 0003 100", "eth1 0000FEA9 0000FFFF 0001 1000")
        assert "leaves by eth1 but the default route by eth0" in str(routes.diagnose(table))

    def test_a_reject_route(self) -> None:
        table = self.table("eth0 00000000 00000000 0003 100", "lo FEA9FEA9 FFFFFFFF 0201 0")
        assert "reject route" in str(routes.diagnose(table))

    def test_a_route_that_is_down_does_not_count(self) -> None:
        assert self.table("eth0 00000000 00000000 0002 100") == []

    @pytest.mark.parametrize("text", ["", "head\n\nx y z\n", "head\neth0 zz 0 3 0 0 0 00 0 0 0\n"])
    def test_lines_of_another_form_are_none(self, text: str) -> None:
        assert routes.parse(text) == []

    def test_a_table_that_cannot_be_read_is_not_an_empty_one(self, tmp_path: Path) -> None:
        assert routes.read(str(tmp_path)) is None
