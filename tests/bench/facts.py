"""What the facts cost: ``python tests/bench/facts.py``. Prints figures and ratios, and judges nothing.

All modules run as Ansible sends them, an AnsiballZ file each, started from a small process that reads their CPU seconds
and peak memory from the kernel. What is compared is run in turn, round by round, and a ratio is the median of the
rounds' ratios, so that the load of the machine is on both sides of it: ``instance_facts`` beside ``ping`` (which does
nothing) and ``uri`` (which does the same request), the same off Azure, a gathering of facts with each as the second
module, and ``setup`` with the local fact.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from azure_emulator.testing import running

ROOT = Path(__file__).parents[2]
FLEET = {
    "vms": [
        {
            "name": "vm",
            "zone": "1",
            "tags": {"role": "web", "environment": "production", "owner": "shop"},
            "nics": [{"private_ips": ["10.0.0.4"], "public_ip": "203.0.113.10"}],
            "public_keys": [{"path": "/home/azureuser/.ssh/authorized_keys", "key_data": "ssh-rsa " + "A" * 372}],
            "data_disks": [{"name": "data", "lun": 0, "size_gb": 64}],
        }
    ]
}
# Runs the commands in turn and prints, for each run, wall and CPU seconds and peak memory in KiB. It is a process of
# its own with hardly a module: a child that was forked from a large process would inherit the peak of that one.
RUNNER = """
import json, os, sys, time
rounds, commands = json.load(sys.stdin)
null = os.open(os.devnull, os.O_RDWR)
for number in range(-1, rounds):
    for name, argv, environment in commands:
        begin = time.perf_counter()
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        pid = os.posix_spawn(argv[0], argv, {**os.environ, **(environment or {})}, file_actions=actions)
        _pid, status, used = os.wait4(pid, 0)
        if status:
            sys.exit("%s ended with status %d" % (name, status))
        took = time.perf_counter() - begin
        if number >= 0:  # the first round warms the file cache
            print(json.dumps([name, took, used.ru_utime + used.ru_stime, used.ru_maxrss]), flush=True)
"""
# Counts what Python does with sockets, for the proof that nothing is sent.
AUDIT = """
import atexit, sys
counts = {}
def hook(event, arguments):
    if event.startswith("socket."):
        counts[event] = counts.get(event, 0) + 1
sys.addaudithook(hook)
def show(open=open):
    with open(%r, "a") as stream:
        stream.write(repr(counts) + "\\n")
atexit.register(show)
"""


class Command(NamedTuple):
    """Something to measure: its name, its words, and variables of its environment."""

    name: str
    argv: list[str]
    environment: dict[str, str] | None = None


class Figures(NamedTuple):
    """One command, round by round: wall and CPU milliseconds; and the highest of its peaks, in MiB."""

    wall: list[float]
    cpu: list[float]
    memory: float

    def times(self, other: Figures, what: str = "cpu") -> float:
        """The median, over the rounds, of this command's milliseconds by the other's."""
        return median(a / b for a, b in zip(getattr(self, what), getattr(other, what), strict=True))

    def over(self, other: Figures, what: str = "cpu") -> float:
        """The median, over the rounds, of what this command takes more than the other."""
        return median(a - b for a, b in zip(getattr(self, what), getattr(other, what), strict=True))


def measure(rounds: int, commands: list[Command]) -> dict[str, Figures]:
    """Run the commands in turn."""
    done = subprocess.run(
        [sys.executable, "-IS", "-c", RUNNER],
        input=json.dumps([rounds, commands]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    found = {}
    for command in commands:
        wall, cpu, memory = zip(*(run[1:] for run in runs if run[0] == command.name), strict=True)
        found[command.name] = Figures([s * 1000 for s in wall], [s * 1000 for s in cpu], max(memory) / 1024)
    return found


class Workshop:
    """A directory in which Ansible makes what is measured."""

    def __init__(self, directory: Path, endpoint: str, hosts: int = 1) -> None:
        self.directory, self.endpoint, self.hosts = directory, endpoint, hosts
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "AZURE_"))}
        self.environment = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "ANSIBLE_HOME": str(directory / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        }
        variables = f"ansible_connection=local\nansible_python_interpreter={sys.executable}\n"
        hosts = "".join(f"host-{number}\n" for number in range(hosts))
        (directory / "hosts").write_text(f"{hosts}[all:vars]\n{variables}")

    def ansible(self, *words: str, **environment: str) -> str:
        """Run a command of Ansible's."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / words[0]), "-i", str(self.directory / "hosts"), *words[1:]],
            env={**self.environment, **environment},
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{' '.join(words)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def module(self, label: str, module: str, python: str, **arguments: Any) -> Command:
        """A module with its arguments as Ansible sends it."""
        remote = self.directory / "remote" / label.replace(" ", "-").replace(":", "")
        words = ["ansible", "host-0", "-m", module, *(["-a", json.dumps(arguments)] if arguments else [])]
        self.ansible(*words, ANSIBLE_KEEP_REMOTE_FILES="1", ANSIBLE_REMOTE_TEMP=str(remote))
        (path,) = remote.glob("ansible-tmp-*/AnsiballZ_*.py")
        return Command(label, [python, str(path)])

    def playbook(self, label: str, *modules: str) -> Command:
        """A play that gathers facts with these modules, one after the other, and does nothing else."""
        play = {
            "hosts": "all",
            "vars": {"ansible_facts_modules": list(modules), "ansible_facts_parallel": False},
            "module_defaults": {
                "azure_guest.imds.instance_facts": {"endpoint": self.endpoint},
                # As little as it can do, so that what comes second shows.
                "ansible.builtin.setup": {"gather_subset": ["!all", "!min"]},
            },
        }
        path = self.directory / f"{label.replace(' ', '-')}.yml"
        path.write_text(json.dumps([play]))
        command = Path(sys.executable).parent / "ansible-playbook"
        words = [sys.executable, str(command), "-i", str(self.directory / "hosts"), str(path)]
        return Command(label, words, {k: v for k, v in self.environment.items() if k.startswith(("ANSIBLE_", "PATH"))})


def table(title: str, found: dict[str, Figures]) -> None:
    """Print figures."""
    print(f"\n{title}\n  {'':30} {'wall ms':>9} {'CPU ms':>9} {'peak MiB':>9}")
    for name, figures in found.items():
        print(f"  {name:30} {median(figures.wall):9.1f} {median(figures.cpu):9.1f} {figures.memory:9.1f}")


def ratio(what: str, value: float, aim: str) -> None:
    """Print a ratio or a difference."""
    print(f"  {what:44} {value:7.3f}   (aim: {aim})")


def modules(shop: Workshop, python: str, rounds: int) -> None:
    """The module beside others, on Azure and off it."""
    url = f"{shop.endpoint}/metadata/instance?api-version=2023-11-15"
    ping = shop.module("ping", "ansible.builtin.ping", python)
    headers = {"Metadata": "true"}
    uri = shop.module(
        "uri: the same request",
        "ansible.builtin.uri",
        python,
        url=url,
        headers=headers,
        use_proxy=False,
        return_content=True,
    )
    facts = shop.module("instance_facts", "azure_guest.imds.instance_facts", python, endpoint=shop.endpoint)
    found = measure(rounds, [ping, uri, facts])
    table("The process of the module on Azure", found)
    ratio("CPU of instance_facts / ping", found[facts.name].times(found[ping.name]), "<= 1.15")
    ratio("CPU of instance_facts / uri", found[facts.name].times(found[uri.name]), "<= 0.80")
    ratio("peak of instance_facts - ping, MiB", found[facts.name].memory - found[ping.name].memory, "<= 4")

    off = shop.module("instance_facts off Azure", "azure_guest.imds.instance_facts", python)
    found = measure(rounds, [ping, off])
    table("The process of the module off Azure", found)
    ratio("CPU of instance_facts / ping", found[off.name].times(found[ping.name]), "<= 1.05")
    print("  what Python was asked to do with sockets:")
    for command in (ping, off, facts):
        print(f"    {command.name:30} {sockets(shop, command)}")


def sockets(shop: Workshop, command: Command) -> str:
    """The audit events of sockets in one run."""
    directory = shop.directory / "audit"
    directory.mkdir(exist_ok=True)
    log = directory / "events"
    log.unlink(missing_ok=True)
    (directory / "sitecustomize.py").write_text(AUDIT % str(log))
    environment = {**shop.environment, "PYTHONPATH": str(directory)}
    subprocess.run(command.argv, env=environment, stdout=subprocess.DEVNULL, check=True)
    return ", ".join(log.read_text().split("\n")).rstrip(", ")


def gathering(shop: Workshop, rounds: int) -> None:
    """The module as the second one in gather_facts, in a whole run of ansible-playbook."""
    first = "ansible.builtin.setup"
    plays = [
        shop.playbook("setup", first),
        shop.playbook("setup, ping", first, "ansible.builtin.ping"),
        shop.playbook("setup, instance_facts", first, "azure_guest.imds.instance_facts"),
    ]
    found = measure(rounds, plays)
    table(f"ansible-playbook, gathering facts of {shop.hosts} local hosts with", found)
    alone, ping, facts = (found[play.name] for play in plays)
    for what in ("wall", "cpu"):
        added = facts.over(alone, what) / ping.over(alone, what)
        ratio(f"{what} that instance_facts adds / ping adds", added, "<= 1.15")


def local_fact(shop: Workshop, python: str, rounds: int) -> None:
    """What the local fact adds to the setup module."""
    commands = []
    for label, options in (
        ("setup", None),
        ("setup, the fact on Azure", {"endpoint": shop.endpoint}),
        ("setup, the fact off Azure", {}),
    ):
        directory = shop.directory / label.replace(" ", "-").replace(",", "")
        directory.mkdir()
        if options is not None:
            arguments = json.dumps({"directory": str(directory), "python": python, **options})
            shop.ansible("ansible", "host-0", "-m", "azure_guest.imds.local_fact", "-a", arguments)
        commands.append(shop.module(label, "ansible.builtin.setup", python, fact_path=str(directory)))
    found = measure(rounds, commands)
    table("The process of setup, its children included", found)
    alone, azure, elsewhere = (found[command.name] for command in commands)
    for name, figures in (("on Azure", azure), ("off Azure", elsewhere)):
        ratio(f"wall with the local fact {name} / without", figures.times(alone, "wall"), "<= 1.10")
        ratio(f"CPU with the local fact {name} / without", figures.times(alone), "<= 1.10")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="rounds of single modules (default 31)")
    parser.add_argument("--plays", type=int, default=7, help="rounds of whole playbooks (default 7)")
    parser.add_argument("--hosts", type=int, default=12, help="hosts of a playbook (default 12)")
    parser.add_argument("--python", default=sys.executable, help="the targets' interpreter (default: this one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running(FLEET) as emulator:
        shop = Workshop(Path(directory), emulator.endpoint("vm"), options.hosts)
        print(shop.ansible("ansible", "--version").splitlines()[0], f"on Python {sys.version.split()[0]}", end="; ")
        version = subprocess.run(
            [options.python, "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        print(f"{version} for modules; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
        modules(shop, options.python, options.rounds)
        local_fact(shop, options.python, options.rounds)
        gathering(shop, options.plays)


if __name__ == "__main__":
    main()
