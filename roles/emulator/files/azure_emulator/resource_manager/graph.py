# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource Graph for two kinds of query (contract section 12.3): a list of VMs, joined with their addresses, and a
list of whole documents of some types.

This is no query engine. A query is taken when it is made of the steps below, in any sensible order, and projects
columns out of :data:`COLUMNS`, or of :data:`DOCUMENT_COLUMNS`; anything else is refused with the step that was not
understood.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from azure_emulator.events.machines import OFF, Machines
from azure_emulator.failures import resource_manager_error
from azure_emulator.fleet.model import Vm
from azure_emulator.messages import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from azure_emulator.resource_manager.lists import Lists

Column = Callable[[Vm, Machines], Any]
Row = tuple[str, Callable[[], dict[str, Any]]]
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


_TYPES = re.compile(r"where type in~ ?\(([^()]*)\)", re.IGNORECASE)
DOCUMENT_TYPES = (
    "microsoft.compute/virtualmachines",
    "microsoft.compute/virtualmachinescalesets",
    "microsoft.network/networkinterfaces",
    "microsoft.network/publicipaddresses",
)
DOCUMENT_COLUMNS = (
    *("id", "name", "type", "location", "resourcegroup", "subscriptionid", "zones", "tags", "sku", "properties"),
)


class Query(NamedTuple):
    """What a query asks for.

    Attributes:
        columns: of a list of VMs, column names and where they come from.
        types: of a list of documents, their types; empty for the other kind.
        names: of a list of documents, the columns.
    """

    columns: dict[str, Column]
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def has_id(self) -> bool:
        """Whether its result can be had in pages."""
        return "id" in self.columns or "id" in self.names


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
    documents = _TYPES.fullmatch(steps[0]) if steps else None
    if table.lower() == "resources" and documents:
        return _parse_documents(documents[1], steps[1:])
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


def _parse_documents(listed: str, steps: list[str]) -> Query:
    types = tuple(part.strip().strip("'\"").lower() for part in listed.split(","))
    unknown = [name for name in types if name not in DOCUMENT_TYPES]
    if unknown:
        raise _refuse(f"The emulator does not have documents of the type: {unknown[0]}")
    names: tuple[str, ...] = ()
    for step in steps:
        if step.lower().startswith("project "):
            names = tuple(name.strip() for name in step[len("project ") :].split(","))
        elif step.lower() not in ("order by id asc", "sort by id asc"):
            raise _refuse(f"The emulator does not understand the step: {step}")
    unknown = [name for name in names if name.lower() not in DOCUMENT_COLUMNS]
    if unknown or not names:
        raise _refuse(f"The emulator does not have the column: {unknown[0] if unknown else '(no projection)'}")
    return Query({}, types, names)


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
        name, _sign, source = (piece.strip() for piece in part.partition("="))
        source = re.sub(r"^tostring\((.*)\)$", r"\1", source or name).lower()
        if source not in COLUMNS or (source in _JOINED and _JOINED[source] not in joined):
            raise _refuse(f"The emulator does not have the column: {source or part}")
        columns[name] = COLUMNS[source]
    return columns


def page(query: Query, lists: Lists, subscriptions: Iterable[str], options: Any) -> Page:
    """A page of rows.

    Args:
        query: as understood. lists: the resources. subscriptions: those in scope.
        options: of the request: ``$top``, ``$skip``, ``$skipToken``, ``resultFormat``.

    Raises:
        RefusedError: 400 for options that cannot be.
    """
    options = options if isinstance(options, dict) else {}
    if options.get("resultFormat", "objectArray") != "objectArray":
        raise _refuse("The emulator only has the result format objectArray.")
    start, top = _range(options)
    ordered = _documents(query, lists, subscriptions) if query.types else _virtual_machines(query, lists, subscriptions)
    rows = [make() for _id, make in ordered[start : start + top]]
    end = start + len(rows)
    # Paging needs the id column (contract section 12.3): without it the answer is cut and says so.
    token = _token(end) if end < len(ordered) and query.has_id else None
    return Page(rows, len(ordered), token)


def _virtual_machines(query: Query, lists: Lists, subscriptions: Iterable[str]) -> list[Row]:
    def make(vm: Vm) -> dict[str, Any]:
        return {name: column(vm, lists.machines) for name, column in query.columns.items()}

    rows = [(vm.resource_id.lower(), functools.partial(make, vm)) for vm in lists.graph_scope(subscriptions)]
    return sorted(rows, key=lambda row: row[0])


def _documents(query: Query, lists: Lists, subscriptions: Iterable[str]) -> list[Row]:
    def make(document: Callable[[], dict[str, Any]], resource_type: str, subscription: str) -> dict[str, Any]:
        shown = document()
        group = str(shown["id"]).split("/")[4].lower()
        own = {"type": resource_type, "resourcegroup": group, "subscriptionid": subscription}
        return {name: own.get(name.lower(), shown.get(name)) for name in query.names}

    rows = [
        (identity.lower(), functools.partial(make, document, resource_type, subscription))
        for resource_type in query.types
        for subscription in subscriptions
        for identity, document in lists.graph_documents(resource_type, subscription).identified()
    ]
    return sorted(rows, key=lambda row: row[0])


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
