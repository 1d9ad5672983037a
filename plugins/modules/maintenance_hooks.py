#!/usr/bin/python
# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_hooks
short_description: Install shipped hooks of the maintenance handler
version_added: 0.1.0
description:
  - Installs the chosen sets of hooks that come with the handler, updates them, and removes those that are no longer
    chosen. The role P(azure_guest.imds.maintenance_handler#role) uses this module for its part of the installation.
  - The settings are checked before anything is changed, in check mode too.
  - It remembers what it installed in O(path)C(/hooks/.installed.json), and touches no other file. A set that still has
    something to undo on this host keeps its resume hook until that is done.
author:
  - azure_guest.imds contributors (@azure-guest)
extends_documentation_fragment:
  - azure_guest.imds.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Settings are shown as they are; they hold no secrets, only the names of files with secrets.
  idempotent:
    support: full
  action_group:
    support: none
    details:
      - It does not speak to the Instance Metadata Service.
options:
  path:
    description:
      - Directory of the handler's configuration, in which the directories of the hooks are.
      - Directories that are missing are made.
    type: path
    required: true
  state_dir:
    description: Directory in which the handler remembers; hooks do in C(hooks) below it.
    type: path
    required: true
  hooks:
    description: The chosen sets; all others that this module installed are removed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the set.
        type: str
        required: true
        choices: [ansible_playbook, docker, haproxy, kubernetes, nginx, patroni, systemd_units, webhook]
      settings:
        description: Its settings. The guide to the hooks describes those of each set.
        type: dict
        default: {}
      order:
        description:
          - Its place among the hooks of a phase, 1 to 99. The resume hook stands at 100 less that, so that what is
            drained first comes back last. The set's usual one by default.
        type: int
      timeout:
        description: Seconds after which its hooks are killed; by default what they may need with these settings.
        type: float
  executables:
    description: The text of the executables, by set and phase with a slash between them.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Install the shipped hooks
  azure_guest.imds.maintenance_hooks:
    path: /etc/azure-maintenance
    state_dir: /var/lib/azure-maintenance
    hooks:
      - name: haproxy
        settings:
          sockets: ["10.0.0.4:9999"]
          servers: ["web/{vm_name}"]
    executables: "{{ dict(names | zip(query('ansible.builtin.file', *paths, rstrip=false))) }}"
  vars:
    names: [haproxy/drain, haproxy/ready, haproxy/resume]
    paths: "{{ names | map('regex_replace', '^', 'hooks/') }}"
  register: hooks

- name: Say what they may take
  ansible.builtin.debug:
    var: hooks.timeouts
"""

RETURN = r"""
files:
  description: Files that were added, changed or removed, relative to O(path).
  returned: always
  type: list
  elements: str
  sample: [drain.d/20-haproxy, hooks/haproxy.json]
timeouts:
  description: Time limits of the installed hooks in seconds, as the setting C(hook_timeouts) of the handler wants them.
  returned: always
  type: dict
  sample:
    drain.d/20-haproxy: 150.0
kept:
  description: Sets that are not chosen and kept their resume hook, for they have something to undo.
  returned: always
  type: list
  elements: str
  sample: []
"""

import hashlib
import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.maintenance.files import replace_file
from ..module_utils.maintenance.shipped import registry
from ..module_utils.maintenance.shipped.settings import SettingsError

MANIFEST = "hooks/.installed.json"
HEAD = "# Installed by Ansible; changes are lost.\n"


class Wanted(t.NamedTuple):
    """A file: its content and permission bits."""

    data: bytes
    mode: int


class InvalidError(Exception):
    """What was asked for cannot be; the text says why."""


def place(phase: str, name: str, order: int) -> str:
    """Where the hook of a phase goes."""
    return f"{phase}.d/{100 - order if phase == 'resume' else order:02d}-{name}"


def plan(
    hooks: t.Sequence[t.Mapping[str, t.Any]], executables: t.Mapping[str, str]
) -> tuple[dict[str, Wanted], dict[str, float]]:
    """The files by relative path, and the time limits. Raises InvalidError with all problems at once."""
    files: dict[str, Wanted] = {}
    timeouts: dict[str, float] = {}
    problems: list[str] = []
    names = [hook["name"] for hook in hooks]
    problems += [f"{name} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    for hook in hooks:
        name = hook["name"]
        order = registry.ORDERS[name] if hook["order"] is None else hook["order"]
        if not 1 <= order <= 99:
            problems.append(f"order of {name} is {order}; a number from 1 to 99 expected")
        if hook["timeout"] is not None and not 1 <= hook["timeout"] <= 86400:
            problems.append(f"timeout of {name} is {hook['timeout']:g}; seconds from 1 to 86400 expected")
        try:
            checked = registry.check(name, hook["settings"], where=f"settings of {name}")
        except SettingsError as exc:
            problems.append(str(exc))
            continue
        found = registry.find(name)
        text = json.dumps(hook["settings"], indent=2, sort_keys=True) + "\n"
        files[f"hooks/{name}.json"] = Wanted(text.encode(), 0o644)
        for phase in found.phases:
            script = executables.get(f"{name}/{phase}")
            if script is None:
                problems.append(f"executables has no {name}/{phase}")
                continue
            first, _end, rest = script.partition("\n")
            files[place(phase, name, order)] = Wanted(f"{first}\n{HEAD}{rest}".encode(), 0o755)
            timeouts[place(phase, name, order)] = hook["timeout"] or found.longest(checked)
    if problems:
        raise InvalidError("\n".join(problems))
    return files, timeouts


class Directory:
    """The handler's configuration directory, and what of it is this module's."""

    def __init__(self, path: str, state_dir: str) -> None:
        self._path, self._state_dir = path, state_dir
        self.installed = self._read_manifest()

    def full(self, name: str) -> str:
        """The path of a file."""
        return os.path.join(self._path, name)

    def _read_manifest(self) -> dict[str, str]:
        try:
            with open(self.full(MANIFEST), encoding="utf-8") as stream:
                found = json.load(stream)["files"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as exc:
            raise InvalidError(f"{self.full(MANIFEST)} is not what this module wrote; move it away") from exc
        plain = {name for name in found if not name.startswith("/") and ".." not in name.split("/")}
        return {name: found[name] for name in plain}

    def read(self, name: str) -> Wanted | None:
        """A file as it is."""
        try:
            with open(self.full(name), "rb") as stream:
                return Wanted(stream.read(), os.fstat(stream.fileno()).st_mode & 0o7777)
        except FileNotFoundError:
            return None

    def has_to_undo(self, name: str) -> bool:
        """Whether a set remembers something."""
        return os.path.exists(registry.memory_path(self._state_dir, name))

    def keep(self, wanted: t.Collection[str]) -> tuple[list[str], list[str]]:
        """Sets that are not wanted and have something to undo, and their files that stay."""
        sets = [name for name in registry.NAMES if f"hooks/{name}.json" in self.installed and self.has_to_undo(name)]
        sets = [name for name in sets if f"hooks/{name}.json" not in wanted]
        stay = [
            name
            for name in self.installed
            for kept in sets
            if name == f"hooks/{kept}.json" or (name.startswith("resume.d/") and name.endswith(f"-{kept}"))
        ]
        return sets, stay

    def change(self, name: str, wanted: Wanted | None) -> None:
        """Write or remove a file."""
        path = self.full(name)
        if wanted is None:
            os.unlink(path)
            return
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        replace_file(path, wanted.data, mode=wanted.mode)
        os.chmod(path, wanted.mode)

    def remember(self, files: t.Mapping[str, Wanted | None]) -> None:
        """Write down what is this module's."""
        sums = {name: hashlib.sha256(file.data).hexdigest() for name, file in files.items() if file is not None}
        if sums != self.installed:
            data = json.dumps({"files": sums}, indent=1, sort_keys=True).encode() + b"\n"
            self.change(MANIFEST, Wanted(data, 0o644) if sums else None)


def apply(
    directory: Directory, wanted: t.Mapping[str, Wanted], *, check: bool
) -> tuple[list[str], list[str], dict[str, str]]:
    """Make it so. Returns the changed files, the sets that keep a resume hook, and the difference."""
    kept, stay = directory.keep(wanted)
    now = {name: directory.read(name) for name in {*wanted, *directory.installed}}
    after: dict[str, Wanted | None] = {name: now[name] for name in stay}
    after.update(wanted)
    foreign = [
        name for name, file in wanted.items() if name not in directory.installed and now[name] not in (None, file)
    ]
    if foreign:
        said = "is there and was not installed by this module; move it away, or choose another order"
        raise InvalidError("\n".join(f"{directory.full(name)} {said}" for name in sorted(foreign)))
    changed = sorted(name for name in now if now[name] != after.get(name))
    if not check:
        # What is new is there before what is old goes.
        for name in sorted(changed, key=lambda name: (after.get(name) is None, name)):
            directory.change(name, after.get(name))
        directory.remember(after)
    difference = {
        "before": "".join(_show(name, now[name]) for name in changed),
        "after": "".join(_show(name, after.get(name)) for name in changed),
    }
    return changed, kept, difference


def _show(name: str, file: Wanted | None) -> str:
    return "" if file is None else f"# {name}, mode {file.mode:04o}\n{file.data.decode('utf-8', 'replace')}"


def main() -> None:
    """Entry point."""
    hook = {
        "name": {"type": "str", "required": True, "choices": list(registry.NAMES)},
        "settings": {"type": "dict", "default": {}},
        "order": {"type": "int"},
        "timeout": {"type": "float"},
    }
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state_dir": {"type": "path", "required": True},
            "hooks": {"type": "list", "elements": "dict", "options": hook, "required": True},
            "executables": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    try:
        wanted, timeouts = plan(module.params["hooks"], module.params["executables"])
        directory = Directory(path, module.params["state_dir"])
        changed, kept, difference = apply(directory, wanted, check=module.check_mode)
    except InvalidError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"The hooks in {path} cannot be installed: {exc}")
    for name in kept:
        module.warn(
            f"The set {name} is no longer chosen and has something to undo on this host. Its resume hook stays; "
            "it goes with the next run after the maintenance."
        )
    headers = {"before_header": path, "after_header": path}
    module.exit_json(changed=bool(changed), files=changed, timeouts=timeouts, kept=kept, diff={**difference, **headers})


if __name__ == "__main__":
    main()
