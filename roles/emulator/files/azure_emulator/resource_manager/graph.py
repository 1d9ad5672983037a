# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource Graph for one kind of query: a list of VMs, joined with their addresses (contract section 12.3).

This is no query engine. A query is taken when it is made of the steps below, in any sensible order, and projects
columns out of :data:`COLUMNS`; anything else is refused with the step that was not understood.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from azure_emulator.events.machines import OFF, Machines
from azure_emulator.failures import resource_manager_error
from azure_emulator.fleet.model import Vm
from azure_emulator.messages import RefusedError

Column = Callable[[Vm, Machines], Any]
_TOP, _MOST = 100, 1000


def _power(vm: Vm, machines: Machines) -> str | None:
    if vm.spec.instance_view != "full":
        return None
    state = machines.state(vm.key)
    return f"PowerState/{state if state in OFF else 'running'}"


COLUMNS: dict[str, Column] = {
    "id": lambda vm, _: vm.resource_id,
    "name": lambda vm, _: vm.name,
    "type": lambda _vm, _: "microsoft.compute/virtualmachines",
    "location": lambda vm, _: vm.spec.location,
    "resourcegroup": lambda vm, _: vm.spec.resource_group.lower(),
    "subscriptionid": lambda vm, _: vm.spec.subscription_id,
    "zones": lambda vm, _: [vm.zone] if vm.zone else None,
    "tags": lambda vm, _: dict(vm.tags) or None,
    "properties.hardwareprofile.vmsize": lambda vm, _: vm.spec.size,
    "properties.vmid": lambda vm, _: vm.vm_id,
    "properties.provisioningstate": lambda vm, _: vm.spec.provisioning_state,
    "properties.storageprofile.osdisk.ostype": lambda vm, _: vm.spec.os_type,
    "properties.availabilityset.id": lambda vm, _: vm.availability_set.resource_id if vm.availability_set else None,
    "properties.virtualmachinescaleset.id": lambda vm, _: vm.scale_set.resource_id if vm.scale_set else None,
    "properties.extended.instanceview.powerstate.code": _power,
    "privateip": lambda vm, _: vm.primary_nic.private_ips[0],
    "publicip": lambda vm, machines: "" if machines.state(vm.key) in OFF else vm.primary_nic.public_ip,
}
_JOINED = {"privateip": "networkinterfaces", "publicip": "publicipaddresses"}
_VMS = re.compile(r"where type =~ ?['\"]microsoft\.compute/virtualmachines['\"]", re.IGNORECASE)
_JOIN = re.compile(
    r"join kind ?= ?leftouter \( ?resources \| where type =~ ?['\"]microsoft\.network/(\w+)['\"].*\) on (nic|pip)",
    re.IGNORECASE,
)


class Query(NamedTuple):
    """What a query asks for: column names and where they come from, and whether it is ordered by id."""

    columns: dict[str, Column]


class Page(NamedTuple):
    """Rows, how many there are in all, and the token for the rest."""

    rows: list[dict[str, Any]]
    total: int
    token: str | None


def parse_query(text: Any) -> Query:
    """Understand a query.

    Raises:
        RefusedError: 400 with the step that is beyond this emulator.
    """
    if not isinstance(text, str):
        raise _refuse("The request has no query.")
    table, *steps = _steps(" ".join(text.split()))
    if table.lower() != "resources" or not steps or not _VMS.fullmatch(steps[0]):
        raise _refuse("The emulator only answers queries that begin with a list of virtual machines.")
    joined: set[str] = set()
    columns: dict[str, Column] | None = None
    for step in steps[1:]:
        join = _JOIN.fullmatch(step)
        if join:
            joined.add(join[1].lower())
        elif step.lower().startswith("project "):
            columns = _projection(step[len("project ") :], joined)
        elif not step.lower().startswith("extend nic") and step.lower() not in ("order by id asc", "sort by id asc"):
            raise _refuse(f"The emulator does not understand the step: {step}")
    if columns is None:
        raise _refuse("The emulator only answers queries with a projection.")
    return Query(columns)


def _steps(text: str) -> list[str]:
    """A query's steps: parts between ``|`` that stand outside of parentheses."""
    steps, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            steps.append("")
        else:
            steps[-1] += character
    return [step.strip() for step in steps]


def _projection(text: str, joined: set[str]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for part in text.split(","):
        name, _, source = (piece.strip() for piece in part.partition("="))
        source = re.sub(r"^tostring\((.*)\)$", r"\1", source or name).lower()
        if source not in COLUMNS or (source in _JOINED and _JOINED[source] not in joined):
            raise _refuse(f"The emulator does not have the column: {source or part}")
        columns[name] = COLUMNS[source]
    return columns


def page(query: Query, vms: list[Vm], machines: Machines, options: Any) -> Page:
    """A page of rows.

    Args:
        query: as understood. vms: those in scope, uniform instances not among them. machines: their states.
        options: of the request: ``$top``, ``$skip``, ``$skipToken``, ``resultFormat``.

    Raises:
        RefusedError: 400 for options that cannot be.
    """
    options = options if isinstance(options, dict) else {}
    if options.get("resultFormat", "objectArray") != "objectArray":
        raise _refuse("The emulator only has the result format objectArray.")
    start, top = _range(options)
    ordered = sorted(vms, key=lambda vm: vm.resource_id.lower())
    rows = [
        {name: column(vm, machines) for name, column in query.columns.items()} for vm in ordered[start : start + top]
    ]
    end = start + len(rows)
    # Paging needs the id column (contract section 12.3): without it the answer is cut and says so.
    token = _token(end) if end < len(ordered) and "id" in query.columns else None
    return Page(rows, len(ordered), token)


def _range(options: dict[str, Any]) -> tuple[int, int]:
    top, skip, token = options.get("$top", _TOP), options.get("$skip", 0), options.get("$skipToken")
    if not isinstance(top, int) or not 1 <= top <= _MOST:
        raise _refuse(f"$top must be between 1 and {_MOST}.")
    if token is not None:
        try:
            skip = json.loads(base64.urlsafe_b64decode(str(token)))["skip"]
        except (ValueError, KeyError, TypeError):
            skip = None
    if not isinstance(skip, int) or skip < 0:
        raise _refuse("The $skip or $skipToken is not valid.")
    return skip, top


def _token(skip: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"skip": skip}).encode()).decode()


def _refuse(message: str) -> RefusedError:
    return RefusedError(resource_manager_error(400, "BadRequest", message))


__all__ = ["COLUMNS", "Page", "Query", "page", "parse_query"]
