# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events on a real host of the lab: each story disturbs one at one moment, and ends with the host back in service.

What the hooks write into a diary is compared with what Azure (the emulator) saw. Held in every story: one approval,
drained before and resumed once after, the handler alive and the host in service at the end.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from azure_emulator.client import ControlClient

HOST = "web-0"
UNIT = "azure-maintenance.service"
PATIENCE = 120.0
GUIDE = Path(__file__).parents[3] / "docs/docsite/rst/maintenance_hosts.rst"
BEGIN, END = ".. stories begins", ".. stories ends"


class StoryError(AssertionError):
    """A story did not end as it should."""


class Row(NamedTuple):
    """What was seen: the disturbance, during what, what the hook did, and seconds until the handler was back."""

    disturbance: str
    during: str
    seen: str
    seconds: float


class Host:
    """The host, its diary and its handler."""

    def __init__(self) -> None:
        self.azure = ControlClient("http://127.0.0.1:8170")

    def podman(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["podman", "--log-level=error", *arguments], capture_output=True, encoding="utf-8", check=False
        )
        if check and done.returncode:
            raise StoryError(f"podman {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def sh(self, script: str, *, check: bool = True) -> str:
        return self.podman("exec", HOST, "sh", "-c", script, check=check).strip()

    def diary(self) -> list[str]:
        return self.sh("cat /var/log/diary 2>/dev/null || true", check=False).splitlines()

    def show(self, name: str, unit: str = UNIT) -> str:
        return self.sh(f"systemctl show --property={name} --value {unit}", check=False)

    def main_pid(self) -> int:
        return int(self.show("MainPID") or 0)

    def hook_unit(self) -> str:
        listing = self.sh("systemctl list-units --plain --no-legend 'azure-maintenance-hook-*.service'")
        return listing.split()[0] if listing else ""

    def status(self) -> dict[str, Any]:
        text = self.sh("azure-maintenance status --json 2>/dev/null", check=False)
        return json.loads(text) if text.startswith("{") else {}

    def wait(self, what: str, condition: Callable[[], Any]) -> float:
        """Until it is so; returns the seconds."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > PATIENCE:
                log = self.sh(f"journalctl --no-pager --lines=40 --unit={UNIT}", check=False)
                raise StoryError(f"not within {PATIENCE:.0f} s: {what}\n{self.diary()}\n{log}")
            time.sleep(0.1)
        return time.monotonic() - began

    def reset(self) -> None:
        self.wait("the handler reads events", lambda: self.status().get("last_read") is not None)
        self.sh("rm -f /var/log/diary /var/tmp/hold-* /var/tmp/escape")

    def hold(self, phase: str) -> None:
        self.sh(f"touch /var/tmp/hold-{phase}")

    def let_go(self) -> None:
        self.sh("rm -f /var/tmp/hold-*")

    def schedule(self, **details: float) -> str:
        details = {"impact": 1, "settle": 0, "start_after_approval": 1, **details}
        return str(self.azure.schedule("Reboot", [HOST], **details)["event_id"])

    def finish(self, event: str) -> None:
        """Until the event is over and the host in service; then the promises."""
        self.wait("the event is over for Azure", lambda: not self.azure.event(event)["open"])
        self.wait("back in service", lambda: self.in_service() and self.diary()[-1:] == ["end resume"])
        diary = self.diary()
        approvals = self.azure.event(event)["approvals"]
        if diary[0] != "begin drain" or diary.count("end resume") != 1:
            raise StoryError(f"one resume for the drain expected: {diary}")
        if [approval["by"] for approval in approvals] != [HOST]:
            raise StoryError(f"one approval expected: {approvals}")
        if self.show("ActiveState") != "active":
            raise StoryError("the handler does not run")

    def in_service(self) -> bool:
        status = self.status()
        return bool(status.get("running")) and status["service"] == "in_service"


def undisturbed(host: Host) -> Row:
    """An event from its announcement to the end, with a real reboot in the middle."""
    event = host.schedule(impact=4)
    host.wait("Azure starts the event", lambda: host.azure.event(event)["started_at"])
    boot = host.sh("stat -c %Z /proc/1")
    began = time.monotonic()
    host.sh("systemctl reboot", check=False)
    host.wait("a new boot", lambda: (now := host.sh("stat -c %Z /proc/1", check=False)) and now != boot)
    host.wait("the handler runs", lambda: host.show("ActiveState") == "active")
    seconds = time.monotonic() - began
    host.finish(event)
    return Row("the reboot itself", "approved and started", "drained once, approved, resumed once", seconds)


def disturbed(phase: str, name: str, disturb: Callable[[Host], float], again: int) -> Callable[[Host], Row]:
    """A story in which something happens while a phase's hook runs; the hook begins so often in all."""

    def play(host: Host) -> Row:
        host.hold(phase)
        event = host.schedule()
        host.wait(f"the {phase} hook runs", lambda: f"begin {phase}" in host.diary())
        seconds = disturb(host)
        host.let_go()
        host.finish(event)
        begins = host.diary().count(f"begin {phase}")
        if begins != again:
            raise StoryError(f"the {phase} hook was begun {begins} times, not {again}: {host.diary()}")
        seen = "the hook went on, and was found again" if again == 1 else "the hook was run again"
        return Row(name, f"{phase} hook running", seen, seconds)

    return play


def kill_handler(host: Host) -> float:
    """SIGKILL to the service."""
    pid = host.main_pid()
    host.sh(f"kill -9 {pid}")
    return host.wait("another process of the service", lambda: host.main_pid() not in (0, pid))


def stop_answering(host: Host) -> float:
    """SIGSTOP: only the watchdog can help."""
    pid = host.main_pid()
    host.sh(f"kill -STOP {pid}")
    seconds = host.wait("another process of the service", lambda: host.main_pid() not in (0, pid))
    said = host.sh(f"journalctl --no-pager --unit={UNIT} | grep -c 'Watchdog timeout'")
    if int(said) < 1:
        raise StoryError("it was not the watchdog")
    return seconds


def restart_handler(host: Host) -> float:
    """As an upgrade does it."""
    began = time.monotonic()
    host.sh(f"systemctl daemon-reload; systemctl restart {UNIT}")
    return time.monotonic() - began


def kill_hook(host: Host) -> float:
    """SIGKILL to the hook's main process."""
    unit = host.hook_unit()
    host.sh(f"kill -9 {host.show('MainPID', unit)}")
    return host.wait("the hook runs again", lambda: host.hook_unit() not in ("", unit))


def power_loss(host: Host) -> float:
    """Everything at once, without a goodbye, and power back after that."""
    began = time.monotonic()
    host.podman("kill", "--signal=KILL", HOST)
    host.wait("it is off", lambda: "running" not in host.podman("inspect", "--format={{.State.Status}}", HOST))
    host.podman("start", HOST, check=False)
    host.wait("the handler runs", lambda: host.show("ActiveState") == "active")
    return time.monotonic() - began


def power_loss_when_approved(host: Host) -> Row:
    """Between the approval and the start."""
    event = host.schedule(start_after_approval=8)
    host.wait("it is approved", lambda: host.azure.event(event)["approvals"])
    seconds = power_loss(host)
    host.finish(event)
    if host.diary().count("begin drain") != 1:
        raise StoryError(f"drained again: {host.diary()}")
    return Row("power loss", "approved, not started yet", "not approved again, resumed once", seconds)


def escaping_hook(host: Host) -> Row:
    """A hook that leaves its session, ignores SIGTERM and hangs, with a limit of 3 seconds."""
    host.sh("touch /var/tmp/escape")
    event = host.schedule()
    host.wait("it escaped", lambda: host.sh("pgrep -f '^sleep 98765' || true"))
    seconds = host.wait("it is gone", lambda: not host.sh("pgrep -f '^sleep 98765' || true"))
    host.finish(event)
    return Row("a hook hangs, and what it started left its session", "drain", "killed with all it started", seconds)


def stories() -> list[Callable[[Host], Row]]:
    """All of them, in order."""
    found: list[Callable[[Host], Row]] = [undisturbed]
    for phase in ("drain", "health", "resume"):
        found.append(disturbed(phase, "kill -9 of the service", kill_handler, 1))
        found.append(disturbed(phase, "kill -9 of the hook", kill_hook, 2))
        found.append(disturbed(phase, "power loss", power_loss, 2))
    found.append(disturbed("drain", "the service hangs (watchdog)", stop_answering, 1))
    found.append(disturbed("drain", "restart of the service, as by an upgrade", restart_handler, 1))
    return [*found, power_loss_when_approved, escaping_hook]


def table(rows: list[Row]) -> str:
    """The rows as a table of reStructuredText."""
    head = (".. list-table::", "   :header-rows: 1", "")
    cells = [("What happens", "While", "What was seen", "Back after"), *((*row[:3], f"{row[3]:.1f} s") for row in rows)]
    lines = [f"   {'*' if index == 0 else ' '} - {cell}" for row in cells for index, cell in enumerate(row)]
    return "\n".join([*head, *lines]) + "\n"


def without_times(text: str) -> list[str]:
    """A table's lines but for those of seconds, which differ each time."""
    return [line.rstrip() for line in text.strip().splitlines() if not re.search(r"- [0-9.]+ s$", line)]


def guide_agrees(rows: list[Row], *, update: bool) -> bool:
    """Whether the guide tells what was seen; or make it so."""
    head, begin, rest = GUIDE.read_text(encoding="utf-8").partition(BEGIN)
    told, end, tail = rest.partition(END)
    if update:
        GUIDE.write_text(f"{head}{begin}\n\n{table(rows)}\n{end}{tail}", encoding="utf-8")
        return True
    return without_times(told) == without_times(table(rows))


def main() -> int:
    """Play them all. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update-guide", action="store_true", help="write what was seen into the guide")
    options = parser.parse_args()
    host = Host()
    # A watchdog that tests need not wait for.
    host.sh(
        f"place=/etc/systemd/system/{UNIT}.d; mkdir -p $place; printf '[Service]\\nWatchdogSec=3\\n' >$place/lab.conf"
    )
    host.sh(f"systemctl daemon-reload; systemctl restart {UNIT}")
    rows, failed = [], 0
    for play in stories():
        began = time.monotonic()
        try:
            host.reset()
            rows.append(play(host))
        except StoryError as exc:
            sys.stderr.write(f"{exc}\n")
            failed += 1
            host.let_go()
            for event in host.azure.events(only_open=True):
                host.azure.cancel(event["event_id"])
            continue
        print(f"{time.monotonic() - began:5.1f} s  {' | '.join(rows[-1][:3])}", flush=True)  # noqa: T201
    if not failed and not guide_agrees(rows, update=options.update_guide):
        sys.stderr.write(f"{GUIDE} tells something else; play this with --update-guide\n")
        failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
