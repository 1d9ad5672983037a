# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Commands that change what the handler does: approve, hold, release, window."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import pwd
import socket
import sys
import typing as t

from ..imds.client import ImdsClient
from ..imds.errors import ImdsError
from ..imds.scheduled_events import SCHEDULED, Event, EventsDocument, ScheduledEvents
from . import model as m
from .cli import FAILURE, OK, CommandError
from .clock import make_clock
from .config import Config
from .decide import Operator
from .fleet.document import FleetDocument, FleetFormatError, FleetWindow, missing
from .fleet.store import StoreError, update
from .looking import PATIENCE, fleet_orders, load_fleet, out, read_status
from .orders import OperatorFile
from .service import identify, make_store, require_service
from .status import moment
from .windows import Hold, Span, opening, parse_moment

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DEFAULT_WINDOW = 3600.0


def parse_duration(text: str) -> float:
    """Seconds in ``90``, ``90s``, ``30m``, ``2h`` or ``1d``. Raises CommandError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise CommandError(f"{text!r} is no stretch of time such as 90s, 30m, 2h or 1d")
    return seconds


def end_of(options: argparse.Namespace, now: float, default: float | None) -> float | None:
    """When what was ordered ends: epoch seconds, or None for never. Raises CommandError."""
    if options.duration is not None:
        return now + parse_duration(options.duration)
    if options.until is None:
        return None if default is None else now + default
    zone = dt.datetime.fromtimestamp(now).astimezone().tzinfo
    try:
        until = parse_moment(options.until, t.cast("dt.tzinfo", zone))
    except ValueError as exc:
        raise CommandError(str(exc)) from exc
    if until <= now:
        raise CommandError(f"{options.until} is over")
    return until


def person() -> str:
    """Who orders: the user behind sudo, and the host."""
    user = os.environ.get("SUDO_USER")
    if not user:
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _orders(config: Config) -> tuple[OperatorFile, Operator, float]:
    now = make_clock(config.clock).wall()
    file = OperatorFile(os.path.join(config.state_dir, "operator.json"))
    return file, file.read(now), now


def _order(file: OperatorFile, orders: Operator) -> None:
    try:
        file.write(orders)
    except OSError as exc:
        raise CommandError(f"{file.path} cannot be written: {exc.strerror}; are you root?") from exc


def _change_fleet(config: Config, change: t.Callable[[FleetDocument], FleetDocument]) -> None:
    load_fleet(config)
    try:
        update(make_store(config), lambda document: (change(document), None))
    except (StoreError, FleetFormatError) as exc:
        raise CommandError(f"the fleet document cannot be changed: {exc}") from exc


def hold(config: Config, options: argparse.Namespace) -> int:
    """Hold approvals, here or everywhere."""
    file, orders, now = _orders(config)
    until = end_of(options, now, None)
    new = Hold(until, options.reason, person())
    if options.fleet:
        _change_fleet(config, lambda document: document._replace(hold=new))
    else:
        _order(file, orders._replace(hold=new))
    whose = "the fleet" if options.fleet else "this VM"
    out(f"approvals of {whose} are on hold{f' until {moment(until)}' if until else ''}")
    out("Azure still goes ahead at NotBefore, and this VM is still drained before that")
    return OK


def release(config: Config, options: argparse.Namespace) -> int:
    """End a hold."""
    file, orders, _now = _orders(config)
    if options.fleet:
        held = load_fleet(config).hold is not None
        _change_fleet(config, lambda document: document._replace(hold=None))
    else:
        held = orders.hold is not None
        _order(file, orders._replace(hold=None))
    out("released" if held else "nothing was on hold")
    return OK


def window(config: Config, options: argparse.Namespace) -> int:
    """Windows that a person opens."""
    if options.vm and not options.fleet:
        raise CommandError("--vm goes with --fleet; without it the window is this VM's")
    file, orders, now = _orders(config)
    if options.what == "list":
        return _list_windows(config, orders, now)
    if options.what == "close":
        if options.fleet:
            _change_fleet(config, lambda document: document._replace(windows=()))
        else:
            _order(file, orders._replace(windows=()))
        out("closed")
        return OK
    span = Span(now, t.cast("float", end_of(options, now, DEFAULT_WINDOW)), options.reason)
    if options.fleet:
        new = FleetWindow(span, person(), tuple(options.vm) if options.vm else None)
        _change_fleet(config, lambda document: document._replace(windows=(*document.windows, new)))
    else:
        _order(file, orders._replace(windows=(*orders.windows, span)))
    out(f"open until {moment(span.end)}")
    return OK


def _list_windows(config: Config, orders: Operator, now: float) -> int:
    fleet_windows: list[Span] = []
    if config.fleet.store != "memory":
        document = load_fleet(config)
        fleet_windows = [w.span for w in document.windows]
        for line in fleet_orders(document, now):
            out(line)
    state = opening(
        config.schedule, now, extra=(*orders.windows, *fleet_windows), holds=[orders.hold] if orders.hold else []
    )
    until = f" until {moment(state.until)}" if state.until else ""
    out(f"approvals are {'welcome' if state.open else 'not welcome'}{until}: {state.why}")
    for recurring in config.schedule.windows:
        out(f"every {recurring.text}")
    for freeze in config.schedule.freezes:
        out(f"no approvals from {moment(freeze.start)} to {moment(freeze.end)}: {freeze.reason}")
    return OK


def approve(config: Config, options: argparse.Namespace) -> int:
    """Let the handler go ahead, or send the approval oneself."""
    if options.now:
        return _approve_now(config, options)
    if options.force:
        raise CommandError("--force goes with --now; the handler always drains, and waits for the other VMs")
    file, orders, _now = _orders(config)
    if options.event == "all":
        key = "*"
    else:
        known = [event["event_id"] for event in read_status(config)["events"] if event["state"] != m.DONE]
        key = _pick(options.event, known).lower()
    force = orders.force - {key} if options.undo else orders.force | {key}
    _order(file, orders._replace(force=frozenset(force)))
    out(
        "left to holds and windows again"
        if options.undo
        else "approved as soon as this VM is drained and all are ready"
    )
    return OK


def _pick(wanted: str, known: t.Sequence[str]) -> str:
    """The one event that starts so. Raises CommandError."""
    found = [event_id for event_id in known if event_id.lower().startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(known) or "none at all"
    problem = "several events start with" if found else "no event of this VM starts with"
    raise CommandError(f"{problem} {wanted}; there are: {listed}")


def _approve_now(config: Config, options: argparse.Namespace) -> int:
    with ImdsClient(config.endpoint, policy=PATIENCE) as client:
        try:
            require_service(config)
            name = config.vm_name or identify(client).name
            source = ScheduledEvents(client, api_version=config.api_version)
            document = source.read()
            chosen = _chosen(document, options.event, name)
            for event in chosen:
                obstacle = _not_ready(config, event, name)
                if obstacle and not options.force:
                    raise CommandError(
                        f"{event.event_id} is not approved: {obstacle}; --force approves it all the same"
                    )
                approval = source.approve(event.event_id)
                if approval.sent:
                    out(f"approved {event.event_id}, {event.event_type} of {', '.join(event.resources)}")
                else:
                    out(f"{event.event_id} has started or is over; nothing was sent")
        except ImdsError as exc:
            sys.stderr.write(f"{exc}\n")
            return FAILURE
    if not chosen:
        out("nothing to approve")
    return OK


def _chosen(document: EventsDocument, wanted: str, name: str) -> list[Event]:
    mine = [e for e in document.events if e.touches(name)]
    if wanted == "all":
        return [e for e in mine if e.event_status == SCHEDULED]
    event_id = _pick(wanted, [e.event_id for e in mine])
    return [e for e in mine if e.event_id == event_id]


def _not_ready(config: Config, event: Event, name: str) -> str:
    """Why an event should not be approved yet, or nothing."""
    status = read_status(config)
    if status["service"] != m.HOST_DRAINED:
        return f"{name} is {status['service'].replace('_', ' ')}"
    others = [vm for vm in event.resources if vm.lower() != name.lower()]
    if not others:
        return ""
    if config.fleet.store == "memory":
        return f"it also touches {', '.join(others)}, of which nothing is known here"
    awaited = missing(load_fleet(config), event, assume_ready=config.assume_ready)
    return f"{', '.join(awaited)} is not ready" if awaited else ""
