"""What Prometheus is told, and the pages on loopback."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from maintenance_world import World

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import metrics
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.exporter import Exporter, Page
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.publish import Publisher, healthz
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.status import snapshot

LINE = re.compile(r'azure_maintenance_[a-z_]+(\{([a-z_]+="([^"\\\n]|\\.)*",?)+\})? [0-9.e+-]+')


def page(world: World, name: str = "vm-0") -> str:
    agent = world.vms[name].agent
    return metrics.render(snapshot(agent, pid=1), agent.counters)


def test_every_metric_is_told_over_a_life_and_well_formed() -> None:
    world = World()
    told: set[str] = set()
    event = world.schedule("Reboot", "vm-0")
    for second in range(80):
        if second == 10:
            world.start(event)
            world.vms["vm-0"].silent = True
        if second == 15:
            world.vms["vm-0"].silent = False
            world.vms["vm-0"].journal.full = True
            world.end(event)
        if second == 25:
            world.store.down = True
        if second == 28:
            world.store.down = False
        world.run(1)
        text = page(world)
        for line in text.splitlines():
            assert line.startswith("# ") or LINE.fullmatch(line), line
        told |= {
            line.split()[2].removeprefix(metrics.PREFIX) for line in text.splitlines() if line.startswith("# TYPE")
        }
    assert told == set(metrics.METRICS)


def test_the_numbers_tell_the_story() -> None:
    world = World()
    event = world.schedule("Reboot", "vm-0")
    world.run(6)
    text = page(world)
    assert 'azure_maintenance_service_state{state="drained"} 1\n' in text
    assert 'azure_maintenance_service_state{state="in_service"} 0\n' in text
    assert 'azure_maintenance_slot{kind="held"} 1\n' in text
    assert 'azure_maintenance_events{state="approved",type="Reboot"} 1\n' in text
    assert 'azure_maintenance_approvals_total{outcome="taken"} 1\n' in text
    assert 'azure_maintenance_hook_runs_total{outcome="done",phase="drain"} 1\n' in text
    assert "azure_maintenance_fleet_members 3\nazure" in text.replace("# HELP", "azure").replace("# TYPE", "azure")
    assert "azure_maintenance_fleet_unavailable 1\n" in text
    assert f'event_not_before_timestamp_seconds{{event_id="{event}",type="Reboot"}} 1800000902\n' in text
    world.end(event)
    world.run(30)
    text = page(world)
    assert 'azure_maintenance_events_total{outcome="done",type="Reboot"} 1\n' in text
    assert "azure_maintenance_events{" not in text


def test_text_from_the_cloud_is_escaped() -> None:
    counters = metrics.Counters()
    counters.add("events_total", type='a"b\\c\nd', outcome="done")
    world = World(("vm-0",))
    text = metrics.render(snapshot(world.vms["vm-0"].agent, pid=1), counters)
    assert r'type="a\"b\\c\nd"' in text


class TestHealth:
    def test_it_recovers(self) -> None:
        world = World(("vm-0",))
        agent = world.vms["vm-0"].agent

        def status() -> str:
            return healthz(snapshot(agent, pid=1), agent.config).status

        assert status() == "200 OK"
        world.vms["vm-0"].silent = True
        world.run(29)
        assert status() == "200 OK", "a short silence is not an illness"
        world.run(10)
        assert status() == "503 Service Unavailable"
        assert "silent" in healthz(snapshot(agent, pid=1), agent.config).text
        world.vms["vm-0"].silent = False
        world.run(2)
        assert status() == "200 OK"

    def test_before_the_first_read(self) -> None:
        world = World(("vm-0",))
        world.vms["vm-0"].crash()
        agent = world.vms["vm-0"].agent
        assert healthz(snapshot(agent, pid=1), agent.config).status == "503 Service Unavailable"


class TestExporter:
    @pytest.fixture
    def exporter(self) -> Iterator[Exporter]:
        exporter = Exporter(0)
        exporter.pages["/metrics"] = Page("200 OK", "text/plain; version=0.0.4", "x 1\n")
        yield exporter
        exporter.close()

    def test_a_page(self, exporter: Exporter) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics?x=1", timeout=5) as answer:
            assert answer.read() == b"x 1\n"
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"

    def test_another_page_says_which_there_are(self, exporter: Exporter) -> None:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/", timeout=5)
        assert caught.value.code == 404
        assert caught.value.read() == b"here are: /metrics\n"
        caught.value.close()

    @pytest.mark.parametrize(
        ("request_", "expected"),
        [
            (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
            (b"nonsense\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
            (b"x" * 20000, b""),
        ],
    )
    def test_other_requests(self, exporter: Exporter, request_: bytes, expected: bytes) -> None:
        with socket.create_connection(("127.0.0.1", exporter.port), 5) as connection:
            try:
                connection.sendall(request_)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65536)
            except OSError:  # it hung up on what is too long
                answer = b""
        assert answer.split(b"\r\n")[0] == expected

    def test_it_listens_on_loopback_only(self, exporter: Exporter) -> None:
        assert exporter._listener.getsockname()[0] == "127.0.0.1"


class TestPublisher:
    def test_files_and_pages_are_kept_and_taken_away(self, tmp_path: Path) -> None:
        textfile = tmp_path / "azure.prom"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        world = World(("vm-0",), run_dir=str(tmp_path), metrics_textfile=str(textfile), http_port=port)
        agent, said = world.vms["vm-0"].agent, []
        publisher = Publisher(agent.config, lambda level, line, fields: said.append(line))
        publisher.update(agent)
        assert (tmp_path / "status.json").exists()
        assert "azure_maintenance_up 1" in textfile.read_text()
        for path in ("/metrics", "/healthz"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                assert answer.status == 200
        publisher.close()
        assert not textfile.exists(), "a file that grows old would look like a handler that is well"
        assert said == []

    def test_a_port_in_use_is_said_and_no_more(self, tmp_path: Path) -> None:
        said: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as busy:
            world = World(("vm-0",), run_dir=str(tmp_path), http_port=busy.getsockname()[1])
            publisher = Publisher(world.vms["vm-0"].agent.config, lambda level, line, fields: said.append(line))
            publisher.update(world.vms["vm-0"].agent)
            publisher.close()
        assert "cannot be used: Address already in use" in said[0]

    def test_a_place_that_cannot_be_written_is_said_once(self, tmp_path: Path) -> None:
        said: list[str] = []
        world = World(("vm-0",), run_dir=str(tmp_path / "gone"))
        agent = world.vms["vm-0"].agent
        publisher = Publisher(agent.config, lambda level, line, fields: said.append(line))
        for event_type in ("Reboot", "Redeploy"):
            publisher.update(agent)
            world.schedule(event_type, "vm-0")
            world.run(2)
        assert len(said) == 1
        (tmp_path / "gone").mkdir()
        world.run(2)
        publisher.update(agent)
        assert (tmp_path / "gone" / "status.json").exists()


def test_states_of_the_host_are_all_told() -> None:
    assert {m.IN_SERVICE, m.HOST_DRAINING, m.HOST_DRAINED, m.HOST_RESUMING} == {
        dict(labels)["state"]
        for name, labels in metrics.samples(snapshot(World(("vm-0",)).vms["vm-0"].agent, pid=1), metrics.Counters())
        if name == "service_state"
    }
