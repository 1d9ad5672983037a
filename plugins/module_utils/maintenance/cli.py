# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The command ``azure-maintenance``: its line, and where each of its words leads."""

from __future__ import annotations

import argparse
import sys
import typing as t

from ..imds.version import VERSION
from .config import Config, ConfigError, load
from .shipped.names import NAMES, PHASES

DEFAULT_CONFIG = "/etc/azure-maintenance/config.json"
# Exit statuses, beside 2 for a wrong command line (argparse). The last is EX_CONFIG of sysexits.h.
OK, FAILURE, BAD_CONFIG = 0, 1, 78

Call = t.Callable[[Config, argparse.Namespace], int]
_EPILOG = (
    "Exit status: 0 done, 1 it could not be done or something is wrong, 2 wrong command line, 78 wrong configuration."
)


class CommandError(Exception):
    """What was asked for cannot be done; the text says why and what to do."""


def build_parser(default_config: str = DEFAULT_CONFIG) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="azure-maintenance",
        description="Drains this Azure VM before scheduled maintenance, approves it once all are ready, and resumes.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"azure-maintenance {VERSION}")
    parser.add_argument(
        "--config", default=default_config, metavar="FILE", help=f"the configuration (default: {default_config})"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_looking(commands)
    _add_ordering(commands)
    _add_checking(commands)
    return parser


def _add(commands: t.Any, name: str, text: str, call: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(call=call)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def _add_looking(commands: t.Any) -> None:
    _add(commands, "run", "run the handler in the foreground, as the service does", "run")
    status = _add(commands, "status", "show how this VM stands, and what it waits for", "status")
    _json(status)
    status.add_argument(
        "--fleet", action="store_true", help="the fleet document instead: members, slots, holds, windows"
    )
    events = _add(commands, "events", "ask the metadata service for the events that this VM is shown", "events")
    _json(events)
    events.add_argument("--mine", action="store_true", help="only those that touch this VM")
    history = _add(commands, "history", "show what the handler did, and why", "history")
    _json(history)
    history.add_argument(
        "-n", dest="lines", type=_count, default=40, metavar="N", help="the last N steps (default: 40)"
    )


def _add_ordering(commands: t.Any) -> None:
    approve = _add(commands, "approve", "approve an event whatever holds and windows say", "approve")
    approve.add_argument("event", metavar="EVENT", help="its EventId, the beginning of it, or 'all' of this VM")
    approve.add_argument("--undo", action="store_true", help="leave it to holds and windows again")
    approve.add_argument(
        "--now",
        action="store_true",
        help="send the approval at once instead of telling the handler, which would drain and wait for the other VMs",
    )
    approve.add_argument("--force", action="store_true", help="with --now: even when a VM of the event is not ready")
    hold = _add(commands, "hold", "hold all approvals", "hold")
    _span(hold)
    hold.add_argument("--fleet", action="store_true", help="for the whole fleet")
    release = _add(commands, "release", "end a hold", "release")
    release.add_argument("--fleet", action="store_true", help="that of the whole fleet")
    window = _add(commands, "window", "open a maintenance window by hand, close it, or list all", "window")
    window.add_argument(
        "what", choices=["list", "open", "close"], help="close ends every window that was opened by hand"
    )
    _span(window)
    window.add_argument("--fleet", action="store_true", help="for the whole fleet")
    window.add_argument(
        "--vm", action="append", metavar="NAME", help="with --fleet: for these VMs only; may be repeated"
    )


def _span(parser: argparse.ArgumentParser) -> None:
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--for", dest="duration", metavar="TIME", help="such as 90s, 30m, 2h or 1d")
    when.add_argument(
        "--until", metavar="MOMENT", help="such as 2026-12-24T18:00, local time unless it says its offset"
    )
    parser.add_argument("--reason", default="", help="shown wherever it makes a difference")


def _add_checking(commands: t.Any) -> None:
    _add(commands, "check-config", "say what is wrong with the configuration", "check_config")
    doctor = _add(commands, "doctor", "look for whatever could keep the handler from its work", "doctor")
    _json(doctor)
    rehearse = _add(
        commands, "rehearse", "run an invented event through the installed hooks; Azure hears nothing", "rehearse"
    )
    rehearse.add_argument("--type", default="Reboot", choices=["Freeze", "Reboot", "Redeploy", "Preempt", "Terminate"])
    rehearse.add_argument(
        "--outage", type=float, default=3.0, metavar="S", help="seconds that Azure takes (default: 3)"
    )
    rehearse.add_argument("--list", action="store_true", help="only say which hooks would run")
    rehearse.add_argument("--yes", action="store_true", help="do not ask before draining this VM for real")
    hook = _add(commands, "hook", "run a hook of a shipped set, as the files in the hook directories do", "hook")
    hook.add_argument("set", choices=list(NAMES), metavar="SET", help=f"one of {', '.join(NAMES)}")
    hook.add_argument("phase", choices=[*PHASES, "check"], help="check only looks at its settings")
    completion = _add(commands, "completion", "print a completion script for a shell", "completion")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def main(arguments: t.Sequence[str] | None = None, *, default_config: str = DEFAULT_CONFIG) -> int:
    """Run the command. Returns its exit status."""
    options = build_parser(default_config).parse_args(arguments)
    options.parser = lambda: build_parser(default_config)
    try:
        if options.call == "completion":  # it needs no configuration
            return _call(options.call)(t.cast("Config", None), options)
        if options.call == "doctor":  # it tells of a wrong configuration among other things
            from .doctor import command

            return command(options)
        return _call(options.call)(load(options.config), options)
    except ConfigError as exc:
        sys.stderr.write(f"{exc}\n")
        return BAD_CONFIG
    except CommandError as exc:
        sys.stderr.write(f"azure-maintenance: {exc}\n")
        return FAILURE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # of | head
        sys.stderr.close()
        return FAILURE


def _call(name: str) -> Call:
    """The function behind a command, imported only when it is wanted."""
    if name == "run":
        from .service import command as run

        return run
    if name == "rehearse":
        from .rehearsal import command as rehearse

        return rehearse
    if name == "completion":
        from .completion import command as completion

        return completion
    if name == "hook":
        from .shipped.registry import command as hook

        return hook
    if name in ("status", "events", "history", "check_config"):
        from . import looking

        return t.cast("Call", getattr(looking, name))
    from . import ordering

    return t.cast("Call", getattr(ordering, name))


__all__ = ["BAD_CONFIG", "FAILURE", "OK", "CommandError", "build_parser", "main"]
