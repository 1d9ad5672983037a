# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said against a scenario before it is played, so that a slip does not show in the tenth minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure_emulator.errors import InputError, NotFoundError
from azure_emulator.reading import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from azure_emulator.fleet.model import Fleet
    from azure_emulator.playing.specification import ExpectStep, Step


def check_events(steps: Iterable[Step]) -> None:
    """Each event that a step names must have got its name before.

    Raises:
        InputError: it has not.
    """
    known: dict[str, None] = {}
    for step in steps:
        for name, place in _event_names(step):
            if name not in known:
                hint = did_you_mean(name, known) if known else "; no earlier step names one with as"
                raise InputError(place, f"no event {name!r} so far{hint}")
        known.update(dict.fromkeys(step.name))


def check_vms(steps: Iterable[Step], fleet: Fleet) -> None:
    """Each VM that a step names must be in the fleet.

    Raises:
        InputError: it is not.
    """
    for step in steps:
        for name, place in _vm_names(step):
            try:
                fleet.vm(name)
            except NotFoundError as exc:
                raise InputError(place, str(exc)) from exc


def _event_names(step: Step) -> Iterator[tuple[str, str]]:
    argument, place = step.argument, f"{step.path}.{step.action}"
    if step.action == "approve":
        yield from ((name, f"{place}.events") for name in argument.events)
    elif step.action == "cancel":
        yield argument, place
    elif step.action in ("reschedule", "expect") and argument.event is not None:
        yield argument.event, f"{place}.event"
    if step.action == "expect" and argument.document is not None:
        entries = enumerate(argument.document.events or ())
        yield from ((e["event"], f"{place}.document.events[{i}].event") for i, e in entries if "event" in e)


def _vm_names(step: Step) -> Iterator[tuple[str, str]]:
    argument, place = step.argument, f"{step.path}.{step.action}"
    if step.action in ("schedule", "operate", "fault"):
        key = "vms" if step.action == "fault" else "resources"
        yield from ((str(name), f"{place}.{key}[{index}]") for index, name in enumerate(argument.get(key, ())))
    elif step.action == "approve":
        yield argument.by, f"{place}.by"
    elif step.action in ("change", "request", "run") and argument.vm is not None:
        yield argument.vm, f"{place}.vm"
    elif step.action == "expect":
        yield from _expected_vms(argument, place)


def _expected_vms(expected: ExpectStep, place: str) -> Iterator[tuple[str, str]]:
    if expected.vm is not None:
        yield expected.vm, f"{place}.vm"
    if expected.document is not None:
        yield expected.document.vm, f"{place}.document.vm"
    if expected.requests is not None and expected.requests.vm is not None:
        yield expected.requests.vm, f"{place}.requests.vm"


__all__ = ["check_events", "check_vms"]
