"""Azure or not, from the chassis asset tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.detection import AZURE_CHASSIS_ASSET_TAG, detect

if TYPE_CHECKING:
    from pathlib import Path


def test_the_tag_of_azure(tmp_path: Path) -> None:
    (tmp_path / "chassis_asset_tag").write_text(AZURE_CHASSIS_ASSET_TAG + "\n")
    assert detect(str(tmp_path)).on_azure


def test_the_tag_spells_what_it_should() -> None:
    digits = "".join(AZURE_CHASSIS_ASSET_TAG.split("-"))
    assert bytes(int(digits[i : i + 2]) for i in range(0, len(digits), 2)).decode() == "MSFT AZURE VM"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("5000-1234", "is '5000-1234', not Azure's"),
        ("No Asset Tag", "not Azure's"),
        ("\xff", "not Azure's"),
    ],
)
def test_another_tag_is_another_machine(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "chassis_asset_tag").write_text(content)
    found = detect(str(tmp_path))
    assert not found.on_azure
    assert reason in found.reason


def test_absent_and_unreadable_are_told_apart(tmp_path: Path) -> None:
    assert "does not exist" in detect(str(tmp_path)).reason
    (tmp_path / "chassis_asset_tag").mkdir()
    assert "cannot be read" in detect(str(tmp_path)).reason
