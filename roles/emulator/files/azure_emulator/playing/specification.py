# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may stand in a scenario: a fleet, and steps of one action each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from azure_emulator.errors import InputError
from azure_emulator.events.engine import check_event
from azure_emulator.events.machines import STATES
from azure_emulator.events.model import VIEW, EventSpec
from azure_emulator.events.operations import OperationSpec
from azure_emulator.faults import FaultSpec, check_fault
from azure_emulator.imds.scheduled_events import FIELDS
from azure_emulator.imds.versions import EVENTS_VERSIONS, INSTANCE_VERSIONS
from azure_emulator.journal import JOURNAL_CATEGORIES
from azure_emulator.playing.checks import check_events
from azure_emulator.reading import (
    boolean,
    choice,
    did_you_mean,
    either,
    expect_list,
    expect_mapping,
    form,
    integer,
    join,
    key,
    list_of,
    mapping_of,
    number,
    optional,
    part,
    read,
    refuse_unknown,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_EVENTS_VERSION = choice(*sorted({*EVENTS_VERSIONS, *INSTANCE_VERSIONS}))


@form("any value")
def _anything(value: Any, _path: str) -> Any:
    return value


@form("text that begins with /")
def _path(value: Any, path: str) -> str:
    target = text()(value, path)
    if not target.startswith("/") or not target.isascii() or not target.isprintable() or " " in target:
        raise InputError(path, f"{target!r} is no path such as /metadata/versions; other characters as %20")
    return target


@form("mapping")
def _event_fields(value: Any, path: str) -> dict[str, Any]:
    return refuse_unknown(value, (*FIELDS, "event"), path)


@form("mapping")
def _view(value: Any, path: str) -> dict[str, Any]:
    return refuse_unknown(value, VIEW, path)


@form("a name, or a list of names")
def _names(value: Any, path: str) -> tuple[str, ...]:
    """A name, or a list of names."""
    return list_of(text())(value if isinstance(value, list) else [value], path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveStep:
    """Approve events, as a VM."""

    events: tuple[str, ...] = key(_names, "Names that earlier steps gave.")
    by: str = key(text(), "The VM that approves.")
    status: int = key(integer(), "The expected HTTP status.", default=200)
    api_version: str = key(text(), "The api-version to use.", default="2020-07-01")


@dataclass(frozen=True, slots=True, kw_only=True)
class RescheduleStep:
    """Move an event."""

    event: str = key(text(), "Name that an earlier step gave.")
    not_before: float = key(number(minimum=0), "New earliest start, in seconds from now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStep:
    """Give a VM other tags or user data."""

    vm: str = key(text(), "Which VM.")
    tags: dict[str, str] | None = key(optional(mapping_of(text(empty=True))), "All its tags.", default=None)
    user_data: str | None = key(optional(text(empty=True)), "Its user data.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an answer must be; what is not named may be anything."""

    status: int | None = key(optional(integer()), "HTTP status.", default=None)
    json: Any = key(_anything, "The JSON body: mappings need only have these keys, lists must agree.", default=None)
    text: str | None = key(optional(text(empty=True)), "The body as text.", default=None)
    error: str | None = key(
        optional(choice("refused", "reset", "cut", "garbage")), "No answer, but this.", default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStep:
    """Ask a VM's service."""

    vm: str = key(text(), "Whose service.")
    path: str = key(_path, "Path and parameters.")
    method: str = key(choice(*_METHODS), "HTTP method.", default="GET")
    headers: dict[str, str] = key(mapping_of(text()), "Headers.", factory=lambda: {"Metadata": "true"})
    body: Any = key(_anything, "Body, sent as JSON.", default=None)
    times: int = key(integer(minimum=1), "How often.", default=1)
    advance: float | None = key(
        optional(number(minimum=0)), "Seconds to let pass while the answer is waited for.", default=None
    )
    expect: Expectation = key(part(Expectation), "What each answer must be.", factory=Expectation)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalCheck:
    """Requests that must have been made."""

    vm: str | None = key(optional(text()), "By which VM's service.", default=None)
    category: str | None = key(optional(choice(*JOURNAL_CATEGORIES)), "Which category.", default=None)
    method: str | None = key(optional(text()), "Which method.", default=None)
    status: int | None = key(optional(integer()), "Answered how.", default=None)
    count: int | None = key(optional(integer(minimum=0)), "How many exactly.", default=None)
    at_least: int | None = key(optional(integer(minimum=0)), "How many at least.", default=None)
    at_most: int | None = key(optional(integer(minimum=0)), "How many at most.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCheck:
    """The events document that a VM sees."""

    vm: str = key(text(), "Which VM.")
    api_version: str = key(_EVENTS_VERSION, "The api-version to ask for.", default="2020-07-01")
    events: tuple[Any, ...] | None = key(
        optional(list_of(_event_fields)),
        "The events in it, in order: fields as in the document, and ``event`` for the name of an earlier step.",
        default=None,
    )
    incarnation: int | None = key(optional(integer()), "DocumentIncarnation.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectStep:
    """What must be so by now; or, with ``within``, become so before so many seconds have passed."""

    vm: str | None = key(optional(text()), "A VM, for its state.", default=None)
    state: str | None = key(optional(choice(*STATES)), "The state it must be in.", default=None)
    event: str | None = key(optional(text()), "An event, by the name that an earlier step gave.", default=None)
    has: dict[str, Any] = key(_view, "What the control side must say of the event.", factory=dict)
    document: DocumentCheck | None = key(optional(part(DocumentCheck)), "What a VM must see.", default=None)
    requests: JournalCheck | None = key(optional(part(JournalCheck)), "What must have been asked.", default=None)
    within: float | None = key(optional(number(minimum=0)), "Seconds until it must be so.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """Run a program of your own, for instance a hook or a client."""

    command: tuple[str, ...] = key(list_of(text()), "Command and arguments.")
    vm: str | None = key(optional(text()), "Its AZURE_IMDS_ENDPOINT is that of this VM.", default=None)
    status: int = key(integer(), "The expected exit status.", default=0)
    timeout: float = key(number(minimum=0.1), "Real seconds that it may take.", default=60.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what people are told, the action, its argument, and where it stands."""

    path: str
    say: str
    action: str
    argument: Any
    name: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario file."""

    name: str = key(text(), "What it is about, in a line.")
    story: str = key(text(), "What happens, and why it is worth a rehearsal.")
    fleet: Any = key(either(text(), expect_mapping, when=str), "A fleet, or the path of a fleet file.")
    rate_limit: bool = key(boolean, "Whether the rate limits hold.", default=False)
    steps: tuple[Any, ...] = key(expect_list, "What happens, in order.")


def _body(specification: type[T], check: Callable[[T], None] | None = None) -> Callable[[Any, str], Any]:
    """A control call's body, checked before anything is played; ``as`` is the scenario's own."""

    def reader(value: Any, path: str) -> dict[str, Any]:
        body = {name: item for name, item in expect_mapping(value, path).items() if name != "as"}
        spec = read(specification, body, path)
        try:
            if check is not None:
                check(spec)
        except InputError as exc:
            raise InputError(join(path, exc.path), exc.problem) from exc
        return body

    return reader


def _expectation(value: Any, path: str) -> ExpectStep:
    expected = read(ExpectStep, value, path)
    if (expected.vm, expected.event, expected.document, expected.requests) == (None, None, None, None):
        raise InputError(path, "expects nothing; name a vm, an event, a document or requests")
    if (expected.vm is None) != (expected.state is None):
        raise InputError(path, "vm and state go together")
    if expected.has and expected.event is None:
        raise InputError(f"{path}.has", "of which event? Name it with event")
    return expected


ACTIONS: dict[str, Callable[[Any, str], Any]] = {
    "advance": number(minimum=0),
    "schedule": _body(EventSpec, check_event),
    "operate": _body(OperationSpec),
    "approve": part(ApproveStep),
    "cancel": text(),
    "reschedule": part(RescheduleStep),
    "fault": _body(FaultSpec, check_fault),
    "clear_faults": boolean,
    "change": part(ChangeStep),
    "request": part(RequestStep),
    "expect": _expectation,
    "run": part(RunStep),
}


def read_scenario(value: Any) -> tuple[Scenario, list[Step]]:
    """A scenario and its steps.

    Raises:
        InputError: with the path of the key that cannot be used.
    """
    scenario = read(Scenario, value, "")
    steps = [_step(step, f"steps[{index}]") for index, step in enumerate(scenario.steps)]
    check_events(steps)
    return scenario, steps


def _step(value: Any, path: str) -> Step:
    mapping = expect_mapping(value, path)
    actions = [name for name in mapping if name != "say"]
    for name in actions:
        if name not in ACTIONS:
            raise InputError(f"{path}.{name}", f"unknown action{did_you_mean(name, ACTIONS)}")
    if len(actions) > 1:
        raise InputError(path, f"a step has one action, this one has {', '.join(actions)}")
    say = text()(mapping["say"], f"{path}.say") if "say" in mapping else ""
    if not actions:
        return Step(path, say, "say", None)
    action = actions[0]
    place = f"{path}.{action}"
    argument = ACTIONS[action](mapping[action], place)
    names = _names(mapping[action]["as"], f"{place}.as") if _has_name(mapping[action]) else ()
    return Step(path, say, action, argument, names)


def _has_name(argument: Any) -> bool:
    return isinstance(argument, dict) and "as" in argument


__all__ = [
    "ACTIONS",
    "ApproveStep",
    "DocumentCheck",
    "ExpectStep",
    "Expectation",
    "JournalCheck",
    "RequestStep",
    "RunStep",
    "Scenario",
    "Step",
    "read_scenario",
]
