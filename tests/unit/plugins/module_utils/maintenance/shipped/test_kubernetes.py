"""Nodes: kubectl itself against an API on loopback where it is installed, and a program in its place everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_api import Cluster
from shipped_hooks import HookHost
from system_programs import find_program

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped.kubernetes import MARK

# As kubectl does for the words that the hook uses; what was asked is in the file "calls".
KUBECTL = """
import json, pathlib, sys
place = pathlib.Path({place!r})
world = json.loads((place / "cluster").read_text())
words = [word for word in sys.argv[1:] if not word.startswith(("--request-timeout=", "--kubeconfig=", "--context="))]
with (place / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
if world.get("down"):
    sys.exit("The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?")
name = words[1] if words[0] in ("cordon", "uncordon", "drain") else words[2]
node = world["nodes"].get(name)
if node is None:
    sys.exit(f'Error from server (NotFound): nodes "{{name}}" not found')
if words[0] == "get":
    print(json.dumps(node))
elif words[0] == "annotate":
    key, _, value = words[3].partition("=")
    notes = node["metadata"].setdefault("annotations", {{}})
    if key.endswith("-"):
        notes.pop(key[:-1], None)
    else:
        notes[key] = value
elif words[0] == "drain":
    if world.get("refuses"):
        sys.exit(world["refuses"])
else:
    node["spec"]["unschedulable"] = words[0] == "cordon"
(place / "cluster").write_text(json.dumps(world))
"""


def node(name: str = "web-0", *, cordoned: bool = False, ready: str = "True") -> dict[str, Any]:
    status = {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "spec": {"unschedulable": True} if cordoned else {}, "status": status}


class Desk:
    """A host with a kubectl that has a memory."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.host = HookHost(root / "host", "kubernetes", settings)
        self.host.program(KUBECTL.format(place=str(root)), "kubectl")
        self.set(node())

    def set(self, *nodes: dict[str, Any], **more: Any) -> None:
        self.world = {"nodes": {one["metadata"]["name"]: one for one in nodes}, **more}
        (self.root / "cluster").write_text(json.dumps(self.world))

    def node(self) -> dict[str, Any]:
        return json.loads((self.root / "cluster").read_text())["nodes"]["web-0"]

    def changes(self) -> list[str]:
        lines = (self.root / "calls").read_text().splitlines()
        (self.root / "calls").unlink()
        return [line for line in lines if not line.startswith("get ")]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_cordoned_drained_and_uncordoned(desk: Desk) -> None:
    desk.host.expect("drain", said="node web-0 is drained", vm_name="WEB-0")
    assert desk.changes() == [
        f"annotate node web-0 {MARK}=azure-maintenance --overwrite",
        "cordon web-0",
        "drain web-0 --ignore-daemonsets --timeout=240s",
    ]
    desk.host.expect("ready")
    desk.host.expect("health")
    (desk.root / "calls").unlink()
    desk.host.expect("resume")
    assert desk.changes() == ["uncordon web-0", f"annotate node web-0 {MARK}-"]
    assert desk.node()["spec"] == {"unschedulable": False}
    assert desk.host.remembered() is None


def test_options_of_the_drain(tmp_path: Path) -> None:
    desk = Desk(
        tmp_path,
        delete_emptydir_data=True,
        force=True,
        grace_period=20,
        pod_selector="app!=db",
        time_limit=60,
        kubeconfig="/etc/kubernetes/admin.conf",
        context="here",
    )
    desk.host.expect("drain")
    words = "--ignore-daemonsets --timeout=60s --delete-emptydir-data --force --grace-period=20 --pod-selector=app!=db"
    assert desk.changes()[-1] == f"drain web-0 {words}"


def test_what_somebody_cordoned_is_drained_and_stays_cordoned(desk: Desk) -> None:
    desk.set(node(cordoned=True))
    desk.host.expect("drain", said="node web-0 is cordoned already; it stays so afterwards")
    desk.host.expect("resume")
    assert desk.changes() == ["drain web-0 --ignore-daemonsets --timeout=240s"]
    assert desk.node()["spec"]["unschedulable"]


def test_a_cordon_that_somebody_took_over_stays(desk: Desk) -> None:
    desk.host.expect("drain")
    desk.set(node(cordoned=True))
    desk.host.expect("resume", said="somebody took the cordon of node web-0 over; it stays")
    assert desk.node()["spec"]["unschedulable"]
    assert desk.host.remembered() is None


def test_a_budget_is_tried_again_and_the_cordon_is_still_ours(desk: Desk) -> None:
    said = "error when evicting pods/x: Cannot evict pod as it would violate the pod's disruption budget."
    desk.set(node(), refuses=f"{said}\nerror: unable to drain node, global timeout reached: 1m0s")
    desk.host.expect("drain", 75, "a disruption budget protects its pods")
    desk.set(desk.node(), refuses="error: cannot delete Pods declare no controller (use --force to override)")
    desk.host.expect("drain", 1, "cannot delete Pods declare no controller")
    desk.set(desk.node())
    desk.host.expect("drain")
    desk.host.expect("resume")
    assert not desk.node()["spec"]["unschedulable"]


def test_ready_and_health(desk: Desk) -> None:
    desk.host.expect("ready", 1, "node web-0 is no longer cordoned")
    desk.set(node(ready="Unknown"))
    desk.host.expect("health", 75, "node web-0 is not Ready")
    desk.set()
    desk.host.expect("health", 75, "the cluster has no node web-0 yet")
    desk.host.expect("drain", 1, "the cluster has no node web-0; set node")
    desk.host.expect("ready")
    desk.set(down=True)
    for phase in ("drain", "ready", "health"):
        desk.host.expect(phase, 75, "the cluster does not tell node web-0: The connection to the server")


def test_a_node_that_is_gone_is_forgotten(desk: Desk) -> None:
    desk.host.expect("drain")
    desk.set()
    desk.host.expect("resume", said="node web-0 is no longer there")
    assert desk.host.remembered() is None


@pytest.mark.parametrize("name", ["--all", "a b", "", "$(reboot)", "x" * 300])
def test_a_name_from_the_cloud_is_no_argument(desk: Desk, name: str) -> None:
    desk.host.expect("drain", 1, "is not the name of a node; set node", vm_name=name)
    assert not (desk.root / "calls").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"node": "Web_0"}, "node: a node's name expected"),
        ({"context": "--kubeconfig=x"}, "context: a value without blanks, not beginning with a hyphen, expected"),
        ({"grace_perio": 1}, "grace_perio: unknown key; did you mean 'grace_period'?"),
        ({"force": "yes"}, "force: true or false expected"),
    ],
)
def test_settings(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    Desk(tmp_path, **given).host.expect("drain", 78, said)


# --- kubectl itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    find_program("kubectl", package="kubernetes-client")
    cluster = Cluster()
    with cluster.server:
        yield cluster


def test_with_kubectl(tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "kubeconfig").write_text(cluster.kubeconfig())
    given = {"kubeconfig": str(tmp_path / "kubeconfig"), "time_limit": 60}
    host = HookHost(tmp_path / "host", "kubernetes", given)
    cluster.add("app")
    cluster.add("agent", owner="DaemonSet")
    cluster.add("db")
    cluster.protected.add("db")
    host.configure({**given, "time_limit": 6})
    host.expect("drain", 75, "a disruption budget protects its pods")
    assert cluster.cordoned
    assert cluster.annotations == {MARK: "azure-maintenance"}
    assert cluster.evicted == ["app"]
    cluster.protected.clear()
    host.configure(given)
    host.expect("drain", said="node web-0 is drained")
    assert cluster.evicted == ["app", "db"]
    assert list(cluster.pods) == ["agent"]
    host.expect("ready")
    host.expect("health")
    host.expect("resume")
    assert not cluster.cordoned
    assert cluster.annotations == {}
    # A node that is away, and a pod that nobody would make anew.
    cluster.add("lonely", owner=None)
    host.expect("drain", 1, "cannot delete")
    host.expect("resume")
    assert not cluster.cordoned
    cluster.node = None
    host.expect("drain", 1, "the cluster has no node web-0; set node")
