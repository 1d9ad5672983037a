#!/usr/bin/python
# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: local_fact
short_description: Install the Azure facts as a local fact
version_added: 0.1.0
description:
  - Puts an executable fact on a host, so that C(ansible_local.azure) is there whenever facts are gathered, with no
    configuration at all.
  - It has what M(azure_guest.imds.instance_facts) returns by default. On a host that is no Azure VM it says so,
    without sending a packet.
  - The role P(azure_guest.imds.local_facts#role) installs it with the same options, and gathers it.
  - The fact is one file that holds all it needs. It runs as whoever gathers facts, and changes nothing.
author:
  - azure_guest.imds contributors (@azure-guest)
extends_documentation_fragment:
  - azure_guest.imds.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description: Whether the fact is there.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description:
      - Directory of local facts. It is made if it is not there.
      - If it is another than the default, C(fact_path) of M(ansible.builtin.setup) has to name it.
    type: path
    default: /etc/ansible/facts.d
  python:
    description:
      - The interpreter that runs the fact, Python 3.8 or later.
      - Without it that is the one that Ansible uses on the host.
    type: path
  enabled:
    description:
      - V(auto) asks on an Azure VM, and wherever an endpoint is set.
      - V(true) asks whatever the machine looks like.
      - V(false) asks nothing and gives facts that say so.
    type: str
    choices: ["auto", "true", "false"]
    default: auto
  endpoint:
    description:
      - Where the fact finds the service, as V(http://host[:port]).
      - With V(auto) that is what E(AZURE_IMDS_ENDPOINT) says when facts are gathered, and else Azure's own address.
    type: str
    default: auto
  api_version:
    description: The API version to ask for, or V(auto) for the best that the service knows.
    type: str
    default: auto
  timeout:
    description: Seconds that the fact may take, with all retries. Gathering facts waits for it.
    type: float
    default: 10
  retries:
    description: How often to ask again when the service says that it cannot answer now.
    type: int
    default: 5
seealso:
  - module: azure_guest.imds.instance_facts
"""

EXAMPLES = r"""
- name: Install the local fact
  azure_guest.imds.local_fact:
  become: true

- name: Gather local facts again
  ansible.builtin.setup:
    gather_subset: [local]

- name: Show where the VM is
  ansible.builtin.debug:
    msg: "{{ ansible_facts.ansible_local.azure.location }}"
  when: ansible_facts.ansible_local.azure.available

- name: Remove the local fact
  azure_guest.imds.local_fact:
    state: absent
  become: true
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
  sample: /etc/ansible/facts.d/azure.fact
"""

import os
import pkgutil
import sys
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import imds
from ..module_utils.fact_file import MODULES, FactFile, parse, wanted
from ..module_utils.imds import local_fact  # brings along what it imports
from ..module_utils.imds.settings import Settings

NAME = "azure.fact"
MODE = 0o755


def library() -> dict[str, bytes]:
    """Source of each module of the library, out of what was sent along with this module."""
    sources = {name: pkgutil.get_data(imds.__name__, f"{name}.py") for name in MODULES}
    missing = [name for name, source in sources.items() if source is None]
    if missing:
        raise OSError(f"{', '.join(missing)} of the library did not come along")
    return {name: source for name, source in sources.items() if source is not None}


def installed(path: str) -> tuple[FactFile | None, bool]:
    """What is there: the fact, None for another file or none; and whether there is a file."""
    try:
        with open(path, "rb") as stream:
            return parse(stream.read()), True
    except FileNotFoundError:
        return None, False


def install(path: str, data: bytes) -> None:
    """Put the file in its place at once, so that whoever gathers facts meanwhile has the old one or the new one."""
    directory = os.path.dirname(path)
    os.makedirs(directory, 0o755, exist_ok=True)
    # A name that does not end in .fact is none of Ansible's business.
    handle, temporary = tempfile.mkstemp(prefix=".azure.", dir=directory)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, MODE)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def described(fact: FactFile | None, exists: bool) -> str:
    """A fact in words, for a diff."""
    if fact is None:
        return "a file of another kind\n" if exists else ""
    options = "".join(f"{name}: {value}\n" for name, value in sorted(fact.config.items()))
    modules = "".join(f"{name}: {len(source)} bytes\n" for name, source in sorted(fact.sources.items()))
    return f"interpreter: {fact.interpreter}\n{options}{modules}"


def run(module: AnsibleModule) -> None:
    """Bring about the state that was asked for."""
    path = os.path.join(module.params["directory"], NAME)
    before, exists = installed(path)
    after = None
    if module.params["state"] == "present":
        names = ("enabled", "endpoint", "api_version", "timeout", "retries")
        config = {name: module.params[name] for name in names if module.params[name] is not None}
        Settings.of(config)
        after = wanted(module.params["python"] or sys.executable, library(), config)
    mode_is_right = exists and os.stat(path).st_mode & 0o7777 == MODE
    changed = exists if after is None else before != after or not mode_is_right
    if changed and not module.check_mode:
        if after is None:
            os.unlink(path)
        else:
            install(path, after.build())
    diff = {"before": described(before, exists), "after": described(after, False)}
    module.exit_json(changed=changed, path=path, diff={**diff, "before_header": path, "after_header": path})


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "directory": {"type": "path", "default": "/etc/ansible/facts.d"},
            "python": {"type": "path"},
            "enabled": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
            "endpoint": {"type": "str", "default": "auto"},
            "api_version": {"type": "str", "default": "auto"},
            "timeout": {"type": "float", "default": local_fact.TIMEOUT},
            "retries": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    try:
        run(module)
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(
            msg=f"The local fact in {module.params['directory']} cannot be {module.params['state']}: {exc}"
        )


if __name__ == "__main__":
    main()
