"""Files that are replaced: their rights, their owner, and traps in their way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.files import replace_file

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize("durable", [False, True])
def test_others_may_read_what_they_are_to_read_whatever_the_umask(tmp_path: Path, umask: None, durable: bool) -> None:
    path = tmp_path / "x.prom"
    replace_file(str(path), b"1", mode=0o644, durable=durable)
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    replace_file(str(path), b"2", mode=0o644, durable=durable)
    assert path.stat().st_mode & 0o777 == 0o600, "what somebody chose stays"
    assert path.read_bytes() == b"2"


def test_a_link_in_its_way_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"x.{os.getpid()}.tmp").symlink_to(victim)
    replace_file(str(tmp_path / "x"), b"new")
    assert victim.read_text() == "mine"
    assert (tmp_path / "x").read_bytes() == b"new"
    assert not (tmp_path / "x").is_symlink()


@needs_root
def test_what_root_orders_belongs_to_the_service(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 23456)
    replace_file(str(tmp_path / "operator.json"), b"{}")
    status = (tmp_path / "operator.json").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


def test_a_directory_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(str(tmp_path / "no" / "x"), b"")
    assert list(tmp_path.iterdir()) == []
