"""HAProxy: against a runtime API that answers as HAProxy does, and against HAProxy itself where it is installed."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shipped_hooks import HookHost
from system_programs import find_program, wait_for

HEAD = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight"
UNITS = {"ready": 0x00, "maint": 0x01, "drain": 0x08}


class Balancer:
    """A runtime API: its servers, their sessions, and what was asked."""

    def __init__(self, *servers: str) -> None:
        self.states = dict.fromkeys(servers, 0)
        self.sessions = dict.fromkeys(servers, 0)
        self.asked: list[str] = []
        self.leaving = 0
        balancer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline().decode().strip()
                self.wfile.write((balancer.answer(line) + "\n").encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def answer(self, line: str) -> str:
        if line == "show servers state":
            states = [(*server.split("/"), state) for server, state in self.states.items()]
            rows = [f"3 {backend} 1 {server} 127.0.0.1 2 {state} 1" for backend, server, state in states]
            return "\n".join(["1", HEAD, *rows, ""])
        if line == "show stat":
            rows = [f"{s.replace('/', ',')},0,{number},UP" for s, number in self.sessions.items()]
            for server in self.sessions:
                self.sessions[server] = max(0, self.sessions[server] - self.leaving)
            return "\n".join(["# pxname,svname,qcur,scur,status,", *rows, ""])
        self.asked.append(line)
        words = line.split()
        if words[:2] == ["set", "server"] and words[3] == "state":
            if words[2] not in self.states:
                return "No such server."
            self.states[words[2]] = UNITS[words[4]]
            return ""
        if words[:3] == ["shutdown", "sessions", "server"]:
            self.sessions[words[3]] = 0
            return ""
        return "Unknown command."

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def balancers() -> Iterator[Callable[..., Balancer]]:
    with contextlib.ExitStack() as stack:

        def make(*servers: str) -> Balancer:
            balancer = Balancer(*servers)
            stack.callback(balancer.close)
            return balancer

        yield make


def settings(*balancers: Balancer, **more: Any) -> dict[str, Any]:
    return {"sockets": [one.address for one in balancers], "servers": ["web/{vm_name}"], "time_limit": 60, **more}


def test_drained_everywhere_and_made_ready_again(tmp_path: Path, balancers: Callable[..., Balancer]) -> None:
    one, two = balancers("web/web-0", "web/web-1"), balancers("web/web-0")
    one.sessions["web/web-0"], one.leaving = 3, 1
    host = HookHost(tmp_path, "haproxy", settings(one, two))
    host.expect("drain", said="web/web-0: drained, no sessions left")
    assert one.asked == two.asked == ["set server web/web-0 state drain"]
    assert one.sessions["web/web-0"] == 0
    assert one.states["web/web-1"] == 0
    host.expect("ready")
    host.expect("drain")
    assert len(one.asked) == 1, "nothing is done twice"
    host.expect("resume")
    assert one.states["web/web-0"] == two.states["web/web-0"] == 0
    assert host.remembered() is None


def test_what_somebody_took_out_stays_out(tmp_path: Path, balancers: Callable[..., Balancer]) -> None:
    one = balancers("web/web-0")
    host = HookHost(tmp_path, "haproxy", settings(one))
    for state in ("maint", "drain"):
        one.states["web/web-0"] = UNITS[state]
        host.expect("drain", said="is out of service already; it is left alone")
        host.expect("resume")
        assert one.states["web/web-0"] == UNITS[state]
    assert one.asked == []


def test_what_somebody_took_out_since_stays_out(tmp_path: Path, balancers: Callable[..., Balancer]) -> None:
    one = balancers("web/web-0")
    host = HookHost(tmp_path, "haproxy", settings(one))
    host.expect("drain")
    one.states["web/web-0"] = UNITS["maint"] | UNITS["drain"]
    host.expect("resume", said="was put into maintenance by somebody; it is left alone")
    assert one.asked == ["set server web/web-0 state drain"]
    assert host.remembered() is None


def test_a_load_balancer_that_restarted_is_seen_and_drained_again(
    tmp_path: Path, balancers: Callable[..., Balancer]
) -> None:
    one = balancers("web/web-0")
    host = HookHost(tmp_path, "haproxy", settings(one))
    host.expect("drain")
    one.states["web/web-0"] = 0
    host.expect("ready", 1, "web/web-0 is in service again at 127.0.0.1")
    host.expect("drain")
    assert one.states["web/web-0"] == UNITS["drain"]


@pytest.mark.parametrize(
    ("policy", "status", "said", "left"),
    [("proceed", 0, "going on", 2), ("fail", 75, "2 sessions left", 2), ("cut", 0, "they are cut off", 0)],
)
def test_sessions_that_stay(
    tmp_path: Path, balancers: Callable[..., Balancer], policy: str, status: int, said: str, left: int
) -> None:
    one = balancers("web/web-0")
    one.sessions["web/web-0"] = 2
    host = HookHost(tmp_path, "haproxy", settings(one, time_limit=0.2, on_timeout=policy))
    host.expect("drain", status, said)
    assert one.sessions["web/web-0"] == left
    host.expect("ready")
    host.expect("resume")
    assert one.states["web/web-0"] == 0


def test_waiting_ends_before_azure_begins(tmp_path: Path, balancers: Callable[..., Balancer]) -> None:
    one = balancers("web/web-0")
    one.sessions["web/web-0"] = 1
    host = HookHost(tmp_path, "haproxy", settings(one, time_limit=80000))
    host.expect("drain", said="1 session left after 0 s; going on", not_before=str(int(time.time()) + 4))


def test_a_load_balancer_that_does_not_answer(tmp_path: Path, balancers: Callable[..., Balancer]) -> None:
    one = balancers("web/web-0")
    given = settings(one)
    given["sockets"] += [str(tmp_path / "no.sock")]
    host = HookHost(tmp_path, "haproxy", given)
    host.expect("drain", 75, f"HAProxy at {tmp_path}/no.sock does not answer: No such file or directory")
    assert one.asked == [], "all or none"
    host.configure({**given, "unreachable": "ignore"})
    host.expect("drain", said="it is ignored")
    host.expect("ready")
    host.expect("resume")
    assert one.states["web/web-0"] == 0


def test_a_server_that_is_not_there(tmp_path: Path, balancers: Callable[..., Balancer]) -> None:
    host = HookHost(tmp_path, "haproxy", settings(balancers("web/other")))
    host.expect("drain", 1, "has no server web/web-0; see servers")


@pytest.mark.parametrize("name", ["x state ready; show env", "web\nshow env", "", "a/b"])
def test_a_name_from_the_cloud_is_no_command(tmp_path: Path, balancers: Callable[..., Balancer], name: str) -> None:
    one = balancers("web/web-0")
    host = HookHost(tmp_path, "haproxy", settings(one))
    host.expect("drain", 1, "cannot stand in web/{vm_name}", vm_name=name)
    assert one.asked == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "servers: required, and not there"),
        ({"servers": ["web"]}, "servers: [0]: backend/server expected, not 'web'"),
        ({"servers": ["a/b; show env"]}, "backend/server expected"),
        ({"servers": ["a/b"], "sockets": []}, "sockets: at least one expected"),
        ({"servers": ["a/b"], "socket": "/x"}, "socket: unknown key; did you mean 'sockets'?"),
        ({"servers": ["a/b", "a/b"]}, "servers: [1]: 'a/b' is there twice"),
        ({"servers": ["a/b"], "on_timeout": "cutt"}, "did you mean 'cut'?"),
    ],
)
def test_settings(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    host = HookHost(tmp_path, "haproxy", given)
    host.expect("drain", 78, said)


# --- HAProxy itself -----------------------------------------------------------------------------------------------

CONFIG = """
global
    stats socket {socket} mode 600 level admin
    stats socket ipv4@127.0.0.1:{port} level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{front}
    default_backend web
backend web
    server web-0 127.0.0.1:{server}
    server web-1 127.0.0.1:{server} disabled
"""


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[tuple[str, str, int]]:
    """HAProxy before an echo server: its two sockets, and the port of the site."""
    program = find_program("haproxy", package="haproxy")

    class Echo(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port, front = free_ports(2)
        path = str(tmp_path / "admin.sock")
        text = CONFIG.format(socket=path, port=port, front=front, server=server.server_address[1])
        (tmp_path / "haproxy.cfg").write_text(text)
        with subprocess.Popen([program, "-db", "-f", str(tmp_path / "haproxy.cfg")]) as process:
            try:
                wait_for(lambda: accepts(port) and accepts(front), "HAProxy listens")
                yield path, f"127.0.0.1:{port}", front
            finally:
                process.terminate()
        server.shutdown()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def ask(path: str, line: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.sendall(line.encode() + b"\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def status(path: str, server: str) -> str:
    line = next(line for line in ask(path, "show stat").splitlines() if line.startswith(f"web,{server},"))
    return line.split(",")[17]


def test_with_haproxy(tmp_path: Path, real: tuple[str, str, int]) -> None:
    path, address, front = real
    host = HookHost(tmp_path / "host", "haproxy", {"sockets": [path], "servers": ["web/{vm_name}"], "time_limit": 60})
    with socket.create_connection(("127.0.0.1", front), 10) as client:
        client.sendall(b"hello\n")
        assert client.recv(10) == b"hello\n"
        host.configure({"sockets": [path], "servers": ["web/web-0"], "time_limit": 0.5, "on_timeout": "fail"})
        host.expect("drain", 75, "1 session left")
        assert status(path, "web-0") == "DRAIN"
        client.sendall(b"still served\n")
        assert client.recv(20) == b"still served\n"
        # The session ends while the hook waits for it.
        timer = threading.Timer(1.0, client.close)
        timer.start()
        host.configure({"sockets": [path], "servers": ["web/web-0"], "time_limit": 60})
        host.expect("drain", said="drained, no sessions left")
        timer.join()
    host.expect("ready")
    host.expect("resume")
    assert status(path, "web-0").startswith(("UP", "no check"))
    # The same over TCP; a server that is disabled stays so.
    host.configure({"sockets": [address], "servers": ["web/web-0", "web/web-1"]})
    host.expect("drain", said="web/web-1 at 127.0.0.1")
    assert status(path, "web-0") == "DRAIN"
    host.expect("resume")
    assert status(path, "web-0").startswith(("UP", "no check"))
    assert status(path, "web-1") == "MAINT"


def test_sessions_are_cut_with_haproxy(tmp_path: Path, real: tuple[str, str, int]) -> None:
    path, _address, front = real
    given = {"sockets": [path], "servers": ["web/web-0"], "time_limit": 0.2, "on_timeout": "cut"}
    host = HookHost(tmp_path / "host", "haproxy", given)
    with socket.create_connection(("127.0.0.1", front), 20) as client:
        client.sendall(b"hello\n")
        assert client.recv(10) == b"hello\n"
        host.expect("drain", said="they are cut off")
        assert client.recv(10) == b"", "the connection was ended"
    assert status(path, "web-0") == "MAINT"
    host.expect("resume")
    assert status(path, "web-0").startswith(("UP", "no check"))


def test_without_rights_with_haproxy(tmp_path: Path, real: tuple[str, str, int]) -> None:
    """A socket of too low a level is told, not taken for success."""
    _path, _address, _front = real
    port = free_ports(1)[0]
    text = (tmp_path / "haproxy.cfg").read_text().replace(" level admin", " level user")
    text = text.replace(str(tmp_path / "admin.sock"), str(tmp_path / "user.sock"))
    lines = [line for line in text.splitlines() if "ipv4@" not in line and "bind" not in line]
    text = "\n".join(lines).replace("frontend front", f"frontend front\n    bind 127.0.0.1:{port}")
    (tmp_path / "user.cfg").write_text(text + "\n")
    program = find_program("haproxy", package="haproxy")
    with subprocess.Popen([program, "-db", "-f", str(tmp_path / "user.cfg")]) as process:
        try:
            wait_for((tmp_path / "user.sock").exists, "HAProxy listens")
            given = {"sockets": [str(tmp_path / "user.sock")], "servers": ["web/web-0"]}
            host = HookHost(tmp_path / "host", "haproxy", given)
            host.expect("drain", 1, "HAProxy at")
        finally:
            process.terminate()
