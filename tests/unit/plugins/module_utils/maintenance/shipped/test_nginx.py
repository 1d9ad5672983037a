"""nginx: the flag file and the status page; and nginx itself where it is installed."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from guide_tables import code_blocks
from shipped_hooks import EVENT, ROOT, HookHost
from system_programs import find_program, wait_for

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped import nginx, registry
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped.basis import (
    Context,
    Event,
    Memory,
    TryLater,
)


class Page:
    """A status page of nginx, whose numbers go down."""

    def __init__(self) -> None:
        self.active, self.waiting, self.leaving, self.status = 1, 0, 0, 200
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = (
                    f"Active connections: {page.active} \nserver accepts handled requests\n 9 9 9 \n"
                    f"Reading: 0 Writing: 1 Waiting: {page.waiting} \n"
                )
                page.active = max(1, page.active - page.leaving)
                self.send_response(page.status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/status"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def page() -> Iterator[Page]:
    with contextlib.closing(Page()) as found:
        yield found


class Desk:
    """The hooks in this process, with a clock of their own."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.now, self.said = 1000.0, list[str]()
        self.flag = root / "drained"
        self.not_before: float | None = None
        given = {"flag_file": str(self.flag), **settings}
        self.settings = registry.check("nginx", given, where="test")
        self.memory = Memory(str(root / "memory.json"), self.said.append)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self, phase: str) -> float:
        """Run a hook; returns how long it took."""
        began = self.now
        event = Event("web-0", "e", "Reboot", self.not_before, "", {"event": EVENT})
        nginx.PHASES[phase](
            Context(
                phase=phase,
                settings=self.settings,
                event=event,
                memory=self.memory,
                say=self.said.append,
                wall=lambda: self.now,
                mono=lambda: self.now,
                sleep=self.sleep,
            )
        )
        return self.now - began


def test_a_flag_a_pause_and_nobody_is_left(tmp_path: Path, page: Page) -> None:
    desk = Desk(tmp_path, notice_time=15, status_url=page.url)
    page.active, page.leaving = 4, 1
    assert desk.run("drain") == 15 + 3, "a second for each connection but the hook's own"
    assert desk.flag.read_text().startswith("azure-maintenance drained this server: ")
    assert desk.flag.stat().st_mode & 0o777 == 0o644
    desk.run("ready")
    assert desk.run("drain") == 0, "load balancers have noticed"
    desk.run("resume")
    assert not desk.flag.exists()
    assert desk.memory.load() == {}
    desk.run("resume")


def test_requests_instead_of_connections(tmp_path: Path, page: Page) -> None:
    page.active, page.waiting = 9, 8
    desk = Desk(tmp_path, notice_time=0, status_url=page.url, count="requests")
    assert desk.run("drain") == 0
    page.waiting = 6
    desk = Desk(tmp_path, notice_time=0, status_url=page.url, count="requests", remaining=2)
    assert desk.run("drain") == 0


def test_connections_that_stay(tmp_path: Path, page: Page) -> None:
    page.active = 3
    desk = Desk(tmp_path, notice_time=0, status_url=page.url, time_limit=60)
    assert desk.run("drain") == 60
    assert desk.said == ["2 connections left after 60 s; going on"]
    desk = Desk(tmp_path, notice_time=0, status_url=page.url, time_limit=60, on_timeout="fail")
    with pytest.raises(TryLater, match="2 connections left after 60 s"):
        desk.run("drain")


def test_waiting_ends_before_azure_begins(tmp_path: Path, page: Page) -> None:
    page.active = 3
    desk = Desk(tmp_path, notice_time=10, status_url=page.url, time_limit=600)
    desk.not_before = desk.now + 30
    assert desk.run("drain") == 25


def test_a_file_of_somebody_else_stays(tmp_path: Path) -> None:
    desk = Desk(tmp_path, notice_time=0)
    desk.flag.touch()
    desk.run("drain")
    desk.run("ready")
    desk.run("resume")
    assert desk.flag.exists()
    assert desk.said[0].endswith("is there already and not made here; it is left alone")
    assert desk.said[1].endswith("was not made here and stays: this server remains out of service")


def test_a_file_that_somebody_put_in_its_place_stays(tmp_path: Path) -> None:
    desk = Desk(tmp_path, notice_time=0)
    desk.run("drain")
    desk.flag.write_text("kept closed by hand")
    desk.run("resume")
    assert desk.flag.exists()
    assert desk.memory.load() == {}


def test_the_hooks_themselves(tmp_path: Path, page: Page) -> None:
    flag = tmp_path / "drained"
    given = {"flag_file": str(flag), "notice_time": 0, "status_url": page.url, "health_url": page.url}
    host = HookHost(tmp_path / "host", "nginx", given)
    host.expect("health")
    host.expect("drain", said="drained: at most 0 connections are left")
    host.expect("ready")
    flag.unlink()
    host.expect("ready", 1, "is gone")
    host.expect("resume")
    page.status = 503
    host.expect("health", 75, "answers 503")
    host.expect("drain", 1, "is no page of stub_status: status 503")
    page.close()
    host.expect("health", 75, "does not answer: Connection refused")
    host.configure({"flag_file": str(tmp_path / "no/such/place")})
    host.expect("drain", 1, "cannot be made: No such file or directory")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"flag_file": "/run/flag"}, "flag_file: /run/ is empty after a reboot"),
        ({"flag_file": "flag"}, "flag_file: an absolute path expected"),
        ({"status_url": "127.0.0.1/status"}, "begins with http:// or https://"),
        ({"status_url": "http://me:secret@127.0.0.1/"}, "a password in a URL ends up in logs"),
        ({"notice_tim": 1}, "did you mean 'notice_time'?"),
    ],
)
def test_settings(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="settings") as caught:
        registry.check("nginx", given, where="settings")
    assert said in str(caught.value)
    assert "secret@" not in str(caught.value)


# --- nginx itself -------------------------------------------------------------------------------------------------

# The locations are the guide's.
GUIDE = ROOT / "docs/docsite/rst/maintenance_hooks.rst"
CONFIG = """
daemon off; pid {root}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
    uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
    server {{
        listen 127.0.0.1:{port};
        {site}
        location = / {{ return 200 "here"; }}
    }}
}}
"""


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        return get(port, "/") == 200
    except OSError:
        return False


def test_with_nginx(tmp_path: Path) -> None:
    program = find_program("nginx", package="nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    # Workers of a master that runs as root are another user's, and pytest's directories are its own.
    root = tmp_path / "nginx"
    root.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    text = code_blocks(GUIDE, "nginx")[0].replace(nginx.SETTINGS["flag_file"].default, str(root / "drained"))
    (root / "nginx.conf").write_text(user + CONFIG.format(root=root, port=port, site=text))
    with subprocess.Popen([program, "-p", str(root), "-c", str(root / "nginx.conf"), "-e", "stderr"]) as process:
        try:
            wait_for(lambda: answers(port), "nginx answers")
            site = f"http://127.0.0.1:{port}"
            given = {"flag_file": str(root / "drained"), "notice_time": 0, "health_url": site, "time_limit": 60}
            host = HookHost(tmp_path / "host", "nginx", {**given, "status_url": f"{site}/status"})
            assert get(port, "/health") == 200
            with socket.create_connection(("127.0.0.1", port)) as client:
                host.configure({**given, "status_url": f"{site}/status", "time_limit": 0.2, "on_timeout": "fail"})
                host.expect("drain", 75, "1 connection left")
                timer = threading.Timer(1.0, client.close)
                timer.start()
                host.configure({**given, "status_url": f"{site}/status"})
                host.expect("drain", said="drained: at most 0 connections are left")
                timer.join()
            assert get(port, "/health") == 503
            assert get(port, "/") == 200, "who is still there is served"
            host.expect("ready")
            host.expect("health")
            host.expect("resume")
            assert get(port, "/health") == 200
        finally:
            process.terminate()
