"""The transport: TLS, proxies, and where a URL may lead."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from scripted_server import ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import errors
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.clouds import checked_url, choose
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import (
    Proxy,
    Transport,
    find_proxy,
)
from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running({"vms": [{"name": "a"}]}, tls=True) as emulated:
        yield emulated


def soon() -> float:
    return time.monotonic() + 10


def test_a_certificate_of_ones_own_authority_needs_ca_path(emulator: Emulator) -> None:
    with pytest.raises(errors.UntrustedError, match=r"does not verify: .*ca_path"):
        Transport(emulator.resource_manager).exchange("GET", "/subscriptions", {}, None, deadline=soon())
    trusting = Transport(emulator.resource_manager, ca_path=emulator.ca_file)
    assert trusting.exchange("GET", "/subscriptions", {}, None, deadline=soon()).status == 401
    trusting.close()


def test_a_certificate_file_that_is_none_is_named(tmp_path) -> None:
    for path in (tmp_path / "none.pem", tmp_path / "empty.pem"):
        if path.name == "empty.pem":
            path.write_text("")
        with pytest.raises(errors.SettingsError, match=rf"ca_path: no certificates in .*{path.name}"):
            Transport("https://127.0.0.1", ca_path=str(path))


def test_a_proxy_is_asked_for_a_tunnel(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that leads to the emulator whatever it is asked for, so that a name outside can be reached."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    target = emulator.resource_manager.removeprefix("https://").split(":")

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(65536):
                sink.sendall(data)

    def serve() -> None:
        client, _peer = listener.accept()
        seen.append(client.recv(65536))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        onward = socket.create_connection((target[0], int(target[1])))
        threading.Thread(target=pump, args=(onward, client), daemon=True).start()
        pump(client, onward)

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{listener.getsockname()[1]}")
    transport = Transport("https://management.example", ca_path=emulator.ca_file)
    # The certificate is for the emulator's address, not for the name that was asked for: the tunnel is transparent.
    with pytest.raises(errors.UntrustedError, match=r"management.example .through the proxy 127"):
        transport.exchange("GET", "/x", {}, None, deadline=soon())
    assert seen[0].startswith(b"CONNECT management.example:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in seen[0]
    listener.close()


def test_a_proxy_that_says_no_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = ScriptedServer()
    proxy.script = [answer(407, reason="Proxy Authentication Required")] * 2
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
    with pytest.raises(errors.UnreachableError, match=r"through the proxy 127.* 407 Proxy Authentication Required"):
        Transport("https://management.example").exchange("GET", "/x", {}, None, deadline=soon())
    proxy.close()


def test_which_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_proxy("https", "management.azure.com") is None
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert find_proxy("https", "management.azure.com") == Proxy("proxy.example", 3128, {})
    assert find_proxy("https", "127.0.0.1") is None
    monkeypatch.setenv("NO_PROXY", ".azure.com")
    assert find_proxy("https", "management.azure.com") is None
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example")
    with pytest.raises(errors.SettingsError, match=r"not socks5"):
        find_proxy("https", "login.example")


@pytest.mark.parametrize(
    "url",
    [
        "http://management.azure.com",
        "ftp://x",
        "management.azure.com",
        "https://u:p@x",
        "https://x?y",
        "https://x:port",
    ],
)
def test_an_address_that_would_be_unsafe_is_refused(url: str) -> None:
    with pytest.raises(errors.SettingsError, match=r"resource_manager: "):
        checked_url("resource_manager", url)


def test_clouds() -> None:
    assert choose("china", resource_manager=None, authority=None, audience=None).environment == "AzureChinaCloud"
    own = choose("public", resource_manager="http://127.0.0.1:1/", authority="https://login.example", audience="x")
    assert own[1:] == ("http://127.0.0.1:1", "https://login.example", "x")
    with pytest.raises(errors.SettingsError, match=r"'mars' is none of public"):
        choose("mars", resource_manager=None, authority=None, audience=None)


def test_an_answer_that_drips_is_over_at_the_deadline() -> None:
    server = ScriptedServer()
    server.script = [(answer(200, b"x" * 100)[:-50], "hang")]
    with pytest.raises(errors.UnreachableError, match=r"no answer in time"):
        Transport(server.endpoint).exchange("GET", "/x", {}, None, deadline=time.monotonic() + 0.2)
    server.close()


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(errors.UnreachableError, match=r"management.example: the name does not resolve"):
        Transport("https://management.example").exchange("GET", "/x", {}, None, deadline=soon())
