"""Containers: only what ran is stopped, and only that is started again. docker is a program with a memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from shipped_hooks import HookHost
from system_programs import find_program
from taking_server import Reply, Taken, TakingServer

# As docker does for the words that the hooks use; an engine that is down says what Docker's command says then.
DOCKER = """
import json, pathlib, sys
place = pathlib.Path({place!r})
world = json.loads((place / "containers").read_text())
words = sys.argv[1:]
with (place / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
if world.get("down"):
    sys.exit("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
containers = world["containers"]
if words[0] == "ps":
    assert words[1:5] == ["--all", "--no-trunc", "--format", "{{{{.ID}}}}\\t{{{{.Names}}}}\\t{{{{.State}}}}"], words
    label = words[6].removeprefix("label=") if len(words) > 5 else None
    for identity, one in containers.items():
        if label is None or label in one["labels"] or label in [text.partition("=")[0] for text in one["labels"]]:
            print(identity, one["name"], one["state"], sep="\\t")
else:
    one = containers.get(words[-1]) or sys.exit(f"Error response from daemon: No such container: {{words[-1]}}")
    if words[0] in one.get("refuses", []):
        sys.exit(f"Error response from daemon: cannot {{words[0]}} container: {{words[-1]}}")
    one["state"] = {{"stop": "exited", "start": "running"}}[words[0]]
    (place / "containers").write_text(json.dumps(world))
    print(words[-1])
"""


class Engine:
    def __init__(self, place: Path) -> None:
        self.place = place

    def set(self, *containers: tuple[str, str, str], down: bool = False, **more: Any) -> None:
        """Name, state, and labels with blanks between them."""
        known = {
            self.id(name): {"name": name, "state": state, "labels": labels.split(), **more.get(name, {})}
            for name, state, labels in containers
        }
        (self.place / "containers").write_text(json.dumps({"containers": known, "down": down}))

    @staticmethod
    def id(name: str) -> str:
        return name.encode().hex().ljust(64, "0")

    def state(self, name: str) -> str:
        return json.loads((self.place / "containers").read_text())["containers"][self.id(name)]["state"]

    def changes(self) -> list[str]:
        path = self.place / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("ps")]


@pytest.fixture
def host(tmp_path: Path) -> HookHost:
    host = HookHost(tmp_path, "docker", {"containers": ["app", "cache"], "labels": ["role=web"]})
    host.program(DOCKER.format(place=str(tmp_path)), "docker")
    return host


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def test_what_ran_is_stopped_in_order_and_started_in_the_reverse_order(host: HookHost, engine: Engine) -> None:
    engine.set(
        ("web1", "running", "role=web"),
        ("web2", "exited", "role=web"),
        ("cache", "paused", ""),
        ("app", "running", "role=web"),
        ("other", "running", "role=db"),
    )
    host.expect("drain", said="3 containers stopped, 3 to be started again")
    assert engine.changes() == [f"stop {engine.id(name)}" for name in ("app", "cache", "web1")]
    host.expect("ready")
    host.expect("resume")
    assert engine.changes() == [f"start {engine.id(name)}" for name in ("web1", "cache", "app")]
    assert engine.state("web2") == "exited"
    assert engine.state("other") == "running"
    assert host.remembered() is None


def test_the_containers_own_stop_timeout_counts_unless_another_is_set(host: HookHost, engine: Engine) -> None:
    engine.set(("app", "running", ""), ("cache", "exited", ""))
    host.configure({"containers": ["app"], "stop_timeout": 45})
    host.expect("drain")
    assert engine.changes() == [f"stop -t 45 {engine.id('app')}"]


def test_what_was_removed_or_made_anew_is_left_alone(host: HookHost, engine: Engine) -> None:
    engine.set(("app", "running", ""), ("cache", "running", ""))
    host.expect("drain")
    engine.set(("cache", "exited", ""))
    host.expect("resume", said="container app was removed in the meantime")
    assert engine.changes()[-1] == f"start {engine.id('cache')}"
    assert host.remembered() is None


def test_what_runs_after_the_reboot_is_not_started_again(host: HookHost, engine: Engine) -> None:
    engine.set(("app", "running", ""), ("cache", "running", ""))
    host.expect("drain")
    engine.changes()
    engine.set(("app", "running", ""), ("cache", "restarting", ""))
    host.expect("resume")
    assert engine.changes() == []


def test_a_container_that_somebody_starts_is_seen(host: HookHost, engine: Engine) -> None:
    engine.set(("app", "running", ""), ("cache", "exited", ""))
    host.expect("drain")
    engine.set(("app", "exited", ""), ("cache", "exited", ""), ("web9", "running", "role=web"))
    host.expect("ready", 1, "container web9 runs again")


def test_refusals(host: HookHost, engine: Engine) -> None:
    engine.set(("app", "running", ""), ("cache", "running", ""), app={"refuses": ["start"]})
    host.expect("drain")
    host.expect("resume", 1, "container app was not started: Error response from daemon")
    assert host.remembered() == {"containers": [[engine.id("app"), "app"]]}
    engine.set(("app", "running", ""), ("cache", "running", ""), cache={"refuses": ["stop"]})
    host.expect("drain", 1, "container cache was not stopped")


def test_a_missing_container_is_said_and_no_reason_to_stay(host: HookHost, engine: Engine) -> None:
    engine.set(("app", "running", ""))
    host.expect("drain", said="there is no container cache")


def test_an_engine_that_is_down_is_tried_again(host: HookHost, engine: Engine) -> None:
    engine.set(down=True)
    for phase in ("drain", "ready", "health"):
        host.expect(phase, 75, "Cannot connect to the Docker daemon")


def test_another_command(host: HookHost, engine: Engine, tmp_path: Path) -> None:
    engine.set(("app", "running", ""))
    (host.programs / "docker").rename(host.programs / "podman")
    host.configure({"containers": ["app"], "command": "podman"})
    host.expect("drain")
    assert engine.state("app") == "exited"
    host.configure({"containers": ["app"], "command": str(tmp_path / "no such")})
    host.expect("drain", 78, "a command expected")
    host.configure({"containers": ["app"], "command": "/nonexistent/docker"})
    host.expect("drain", 75, "/nonexistent/docker is not there; install it, or name its path in the settings")


def test_settings(host: HookHost) -> None:
    host.configure({})
    host.expect("drain", 78, "name at least one container or label")
    host.configure({"containers": ["--all"], "label": ["x"]})
    output = host.expect("drain", 78, "label: unknown key; did you mean 'labels'?")
    assert "containers: [0]: the name of a container expected, not '--all'" in output


# --- Docker's own command ------------------------------------------------------------------------------------------


class EngineApi:
    """As much of the Engine's API as Docker's command needs to list, stop and start containers."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.calls: list[str] = []
        self.server = TakingServer(self.answer)

    def add(self, name: str, state: str, **labels: str) -> None:
        self.states[name], self.labels[name] = state, labels

    def answer(self, taken: Taken) -> Reply:
        parts = urlsplit(taken.path)
        words = parts.path.strip("/").split("/")
        if words[-1] == "_ping":
            return Reply(200, b"OK", (("Api-Version", "1.47"), ("OSType", "linux")))
        if words[-2:] == ["containers", "json"]:
            filters = json.loads(parse_qs(parts.query).get("filters", ["{}"])[0])
            wanted = [label.partition("=")[::2] for label in filters.get("label", {})]
            return Reply(200, [self._row(name) for name in self.states if self._has(name, wanted)])
        name = next(name for name in self.states if Engine.id(name) == words[-2])
        self.calls.append(f"{words[-1]} {name} {parts.query}".strip())
        self.states[name] = "exited" if words[-1] == "stop" else "running"
        return Reply(204)

    def _has(self, name: str, wanted: list[tuple[str, str]]) -> bool:
        return all(self.labels[name].get(key) == value for key, value in wanted)

    def _row(self, name: str) -> dict[str, Any]:
        shown = {"Id": Engine.id(name), "Names": [f"/{name}"], "Image": "i", "ImageID": "i", "Command": "c"}
        state = {"State": self.states[name], "Status": "Up 1 second", "Created": 1}
        return {**shown, **state, "Ports": [], "Labels": self.labels[name]}


@pytest.fixture
def api() -> Iterator[EngineApi]:
    find_program("docker", package="docker-cli")
    api = EngineApi()
    with api.server:
        yield api


def test_with_dockers_own_command(tmp_path: Path, api: EngineApi) -> None:
    host = HookHost(tmp_path, "docker", {"containers": ["app"], "labels": ["role=web"], "stop_timeout": 7})
    script = f'#!/bin/sh\nDOCKER_HOST=tcp://127.0.0.1:{api.server.port} HOME={tmp_path} exec docker "$@"\n'
    (host.programs / "docker-here").write_text(script)
    (host.programs / "docker-here").chmod(0o755)
    host.configure({"containers": ["app"], "labels": ["role=web"], "stop_timeout": 7, "command": "docker-here"})
    api.add("app", "running")
    api.add("web1", "running", role="web")
    api.add("web2", "exited", role="web")
    api.add("db", "running", role="db")
    host.expect("health")
    host.expect("drain", said="2 containers stopped, 2 to be started again")
    assert [call.split()[:2] for call in api.calls] == [["stop", "app"], ["stop", "web1"]]
    assert all("t=7" in call for call in api.calls)
    host.expect("ready")
    api.calls.clear()
    host.expect("resume")
    assert [call.split()[:2] for call in api.calls] == [["start", "web1"], ["start", "app"]]
    assert api.states == {"app": "running", "web1": "running", "web2": "exited", "db": "running"}
    api.server.__exit__()
    host.expect("drain", 75, "the containers cannot be listed: ")
