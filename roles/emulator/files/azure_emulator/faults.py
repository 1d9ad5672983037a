# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on request (contract section 14): which requests they hit, and how often. What they do is in two tables.

A fault of the first table replaces the answer; one of the second (:mod:`azure_emulator.distortions`) changes a proper
one. Requests are hit in the order in which the faults were added.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from azure_emulator.distortions import DISTORTIONS
from azure_emulator.errors import InputError, NotFoundError
from azure_emulator.imds.checks import CATEGORIES
from azure_emulator.reading import choice, integer, key, list_of, number, optional, text
from azure_emulator.resource_manager.calls import CALLS

RESOURCE_MANAGER = "resource_manager"
REPLACEMENTS = {
    "bad_request": "400",
    "unauthorized": "401",
    "forbidden": "403",
    "not_found": "404",
    "gone": "410, as while the service is updated",
    "throttled": "429",
    "server_error": "500",
    "unavailable": "503",
    "reset": "the connection is reset before an answer",
    "hang": "no answer, until the caller gives up",
    "delay": "the proper answer, so many seconds later",
    "cut": "the connection ends in the middle of the body",
    "garbage": "bytes that are no HTTP",
    "html": "504 with an HTML page, as from a proxy",
    "portal": "200 with an HTML page, as from a captive portal",
    "redirect": "302 to another host",
    "not_json": "200 with text that is not JSON",
    "empty": "200 with an empty body",
}
REFUSALS = {"refused": "connections are refused, as before the service is up after a boot"}
FAULTS = (*REPLACEMENTS, *REFUSALS, *DISTORTIONS)
FAULT_CATEGORIES = (*CATEGORIES, RESOURCE_MANAGER, *CALLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """What ``POST /faults`` takes."""

    fault: str = key(choice(*FAULTS), "What goes wrong.")
    vms: tuple[str, ...] = key(list_of(text()), "Which VMs' services; empty for all.", default=())
    category: str | None = key(
        optional(choice(*FAULT_CATEGORIES)),
        "Which category, or call of Resource Manager; null for every category of the metadata service.",
        default=None,
    )
    method: str | None = key(optional(choice("GET", "POST")), "Which method; null for both.", default=None)
    subscription_id: str | None = key(optional(text()), "Resource Manager: which subscription.", default=None)
    count: int | None = key(optional(integer(minimum=1)), "How many requests it hits; null for no end.", default=None)
    skip: int = key(integer(minimum=0), "How many matching requests it lets pass first.", default=0)
    probability: float = key(number(minimum=0, maximum=1), "How likely it hits a matching request.", default=1.0)
    seed: str = key(text(), "What chance derives from.", default="0")
    lasts: float | None = key(optional(number(minimum=0)), "Seconds after which it ends; null for never.", default=None)
    seconds: float | None = key(
        optional(number(minimum=0)), "delay: how long; hang: when the connection is reset after all.", default=None
    )
    retry_after: int | None = key(
        optional(integer(minimum=0)),
        "Value of a Retry-After header, which Azure's metadata service never sends.",
        default=None,
    )
    error: str | None = key(optional(text()), "Error text in place of the usual one.", default=None)
    value: str | None = key(optional(text()), "region_lag: the newest api-version.", default=None)


@dataclass(slots=True)
class Fault:
    """A fault that was asked for."""

    id: str
    spec: FaultSpec
    added_at: float
    matched: int = 0
    hits: int = 0
    chance: random.Random = field(default_factory=random.Random)

    def active(self, now: float) -> bool:
        """Whether it may still hit."""
        over = self.spec.lasts is not None and now >= self.added_at + self.spec.lasts
        return not over and (self.spec.count is None or self.hits < self.spec.count)

    def matches(self, target: Target) -> bool:
        """Whether it is meant for such a request."""
        spec = self.spec
        meant = target.vm is not None if spec.category is None else spec.category in target.categories
        return (
            meant
            and (not spec.vms or (target.vm is not None and target.vm in spec.vms))
            and (spec.method is None or spec.method == target.method)
            and (spec.subscription_id is None or spec.subscription_id.lower() == (target.subscription or "").lower())
        )

    def draw(self) -> bool:
        """Let chance and ``skip`` decide about a matching request."""
        self.matched += 1
        if self.matched <= self.spec.skip or self.chance.random() >= self.spec.probability:
            return False
        self.hits += 1
        return True

    def view(self, now: float) -> dict[str, Any]:
        """What the control side shows of it."""
        spec = {name: getattr(self.spec, name) for name in FaultSpec.__slots__}
        shown = {**spec, "vms": list(self.spec.vms)}
        counts = {"matched": self.matched, "hits": self.hits, "active": self.active(now)}
        return {"id": self.id, **shown, "added_at": self.added_at, **counts}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is, for choosing faults.

    Attributes:
        vm: key of the VM whose service is asked; None for Resource Manager.
        categories: names under which it can be meant.
    """

    vm: str | None
    categories: tuple[str, ...]
    method: str
    subscription: str | None = None


class Faults:
    """The faults that were asked for, in order."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._made = 0

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, spec: FaultSpec, at: float) -> Fault:
        """Have something go wrong from now on.

        Raises:
            InputError: keys that mean nothing for this fault.
        """
        check_fault(spec)
        self._made += 1
        fault = Fault(f"fault-{self._made}", spec, at, chance=random.Random(f"{spec.seed}/{self._made}"))
        self._faults.append(fault)
        return fault

    def remove(self, fault_id: str) -> None:
        """End a fault.

        Raises:
            NotFoundError: there is none of that id.
        """
        remaining = [fault for fault in self._faults if fault.id != fault_id]
        if len(remaining) == len(self._faults):
            raise NotFoundError(f"no fault {fault_id!r}")
        self._faults = remaining

    def clear(self) -> None:
        """End all faults."""
        self._faults.clear()

    def all(self) -> list[Fault]:
        """All faults, spent ones too."""
        return list(self._faults)

    def refuses(self, vm: str, now: float) -> bool:
        """Whether connections to a VM's service are refused."""
        return any(
            fault.spec.fault in REFUSALS and fault.active(now) and (not fault.spec.vms or vm in fault.spec.vms)
            for fault in self._faults
        )

    def choose(self, target: Target, now: float) -> list[Fault]:
        """The faults that hit a request: at most one that replaces the answer, and any number that change it."""
        chosen: list[Fault] = []
        replaced = False
        for fault in self._faults:
            replaces = fault.spec.fault in REPLACEMENTS
            if (
                (replaces and replaced)
                or fault.spec.fault in REFUSALS
                or not fault.active(now)
                or not fault.matches(target)
            ):
                continue
            if fault.draw():
                chosen.append(fault)
                replaced = replaced or replaces
        return chosen


def check_fault(spec: FaultSpec) -> None:
    """Refuse a fault that contradicts itself.

    Raises:
        InputError: with the key.
    """
    if spec.fault == "delay" and spec.seconds is None:
        raise InputError("seconds", "a delay needs to know how long")
    if spec.fault == "region_lag" and spec.value is None:
        raise InputError("value", "region_lag needs the newest api-version that the region has")
    if spec.vms and spec.category in (RESOURCE_MANAGER, *CALLS):
        raise InputError("vms", "calls of Resource Manager belong to no VM; choose by category and subscription_id")
    if spec.fault in REFUSALS:
        _refuse_choices(spec)
    if spec.fault in DISTORTIONS and spec.category in (RESOURCE_MANAGER, *CALLS):
        raise InputError("fault", f"{spec.fault} is for the metadata service, not for Resource Manager")


def _refuse_choices(spec: FaultSpec) -> None:
    """A connection is refused before there is a request to choose by."""
    default = FaultSpec(fault=spec.fault)
    for name in ("category", "method", "subscription_id", "count", "skip", "probability"):
        if getattr(spec, name) != getattr(default, name):
            raise InputError(name, f"means nothing for {spec.fault}; choose by vms and lasts")


__all__ = [
    "FAULTS",
    "FAULT_CATEGORIES",
    "REFUSALS",
    "REPLACEMENTS",
    "RESOURCE_MANAGER",
    "Fault",
    "FaultSpec",
    "Faults",
    "Target",
    "check_fault",
]
