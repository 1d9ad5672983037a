# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Kubernetes: this VM's node is cordoned and drained, within the disruption budgets, and uncordoned after it."""

from __future__ import annotations

import json
import re
import typing as t

from . import settings as s
from .basis import Context, HookFailed, Ran, TryLater

_NODE = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_ARGUMENT = s.matching(r"[^-\s]\S*", "a value without blanks, not beginning with a hyphen,")
SETTINGS: s.Schema = {
    "node": s.Field(
        None, s.optional(s.matching(_NODE, "a node's name")), "This VM's node; else its name in lower case."
    ),
    "kubeconfig": s.Field(
        None, s.optional(s.path), "How kubectl reaches the cluster; a hook has no KUBECONFIG of its own."
    ),
    "context": s.Field(None, s.optional(_ARGUMENT), "Context in it; the current one by default."),
    "delete_emptydir_data": s.Field(False, s.boolean, "Evict pods also when emptyDir volumes are lost with them."),
    "force": s.Field(False, s.boolean, "Evict pods also when no controller makes new ones."),
    "grace_period": s.Field(None, s.optional(s.integer(0)), "Seconds that pods have to end, in place of their own."),
    "pod_selector": s.Field(None, s.optional(_ARGUMENT), "Evict only pods with these labels."),
    "time_limit": s.Field(240, s.seconds(5, 86400), "Seconds for the drain of the node."),
    "command": s.Field("kubectl", s.matching(r"[A-Za-z0-9_./-]+", "a command"), "The command, or its path."),
}
REQUIRED = ()
# On the node while it is cordoned here; who removes it takes the cordon over.
MARK = "azure-guest.imds/cordoned-by"
OWNER = "azure-maintenance"


def verify(_settings: dict[str, t.Any]) -> None:
    """Nothing hangs together."""


def longest(settings: t.Mapping[str, t.Any]) -> float:
    """Seconds that one run may take at most."""
    return t.cast("float", 90 + settings["time_limit"])


def _kubectl(context: Context, *words: str, limit: float = 30) -> Ran:
    argv = [context.settings["command"]]
    for option in ("kubeconfig", "context"):
        if context.settings[option] is not None:
            argv.append(f"--{option}={context.settings[option]}")
    # kubectl ends by itself; the rest is for one that hangs.
    return context.run([*argv, f"--request-timeout={limit:.0f}s", *words], limit=limit + 15)


def _name(context: Context) -> str:
    name = context.settings["node"] or context.event.vm_name.lower()
    if not re.fullmatch(_NODE, name):
        raise HookFailed(f"{name!r:.80} is not the name of a node; set node")
    return t.cast("str", name)


def _node(context: Context, name: str) -> dict[str, t.Any] | None:
    """The node, None when the cluster has none of that name. TryLater when it cannot be asked."""
    ran = _kubectl(context, "get", "node", name, "--output=json")
    if ran.status != 0:
        if "NotFound" in ran.err:
            return None
        raise TryLater(f"the cluster does not tell node {name}: {ran.reason}")
    try:
        node = json.loads(ran.out)
        node["metadata"]["name"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise HookFailed(f"kubectl does not print node {name} as JSON") from exc
    return t.cast("dict[str, t.Any]", node)


def _is_cordoned(node: t.Mapping[str, t.Any]) -> bool:
    return bool((node.get("spec") or {}).get("unschedulable"))


def _change(context: Context, what: str, *words: str) -> None:
    ran = _kubectl(context, *words)
    if ran.status != 0:
        raise HookFailed(f"{what}: {ran.reason}")


def drain(context: Context) -> None:
    """Cordon the node unless somebody has, and evict its pods."""
    name = _name(context)
    node = _node(context, name)
    if node is None:
        raise HookFailed(f"the cluster has no node {name}; set node")
    if not _is_cordoned(node):
        context.memory.save({"node": name})
        _change(context, f"node {name} was not marked", "annotate", "node", name, f"{MARK}={OWNER}", "--overwrite")
        _change(context, f"node {name} was not cordoned", "cordon", name)
    elif context.memory.load().get("node") != name:
        context.say(f"node {name} is cordoned already; it stays so afterwards")
    _evict(context, name)


def _evict(context: Context, name: str) -> None:
    settings = context.settings
    limit = max(5.0, context.patience(settings["time_limit"]))
    words = ["drain", name, "--ignore-daemonsets", f"--timeout={limit:.0f}s"]
    words += ["--delete-emptydir-data"] * settings["delete_emptydir_data"] + ["--force"] * settings["force"]
    if settings["grace_period"] is not None:
        words.append(f"--grace-period={settings['grace_period']}")
    if settings["pod_selector"] is not None:
        words.append(f"--pod-selector={settings['pod_selector']}")
    ran = _kubectl(context, *words, limit=limit)
    if ran.status == 0:
        context.say(f"node {name} is drained")
        return
    if "disruption budget" in ran.err + ran.out:
        raise TryLater(f"node {name} is not drained yet: a disruption budget protects its pods")
    raise HookFailed(f"node {name} is not drained: {ran.reason}")


def ready(context: Context) -> None:
    """The node is still cordoned."""
    name = _name(context)
    node = _node(context, name)
    if node is not None and not _is_cordoned(node):
        raise HookFailed(f"node {name} is no longer cordoned")


def resume(context: Context) -> None:
    """Uncordon the node when it was cordoned here, and nobody took that over."""
    name = context.memory.load().get("node")
    if name is None:
        return
    node = _node(context, name)
    if node is None:
        context.say(f"node {name} is no longer there")
    elif (node["metadata"].get("annotations") or {}).get(MARK) != OWNER:
        context.say(f"somebody took the cordon of node {name} over; it stays")
    else:
        if _is_cordoned(node):
            _change(context, f"node {name} was not uncordoned", "uncordon", name)
        _change(context, f"the mark of node {name} was not removed", "annotate", "node", name, f"{MARK}-")
    context.memory.save({})


def health(context: Context) -> None:
    """The node is Ready."""
    name = _name(context)
    node = _node(context, name)
    if node is None:
        raise TryLater(f"the cluster has no node {name} yet")
    conditions = (node.get("status") or {}).get("conditions") or []
    if not any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions):
        raise TryLater(f"node {name} is not Ready")


PHASES = {"drain": drain, "ready": ready, "resume": resume, "health": health}
