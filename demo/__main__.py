# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m demo``: what ``make demo`` runs."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from azure_emulator.client import ControlClient
from demo import evidence, page, timeline
from demo.stage import Stage, StageError
from demo.story import FLEET, LIMITS, ROUND, tier_of

HERE = Path(__file__).parent
SPEED = 10.0
PATIENCE = 240.0


def main() -> int:
    """Run the demonstration. Returns 0, or 1 when something failed or a promise was broken, or 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE.parent / "build" / "demo", help="where everything is put")
    parser.add_argument("--speed", type=float, default=SPEED, help="how fast the emulator's time passes")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    try:
        with Stage(options.root.resolve()) as stage:
            problems = Demonstration(stage, options.speed).run()
    except StageError as exc:
        sys.stderr.write(f"\n{exc}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nended; no process is left\n")
        return 130
    print(f"\n{time.monotonic() - began:.0f} seconds in all")
    return 1 if problems else 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


class Demonstration:
    """The acts, one after the other."""

    def __init__(self, stage: Stage, speed: float) -> None:
        self.stage, self.speed = stage, speed
        self.root = stage.root
        self.log = self.root / "demo.log"
        self.handlers: dict[str, subprocess.Popen[str]] = {}
        self._began = time.monotonic()
        self._seen = 0
        self._names: dict[str, str] = {}

    def run(self) -> list[str]:
        """Everything. Returns the broken promises."""
        self._clear()
        self._title("A local Azure", f"{FLEET.name}, {self.speed:g} times as fast as real time")
        self._start_emulator()
        self._title("Inventory", "grouped by availability set, fault domain, update domain, zone and tags")
        print(self._ansible("ansible-inventory", "--graph"))
        self._title("Facts", "gather_facts with azure_guest.imds.instance_facts")
        self._show_facts(self._ansible("ansible-playbook", str(HERE / "facts.yml")))
        self._title("A maintenance handler for every VM", "installed by the role azure_guest.imds.maintenance_handler")
        print(
            self._ansible("ansible-playbook", str(HERE / "install.yml")).rpartition("PLAY RECAP")[2].partition("\n")[2]
        )
        for vm in self.vms:
            self._boot(vm)
        self._title("A round of maintenance", f"{len(ROUND)} events; at most {_limits()} may be out at once")
        self._play_round()
        return self._judge()

    # --- the acts ---

    def _clear(self) -> None:
        for entry in self.root.iterdir():
            if entry.name == ".lock":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _start_emulator(self) -> None:
        argv = [sys.executable, "-m", "azure_emulator", "serve", "--fleet", str(FLEET), "--port", "0"]
        argv += ["--control-port", "0", "--time-scale", str(self.speed)]
        self.announced = self.stage.serve(argv, log=self.root / "emulator.log")
        self.control = ControlClient(self.announced["control"])
        self.vms: list[str] = list(self.announced["vms"])
        self.clock = self.control.clock()
        self._write_inventory()
        example = self.vms[0]
        print(f"{len(self.vms)} VMs, each with a metadata service of its own:")
        print(f"  curl -H Metadata:true '{self.announced['vms'][example]}/metadata/instance?api-version=2021-02-01'")

    def _write_inventory(self) -> None:
        inventory = self.root / "inventory"
        (inventory / "group_vars").mkdir(parents=True)
        fleet = self.control.fleet()
        source = {
            "plugin": "azure_guest.imds.azure_fleet",
            "resource_manager": self.announced["resource_manager"],
            "imds_endpoint": self.announced["vms"][self.vms[0]],
            "subscriptions": fleet["subscriptions"],
        }
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_azure_imds_endpoint": "{{ demo_endpoints[inventory_hostname] }}",
            "demo_endpoints": self.announced["vms"],
            "demo_root": str(self.root),
            "demo_limits": LIMITS,
            "demo_clock": {
                "scale": self.clock["scale"],
                "real": self.clock["anchor_real"],
                "virtual": self.clock["anchor_virtual"],
            },
        }
        (inventory / "demo.azure_fleet.yml").write_text(json.dumps(source, indent=1), encoding="utf-8")
        (inventory / "group_vars" / "all.yml").write_text(json.dumps(variables, indent=1), encoding="utf-8")
        (self.root / "ansible.cfg").write_text(
            f"[defaults]\ninventory = {inventory}\nforks = 4\nretry_files_enabled = false\nnocows = true\n"
            f"local_tmp = {self.root}/tmp\nremote_tmp = {self.root}/tmp\nlocalhost_warning = false\n"
            "[inventory]\nany_unparsed_is_failed = true\nunparsed_warning = false\n[connection]\npipelining = true\n",
            encoding="utf-8",
        )

    def _ansible(self, command: str, *arguments: str) -> str:
        program = shutil.which(command, path=self.stage.environment()["PATH"])
        if program is None:
            raise StageError(f"{command} is not installed beside {sys.executable}")
        return self.stage.run([program, *arguments], log=self.log)

    @staticmethod
    def _show_facts(printed: str) -> None:
        for line in printed.splitlines():
            if '"msg": ' in line:
                print("  " + line.split('"msg": ', 1)[1].strip('"').replace('\\"', '"'))

    def _host(self, vm: str) -> Path:
        return self.root / "hosts" / vm

    def _boot(self, vm: str) -> None:
        command = self._host(vm) / "usr" / "bin" / "azure-maintenance"
        (self._host(vm) / "serving").touch()
        self.handlers[vm] = self.stage.start([str(command), "run"], log=self._host(vm) / "handler.log")

    def _play_round(self) -> None:
        start = self.control.clock()["now"]
        acts = list(ROUND)
        patience = time.monotonic() + PATIENCE
        while True:
            now = self.control.clock()["now"]
            while acts and now - start >= acts[0].after:
                act = acts.pop(0)
                self.control.schedule(act.type, list(act.resources), **act.details)
            self._follow(start)
            if not acts and not any(event["open"] for event in self.control.events()) and self._all_in_service():
                return
            if time.monotonic() > patience:
                print(f"  not over after {PATIENCE:g} seconds; see {self.root}/hosts/*/handler.log")
                return
            time.sleep(0.05)

    def _follow(self, start: float) -> None:
        """Tell what Azure does, and do it to the VMs: a reboot kills the handler, a freeze stops it for a while."""
        for entry in self.control.log(self._seen):
            self._seen = entry["seq"]
            kind, vm = entry["kind"], entry.get("vm")
            if kind == "impact_began" and vm is not None:
                self._impact(vm, entry["type"])
            elif kind == "impact_ended" and vm is not None:
                self._recover(vm, entry["type"])
            if kind == "event_scheduled":
                self._names[entry["event_id"]] = f"{entry['type']} of {', '.join(entry['resources'])}"
            line = _tell(entry, self._names)
            if line:
                print(f"  {timeline.clock(entry['at'] - start):>6}  {line}", flush=True)

    def _impact(self, vm: str, kind: str) -> None:
        if kind == "Freeze":
            os.killpg(self.handlers[vm].pid, signal.SIGSTOP)
        else:
            self.stage.end(self.handlers[vm], signal.SIGKILL)

    def _recover(self, vm: str, kind: str) -> None:
        if kind == "Freeze":
            os.killpg(self.handlers[vm].pid, signal.SIGCONT)
        else:
            self._boot_again(vm)

    def _boot_again(self, vm: str) -> None:
        command = self._host(vm) / "usr" / "bin" / "azure-maintenance"
        self.handlers[vm] = self.stage.start([str(command), "run"], log=self._host(vm) / "handler.log")

    def _all_in_service(self) -> bool:
        return all((self._host(vm) / "serving").exists() for vm in self.vms)

    def _judge(self) -> list[str]:
        clock = self.clock

        def to_virtual(real: float) -> float:
            virtual: float = clock["anchor_virtual"] + (real - clock["anchor_real"]) * clock["scale"]
            return virtual

        notes = [
            note
            for vm in self.vms
            for note in evidence.read_diary(self._host(vm) / "diary.jsonl", to_virtual=to_virtual)
        ]
        events = [evidence.read_event(entry) for entry in self.control.events()]
        account = evidence.make_account(events, notes, self.vms, end=self.control.clock()["now"])
        problems = evidence.violations(account, LIMITS, tier_of)
        self._title("What happened", "by the emulator's history and the diaries of the hooks")
        print(timeline.render(account, width=min(140, shutil.get_terminal_size((100, 24)).columns)))
        target = self.root / "timeline.html"
        target.write_text(page.render(account, problems, LIMITS), encoding="utf-8")
        print(f"\nThe same as a page: {target}")
        if problems:
            print("\nBROKEN PROMISES:\n" + "\n".join(f"  {problem}" for problem in problems))
        else:
            out = ", ".join(f"{evidence.most_out(account, tier, tier_of)} of {tier}" for tier in LIMITS)
            print(f"\nEvery promise was kept. Most VMs out at once: {out} (allowed: {_limits()}).")
        return problems

    def _title(self, what: str, how: str) -> None:
        print(f"\n[{time.monotonic() - self._began:3.0f} s] {what}: {how}\n", flush=True)


def _limits() -> str:
    return ", ".join(f"{limit} of {tier}" for tier, limit in LIMITS.items())


def _tell(entry: dict[str, Any], names: dict[str, str]) -> str:
    """A sentence for an entry of the emulator's log; nothing for what another entry says already."""
    name = names.get(entry.get("event_id", ""), "")
    return {
        "event_scheduled": f"Azure announces the {name}",
        "event_approved": f"{entry.get('by')} approves the {name}",
        "event_started": f"Azure starts the {name}",
        "impact_began": f"{entry.get('vm')} is {'frozen' if entry.get('type') == 'Freeze' else 'down'}",
        "impact_ended": f"{entry.get('vm')} runs again",
        "event_gone": f"the {name} is over",
        "event_cancelled": f"Azure cancels the {name}",
    }.get(entry["kind"], "")


if __name__ == "__main__":
    sys.exit(main())
