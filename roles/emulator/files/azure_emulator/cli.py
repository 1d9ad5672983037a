# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``azure-emulator``. All subcommands but ``serve``, ``check``, ``generate`` and ``play`` are clients."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from azure_emulator import __version__
from azure_emulator.client import ControlClient
from azure_emulator.errors import EmulatorError, InputError
from azure_emulator.events.kinds import EVENT_TYPES
from azure_emulator.events.operations import OPERATIONS
from azure_emulator.faults import FAULT_CATEGORIES, FAULTS
from azure_emulator.fleet.generate import as_yaml, generate
from azure_emulator.fleet.loading import load_fleet
from azure_emulator.reading import did_you_mean
from azure_emulator.reporting import print_events, print_faults, print_fleet, print_log, print_requests, print_vms

if TYPE_CHECKING:
    from collections.abc import Sequence

PORT = 8169
CONTROL_PORT = 8170
RESOURCE_MANAGER_PORT = 8171
CONTROL_VARIABLE = "AZURE_EMULATOR_CONTROL"
_POLL = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (it went wrong) or 2 (it was called wrongly)."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except InputError as exc:
        sys.stderr.write(f"azure-emulator: {exc}\n")
        return 2
    except EmulatorError as exc:
        sys.stderr.write(f"azure-emulator: {exc}\n")
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


# The parser


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest name that would be right."""

    def error(self, message: str) -> NoReturn:
        found = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if found:
            hint = did_you_mean(found[1], [name.strip(" '") for name in found[2].split(",")])
            message = f"{message[: found.start()]}no {found[1]!r}{hint}"
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The command's parser."""
    command = _Parser(
        prog="azure-emulator",
        description="A local Azure: metadata services, scheduled events and Resource Manager of a fleet of VMs.",
    )
    command.add_argument("--version", action="version", version=__version__)
    commands = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_local(commands)
    _add_event_commands(commands)
    _add_reading_commands(commands)
    _add_fault_commands(commands)
    _add_time_commands(commands)
    return command


def _command(commands: Any, name: str, run: Any, help_text: str, *, client: bool = True) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    command.set_defaults(run=run)
    if client:
        default = os.environ.get(CONTROL_VARIABLE, f"http://127.0.0.1:{CONTROL_PORT}")
        command.add_argument(
            "--control", default=default, metavar="URL", help=f"control address (environment {CONTROL_VARIABLE})"
        )
        command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _add_serve(commands: Any) -> None:
    serve = _command(commands, "serve", _serve, "Serve a fleet until SIGINT or SIGTERM.", client=False)
    serve.add_argument("--fleet", required=True, type=Path, metavar="FILE", help="fleet file (YAML)")
    serve.add_argument(
        "--network",
        default="127.80.0.0/16",
        help="the VMs' addresses come from here; of a /32 they get a port each (%(default)s)",
    )
    serve.add_argument(
        "--port", type=_port, default=PORT, metavar="PORT", help="of every VM; 0 for a free one (%(default)s)"
    )
    serve.add_argument(
        "--control-address",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="of the control side and of Resource Manager (%(default)s)",
    )
    serve.add_argument("--control-port", type=_port, default=CONTROL_PORT, help="0 for a free one (%(default)s)")
    serve.add_argument(
        "--resource-manager-port",
        type=_port,
        help=f"0 for a free one ({RESOURCE_MANAGER_PORT}; a free one if --port is 0)",
    )
    serve.add_argument("--clock", choices=("real", "virtual"), default="real", help="virtual: it stands until advanced")
    serve.add_argument("--time-scale", type=float, default=1.0, metavar="N", help="seconds that pass in a real one")
    serve.add_argument("--start", type=_moment, metavar="TIME", help="first reading, such as 2026-01-05T08:00:00Z")
    limits = serve.add_mutually_exclusive_group()
    limits.add_argument(
        "--rate-limit",
        dest="rate_limit",
        action="store_true",
        default=None,
        help="hold the rates, whatever the file says",
    )
    limits.add_argument(
        "--no-rate-limit", dest="rate_limit", action="store_false", help="hold none, whatever the file says"
    )
    serve.add_argument(
        "--journal-limit", type=int, default=10_000, metavar="N", help="requests to remember (%(default)s)"
    )
    serve.add_argument(
        "--shared-address", metavar="ADDRESS:PORT", help="one address for all VMs, told apart by the caller's address"
    )
    serve.add_argument("--tls", action="store_true", help="TLS on the Resource Manager side, by the emulator's own CA")
    serve.add_argument("--ca-directory", type=Path, metavar="DIRECTORY", help="keep the CA there for further runs")
    serve.add_argument("--allow-non-loopback", action="store_true", help="others may reach and control it")


def _add_local(commands: Any) -> None:
    check = _command(commands, "check", _check, "Check a fleet file.", client=False)
    check.add_argument("fleet", type=Path, metavar="FILE", help="fleet file (YAML)")
    make = _command(commands, "generate", _generate, "Print a fleet file of any size.", client=False)
    make.add_argument("--vms", type=int, default=10, help="how many (%(default)s)")
    play = _command(
        commands, "play", _play, "Play scenarios; exit status 1 when one does not go as it says.", client=False
    )
    play.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="a file, or the name of a shipped one")
    play.add_argument("--list", action="store_true", help="show the shipped ones")
    play.add_argument("--control", metavar="URL", help="play on an emulator that runs already, at its pace")
    play.add_argument("--clock", choices=("real", "virtual"), default="virtual", help="of an emulator of its own")
    play.add_argument("--time-scale", type=float, default=1.0, metavar="N", help="seconds that pass in a real one")
    make.add_argument("--location", default="westeurope", help="region (%(default)s)")


def _add_event_commands(commands: Any) -> None:
    schedule = _command(commands, "schedule", _schedule, "Schedule an event.")
    schedule.add_argument("type", choices=EVENT_TYPES, help="what Azure announces")
    schedule.add_argument("resources", nargs="+", metavar="VM", help="all of one availability set or placement group")
    seconds = (
        ("--not-before", "earliest start from now; else the type's minimum notice"),
        ("--impact", "how long the VMs are away"),
        ("--impact-after", "from the start to the begin of the impact"),
        ("--settle", "from the end of the impact to the end of the event"),
        ("--start-after-approval", "from the approval to the start"),
        ("--other-tenants", "when the host's last other tenant approves"),
    )
    for option, help_text in seconds:
        schedule.add_argument(option, type=float, metavar="SECONDS", help=help_text)
    schedule.add_argument("--duration", type=int, metavar="SECONDS", help="DurationInSeconds as shown")
    schedule.add_argument("--source", choices=("Platform", "User"), help="EventSource; else the type's")
    schedule.add_argument("--description", metavar="TEXT", help="Description; else what Azure usually says")
    schedule.add_argument("--impact-type", choices=(*EVENT_TYPES, "None"), help="what really happens")
    schedule.add_argument("--coupled", metavar="WORD", help="wait for the approval of others with this word")
    schedule.add_argument("--event-id", metavar="GUID", help="EventId; else a made-up one")
    schedule.add_argument("--started", action="store_true", default=None, help="a sudden hardware failure")
    cancel = _command(commands, "cancel", _cancel, "Cancel a scheduled event.")
    cancel.add_argument("event_id", metavar="EVENTID", help="as it is listed, in any case")
    move = _command(commands, "reschedule", _reschedule, "Change an event's NotBefore.")
    move.add_argument("event_id", metavar="EVENTID", help="as it is listed, in any case")
    move.add_argument("not_before", type=float, metavar="SECONDS", help="from now")
    change = _command(commands, "change", _change, "Give a VM other tags or user data.")
    change.add_argument("vm", metavar="VM", help="which VM")
    change.add_argument(
        "--tag",
        dest="tags",
        type=_tag,
        action="append",
        metavar="NAME=VALUE",
        help="a tag; those that are given are all it has then",
    )
    change.add_argument("--user-data", metavar="BASE64", help="its user data from now on")
    operate = _command(commands, "operate", _operate, "Do what a user does to VMs.")
    operate.add_argument("operation", choices=OPERATIONS, help="what to do")
    operate.add_argument("resources", nargs="+", metavar="VM", help="to which VMs")


def _add_reading_commands(commands: Any) -> None:
    _command(commands, "fleet", _fleet, "Show the VMs, their addresses and states.")
    events = _command(commands, "events", _events, "Show all events.")
    events.add_argument("--open", action="store_true", help="only those in the document")
    requests = _command(commands, "requests", _requests, "Show the requests that the services got.")
    requests.add_argument("--vm", help="only those to its service")
    requests.add_argument("--category", help="only those of a category or call")
    requests.add_argument("--since", type=int, metavar="SEQ", help="only newer ones")
    requests.add_argument("--clear", action="store_true", help="forget them afterwards")
    log = _command(commands, "log", _log, "Show what happened.")
    log.add_argument("--since", type=int, default=0, metavar="SEQ", help="only newer entries")


def _add_fault_commands(commands: Any) -> None:
    fault = _command(commands, "fault", _fault, "Have something go wrong.")
    fault.add_argument("fault", choices=FAULTS, metavar="FAULT", help=", ".join(FAULTS))
    fault.add_argument("--vm", dest="vms", action="append", metavar="VM", help="only this one; may be repeated")
    fault.add_argument("--category", choices=FAULT_CATEGORIES, metavar="CATEGORY", help=", ".join(FAULT_CATEGORIES))
    fault.add_argument("--method", choices=("GET", "POST"), help="only such requests")
    fault.add_argument("--subscription-id", metavar="GUID", help="Resource Manager: only this subscription")
    fault.add_argument("--count", type=int, help="how many requests it hits")
    fault.add_argument("--skip", type=int, help="how many it lets pass first")
    fault.add_argument("--probability", type=float, help="0 to 1: how likely it hits")
    fault.add_argument("--seed", help="what chance derives from")
    fault.add_argument("--lasts", type=float, metavar="SECONDS", help="after which it ends")
    fault.add_argument("--seconds", type=float, help="of a delay, or until a hang ends in a reset")
    fault.add_argument("--retry-after", type=int, metavar="SECONDS", help="add such a header")
    fault.add_argument("--error", help="error text")
    fault.add_argument("--value", help="region_lag: the newest api-version")
    faults = _command(commands, "faults", _faults, "Show the faults, or end them.")
    faults.add_argument("--clear", action="store_true", help="end all")
    faults.add_argument("--remove", metavar="ID", help="end one")


def _add_time_commands(commands: Any) -> None:
    _command(commands, "clock", _clock, "Show the clock.")
    advance = _command(commands, "advance", _advance, "Put the clock forward.")
    advance.add_argument("seconds", type=float, metavar="SECONDS", help="by how many")
    wait = _command(commands, "wait-idle", _wait_idle, "Wait until no event is open.")
    wait.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="real ones (%(default)s)")
    wait.add_argument("--advance", action="store_true", help="put a virtual clock forward meanwhile")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)


def _tag(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not name or not mark:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-01-05T08:00:00Z") from exc
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


# Commands without a running emulator


def _serve(options: argparse.Namespace) -> int:
    # Imported here, for the other commands start faster without a web server.
    from azure_emulator.server.runtime import Addresses  # noqa: PLC0415 - see above
    from azure_emulator.serving import Options, serve  # noqa: PLC0415 - see above

    manager = options.resource_manager_port
    if manager is None:
        manager = RESOURCE_MANAGER_PORT if options.port else 0
    addresses = Addresses(
        network=options.network,
        port=options.port,
        control_address=options.control_address,
        control_port=options.control_port,
        resource_manager_port=manager,
        allow_non_loopback=options.allow_non_loopback,
        shared=options.shared_address,
        tls=options.tls,
    )
    return serve(
        Options(
            fleet=options.fleet,
            addresses=addresses,
            clock=options.clock,
            time_scale=options.time_scale,
            start=options.start,
            rate_limit=options.rate_limit,
            journal_limit=options.journal_limit,
            ca_directory=options.ca_directory,
        )
    )


def _check(options: argparse.Namespace) -> None:
    fleet = load_fleet(options.fleet)
    counts = {
        "VMs": len(fleet.vms),
        "subscriptions": len(fleet.subscriptions),
        "availability sets": len(fleet.availability_sets),
        "scale sets": len(fleet.scale_sets),
    }
    sys.stdout.write(f"{options.fleet}: {', '.join(f'{name} {count}' for name, count in counts.items())}\n")


def _generate(options: argparse.Namespace) -> None:
    if options.vms < 1:
        raise InputError("--vms", "a fleet has at least one VM")
    sys.stdout.write(as_yaml(generate(options.vms, location=options.location)))


def _play(options: argparse.Namespace) -> int:
    from azure_emulator.playing.running import find, load, play, shipped  # noqa: PLC0415 - as in _serve

    if options.list:
        for name, path in shipped().items():
            sys.stdout.write(f"{name:<24} {load(path)[0].name}\n")
        return 0
    if not options.scenarios:
        raise InputError("play", "name a scenario, or show the shipped ones with --list")
    paths = [find(name) for name in options.scenarios]
    verdicts = [
        play(path, control=options.control, clock=options.clock, time_scale=options.time_scale) for path in paths
    ]
    return 0 if all(verdicts) else 1


# Clients


def _client(options: argparse.Namespace) -> ControlClient:
    return ControlClient(options.control)


def _show(options: argparse.Namespace, value: Any, text: Any) -> None:
    if options.json:
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        text(value)


def _given(options: argparse.Namespace, *left_out: str) -> dict[str, Any]:
    names = {"run", "control", "json", *left_out}
    return {name: value for name, value in vars(options).items() if name not in names and value is not None}


def _schedule(options: argparse.Namespace) -> None:
    event = _client(options).schedule(options.type, options.resources, **_given(options, "type", "resources"))
    _show(options, event, lambda e: print_events([e]))


def _cancel(options: argparse.Namespace) -> None:
    _show(options, _client(options).cancel(options.event_id), lambda e: print_events([e]))


def _reschedule(options: argparse.Namespace) -> None:
    event = _client(options).reschedule(options.event_id, options.not_before)
    _show(options, event, lambda e: print_events([e]))


def _operate(options: argparse.Namespace) -> None:
    result = _client(options).operate(options.operation, options.resources)
    _show(options, result, lambda r: print_events(r["events"]))


def _change(options: argparse.Namespace) -> None:
    changes = _given(options, "vm", "tags")
    if options.tags is not None:
        changes["tags"] = dict(options.tags)
    if not changes:
        raise InputError("change", "say what: --tag or --user-data")
    _show(options, _client(options).change_vm(options.vm, **changes), lambda vm: print_vms([vm]))


def _fleet(options: argparse.Namespace) -> None:
    _show(options, _client(options).fleet(), print_fleet)


def _events(options: argparse.Namespace) -> None:
    _show(options, _client(options).events(only_open=options.open), print_events)


def _requests(options: argparse.Namespace) -> None:
    client = _client(options)
    _show(options, client.requests(options.vm, category=options.category, since=options.since), print_requests)
    if options.clear:
        client.clear_requests()


def _log(options: argparse.Namespace) -> None:
    _show(options, _client(options).log(options.since), print_log)


def _fault(options: argparse.Namespace) -> None:
    _show(options, _client(options).add_fault(**_given(options)), lambda f: print_faults([f]))


def _faults(options: argparse.Namespace) -> None:
    client = _client(options)
    if options.remove:
        client.remove_fault(options.remove)
    if options.clear:
        client.clear_faults()
    _show(options, client.faults(), print_faults)


def _print_clock(clock: dict[str, Any]) -> None:
    pace = f"{clock['scale']:g} seconds a second" if clock["mode"] == "real" else "stands until advanced"
    sys.stdout.write(f"{clock['now_text']}  {clock['mode']}, {pace}\n")


def _clock(options: argparse.Namespace) -> None:
    _show(options, _client(options).clock(), _print_clock)


def _advance(options: argparse.Namespace) -> None:
    _show(options, _client(options).advance(options.seconds), _print_clock)


def _wait_idle(options: argparse.Namespace) -> int:
    client, deadline = _client(options), time.monotonic() + options.timeout
    while not (idle := client.idle())["idle"]:
        if time.monotonic() >= deadline:
            raise EmulatorError(f"{idle['open_events']} events are still open after {options.timeout:g} s")
        if options.advance and idle["next_due"] is not None:
            client.advance(max(0.0, idle["next_due"] - idle["now"]))
        elif client.clock()["mode"] == "virtual":
            raise EmulatorError("the clock is virtual and stands: use --advance, or azure-emulator advance")
        else:
            time.sleep(_POLL)
    return 0


__all__ = ["CONTROL_PORT", "CONTROL_VARIABLE", "PORT", "RESOURCE_MANAGER_PORT", "main", "parser"]
