"""Patroni: a REST API that answers as Patroni's does, and a cluster of two where Patroni, PostgreSQL and etcd are."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shipped_hooks import HookHost
from system_programs import find_file, find_program, wait_for
from taking_server import Reply, Taken, TakingServer

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped import patroni, registry


class Cluster:
    """The REST API of the member ``a``; a switchover that is taken happens at once."""

    def __init__(self) -> None:
        self.leader: str | None = "a"
        self.members: dict[str, dict[str, Any]] = {"a": {}, "b": {"lag": 0}, "c": {"lag": 100}}
        self.state = "running"
        self.refuses: dict[str, str] = {}
        self.reloads = 0
        self.asked: list[dict[str, Any]] = []
        self.credentials: str | None = None
        self.server = TakingServer(self.answer)

    def answer(self, taken: Taken) -> Reply:
        if taken.path == "/patroni":
            role = "master" if self.leader == "a" else "replica"
            return Reply(200, {"state": self.state, "role": role, "patroni": {"version": "3.0.2", "scope": "main"}})
        if taken.path == "/cluster":
            members = [
                {"name": name, "role": "leader" if name == self.leader else "replica", "state": "running", **more}
                for name, more in self.members.items()
            ]
            return Reply(200, {"members": members})
        if self.credentials is not None and taken.headers.get("authorization") != self.credentials:
            return Reply(401, b"no auth")
        if taken.path == "/reload":
            self.reloads += 1
            return Reply(202, b"reload scheduled")
        self.asked.append(taken.json)
        wanted = taken.json["candidate"]
        if wanted in self.refuses:
            return Reply(412, self.refuses[wanted].encode())
        self.leader = wanted
        return Reply(200, b"Successfully switched over")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    with cluster.server:
        yield cluster


def make(root: Path, cluster: Cluster, **settings: Any) -> HookHost:
    return HookHost(root / "host", "patroni", {"url": cluster.server.url, **settings})


def test_a_leader_hands_over_to_the_one_that_is_least_behind(tmp_path: Path, cluster: Cluster) -> None:
    host = make(tmp_path, cluster)
    host.expect("ready", 1, "this member leads again")
    host.expect("drain", said="a handed over to b")
    assert cluster.asked == [{"leader": "a", "candidate": "b"}]
    host.expect("ready")
    host.expect("drain", said="this member is a replica; there is nothing to hand over")
    host.expect("health")
    host.expect("resume")
    assert len(cluster.asked) == 1
    assert host.remembered() is None


@pytest.mark.parametrize(
    ("members", "settings", "expected"),
    [
        ({"b": {"lag": 5000000}, "c": {"lag": 10}}, {}, ["c"]),
        ({"b": {"lag": 5000000}, "c": {"lag": 10}}, {"max_lag": 6000000}, ["c", "b"]),
        ({"b": {"lag": "unknown"}, "c": {"lag": 10}}, {}, ["c"]),
        ({"b": {"lag": 0, "tags": {"nofailover": True}}, "c": {"lag": 10}}, {}, ["c"]),
        ({"b": {"lag": 0, "state": "starting"}, "c": {"lag": 10, "state": "streaming"}}, {}, ["c"]),
        ({"b": {"lag": 0}, "c": {"lag": 10, "role": "sync_standby"}}, {}, ["c"]),
        ({"b": {"lag": 0}, "c": {"lag": 10}}, {"candidates": ["c", "x"]}, ["c"]),
        ({"b": {"lag": 0, "state": "crashed"}}, {}, []),
    ],
)
def test_who_may_take_over(members: dict[str, Any], settings: dict[str, Any], expected: list[str]) -> None:
    known = [{"name": "a", "role": "leader", "state": "running"}]
    known += [{"name": name, "role": "replica", "state": "running", **more} for name, more in members.items()]
    checked = registry.check("patroni", settings, where="test")
    assert patroni._candidates(checked, known) == expected


def test_nobody_can_take_over(tmp_path: Path, cluster: Cluster) -> None:
    cluster.members = {"a": {}}
    make(tmp_path, cluster).expect("drain", 75, "a leads, and no other member can take over")
    assert cluster.asked == []


def test_refusals(tmp_path: Path, cluster: Cluster) -> None:
    cluster.refuses = {"b": "candidate is not healthy"}
    host = make(tmp_path, cluster)
    host.expect("drain", said="a handed over to c")
    cluster.leader, cluster.refuses = "a", {"b": "paused", "c": "no"}
    host.expect("drain", 75, "Patroni refuses the switchover: b: paused; c: no")


def test_a_switchover_that_does_not_happen(tmp_path: Path, cluster: Cluster) -> None:
    usual = cluster.answer

    def answer(taken: Taken) -> Reply:
        return Reply(200, b"scheduled") if taken.path == "/switchover" else usual(taken)

    with TakingServer(answer) as server:
        host = HookHost(tmp_path / "host", "patroni", {"url": server.url, "time_limit": 1})
        host.expect("drain", 75, "a still leads after 1 s")


def test_the_tag_is_set_while_drained(tmp_path: Path, cluster: Cluster) -> None:
    tags = tmp_path / "99-drained.yml"
    host = make(tmp_path, cluster, tags_file=str(tags))
    host.expect("drain")
    assert json.loads(tags.read_text()) == {"tags": {"nofailover": True}}
    assert cluster.reloads == 1
    host.expect("drain")
    assert cluster.reloads == 1
    host.expect("resume")
    assert not tags.exists()
    assert cluster.reloads == 2
    assert host.remembered() is None


def test_a_tag_of_somebody_else_stays(tmp_path: Path, cluster: Cluster) -> None:
    tags = tmp_path / "99-drained.yml"
    tags.write_text("tags: {nofailover: true, noloadbalance: true}\n")
    host = make(tmp_path, cluster, tags_file=str(tags))
    host.expect("drain", said="is there already and not made here; it is left alone")
    host.expect("resume")
    assert tags.exists()
    tags.unlink()
    host.expect("drain")
    tags.write_text("tags: {nofailover: true, clonefrom: true}\n")
    host.expect("resume", said="was changed by somebody, and stays")
    assert tags.exists()


def test_a_patroni_that_does_not_run(tmp_path: Path, cluster: Cluster) -> None:
    host = make(tmp_path, cluster, url="http://127.0.0.1:9")
    for phase in ("drain", "ready", "health"):
        host.expect(phase, 75, "http://127.0.0.1:9 does not answer: Connection refused")
    host.configure({"url": "http://127.0.0.1:9", "unreachable": "ignore"})
    host.expect("drain", said="it is taken that no leader runs here")
    host.expect("ready")
    host.expect("health")


def test_health_and_odd_answers(tmp_path: Path, cluster: Cluster) -> None:
    host = make(tmp_path, cluster)
    cluster.state = "starting"
    host.expect("health", 75, "PostgreSQL is starting")
    with TakingServer(lambda _taken: Reply(200, b"<html>")) as server:
        host.configure({"url": server.url})
        host.expect("drain", 1, "the answer is not JSON: '<html>'")


def test_the_password_is_sent_and_not_told(tmp_path: Path, cluster: Cluster) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    cluster.credentials = "Basic " + base64.b64encode(b"me:s3cret").decode()
    host = make(tmp_path, cluster, user="me", password_file=str(secret))
    output = host.expect("drain", said="a handed over to b")
    cluster.leader, cluster.credentials = "a", "Basic other"
    output += host.expect("drain", 75, "Patroni refuses the switchover: b: no auth")
    assert "s3cret" not in output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"user": "me"}, "user and password_file: one needs the other"),
        ({"tags_file": "/etc/patroni/drained"}, "tags_file: a name that ends in .yml expected"),
        ({"urls": "x"}, "urls: unknown key; did you mean 'url'?"),
        ({"max_lag": "1MB"}, "max_lag: a whole number of at least 0 expected"),
    ],
)
def test_settings(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="settings") as caught:
        registry.check("patroni", given, where="settings")
    assert said in str(caught.value)


# --- Patroni itself -----------------------------------------------------------------------------------------------

USER = "postgres"
PATRONI = """
scope: main
name: {name}
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
etcd3: {{host: "127.0.0.1:{etcd}"}}
bootstrap:
  dcs: {{ttl: 20, loop_wait: 1, retry_timeout: 5, postgresql: {{use_pg_rewind: false}}}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, no-sync]
  pg_hba: ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
postgresql:
  listen: "127.0.0.1:{pg}"
  connect_address: "127.0.0.1:{pg}"
  data_dir: {root}/{name}/data
  bin_dir: {bin}
  pgpass: {root}/{name}/pgpass
  authentication: {{replication: {{username: replicator, password: x}}, superuser: {{username: postgres, password: x}}}}
  parameters: {{unix_socket_directories: {root}/{name}, fsync: "off", max_connections: 20, shared_buffers: 16MB}}
"""


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]


def get(port: int, path: str = "/patroni") -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return dict(json.load(answer))
    except OSError:
        return {}


def members(port: int) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["role"], one["state"]) for one in get(port, "/cluster").get("members", [])}


class Members:
    """Two members and their etcd, as the user postgres."""

    def __init__(self, root: Path, stack: contextlib.ExitStack) -> None:
        self.root, self.stack = root, stack
        etcd_program = find_program("etcd", package="etcd-server")
        self.program = find_program("patroni", package="patroni python3-etcd")
        directories = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        newest = directories[-1] if directories else Path("/usr/lib/postgresql/*/bin/initdb")
        self.bin = find_file(str(newest), package="postgresql").parent
        if os.geteuid() != 0:
            pytest.skip("PostgreSQL's servers are run as the user postgres, which takes root")
        etcd, peer, *self.ports = free_ports(6)
        self.rest = self.ports[:2]
        shutil.chown(root, USER, USER)
        url = f"http://127.0.0.1:{etcd}"
        arguments = [f"--data-dir={root}/etcd", f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
        arguments += [f"--listen-peer-urls=http://127.0.0.1:{peer}", "--unsafe-no-fsync", "--logger=zap"]
        self.start("etcd", [etcd_program, *arguments])
        wait_for(lambda: get(etcd, "/health").get("health") == "true", "etcd is healthy")
        for index, name in enumerate("ab"):
            directory = root / name / "conf.d"
            directory.mkdir(parents=True)
            text = PATRONI.format(
                name=name, rest=self.rest[index], pg=self.ports[2 + index], etcd=etcd, root=root, bin=self.bin
            )
            (directory / "10-main.yml").write_text(text)
            for path in (directory.parent, directory, directory / "10-main.yml"):
                shutil.chown(path, USER, USER)
            self.start(name, [self.program, str(directory)])
            wait_for(lambda name=name: members(self.rest[0]).get(name, ("", ""))[1] == "running", f"{name} runs")

    def start(self, name: str, argv: list[str]) -> None:
        """Start a program, and end it with the test."""
        log = (self.root / f"{name}.log").open("wb")
        self.stack.callback(log.close)
        process = subprocess.Popen(
            argv, stdout=log, stderr=subprocess.STDOUT, cwd=self.root, user=USER, group=USER, extra_groups=[]
        )

        def end() -> None:
            process.terminate()  # Patroni stops its PostgreSQL, too
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)

        self.stack.callback(end)


@pytest.mark.timeout(400)
def test_with_patroni(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        # Another user's servers cannot enter pytest's directories.
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="patroni-")))
        cluster = Members(root, stack)
        port = cluster.rest[0]
        assert members(port)["a"][0] == "leader"
        tags = root / "a/conf.d/99-drained.yml"
        given = {"url": f"http://127.0.0.1:{port}", "tags_file": str(tags), "time_limit": 60}
        host = HookHost(tmp_path / "host", "patroni", given)
        host.expect("health")
        wait_for(lambda: _lag(port, "b") == 0, "b has everything")
        host.expect("drain", said="a handed over to b")
        host.expect("ready")
        wait_for(lambda: members(port)["a"] == ("replica", "running"), "a follows b")
        wait_for(lambda: _tags(port, "a").get("nofailover") is True, "Patroni has read the tag")
        # What Patroni itself says: a must not lead.
        other = HookHost(tmp_path / "other", "patroni", {"url": f"http://127.0.0.1:{cluster.rest[1]}"})
        other.expect("drain", 75, "b leads, and no other member can take over")
        host.expect("health")
        host.expect("resume")
        assert not tags.exists()
        wait_for(lambda: not _tags(port, "a").get("nofailover"), "Patroni has read that the tag is gone")
        other.expect("drain", said="b handed over to a")


def _member(port: int, name: str) -> dict[str, Any]:
    found = [member for member in get(port, "/cluster").get("members", []) if member["name"] == name]
    return found[0] if found else {}


def _tags(port: int, name: str) -> dict[str, Any]:
    return dict(_member(port, name).get("tags") or {})


def _lag(port: int, name: str) -> Any:
    return _member(port, name).get("lag")
