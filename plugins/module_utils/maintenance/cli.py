# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The command ``azure-maintenance``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import typing as t

from .clock import make_clock
from .config import Config, ConfigError, load

DEFAULT_CONFIG = "/etc/azure-maintenance/config.json"
# Exit statuses beside 0: a failure of the thing itself, a wrong command line (argparse), a wrong configuration.
FAILURE = 1
BAD_CONFIG = 78


def build_parser(default_config: str = DEFAULT_CONFIG) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="azure-maintenance",
        description="Drains this Azure VM before scheduled maintenance, approves it once all are ready, and resumes.",
    )
    parser.add_argument(
        "--config", default=default_config, metavar="FILE", help=f"the configuration (default: {default_config})"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="run the handler in the foreground, as the service does").set_defaults(call=_run)
    status = commands.add_parser("status", help="show how this VM stands, and why")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(call=_status)
    commands.add_parser("check-config", help="say what is wrong with the configuration").set_defaults(call=_check)
    return parser


def main(arguments: t.Sequence[str] | None = None, *, default_config: str = DEFAULT_CONFIG) -> int:
    """Run the command. Returns its exit status."""
    options = build_parser(default_config).parse_args(arguments)
    try:
        config = load(options.config)
    except ConfigError as exc:
        sys.stderr.write(f"{exc}\n")
        return BAD_CONFIG
    return t.cast("int", options.call(config, options))


def _run(config: Config, options: argparse.Namespace) -> int:
    from .service import Service

    for directory in (config.state_dir, config.run_dir):
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as exc:
            sys.stderr.write(f"{directory} cannot be made: {exc.strerror}\n")
            return FAILURE
    return Service(options.config, config).run()


def _check(_config: Config, options: argparse.Namespace) -> int:
    sys.stdout.write(f"{options.config}: no problem found\n")
    return 0


def _status(config: Config, options: argparse.Namespace) -> int:
    from .status import render

    path = os.path.join(config.run_dir, "status.json")
    try:
        with open(path, encoding="utf-8") as stream:
            status = json.load(stream)
    except FileNotFoundError:
        sys.stderr.write(f"{path} does not exist: the handler has not run since the machine started\n")
        return FAILURE
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"{path} cannot be read: {exc}\n")
        return FAILURE
    alive = _alive(status["pid"])
    if options.json:
        sys.stdout.write(json.dumps({**status, "running": alive}, indent=1, sort_keys=True) + "\n")
    else:
        sys.stdout.write(render(status, now=make_clock(config.clock).wall()))
    if not alive:
        since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(status["time"]))
        sys.stderr.write(f"the handler does not run; this is of {since}\n")
    return 0 if alive else FAILURE


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


__all__ = ["build_parser", "main"]
