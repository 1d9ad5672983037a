# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""HAProxy: this VM's servers are drained at the load balancers and made ready again, through the runtime API.

Source of the commands and of the bits: HAProxy Management Guide, "Unix Socket commands" (``set server``, ``show servers
state``, ``show stat``).
"""

from __future__ import annotations

import csv
import re
import socket
import typing as t

from . import settings as s
from .basis import Context, HookFailed, TryLater, counted

_NAME = r"[A-Za-z0-9_.:-]+"
_VM_NAME = "{vm_name}"
_SOCKET = s.matching(
    r"/\S+|\[[0-9A-Fa-f:]+\]:[0-9]{1,5}|[A-Za-z0-9_.-]+:[0-9]{1,5}", "the path of a socket, or host:port,"
)
_SERVER = s.matching(rf"{_NAME}/(?:{_NAME}|[A-Za-z0-9_.:-]*\{{vm_name\}}[A-Za-z0-9_.:-]*)", "backend/server")
SETTINGS: s.Schema = {
    "sockets": s.Field(
        ["/run/haproxy/admin.sock"],
        s.list_of(_SOCKET),
        "Runtime sockets of the load balancers, of level admin: paths, or host:port.",
    ),
    "servers": s.Field(
        [], s.list_of(_SERVER), "This VM's servers, as backend/server; {vm_name} stands for the VM's name."
    ),
    "time_limit": s.Field(120, s.seconds(0, 86400), "Seconds to wait for the sessions to end."),
    "on_timeout": s.Field(
        s.PROCEED,
        s.choice(s.PROCEED, s.CUT, s.FAIL),
        "When sessions are left: go on, cut them off, or fail and try again later.",
    ),
    "unreachable": s.Field(
        s.FAIL, s.choice(s.FAIL, s.IGNORE), "When a load balancer does not answer: fail, or do without it."
    ),
    "answer_limit": s.Field(5, s.seconds(0.1, 60), "Seconds for one answer of a load balancer."),
}
REQUIRED = ("servers",)

# srv_admin_state: forced, inherited, configured maintenance; maintenance of resolution and of hostname; forced drain.
FORCED_MAINT, FORCED_DRAIN = 0x01, 0x08
OUT_OF_SERVICE = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40
DRAINED, CUT_OFF = "drain", "maint"


def verify(settings: dict[str, t.Any]) -> None:
    """There is a load balancer to ask."""
    if not settings["sockets"]:
        raise ValueError("sockets: at least one expected")


def longest(settings: t.Mapping[str, t.Any]) -> float:
    """Seconds that one run may take at most."""
    return t.cast("float", 30 + settings["time_limit"])


class Balancer:
    """The runtime API of one HAProxy process."""

    def __init__(self, address: str, limit: float) -> None:
        self.address, self._limit = address, limit

    def ask(self, line: str) -> str:
        """The answer to one command. Raises HookFailed; ConnectionError is told apart by :class:`Unreachable`."""
        try:
            with self._connect() as connection:
                connection.settimeout(self._limit)
                connection.sendall(line.encode("ascii") + b"\n")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError as exc:
            raise UnreachableError(f"HAProxy at {self.address} does not answer: {exc.strerror or exc}") from exc
        return answer.decode("utf-8", "replace").strip()

    def _connect(self) -> socket.socket:
        if not self.address.startswith("/"):
            host, _colon, port = self.address.rpartition(":")
            return socket.create_connection((host.strip("[]"), int(port)), self._limit)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._limit)
            connection.connect(self.address)
        except OSError:
            connection.close()
            raise
        return connection

    def admin_states(self) -> dict[str, int]:
        """The administrative state of every server, by backend/server."""
        lines = self.ask("show servers state").splitlines()
        head = next((line for line in lines if line.startswith("# be_id")), None)
        if head is None:
            raise HookFailed(f"HAProxy at {self.address} does not tell its servers: {' '.join(lines)[:200]}")
        columns = head[2:].split()
        rows = [dict(zip(columns, line.split())) for line in lines if line and not line.startswith("#")]
        known = [row for row in rows if "srv_admin_state" in row]
        return {f"{row['be_name']}/{row['srv_name']}": int(row["srv_admin_state"]) for row in known}

    def sessions(self, servers: t.Collection[str]) -> int:
        """How many sessions the servers have now, with those that wait for them."""
        lines = self.ask("show stat").lstrip("# ").splitlines()
        rows = [row for row in csv.DictReader(lines) if f"{row.get('pxname')}/{row.get('svname')}" in servers]
        return sum(int(row[column] or 0) for row in rows for column in ("qcur", "scur"))

    def set_state(self, server: str, state: str) -> None:
        """Set a server's state: ready, drain or maint."""
        answer = self.ask(f"set server {server} state {state}")
        if answer:  # an empty one means that it was done
            raise HookFailed(f"HAProxy at {self.address} does not set {server} to {state}: {answer[:200]}")

    def cut(self, server: str) -> None:
        """End the sessions of a server."""
        answer = self.ask(f"shutdown sessions server {server}")
        if answer:
            raise HookFailed(f"HAProxy at {self.address} does not end the sessions of {server}: {answer[:200]}")


class UnreachableError(HookFailed):
    """A load balancer does not answer."""


def _servers(context: Context) -> list[str]:
    """The servers by name; the VM's name, which comes from the cloud, only when it is a plain name."""
    vm_name = context.event.vm_name
    servers: list[str] = []
    for server in context.settings["servers"]:
        if _VM_NAME in server:
            if not re.fullmatch(_NAME, vm_name):
                raise HookFailed(f"the VM's name {vm_name!r:.80} cannot stand in {server}; write out the server")
            server = server.replace(_VM_NAME, vm_name)  # noqa: PLW2901 - the same server, by its full name
        servers.append(server)
    return servers


def _balancers(context: Context, addresses: t.Iterable[str]) -> list[tuple[Balancer, dict[str, int]]]:
    """Those that answer, with the states of their servers. Raises TryLater for others unless they are ignored."""
    found = []
    for address in addresses:
        balancer = Balancer(address, context.settings["answer_limit"])
        try:
            found.append((balancer, balancer.admin_states()))
        except UnreachableError as exc:
            if context.settings["unreachable"] == s.FAIL:
                raise TryLater(str(exc)) from exc
            context.say(f"{exc}; it is ignored")
    return found


def drain(context: Context) -> None:
    """Set the servers to drain at every load balancer, and wait for their sessions to end."""
    servers = _servers(context)
    done = context.memory.load()
    ours = t.cast("dict[str, dict[str, str]]", done.setdefault("servers", {}))
    balancers = _balancers(context, context.settings["sockets"])
    for balancer, states in balancers:
        missing = [server for server in servers if server not in states]
        if missing:
            raise HookFailed(f"HAProxy at {balancer.address} has no server {', '.join(missing)}; see servers")
    for balancer, states in balancers:
        mine = ours.setdefault(balancer.address, {})
        for server in servers:
            if states[server] & OUT_OF_SERVICE:
                if server not in mine:
                    context.say(f"{server} at {balancer.address} is out of service already; it is left alone")
                continue
            mine[server] = DRAINED
            context.memory.save(done)
            balancer.set_state(server, "drain")
    _wait_for_sessions(context, [balancer for balancer, _states in balancers], servers, done)


def _wait_for_sessions(
    context: Context, balancers: t.Sequence[Balancer], servers: t.Sequence[str], done: dict[str, t.Any]
) -> None:
    def left() -> int:
        return sum(balancer.sessions(servers) for balancer in balancers)

    limit = context.patience(context.settings["time_limit"])
    if context.wait(lambda: left() == 0, limit, every=0.5):
        context.say(f"{', '.join(servers)}: drained, no sessions left")
        return
    sessions, policy = left(), context.settings["on_timeout"]
    if policy == s.FAIL:
        raise TryLater(f"{counted(sessions, 'session')} left after {limit:.0f} s")
    then = "they are cut off" if policy == s.CUT else "going on"
    context.say(f"{counted(sessions, 'session')} left after {limit:.0f} s; {then}")
    if policy != s.CUT:
        return
    for balancer in balancers:
        mine = done["servers"][balancer.address]
        for server in [name for name in servers if name in mine]:
            mine[server] = CUT_OFF
            context.memory.save(done)
            balancer.set_state(server, "maint")
            balancer.cut(server)


def ready(context: Context) -> None:
    """No load balancer has a server in service again (a restarted one has, for it forgets)."""
    servers = _servers(context)
    for balancer, states in _balancers(context, context.settings["sockets"]):
        back = [server for server in servers if not states.get(server, FORCED_MAINT) & OUT_OF_SERVICE]
        if back:
            raise HookFailed(f"{', '.join(back)} is in service again at {balancer.address}")


def resume(context: Context) -> None:
    """Make those ready that were drained here, unless somebody put them into maintenance since."""
    done = context.memory.load()
    ours = t.cast("dict[str, dict[str, str]]", done.get("servers", {}))
    for balancer, states in _balancers(context, list(ours)):
        for server, how in ours[balancer.address].items():
            state = states.get(server, 0)
            if how == DRAINED and state & FORCED_MAINT:
                context.say(f"{server} at {balancer.address} was put into maintenance by somebody; it is left alone")
            elif state & (FORCED_DRAIN | FORCED_MAINT):
                balancer.set_state(server, "ready")
        del ours[balancer.address]
        context.memory.save(done if ours else {})
    context.memory.save({})


PHASES = {"drain": drain, "ready": ready, "resume": resume}
