"""What the maintenance handler costs and how fast it reacts: ``python tests/bench/maintenance_handler.py``.

Measured on the handler as it runs on a host (its package and nothing else, on the interpreter given), against an
emulator in a process of its own. It prints figures and judges nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from azure_emulator.client import ControlClient

LIBRARY = Path(__file__).parents[2] / "plugins" / "module_utils"
TICKS = os.sysconf("SC_CLK_TCK")
HOOK = """#!/bin/sh
date +%s.%N >> "{diary}"
"""


class Bench:
    """A host with the package, a drain hook that notes the time, and an emulator."""

    def __init__(self, root: Path, python: str, emulator: dict[str, Any]) -> None:
        self.root, self.python = root, python
        self.endpoint = emulator["vms"]["vm"]
        self.control = ControlClient(emulator["control"])
        self.diary = root / "diary"
        (root / "lib" / "azure_guest").mkdir(parents=True)
        for name in ("imds", "maintenance"):
            (root / "lib" / "azure_guest" / name).symlink_to(LIBRARY / name)
        for name in ("state", "run", "drain.d"):
            (root / name).mkdir()
        (root / "drain.d" / "10").write_text(HOOK.format(diary=self.diary))
        (root / "drain.d" / "10").chmod(0o755)
        settings = {
            "endpoint": self.endpoint,
            "state_dir": str(root / "state"),
            "run_dir": str(root / "run"),
            "hooks_dir": str(root),
            "settle": 0,
        }
        (root / "config.json").write_text(json.dumps(settings))

    @contextlib.contextmanager
    def handler(self) -> Iterator[subprocess.Popen[bytes]]:
        code = (
            f"import sys; sys.path.insert(0, {str(self.root / 'lib')!r})\n"
            "from azure_guest.maintenance.cli import main\nsys.exit(main())"
        )
        argv = [self.python, "-s", "-c", code, "--config", str(self.root / "config.json"), "run"]
        child = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(10)

    def polls(self) -> list[dict[str, Any]]:
        return [r for r in self.control.requests("vm") if r["path"].startswith("/metadata/scheduledevents")]

    def wait_for_polls(self, count: int) -> None:
        while len(self.polls()) < count:
            time.sleep(0.01)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> float:
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def quantiles(values: list[float]) -> str:
    return f"median {statistics.median(values) * 1000:.0f} ms, worst {max(values) * 1000:.0f} ms of {len(values)}"


def idle(bench: Bench, seconds: float) -> None:
    bench.control.clear_requests()
    began = time.time()
    with bench.handler() as child:
        bench.wait_for_polls(1)
        print(f"start to first poll        {bench.polls()[0]['at'] - began:.2f} s   (aim: < 1 s)")
        bench.wait_for_polls(3)
        bench.control.clear_requests()
        before, at = cpu_seconds(child.pid), time.monotonic()
        time.sleep(seconds)
        used, took = cpu_seconds(child.pid) - before, time.monotonic() - at
        print(f"CPU at one poll a second   {used / took * 100:.2f} % of a core over {took:.0f} s   (aim: <= 0.2 %)")
        print(f"peak resident memory       {memory(child.pid):.1f} MiB   (aim: <= 20 MiB)")
        print(f"requests                   {len(bench.polls()) / took:.2f} a second")


def reaction(bench: Bench, type_: str, rounds: int) -> None:
    to_hook, to_approval, rates = [], [], []
    with bench.handler():
        bench.wait_for_polls(2)
        for number in range(rounds):
            time.sleep(0.37 + 0.13 * number % 1)  # somewhere between two polls
            bench.diary.unlink(missing_ok=True)
            bench.control.clear_requests()
            announced = time.time()
            details = {} if type_ == "Preempt" else {"impact": 0.2, "settle": 0.1}
            event = bench.control.schedule(type_, ["vm"], not_before=60, **details)["event_id"]
            while not bench.diary.exists() or not bench.diary.read_text().strip():
                time.sleep(0.002)
            began = float(bench.diary.read_text().split()[0])
            to_hook.append(began - announced)
            if type_ == "Preempt":
                bench.control.cancel(event)
            else:
                while not bench.control.event(event)["approvals"]:
                    time.sleep(0.002)
                to_approval.append(bench.control.event(event)["approvals"][0]["at"] - began)
            stamps = sorted(r["at"] for r in bench.control.requests("vm"))
            rates += [sum(a <= b < a + 1 for b in stamps) for a in stamps]
            while json.loads((bench.root / "state" / "state.json").read_text())["host"]["service"] != "in_service":
                time.sleep(0.05)
    print(f"{type_}: to its first hook    {quantiles(to_hook)}   (aim: poll interval + 50 ms; Preempt <= 1500 ms)")
    if to_approval:
        print(f"{type_}: hook to approval     {quantiles(to_approval)}   (includes the hook itself; aim: <= 100 ms)")
    print(f"{type_}: requests             at most {max(rates)} within any second   (aim: <= 2)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter of the handler")
    parser.add_argument("--seconds", type=float, default=30, help="how long to watch it do nothing")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        fleet = Path(name) / "fleet.yml"
        fleet.write_text("vms: [{name: vm}]\n")
        argv = [
            sys.executable,
            "-m",
            "azure_emulator",
            "serve",
            "--fleet",
            str(fleet),
            "--port",
            "0",
            "--control-port",
            "0",
        ]
        emulator = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        try:
            assert emulator.stdout is not None
            bench = Bench(Path(name) / "host", options.python, json.loads(emulator.stdout.readline()))
            version = subprocess.run([options.python, "--version"], capture_output=True, text=True, check=True).stdout
            print(f"maintenance handler on {version.strip()}")
            idle(bench, options.seconds)
            for type_ in ("Reboot", "Preempt"):
                reaction(bench, type_, options.rounds)
        finally:
            emulator.terminate()
            emulator.wait(10)


if __name__ == "__main__":
    main()
