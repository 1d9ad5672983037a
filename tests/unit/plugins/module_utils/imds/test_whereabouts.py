"""Whose facts are these: names, and the process table of a machine that Ansible runs on."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import whereabouts

if TYPE_CHECKING:
    from pathlib import Path

FACTS = {"available": True, "name": "web-0", "computer_name": "Shop-Web"}


@pytest.mark.parametrize(
    ("hostname", "here", "called"),
    [
        ("web-0", False, True),
        ("WEB-0.example.com", False, True),
        ("shop-web", False, True),
        ("web-1", True, False),
        ("localhost", True, True),
        ("localhost", False, False),
        (socket.gethostname(), True, True),
        (socket.gethostname(), False, False),
    ],
)
def test_names(hostname: str, here: bool, called: bool) -> None:
    assert whereabouts.is_called(hostname, FACTS, here=here) is called


class Processes:
    """A process table under a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, pid: int, parent: int, *words: str, name: str = "x") -> None:
        (self.root / str(pid)).mkdir()
        (self.root / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0\n")
        (self.root / str(pid) / "cmdline").write_bytes("\0".join([*words, ""]).encode())


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


def here(processes: Processes, script: str = "/tmp/x.py") -> bool:
    return whereabouts.ansible_runs_here(str(processes.root), script)


def test_a_child_of_ansible(processes: Processes) -> None:
    processes.add(os.getpid(), 901, "/usr/bin/python3", "/tmp/x.py")
    processes.add(901, 900, "/bin/sh", "-c", "…", name="sh) S 1 (")
    processes.add(900, 1, "/opt/venv/bin/python3", "/opt/venv/bin/ansible-playbook", "site.yml")
    assert here(processes)


def test_a_child_of_sshd(processes: Processes) -> None:
    processes.add(os.getpid(), 901, "/usr/bin/python3", "/tmp/x.py")
    processes.add(901, 900, "sshd: me@notty")
    processes.add(900, 1, "vi", "a", "b", "ansible-playbook")
    assert not here(processes)


def test_an_asynchronous_module_has_lost_its_parents(processes: Processes) -> None:
    processes.add(os.getpid(), 1, "/usr/bin/python3", "/tmp/x.py")
    processes.add(4242, 1, "/opt/venv/bin/ansible", "all")
    assert not here(processes)
    assert here(processes, "/home/me/.ansible/tmp/ansible-tmp-1795374074.88-4242-26734418955/AnsiballZ_x.py")


@pytest.mark.parametrize("parent", [os.getpid(), 0, 77], ids=["itself", "none", "unknown"])
def test_a_table_that_leads_nowhere(processes: Processes, parent: int) -> None:
    processes.add(os.getpid(), parent, "python3")
    assert not here(processes)


def test_no_table(tmp_path: Path) -> None:
    assert not whereabouts.ansible_runs_here(str(tmp_path / "none"), "x")


def test_the_warning(processes: Processes) -> None:
    processes.add(os.getpid(), 1, "/opt/venv/bin/ansible", "all")
    proc = str(processes.root)
    assert "are about the machine that Ansible runs on (the VM web-0)" in str(
        whereabouts.controller_warning(FACTS, "web-1", proc=proc, script="x")
    )
    assert whereabouts.controller_warning(FACTS, "web-0", proc=proc, script="x") is None
    assert "no Azure VM" in str(whereabouts.controller_warning({"available": False}, "web-1", proc=proc, script="x"))
