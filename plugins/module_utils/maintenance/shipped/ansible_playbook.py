# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Playbooks that run on this VM, with the event as the variable ``azure_maintenance``.

The event is handed over as a file of extra variables, in which every text has the tag ``!unsafe``: what comes from the
cloud is never evaluated as a template, whatever is in it.
"""

from __future__ import annotations

import math
import os
import pwd
import shutil
import tempfile
import typing as t

from .. import config
from . import settings as s
from .basis import Context, HookFailed, TryLater

_PHASES = ("drain", "ready", "resume", "health", "notify")
PLAYBOOKS: s.Schema = {
    phase: s.Field(None, s.optional(s.path), f"Playbook for the phase {phase}; without one the hook does nothing.")
    for phase in _PHASES
}


def _playbooks(value: t.Any) -> dict[str, t.Any]:
    return config.check(PLAYBOOKS, value, "")


def _variables(value: t.Any) -> dict[str, t.Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) and name.isidentifier() for name in value):
        raise ValueError(f"an object of variables expected, not {value!r:.60}")
    if "azure_maintenance" in value:
        raise ValueError("azure_maintenance is the event's own variable")
    return value


SETTINGS: s.Schema = {
    "playbooks": s.Field({}, _playbooks, "Playbooks by phase."),
    "inventory": s.Field(
        "localhost,",
        s.matching(r"[^-\s][^\n]*", "an inventory"),
        "Inventory: a file, a directory, or names with commas.",
    ),
    "extra_vars": s.Field({}, _variables, "Further variables for the playbooks."),
    "command": s.Field("ansible-playbook", s.matching(r"[A-Za-z0-9_./-]+", "a command"), "The command, or its path."),
    "time_limit": s.Field(280, s.seconds(1, 86400), "Seconds for a playbook."),
}
REQUIRED = ("playbooks",)
NESTED = {"playbooks": PLAYBOOKS}
OUTPUT_LINES = 15


def verify(settings: dict[str, t.Any]) -> None:
    """There is something to run."""
    if not any(settings["playbooks"].values()):
        raise ValueError("playbooks: at least one expected")


def longest(settings: t.Mapping[str, t.Any]) -> float:
    """Seconds that one run may take at most."""
    return t.cast("float", 20 + settings["time_limit"])


def as_yaml(value: t.Any) -> str:
    """A value as YAML in flow style, each text in it tagged !unsafe, in ASCII only."""
    if isinstance(value, t.Mapping):
        return "{" + ", ".join(f"{_quoted(str(key))}: {as_yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(as_yaml(inner) for inner in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value) if isinstance(value, int) or math.isfinite(value) else "null"
    return f"!unsafe {_quoted(str(value))}"


def _quoted(text: str) -> str:
    def escaped(character: str) -> str:
        if character in '"\\':
            return "\\" + character
        if 0xD800 <= ord(character) <= 0xDFFF:
            return "\\uFFFD"  # half of a pair is no character
        return character if " " <= character <= "~" else f"\\U{ord(character):08X}"

    return '"' + "".join(escaped(character) for character in text) + '"'


def _event(context: Context, later: str) -> dict[str, t.Any]:
    event = context.event
    return {
        "phase": context.phase,
        "vm_name": event.vm_name,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "not_before": event.not_before,
        "topic": event.topic,
        "try_later_file": later,
        **{key: event.document.get(key) for key in ("why", "service", "state", "event")},
    }


def run(context: Context) -> None:
    """Run the playbook of the phase."""
    playbook = context.settings["playbooks"][context.phase]
    if playbook is None:
        return
    if not os.path.isfile(playbook):
        raise HookFailed(f"{playbook} is not there; see the setting playbooks")
    directory = tempfile.mkdtemp(prefix="azure-maintenance-playbook-")  # for this user's eyes only
    try:
        later = os.path.join(directory, "try-later")
        variables = os.path.join(directory, "event.yml")
        text = f"azure_maintenance: {as_yaml(_event(context, later))}\n"
        given = os.path.join(directory, "given.yml")
        for path, content in ((variables, text), (given, _given(context.settings["extra_vars"]))):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(content)
        # The event comes last: nothing overrides it.
        argv = [context.settings["command"], f"--inventory={context.settings['inventory']}"]
        argv += [f"--extra-vars=@{given}", f"--extra-vars=@{variables}", playbook]
        ran = context.run(argv, limit=context.settings["time_limit"], extra=_environment())
        for line in (ran.out + ran.err).splitlines()[-OUTPUT_LINES:]:
            context.say(line)
        if os.path.exists(later):
            raise TryLater(f"{playbook} asks to be tried again later")
        if ran.status != 0:
            raise HookFailed(f"{playbook} failed with exit status {ran.status}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _given(variables: t.Mapping[str, t.Any]) -> str:
    """The administrator's own variables, which may hold templates; JSON is YAML."""
    import json

    return json.dumps(variables) + "\n"


def _environment() -> dict[str, str]:
    """What ansible-playbook wants and a service has not: a home and a language."""
    home = os.environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
    return {"HOME": home, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0"}


PHASES = dict.fromkeys(_PHASES, run)
