"""The module on every Python that a target may have, and as an ordinary user."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ansible.release
import pytest
from ansible_runs import Ansible
from interpreters import interpreters

if TYPE_CHECKING:
    from azure_emulator.testing import Emulator

# What ansible-core supports on targets, oldest first.
OLDEST = (3, 8) if ansible.release.__version__.startswith(("2.18.", "2.19.")) else (3, 9)
VERSIONS = [(3, minor) for minor in range(8, 15) if (3, minor) >= OLDEST]
FACTS = {"name": "Facts", "azure_guest.imds.instance_facts": {"endpoint": "{{ endpoint }}", "gather": ["versions"]}}


def test_every_python(tmp_path: Path, emulator: Emulator, capsys: pytest.CaptureFixture) -> None:
    found = interpreters(VERSIONS)
    missing = [f"{a}.{b}" for a, b in VERSIONS if f"{a}.{b}" not in found]
    if missing:
        with capsys.disabled():
            sys.stdout.write(f"\nnot tested, for want of an interpreter on this machine: Python {', '.join(missing)}\n")
    assert set(found) <= {f"{a}.{b}" for a, b in VERSIONS}
    hosts = {f"python-{name}": {"ansible_python_interpreter": path} for name, path in found.items()}
    run = Ansible(tmp_path, hosts).play(
        FACTS,
        {"name": "Off", "azure_guest.imds.instance_facts": None},
        {"name": "Events", "azure_guest.imds.scheduled_events_info": {"endpoint": "{{ endpoint }}"}},
        {"name": "Approve", "azure_guest.imds.scheduled_event": {"endpoint": "{{ endpoint }}"}},
        vars={"endpoint": emulator.endpoint("web-0")},
    )
    assert run.code == 0, run.output
    for host in hosts:
        facts = run.of("Facts", host).result["ansible_facts"]["ansible_azure"]
        assert (facts["name"], facts["available"], facts["versions"]["available"]) == ("web-0", True, True)
        assert run.of("Off", host).result["ansible_facts"]["ansible_azure"]["error"] == "not_on_azure"
        assert run.of("Events", host).result["total"] == 0


def test_an_ordinary_user(tmp_path: Path, emulator: Emulator) -> None:
    """As root the play becomes nobody; anybody else is ordinary already."""
    become = {"become": True, "become_user": "nobody", "become_method": "su"} if os.geteuid() == 0 else {}
    variables = {"endpoint": emulator.endpoint("web-0"), "ansible_remote_tmp": "/tmp/.ansible-nobody"}
    if become:
        # An interpreter that everybody can read; root's own may lie in a private directory.
        python = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(p).exists()), None)
        if python is None:
            pytest.skip("this machine has no Python that other users can run")
        variables.update(ansible_python_interpreter=python, ansible_shell_allow_world_readable_temp=True)
        variables["ansible_become_flags"] = "-s /bin/sh"
    run = Ansible(tmp_path, {"target": {}}).play(
        FACTS, {"name": "Who", "ansible.builtin.command": "id -u"}, vars=variables, **become
    )
    assert run.code == 0, run.output
    assert run.of("Who").result["stdout"] != "0"
    facts = run.of("Facts").result["ansible_facts"]["ansible_azure"]
    assert (facts["name"], facts["vm_id_verified"]) == ("web-0", None)
