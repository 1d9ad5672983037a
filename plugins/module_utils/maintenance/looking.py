# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Commands that only look: status, events, history, check-config."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import typing as t

from ..imds.client import ImdsClient, RetryPolicy
from ..imds.errors import ImdsError
from ..imds.scheduled_events import ScheduledEvents
from .cli import FAILURE, OK, CommandError
from .clock import make_clock
from .config import Config
from .fleet.document import FleetDocument, FleetFormatError
from .fleet.serialize import as_json
from .fleet.store import StoreError
from .service import identify, make_store, require_service
from .status import ago, moment, render

# A person waits for the answer.
PATIENCE = RetryPolicy(total=20.0, retries=2, connect_retries=1)


def out(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


def out_json(value: t.Any) -> None:
    """Print JSON."""
    out(json.dumps(value, indent=1, sort_keys=True))


def read_status(config: Config) -> dict[str, t.Any]:
    """The status file. Raises CommandError."""
    path = os.path.join(config.run_dir, "status.json")
    try:
        with open(path, encoding="utf-8") as stream:
            status = json.load(stream)
    except FileNotFoundError as exc:
        raise CommandError(f"{path} does not exist: the handler has not run since the machine started") from exc
    except (OSError, ValueError) as exc:
        raise CommandError(f"{path} cannot be read: {exc}") from exc
    return {**status, "running": is_alive(status["pid"])}


def is_alive(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def status(config: Config, options: argparse.Namespace) -> int:
    """How this VM stands."""
    if options.fleet:
        return _fleet(config, as_text=not options.json)
    found = read_status(config)
    if options.json:
        out_json(found)
    else:
        sys.stdout.write(render(found, now=make_clock(config.clock).wall()))
    if not found["running"]:
        sys.stderr.write(f"the handler does not run; this is of {moment(found['time'])}\n")
    return OK if found["running"] else FAILURE


def _fleet(config: Config, *, as_text: bool) -> int:
    document = load_fleet(config)
    if not as_text:
        out_json(as_json(document))
        return OK
    now = make_clock(config.clock).wall()
    for name, member in sorted(document.members.items()):
        holder = document.holders.get(name)
        domains = [
            ("zone", member.zone),
            ("fault domain", member.fault_domain),
            ("update domain", member.update_domain),
        ]
        place = ", ".join(f"{label} {value}" for label, value in domains if value is not None)
        state = "available"
        if holder:
            state = f"out for {ago(now - holder.since)}{', beyond the limits' if holder.forced else ''}"
        out(f"{name}: {state}" + (f" ({place})" if place else ""))
    for name in sorted(set(document.holders) - set(document.members)):
        out(f"{name}: holds a slot and is no member")
    for line in fleet_orders(document, now):
        out(line)
    return OK


def fleet_orders(document: FleetDocument, now: float) -> list[str]:
    """The fleet's hold and opened windows, a sentence each."""
    lines = []
    if document.hold and (document.hold.until is None or now < document.hold.until):
        until = f" until {moment(document.hold.until)}" if document.hold.until else ""
        lines.append(f"approvals of the fleet are on hold{until} by {document.hold.by}: {document.hold.reason or '-'}")
    for window in document.windows:
        whose = "the fleet" if window.vms is None else ", ".join(window.vms)
        if now < window.span.end:
            lines.append(f"a window is open for {whose} until {moment(window.span.end)}: {window.span.reason or '-'}")
    return lines


def load_fleet(config: Config) -> FleetDocument:
    """The fleet document. Raises CommandError."""
    if config.fleet.store == "memory":
        raise CommandError("this VM is a fleet of its own: fleet.store is memory")
    try:
        return make_store(config).load()[0]
    except (StoreError, FleetFormatError) as exc:
        raise CommandError(f"the fleet document cannot be used: {exc}") from exc


def events(config: Config, options: argparse.Namespace) -> int:
    """What the metadata service shows."""
    with ImdsClient(config.endpoint, policy=PATIENCE) as client:
        try:
            require_service(config)
            name = config.vm_name or identify(client).name
            document = ScheduledEvents(client, api_version=config.api_version).read()
        except ImdsError as exc:
            raise CommandError(str(exc)) from exc
    shown = [event for event in document.events if event.touches(name) or not options.mine]
    if options.json:
        listed = [{**event.as_dict(), "mine": event.touches(name)} for event in shown]
        out_json(
            {"vm_name": name, "incarnation": document.incarnation, "events": listed, "problems": document.problems}
        )
        return OK
    if not shown:
        out("no events")
    for event in shown:
        when = "started" if event.not_before is None else f"not before {moment(event.not_before)}"
        mine = "" if event.touches(name) else " (not this VM)"
        out(f"{event.event_id}  {event.event_type} {event.event_status.lower()}, {when}{mine}")
        out(f"    {', '.join(event.resources)}; {event.event_source or 'source not told'}; {event.description}")
    for problem in document.problems:
        sys.stderr.write(f"an entry cannot be read: {problem}\n")
    return OK


def history(config: Config, options: argparse.Namespace) -> int:
    """What was done, and why."""
    path = os.path.join(config.state_dir, "history.jsonl")
    lines: list[str] = []
    for name in (path + ".1", path):
        try:
            with open(name, encoding="utf-8") as stream:
                lines += stream.readlines()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise CommandError(f"{name} cannot be read: {exc.strerror}") from exc
    if not lines:
        out("nothing was done yet")
    for line in lines[-options.lines :]:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last line before a power cut may be torn
        if options.json:
            out(json.dumps(entry, sort_keys=True))
        else:
            out(_history_line(entry))
    return OK


def _history_line(entry: t.Mapping[str, t.Any]) -> str:
    known = ("time", "step", "event", "why", "vm")
    extra = "".join(f" {name}={value}" for name, value in sorted(entry.items()) if name not in known)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["time"]))
    return f"{at}  {(entry['event'] or 'host')[:8]:<8}  {entry['step']}{extra}: {entry['why']}"


def check_config(_config: Config, options: argparse.Namespace) -> int:
    """Reading it was the check."""
    out(f"{options.config}: no problem found")
    return OK
