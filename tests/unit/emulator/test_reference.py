"""The reference's tables say what the code does. ``python -m pytest … --update-guide -n0`` writes them anew."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from emulator_behaviours import BEHAVIOURS, EVERY, MANAGER, SECTIONS
from guide_tables import check_table, table

from azure_emulator import cli, control
from azure_emulator.distortions import DISTORTIONS
from azure_emulator.events import machines
from azure_emulator.events.kinds import KINDS
from azure_emulator.events.model import EventSpec
from azure_emulator.events.operations import OperationSpec
from azure_emulator.faults import FAULT_CATEGORIES, FAULTS, REFUSALS, REPLACEMENTS, FaultSpec
from azure_emulator.fleet import specification as fleet
from azure_emulator.imds.checks import CATEGORIES, ENDPOINTS
from azure_emulator.imds.fields import COMPUTE_FIELDS, WITHDRAWN
from azure_emulator.imds.scheduled_events import NEWER_FIELDS
from azure_emulator.imds.versions import EVENTS_VERSIONS, FIRST_VERSION, INSTANCE_VERSIONS
from azure_emulator.playing import specification as scenario
from azure_emulator.playing.running import load, shipped
from azure_emulator.reading import form_of, keys_of
from azure_emulator.resource_manager.calls import DEFINITIONS

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "docsite" / "rst" / "emulator_reference.rst"
SOURCES = ROOT / "roles" / "emulator" / "files" / "azure_emulator"
OF_THE_FLEET = ("location", "environment", "subscription_id", "resource_group")
Rows = Iterable[tuple[str, ...]]


def code(text: str) -> str:
    return f"``{text}``"


# Services


def behaviours() -> str:
    return table(("Category", "Behaviour", "Contract section"), [(b.category, b.text, b.section) for b in BEHAVIOURS])


def sections() -> str:
    return table(("Section", "Subject", "Public source"), [(number, *rest) for number, rest in SECTIONS.items()])


def endpoints() -> str:
    rows = [
        (
            code(e.path + ("[/route]" if e.routes else "")),
            e.category,
            ", ".join(e.methods),
            "required" if e.header else "not needed",
            FIRST_VERSION[e.category] if e.versioned else "none",
        )
        for e in ENDPOINTS
    ]
    return table(("Path", "Category", "Methods", "``Metadata: true``", "Api-versions from"), rows)


def fields() -> str:
    rows = []
    for version in INSTANCE_VERSIONS:
        names = [f"``compute.{name}``" for name in COMPUTE_FIELDS.get(version, ())]
        gone = [f"{code(name)} (last)" for name, last in WITHDRAWN.items() if last == version]
        if version == min(COMPUTE_FIELDS):
            names.append("``network``, all of it")
        rows.append((version, ", ".join([*names, *gone]) or "no addition"))
    return table(("Api-version", "Fields that came with it"), rows)


def event_versions() -> str:
    rows = []
    for version in EVENTS_VERSIONS:
        types = [code(name) for name, kind in KINDS.items() if kind.since == version]
        new = [code(name) for name, since in NEWER_FIELDS.items() if since == version]
        rows.append((version, ", ".join(types) or "none", ", ".join(new) or "none"))
    return table(("Api-version", "Event types that came with it", "Fields that came with it"), rows)


def event_types() -> str:
    rows = [
        (
            code(name),
            f"{kind.notice:g}",
            "does not come back" if kind.impact is None else f"{kind.impact:g}",
            f"{kind.settle:g}",
            str(kind.duration),
            kind.while_away,
            kind.source,
        )
        for name, kind in KINDS.items()
    ]
    head = ("Type", "Notice, s", "Away, s", "Then listed for, s", "DurationInSeconds", "State meanwhile", "EventSource")
    return table(head, rows)


def states() -> str:
    rows = []
    for state in machines.STATES:
        machine = machines.Machine(power=state)
        if state in (machines.FROZEN, *machines.DOWN):
            machine = machines.Machine(away={"event": state})
        answers = "connections are refused"
        if machine.answers:
            answers = "answers when the pause is over" if state == machines.FROZEN else "answers"
        rows.append((code(state), answers))
    return table(("State", "Its metadata service"), rows)


def calls() -> str:
    rows = []
    for call in DEFINITIONS:
        path = re.sub(r"\(\?P<(\w+)>\[\^/\]\+\)", r"{\1}", call.path.pattern)
        first, last = call.versions[0], call.versions[-1]
        rows.append((code(call.name), code(f"{call.method} {path}"), first if first == last else f"{first} … {last}"))
    return table(("Name", "Call", "Api-versions"), rows)


def faults() -> str:
    rows = [(code(name), "any", text) for name, text in REPLACEMENTS.items()]
    rows += [(code(name), "whole VM", text) for name, text in REFUSALS.items()]
    rows += [(code(name), each.category, each.help) for name, each in DISTORTIONS.items()]
    return table(("Fault", "Category", "What the caller gets"), rows)


def fault_categories() -> str:
    return table(("Category", "Requests"), [(code(name), where(name)) for name in FAULT_CATEGORIES])


def where(category: str) -> str:
    return "the metadata service of a VM" if category in CATEGORIES else "Resource Manager"


# Keys


def rows_of(specification: type, prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name, field in keys_of(specification).items():
        default = "required"
        if field.default is not dataclasses.MISSING:
            default = code(json.dumps(field.default))
        elif field.default_factory is not dataclasses.MISSING:
            made = field.default_factory()
            default = code(json.dumps(made)) if isinstance(made, dict) else "each key's own"
        elif name in OF_THE_FLEET and specification is not fleet.FleetSpec:
            default = "its set's, else the fleet's"
        yield code(prefix + name), form_of(field.metadata["reader"]), default, field.metadata["help"]


def keys(*parts: tuple[type, str]) -> str:
    rows = [row for specification, prefix in parts for row in rows_of(specification, prefix)]
    return table(("Key", "Value", "Default", "Meaning"), rows)


FLEET_PARTS: dict[str, tuple[tuple[type, str], ...]] = {
    "fleet": (
        (fleet.FleetSpec, ""),
        (fleet.AvailabilitySetSpec, "availability_sets[]."),
        (fleet.ScaleSetSpec, "scale_sets[]."),
        (fleet.LoadBalancerSpec, "load_balancers[]."),
        (fleet.RuleSpec, "load_balancers[].rules[]."),
        (fleet.UserIdentitySpec, "identities[]."),
        (fleet.ServicePrincipalSpec, "service_principals[]."),
    ),
    "api": (
        (fleet.ApiSpec, "api."),
        (fleet.EventsApiSpec, "api.scheduled_events."),
        (fleet.IdentityApiSpec, "api.identity."),
        (fleet.ResourceManagerApiSpec, "api.resource_manager."),
        (fleet.DeniedSpec, "api.resource_manager.denied[]."),
    ),
    "vm": (
        (fleet.VmSpec, ""),
        (fleet.NicSpec, "nics[]."),
        (fleet.ImageSpec, "image."),
        (fleet.PlanSpec, "plan."),
        (fleet.PublicKeySpec, "public_keys[]."),
        (fleet.SecuritySpec, "security."),
        (fleet.OsDiskSpec, "os_disk."),
        (fleet.EncryptionSpec, "os_disk.encryption."),
        (fleet.DataDiskSpec, "data_disks[]."),
        (fleet.IdentitySpec, "identity."),
        (fleet.ImpactHookSpec, "on_impact."),
    ),
}
STEPS: dict[str, tuple[str, type | None]] = {
    "advance": ("Let so many seconds pass.", None),
    "schedule": ("Schedule an event; the keys of ``POST /events``, and ``as`` for its name.", EventSpec),
    "operate": ("Do what a user does; the keys of ``POST /operations``, and ``as``.", OperationSpec),
    "approve": ("Approve events, as a VM.", scenario.ApproveStep),
    "cancel": ("Cancel the event of that name.", None),
    "reschedule": ("Move an event.", scenario.RescheduleStep),
    "fault": ("Have something go wrong; the keys of ``POST /faults``.", FaultSpec),
    "clear_faults": ("End all faults.", None),
    "change": ("Give a VM other tags or user data.", scenario.ChangeStep),
    "request": ("Ask a VM's service.", scenario.RequestStep),
    "expect": ("What must be so by now, or become so within some seconds.", scenario.ExpectStep),
    "run": ("Run a program of your own.", scenario.RunStep),
}


def steps() -> str:
    rows = [("``say``", "text", "What people are told; alone, or beside an action.")]
    for name, reader in scenario.ACTIONS.items():
        text, specification = STEPS[name]
        rows.append((code(name), "mapping" if specification else form_of(reader), text))
    return table(("Step", "Value", "Meaning"), rows)


def step_keys() -> str:
    parts: list[tuple[type, str]] = [
        (specification, f"{name}.")
        for name, (_, specification) in STEPS.items()
        if specification is not None and specification.__module__ == scenario.__name__
    ]
    parts += [
        (scenario.Expectation, "request.expect."),
        (scenario.DocumentCheck, "expect.document."),
        (scenario.JournalCheck, "expect.requests."),
    ]
    return keys(*parts)


def stories() -> str:
    return table(("Name", "Story"), [(code(name), load(path)[0].name) for name, path in shipped().items()])


# The control side, the command, the role


def routes() -> str:
    return table(("Call", "Meaning"), [(code(f"{r.method} {r.path}"), r.help) for r in control.ROUTES])


def commands() -> str:
    rows = []
    (subparsers,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    texts = {action.dest: action.help for action in subparsers._choices_actions}
    for name, command in subparsers.choices.items():
        rows.append((f"**{name}**", texts[name] or ""))
        rows += [
            (option(action), (action.help or "none") % vars(action))
            for action in command._actions
            if action.dest not in ("help", "json") and (action.dest != "control" or name == "play")
        ]
    return table(("Command or option", "Meaning"), rows)


def option(action: argparse.Action) -> str:
    choices = "|".join(action.choices) if action.choices and len(list(action.choices)) < 8 else None
    value = str(action.metavar or choices or action.dest.upper())
    if not action.option_strings:
        return code(f"{value} …" if action.nargs in ("+", "*") else value)
    return code(action.option_strings[0] + ("" if action.nargs == 0 else f" {value}"))


def role() -> str:
    text = (ROOT / "roles" / "emulator" / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    options = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    rows = []
    for name, spec in options.items():
        # Ansible's markup in the words of reStructuredText.
        meaning = re.sub(r"\b[COVIE]\(([^)]*)\)", r"``\1``", spec["description"])
        rows.append((code(name), code(json.dumps(spec["default"])), meaning))
    return table(("Variable", "Default", "Meaning"), rows)


TABLES: dict[str, Any] = {
    **{f.__name__: f for f in (behaviours, sections, endpoints, fields, event_versions, event_types, states, calls)},
    **{f.__name__: f for f in (faults, fault_categories, steps, step_keys, stories, routes, commands, role)},
    **{name: (lambda parts=parts: keys(*parts)) for name, parts in FLEET_PARTS.items()},
    "scenario": lambda: keys((scenario.Scenario, "")),
    "event_keys": lambda: keys((EventSpec, "")),
    "operation_keys": lambda: keys((OperationSpec, "")),
    "fault_keys": lambda: keys((FaultSpec, "")),
    "other_keys": lambda: keys(
        (control.ClockSpec, "POST /clock: "),
        (control.RescheduleSpec, "PATCH /events/{id}: "),
        (control.ChangeSpec, "PATCH /vms/{id}: "),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_guides_tables_are_the_codes(name: str, request: pytest.FixtureRequest) -> None:
    check_table(REFERENCE, name, TABLES[name](), update=request.config.getoption("--update-guide"))


def test_every_behaviour_is_shown_by_a_test_that_there_is() -> None:
    known: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        functions = (node for node in ast.parse(path.read_text(encoding="utf-8")).body)
        names = (node.name for node in functions if isinstance(node, ast.FunctionDef))
        known |= {f"{path.stem}::{name}".replace("test_", "") for name in names}
    assert [b.proof for b in BEHAVIOURS if b.proof not in known] == []


def test_every_category_and_every_call_has_its_rows() -> None:
    assert {b.category for b in BEHAVIOURS} == {*CATEGORIES, EVERY, MANAGER}
    letters = {letter for b in BEHAVIOURS for letter in re.findall(r"\b[A-K]\b", b.section)}
    assert letters == set("ABCDEFGHIJK")


def test_every_section_that_is_cited_is_explained() -> None:
    """In the sources and in the table: a section is explained by itself or by what it is a part of."""
    cited = {number for b in BEHAVIOURS for number in re.findall(r"\d+(?:\.\d+)?", b.section)}
    for path in SOURCES.rglob("*.py"):
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        for words in re.findall(r"[Cc]ontract sections? ([\d., to and]+\d)", text):
            cited |= set(re.findall(r"\d+(?:\.\d+)?", words))
    assert {number for number in cited if number not in SECTIONS and number.partition(".")[0] not in SECTIONS} == set()


def test_no_key_and_no_fault_is_left_out() -> None:
    documented = {specification for parts in FLEET_PARTS.values() for specification, _ in parts}
    every = {value for name, value in vars(fleet).items() if name.endswith("Spec") and isinstance(value, type)}
    assert documented == every
    assert set(STEPS) == set(scenario.ACTIONS)
    assert set(FAULTS) == {*REPLACEMENTS, *REFUSALS, *DISTORTIONS}
    specifications = [*documented, scenario.Scenario, *(s for _, s in STEPS.values() if s is not None)]
    unsaid = [row[0] for each in specifications for row in rows_of(each) if row[1] == "anything" or not row[3]]
    assert unsaid == []
