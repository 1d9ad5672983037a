# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whose facts are these? With ``connection: local`` a module runs on the controller, whatever host the play names."""

from __future__ import annotations

import os
import re
import socket
import typing as t

# The temporary directory in which Ansible puts a module has the process id of the Ansible worker in its name; an
# asynchronous module has lost its parents and only has that.
_TEMPORARY = re.compile(rb"ansible-tmp-[\d.]+-(\d+)-\d+")
_COMMANDS = ("ansible", "ansible-playbook", "ansible-console")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def is_called(hostname: str, facts: t.Mapping[str, t.Any], *, here: bool = False) -> bool:
    """Whether facts may well be about the host of that name: the VM or its computer is called so.

    Args:
        hostname: the inventory's name.
        facts: as gathered.
        here: whether they were gathered on this machine, whose own name then counts too.
    """
    names = [facts.get("name"), facts.get("computer_name"), *([socket.gethostname()] if here else ())]
    short = hostname.lower().split(".")[0]
    return (here and hostname in _LOCAL_NAMES) or short in {name.lower().split(".")[0] for name in names if name}


def controller_warning(facts: t.Mapping[str, t.Any], hostname: str, *, proc: str = "/proc") -> str | None:
    """A warning that facts gathered on the controller would pass for those of a host; None when all seems well.

    Args:
        facts: as gathered at Azure's own address; a configured endpoint is about whatever VM it stands for.
        hostname: the inventory's name of the host.
        proc: where the process table is.
    """
    if is_called(hostname, facts, here=True) or not ansible_runs_here(proc):
        return None
    return controller_text(hostname, facts)


def controller_text(hostname: str, facts: t.Mapping[str, t.Any]) -> str:
    """The words for facts about the controller."""
    about = f"the VM {facts.get('name')}" if facts.get("available") else "no Azure VM, or one that did not answer"
    return (
        f"The Azure facts that are recorded for {hostname} are about the machine that Ansible runs on ({about}), "
        "because the connection is local. The metadata service answers only about the machine that asks."
    )


def delegation_text(hostname: str, delegate: str) -> str:
    """The words for facts about the host that a task is delegated to."""
    return (
        f"The Azure facts that are recorded for {hostname} are about {delegate}, because the task is delegated to it. "
        "The metadata service answers only about the machine that asks. Set delegate_facts to record them for that one."
    )


def ansible_runs_here(proc: str = "/proc") -> bool:
    """Whether an Ansible command on this machine started this process; False where that cannot be told."""
    pids = [os.getpid()]
    match = _TEMPORARY.search(_read(f"{proc}/{pids[0]}/cmdline"))
    if match:
        pids.append(int(match.group(1)))
    seen: set[int] = set()
    while pids:
        pid = pids.pop()
        if pid <= 1 or pid in seen:
            continue
        seen.add(pid)
        if _is_ansible(_read(f"{proc}/{pid}/cmdline")):
            return True
        # Field 4 of stat is the parent; the command name before it is in parentheses and may hold anything.
        fields = _read(f"{proc}/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) > 1 and fields[1].isdigit():
            pids.append(int(fields[1]))
    return False


def _is_ansible(command_line: bytes) -> bool:
    """Whether one of the first words, interpreter included, is an Ansible command."""
    words = command_line.split(b"\0")[:3]
    return any(os.path.basename(word.decode("utf-8", "replace")) in _COMMANDS for word in words)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(65536)
    except OSError:
        return b""


__all__ = ["ansible_runs_here", "controller_text", "controller_warning", "delegation_text", "is_called"]
