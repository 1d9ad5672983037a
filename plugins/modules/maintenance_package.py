#!/usr/bin/python
# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_package
short_description: Install the library of the maintenance handler
version_added: 0.1.0
description:
  - Puts the Python package of C(azure-maintenance) on a host, or removes it. The role
    P(azure_guest.imds.maintenance_handler#role) does the rest of the installation and uses this module for its part.
  - The files come along inside the module itself, so one task and one transfer install them all. They are the
    collection's own C(module_utils), byte for byte. Nothing is fetched and nothing is compiled.
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
  action_group:
    support: none
    details:
      - It does not speak to the Instance Metadata Service.
options:
  path:
    description:
      - Directory of the package. It belongs to the package alone, whatever else is in it is removed.
      - Its parent must exist.
    type: path
    required: true
  state:
    description: Whether the package is there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Install the library
  azure_guest.imds.maintenance_package:
    path: /usr/lib/azure-maintenance
  register: package

- name: Say what came
  ansible.builtin.debug:
    msg: "Version {{ package.version }}, {{ package.files | length }} files changed"
  when: package is changed
"""

RETURN = r"""
version:
  description: Version of the package.
  returned: always
  type: str
  sample: 0.1.0
endpoint:
  description: Address of Azure's metadata service, which the handler asks unless it is told another.
  returned: always
  type: str
  sample: http://169.254.169.254
on_azure:
  description: Whether this machine says that it is an Azure VM. No packet is sent to find out.
  returned: always
  type: bool
reason:
  description: Why it is not.
  returned: always
  type: str
  sample: the chassis asset tag is another one
files:
  description: Files that were added, changed or removed, relative to O(path).
  returned: always
  type: list
  elements: str
  sample: [azure_guest/imds/client.py]
"""

import os
import pkgutil
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.imds.client import DEFAULT_ENDPOINT
from ..module_utils.imds.detection import detect
from ..module_utils.imds.version import VERSION

INIT = b"# The package of azure-maintenance; installed by Ansible, changes are lost.\n"


def wanted() -> dict[str, bytes]:
    """Content by relative path of all that came along, which is what the command imports."""
    # Ansible sends along what a module imports, also what that imports in turn.
    from ..module_utils import imds, maintenance
    from ..module_utils.maintenance import __main__, cli, fleet, service, shipped, status  # noqa: F401
    from ..module_utils.maintenance.shipped import registry  # noqa: F401

    files = {"azure_guest/__init__.py": INIT}
    packages = {"imds": imds, "maintenance": maintenance, "maintenance/fleet": fleet, "maintenance/shipped": shipped}
    for place, package in packages.items():
        names = [info.name for info in pkgutil.iter_modules(package.__path__) if not info.ispkg]
        for name in ("__init__", *names):
            data = pkgutil.get_data(package.__name__, f"{name}.py")
            if data is None:
                raise OSError(f"{place}/{name}.py did not come along")
            files[f"azure_guest/{place}/{name}.py"] = data
    return files


def present(path: str) -> dict[str, bytes]:
    """What is there now; compiled files do not count."""
    files = {}
    for directory, _subdirectories, names in os.walk(path):
        for name in names:
            full = os.path.join(directory, name)
            if not name.endswith(".pyc"):
                with open(full, "rb") as stream:
                    files[os.path.relpath(full, path)] = stream.read()
    return files


def install(path: str, files: t.Mapping[str, bytes]) -> None:
    """Put a complete directory in the place of the old one."""
    new, old = f"{path}.new", f"{path}.old"
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    os.mkdir(new, 0o755)
    for name, data in files.items():
        target = os.path.join(new, name)
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(data)
        os.chmod(target, 0o644)
    if os.path.isdir(path):
        os.rename(path, old)
    os.rename(new, path)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    path = module.params["path"].rstrip("/")
    try:
        before = present(path)
        after = wanted() if module.params["state"] == "present" else {}
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        if changed and not module.check_mode:
            if after:
                install(path, after)
            else:
                shutil.rmtree(path)
    except OSError as exc:
        module.fail_json(msg=f"The package in {path} cannot be {module.params['state']}: {exc}")
    diff = {
        "before": "".join(f"{name}\n" for name in changed if name in before),
        "after": "".join(f"{name}\n" for name in changed if name in after),
        "before_header": path,
        "after_header": path,
    }
    machine = detect()
    module.exit_json(
        changed=bool(changed),
        version=VERSION,
        files=changed,
        diff=diff,
        endpoint=DEFAULT_ENDPOINT,
        on_azure=machine.on_azure,
        reason=machine.reason,
    )


if __name__ == "__main__":
    main()
