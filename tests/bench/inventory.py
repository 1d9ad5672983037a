"""How fast the inventory is: ``python tests/bench/inventory.py``. Prints figures and ratios, never fails on time.

Everything is measured side by side, round by round, each run a process of its own: what ``ansible-inventory --list``
takes for a fleet by our plugin, and for a plugin that hands over the same variables out of a file (the floor); the same
with groups, with 50 ms for each request, from a warm cache, from Resource Graph, from facts, for ten times the fleet.
Beside them what it takes to fetch the same lists and no more.

Peers are measured when ``--peer-collections`` names a directory with azure.azcollection; ``--program`` then has to be
of an environment with its requirements, so that all run on the same ansible-core. They speak to ``peers/azure.py``,
which has the same fleet and adds what azure_rm needs beyond the documents.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.plugins.loader import cache_loader

from azure_emulator.client import ControlClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
PAGE = 100
SECRET = "bench-secret"
CLIENT = "00000000-0000-0000-0000-00000000c11e"
LATENCY = 0.05
PEERS: dict[str, dict[str, Any]] = {
    "azure_rm": {
        "include_vmss_resource_groups": ["*"],
        "plain_host_names": True,
        "keyed_groups": [
            {"key": "location", "prefix": "azure_location"},
            {"key": "availability_zone", "prefix": "azure_zone"},
            {"key": "tags", "prefix": "azure_tag"},
            {"key": "vmss.name | default('')", "prefix": "azure_scale_set"},
        ],
    },
    "azure_kql": {
        # Any query will do: the other side knows what this one asks for.
        "graph_query": "Resources | where type =~ 'microsoft.compute/virtualmachines'",
        "hostnames": ["default"],
        "compose": {"ansible_host": "(publicIps + privateIps) | first"},
        "keyed_groups": [
            {"key": "location", "prefix": "azure_location"},
            {"key": "tags", "prefix": "azure_tag"},
        ],
    },
}


class Figures(NamedTuple):
    """One run of a command: seconds of wall and processor, mebibytes at its largest."""

    wall: float
    cpu: float
    peak: float


class Case(NamedTuple):
    """Something to measure, and what it is compared with."""

    name: str
    command: list[str]
    environment: dict[str, str]
    floor: str | None = None


def fleet(vms: int, latency: float) -> dict[str, Any]:
    """A fleet of which a fifth are instances of uniform scale sets; each VM has an interface and a public address."""
    uniform = vms // 5
    sets = max(1, uniform // 100)
    alone = vms - uniform
    available = alone // 40
    machines = [
        {
            "name": f"vm{n:05d}",
            "public_ip": True,
            "tags": {"role": "web"},
            **({"availability_set": f"as{n // 20}"} if n // 20 < available else {"zone": str(n % 3 + 1)}),
        }
        for n in range(alone)
    ]
    worker = {"public_ip": True, "tags": {"role": "worker"}}
    return {
        "name": f"bench-{vms}",
        "tags": {"project": "shop", "env": "prod"},
        "api": {
            "rate_limit": False,
            "resource_manager": {"page_size": PAGE, "latency": latency, "throttle": False},
        },
        "service_principals": [{"client_id": CLIENT, "client_secret": SECRET}],
        "availability_sets": [{"name": f"as{n}", "fault_domains": 3, "update_domains": 5} for n in range(available)],
        "scale_sets": [
            {
                "name": f"ss{n}",
                "instances": uniform // sets,
                "single_placement_group": uniform // sets <= 100,
                "vm": worker,
            }
            for n in range(sets)
        ],
        "vms": machines,
    }


def scattered(vms: int, subscriptions: int, latency: float) -> dict[str, Any]:
    """As many machines without sets, over so many subscriptions."""
    whole = fleet(vms, latency)
    alone = {"name": "", "public_ip": True, "tags": {"role": "web"}}
    machines = [
        {**alone, "name": f"vm{n:05d}", "subscription_id": f"00000000-0000-0000-0000-{n % subscriptions:012d}"}
        for n in range(vms)
    ]
    return {**whole, "availability_sets": [], "scale_sets": [], "vms": machines, "name": f"scattered-{vms}"}


@contextlib.contextmanager
def emulated(folder: Path, content: dict[str, Any], network: str) -> Iterator[dict[str, Any]]:
    """A running emulator of such a fleet, in a process of its own; gives its addresses."""
    file = folder / f"fleet-{network.replace('/', '-')}.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    command = [sys.executable, "-m", "azure_emulator", "serve", "--fleet", str(file), "--port", "0"]
    with subprocess.Popen([*command, "--control-port", "0", "--network", network], stdout=subprocess.PIPE) as emulator:
        assert emulator.stdout is not None
        try:
            yield json.loads(emulator.stdout.readline())
        finally:
            emulator.send_signal(signal.SIGTERM)
            emulator.wait()


@contextlib.contextmanager
def peer_azure(addresses: dict[str, Any], latency: float) -> Iterator[dict[str, Any]]:
    """The Azure that peers speak to, with the fleet of an emulator; gives its addresses."""
    command = [sys.executable, str(Path(__file__).parent / "peers" / "azure.py"), addresses["resource_manager"]]
    command += [next(iter(addresses["vms"].values())), str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def count_of_peer(case: Case, azure: dict[str, Any]) -> str:
    """How many requests a peer's run makes, and how many more inside of batches."""
    urllib.request.urlopen(azure["proxy"] + "/count").close()
    run(case)
    with urllib.request.urlopen(azure["proxy"] + "/count") as answer:
        found = json.load(answer)
    return f"{case.name}: {found['requests']} requests, and {found['inside']} inside of batches"


# A process's largest size begins with that of the process that started it, so a small one starts them all.
STARTER = """
import json, os, subprocess, sys, tempfile, time
for line in sys.stdin:
    case = json.loads(line)
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        process = subprocess.Popen(case["command"], env=case["environment"], stdout=subprocess.DEVNULL, stderr=said)
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        figures = [wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]
        found = {"code": process.returncode, "said": said.read().decode()[-3000:], "figures": figures}
    print(json.dumps(found), flush=True)
"""


@functools.cache
def starter() -> subprocess.Popen[str]:
    """The process that starts what is measured; it ends with this one."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def run(case: Case) -> Figures:
    """Run a command once; its output goes nowhere, what it says on the way is shown when it fails."""
    process = starter()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"command": case.command, "environment": {**os.environ, **case.environment}}) + "\n")
    process.stdin.flush()
    found = json.loads(process.stdout.readline())
    if found["code"]:
        raise SystemExit(f"{case.name}: exit status {found['code']}\n{found['said']}")
    return Figures(*found["figures"])


class Workshop:
    """Writes configurations and makes cases of them."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder, self._program = folder, program
        self._environment = {
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
            "ANSIBLE_INVENTORY_PLUGINS": str(Path(__file__).parent / "plugins"),
            "ANSIBLE_INVENTORY_ENABLED": "azure_guest.imds.azure_fleet,hand_over",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
        }
        (folder / "ansible.cfg").write_text("", encoding="utf-8")

    def ours(self, name: str, addresses: dict[str, Any], floor: str | None, **options: Any) -> Case:
        """Our plugin, against an emulator."""
        slug = "".join(c if c.isalnum() else "-" for c in name)
        file = self._folder / f"{slug}.azure_fleet.yml"
        given = {"plugin": "azure_guest.imds.azure_fleet", "resource_manager": addresses["resource_manager"]}
        given |= {"imds_endpoint": next(iter(addresses["vms"].values())), **options}
        file.write_text(json.dumps(given), encoding="utf-8")
        return self._case(name, file, floor)

    def handed_over(self, name: str, data: Path, floor: str | None, *, with_groups: bool) -> Case:
        """The floor: the same variables out of a file."""
        file = self._folder / f"{data.stem}-{with_groups}.yml"
        given = {"plugin": "hand_over", "data": str(data), "with_groups": with_groups}
        file.write_text(json.dumps(given), encoding="utf-8")
        return self._case(name, file, floor)

    def peer(self, kind: str, name: str, azure: dict[str, Any], floor: str | None, collections: str) -> Case:
        """Somebody else's plugin, with the groups that ours makes as far as it knows what they need."""
        slug = "".join(c if c.isalnum() else "-" for c in name)
        file = self._folder / f"{slug}.{kind}.yml"
        file.write_text(json.dumps({"plugin": f"azure.azcollection.{kind}", **PEERS[kind]}), encoding="utf-8")
        environment = {
            **self._environment,
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "ANSIBLE_INVENTORY_ENABLED": f"azure.azcollection.{kind}",
            "HTTPS_PROXY": azure["proxy"],
            "NO_PROXY": "",
            "REQUESTS_CA_BUNDLE": azure["ca_file"],
            "AZURE_SUBSCRIPTION_ID": azure["subscription"],
            "AZURE_TENANT": "11111111-1111-1111-1111-111111111111",
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_SECRET": SECRET,
            "HOME": str(self._folder),
        }
        return Case(name, [self._program, "-i", str(file), "--list"], environment, floor)

    def nothing(self) -> Case:
        """``ansible-inventory`` with an inventory of no hosts."""
        data = self._folder / "nothing.json"
        data.write_text('{"hosts": {}, "groups": {}}', encoding="utf-8")
        return self.handed_over("ansible-inventory alone", data, None, with_groups=False)

    def _case(self, name: str, file: Path, floor: str | None) -> Case:
        return Case(name, [self._program, "-i", str(file), "--list"], self._environment, floor)

    def what(self, case: Case, data: Path) -> int:
        """Keep what a case gives, for the floor to hand over; returns the number of hosts."""
        environment = {**os.environ, **case.environment}
        done = subprocess.run(case.command, env=environment, capture_output=True, check=True)
        listed = json.loads(done.stdout)
        hosts = plain(listed.pop("_meta")["hostvars"])
        groups = {name: entry["hosts"] for name, entry in listed.items() if name != "all" and entry.get("hosts")}
        data.write_text(json.dumps({"hosts": hosts, "groups": groups}), encoding="utf-8")
        return len(hosts)


def plain(value: Any) -> Any:
    """The value without the marks that ansible-inventory puts around strings that are no templates."""
    if isinstance(value, dict):
        if value.keys() == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def count_requests(case: Case, addresses: dict[str, Any]) -> Counter[str]:
    """How many requests of each kind a run makes."""
    control = ControlClient(addresses["control"])
    control.clear_requests()
    run(case)
    return Counter(request["category"] for request in control.requests())


def pages(vms: int) -> int:
    """How many pages the lists of such a fleet have: A, B, F and G, D, and E, H and I of each uniform set."""
    uniform = vms // 5
    sets = max(1, uniform // 100)
    return 4 * -(-(vms - uniform) // PAGE) + -(-sets // PAGE) + 3 * sets * -(-(uniform // sets) // PAGE)


def remember_facts(data: Path, folder: Path) -> dict[str, str]:
    """A fact cache with what ``instance_facts`` would have kept of the same machines; gives the plugin's options."""
    store = cache_loader.get("jsonfile", _uri=str(folder / "facts"), _prefix="", _timeout=0)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for host, variables in json.loads(data.read_bytes())["hosts"].items():
        facts = {name.removeprefix("azure_"): value for name, value in variables.items() if name.startswith("azure_")}
        store.set(host, {"azure": {**facts, "available": True, "error": None, "collected_at": now}})
    return {"source": "facts", "fact_cache_plugin": "jsonfile", "fact_cache_connection": str(folder / "facts")}


def measure(cases: Sequence[Case], rounds: int) -> dict[str, list[Figures]]:
    """All cases in turn, so many times: what the machine does besides hits all of them alike."""
    results: dict[str, list[Figures]] = {case.name: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            results[case.name].append(run(case))
        sys.stderr.write(f"round {number + 1} of {rounds}\n")
    return results


def report(cases: Sequence[Case], results: dict[str, list[Figures]]) -> None:
    """A table of medians, and the best wall time; ratios are medians of the ratios within each round."""
    out = sys.stdout
    out.write(f"\n{'':<44}{'best':>8}{'wall s':>8}{'CPU s':>8}{'MiB':>7}   ratio to its floor: wall, CPU, memory\n")
    for case in cases:
        mine = results[case.name]
        line = f"{case.name:<44}{min(f.wall for f in mine):>8.2f}"
        line += "".join(
            f"{statistics.median(f[i] for f in mine):>{w}.{d}f}" for i, (w, d) in enumerate(((8, 2), (8, 2), (7, 0)))
        )
        if case.floor:
            pairs = list(zip(mine, results[case.floor], strict=True))
            ratios = [statistics.median(a[i] / b[i] for a, b in pairs) for i in range(3)]
            line += f"   {ratios[0]:.2f}  {ratios[1]:.2f}  {ratios[2]:.2f}  ({case.floor})"
        out.write(line + "\n")


def fetch_floor(addresses: dict[str, Any]) -> str:
    """The time that fetching the same lists takes without any inventory, in a process of its own."""
    program = str(Path(__file__).parent / "fetch_floor.py")
    done = subprocess.run(
        [sys.executable, program, addresses["resource_manager"], next(iter(addresses["vms"].values()))],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=1000)
    parser.add_argument("--large", type=int, default=10_000, help="0 for none")
    parser.add_argument("--subscriptions", type=int, default=100, help="0 for none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", default=str(Path(sys.executable).parent / "ansible-inventory"))
    parser.add_argument("--peer-collections", help="a directory with ansible_collections/azure/azcollection")
    options = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)
    version = subprocess.run([options.program, "--version"], capture_output=True, text=True, check=True)
    sys.stdout.write(version.stdout.splitlines()[0] + "\n")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        small(folder, stack, options)
        if options.large:
            large(folder, stack, options)
        if options.subscriptions:
            many_subscriptions(folder, stack, options)


def small(folder: Path, stack: contextlib.ExitStack, options: argparse.Namespace) -> None:
    """A thousand machines, in every way."""
    workshop = Workshop(folder, options.program)
    near = stack.enter_context(emulated(folder, fleet(options.vms, 0.0), "127.82.0.0/16"))
    far = stack.enter_context(emulated(folder, fleet(options.vms, LATENCY), "127.83.0.0/16"))
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(folder / "cache")}
    floor, grouped = "hand-over floor, variables", "hand-over floor, variables and groups"
    data = folder / "small.json"
    first = workshop.ours("azure_fleet, 0 ms", near, grouped)
    hosts = workshop.what(first, data)
    warm = workshop.ours("azure_fleet, warm cache", near, grouped, **cache)
    run(warm)
    cases = [
        workshop.nothing(),
        workshop.handed_over(floor, data, None, with_groups=False),
        workshop.handed_over(grouped, data, floor, with_groups=True),
        first,
        workshop.ours("azure_fleet, 0 ms, no groups", near, floor, group_by=[]),
        workshop.ours("azure_fleet, 50 ms", far, grouped),
        warm,
        workshop.ours("azure_fleet, Resource Graph, 0 ms", near, grouped, source="resource_graph"),
        workshop.ours("azure_fleet, Resource Graph, 50 ms", far, grouped, source="resource_graph"),
        workshop.ours("azure_fleet, facts", near, grouped, **remember_facts(data, folder)),
    ]
    if options.peer_collections:
        peers = peer_cases(workshop, folder, stack, near, options.peer_collections)
        cases += peers
    asked = count_requests(first, near)
    lists = sum(asked.values()) - asked["identity"] - asked["subscriptions"]
    sys.stdout.write(
        f"{hosts} hosts; {lists} requests for {pages(options.vms)} pages, besides {asked['identity']} for the"
    )
    sys.stdout.write(f" token and {asked['subscriptions']} for the subscriptions\n")
    graph = count_requests(cases[7], near)
    sys.stdout.write(f"Resource Graph: {sum(graph.values()) - graph['identity'] - graph['subscriptions']} requests\n")
    sys.stdout.write(f"fetch floor: {fetch_floor(near)} at 0 ms, {fetch_floor(far)} at 50 ms\n")
    report(cases, measure(cases, options.rounds))


def peer_cases(
    workshop: Workshop, folder: Path, stack: contextlib.ExitStack, near: dict[str, Any], collections: str
) -> list[Case]:
    """The plugins of others, each at both distances, and the floor of its own variables and groups."""
    close = stack.enter_context(peer_azure(near, 0.0))
    distant = stack.enter_context(peer_azure(near, LATENCY))
    cases = []
    for kind in PEERS:
        floor, data = f"hand-over floor of {kind}", folder / f"{kind}.json"
        first = workshop.peer(kind, f"{kind}, 0 ms", close, floor, collections)
        hosts = workshop.what(first, data)
        sys.stdout.write(f"{count_of_peer(first, close)}; {hosts} hosts\n")
        cases += [
            workshop.handed_over(floor, data, None, with_groups=True),
            first,
            workshop.peer(kind, f"{kind}, 50 ms", distant, floor, collections),
        ]
    return cases


def large(folder: Path, stack: contextlib.ExitStack, options: argparse.Namespace) -> None:
    """Ten times as many, beside a thousand again."""
    workshop = Workshop(folder, options.program)
    near = stack.enter_context(emulated(folder, fleet(options.vms, 0.0), "127.84.0.0/16"))
    far = stack.enter_context(emulated(folder, fleet(options.large, 0.0), "127.85.0.0/16"))
    data = folder / "large.json"
    many = workshop.ours(f"azure_fleet, {options.large}", far, f"azure_fleet, {options.vms}")
    workshop.what(many, data)
    floor = f"hand-over floor, {options.large}"
    sys.stdout.write(f"fetch floor for {options.large}: {fetch_floor(far)}\n")
    cases = [
        workshop.ours(f"azure_fleet, {options.vms}", near, None),
        many,
        workshop.handed_over(floor, data, None, with_groups=True),
        many._replace(name=f"azure_fleet, {options.large}, again", floor=floor),
    ]
    report(cases, measure(cases, max(1, options.rounds // 2)))


def many_subscriptions(folder: Path, stack: contextlib.ExitStack, options: argparse.Namespace) -> None:
    """The same number of machines in many subscriptions, at 50 ms: what Resource Graph is for."""
    workshop = Workshop(folder, options.program)
    many = stack.enter_context(
        emulated(folder, scattered(options.vms, options.subscriptions, LATENCY), "127.86.0.0/16")
    )
    where = f"{options.subscriptions} subscriptions"
    first = workshop.ours(f"Resource Manager, {where}", many, None)
    everything_but_status = ["scale_sets", "interfaces", "public_addresses"]
    graph = {"source": "resource_graph"}
    cases = [
        first,
        workshop.ours(f"Resource Graph, {where}", many, first.name, **graph),
        workshop.ours(f"Resource Graph, {where}, no status", many, first.name, **graph, details=everything_but_status),
    ]
    for case in cases:
        sys.stdout.write(f"{case.name}: {sum(count_requests(case, many).values())} requests\n")
    report(cases, measure(cases, max(1, options.rounds // 2)))


if __name__ == "__main__":
    main()
