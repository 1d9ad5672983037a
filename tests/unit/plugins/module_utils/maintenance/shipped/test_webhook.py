"""Notices: what each service is sent, secrets that stay where they are, and services that do not want them."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shipped_hooks import EVENT, HookHost
from taking_server import Reply, Taken, TakingServer

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped import messages, registry
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance.shipped.basis import Event
from azure_emulator.certificates import Authority
from azure_emulator.server.tls import Tls

SECRET = "T0K3N-that-nobody-may-see"


class Service:
    """What a service answers, one reply after the other; the last for ever."""

    def __init__(self) -> None:
        self.replies = [Reply(200, b"ok")]

    def answer(self, _taken: Taken) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def server(service: Service) -> Iterator[TakingServer]:
    with TakingServer(service.answer) as found:
        yield found


@pytest.fixture(scope="module")
def tls() -> Iterator[Tls]:
    with contextlib.closing(Tls(Authority(), "127.0.0.1")) as found:
        yield found


def private(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text + "\n")
    path.chmod(mode)
    return str(path)


def make(root: Path, *targets: dict[str, Any]) -> HookHost:
    return HookHost(root / "host", "webhook", {"targets": list(targets)})


def notice(topic: str = "overrun", **changes: Any) -> Event:
    document = {"why": "Azure started it", "service": "draining", "state": topic, "event": {**EVENT, **changes}}
    return Event("web-0", "event-1", "Reboot", 1800000900.0, topic, document)


def test_a_notice_is_sent(tmp_path: Path, server: TakingServer) -> None:
    host = make(tmp_path, {"url": f"{server.url}/in?x=1"})
    host.expect("notify", said=f"told {server.url}\n", topic="drained")
    taken = server.taken[0]
    assert (taken.method, taken.path) == ("POST", "/in?x=1")
    assert taken.headers["content-type"] == "application/json"
    assert taken.json["title"] == "web-0: Reboot is drained"
    assert taken.json["event"] == EVENT
    assert "authorization" not in taken.headers


def test_topics_and_types(tmp_path: Path, server: TakingServer) -> None:
    target = {"url": server.url, "topics": ["drained", "overrun"], "types": ["reboot"]}
    host = make(tmp_path, target)
    host.expect("notify", topic="seen")
    host.expect("notify", topic="drained", event_type="Freeze")
    assert server.taken == []
    host.expect("notify", topic="drained")
    assert len(server.taken) == 1


def test_secrets_are_sent_signed_and_not_told(tmp_path: Path, server: TakingServer, service: Service) -> None:
    target = {
        "url_file": private(tmp_path / "url", f"{server.url}/services/{SECRET}"),
        "token_file": private(tmp_path / "token", SECRET),
        "secret_file": private(tmp_path / "secret", "signing key"),
    }
    host = make(tmp_path, target)
    output = host.expect("notify")
    taken = server.taken[0]
    assert taken.path == f"/services/{SECRET}"
    assert taken.headers["authorization"] == f"Bearer {SECRET}"
    digest = hmac.new(b"signing key", taken.body, hashlib.sha256).hexdigest()
    assert taken.headers["x-hub-signature-256"] == f"sha256={digest}"
    service.replies = [Reply(403, f"no {SECRET} here".encode())]
    output += host.expect("notify", 1, "answers 403: token or signature are not accepted")
    (tmp_path / "url").write_text(f"http://example.com/{SECRET}")
    output += host.expect("notify", 1, "http sends everything in the clear")
    (tmp_path / "url").write_text(f"ht tp://{SECRET}")
    output += host.expect("notify", 1, "a URL has no blanks")
    assert SECRET not in output


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        (0o640, SECRET, "holds a secret and others may read or write it; chmod 600 it"),
        (0o600, "", "must hold one line of text"),
        (0o600, f"{SECRET}\nX-Header: 1", "must hold one line of text"),
        (0o600, f"{SECRET}é", "must hold ASCII text"),
    ],
)
def test_files_with_secrets(tmp_path: Path, server: TakingServer, mode: int, text: str, said: str) -> None:
    host = make(tmp_path, {"url": server.url, "token_file": private(tmp_path / "token", text, mode)})
    output = host.expect("notify", 1, said)
    assert SECRET not in output
    assert server.taken == []


def test_a_missing_file(tmp_path: Path) -> None:
    host = make(tmp_path, {"url_file": str(tmp_path / "url")})
    host.expect("notify", 1, "targets[0]: " + str(tmp_path / "url") + " cannot be read: No such file or directory")


def test_a_busy_service_is_tried_again(tmp_path: Path, server: TakingServer, service: Service) -> None:
    service.replies = [Reply(429, headers=(("Retry-After", "0"),)), Reply(503), Reply(200)]
    make(tmp_path, {"url": server.url}).expect("notify")
    assert len({taken.body for taken in server.taken}) == 1
    assert len(server.taken) == 3
    service.replies = [Reply(503, headers=(("Retry-After", "0"),))]
    host = HookHost(tmp_path / "other", "webhook", {"targets": [{"url": server.url, "attempts": 2}]})
    host.expect("notify", 75, f"targets[0]: {server.url} answers 503, 2 times")
    assert len(server.taken) == 5


def test_nobody_is_sent_elsewhere(tmp_path: Path, server: TakingServer, service: Service) -> None:
    service.replies = [Reply(307, headers=(("Location", f"{server.url}/elsewhere"),))]
    make(tmp_path, {"url": server.url}).expect("notify", 1, "a redirect is not followed; name the final address")
    assert len(server.taken) == 1


def test_a_target_that_fails_does_not_keep_it_from_others(tmp_path: Path, server: TakingServer) -> None:
    nowhere = {"url": "http://127.0.0.1:9", "attempts": 1}
    host = make(tmp_path, nowhere, {"url": server.url})
    host.expect("notify", 75, "targets[0]: http://127.0.0.1:9 does not answer: Connection refused, 1 time")
    assert len(server.taken) == 1


def test_certificates_are_verified(tmp_path: Path, service: Service, tls: Tls) -> None:
    with TakingServer(service.answer, tls=tls.context) as server:
        host = make(tmp_path, {"url": server.url, "attempts": 1})
        host.expect("notify", 75, "its certificate is not trusted")
        assert server.taken == []
        host.configure({"targets": [{"url": server.url, "attempts": 1, "ca_file": tls.ca_file}]})
        host.expect("notify", said="told https://127.0.0.1")
        host.configure({"targets": [{"url": server.url, "ca_file": str(tmp_path / "none")}]})
        host.expect("notify", 1, f"the certificates {tmp_path / 'none'} cannot be used: ")


def test_a_proxy_only_when_it_is_named(tmp_path: Path, server: TakingServer) -> None:
    host = make(tmp_path, {"url": "http://localhost:9/x", "proxy": server.url})
    host.expect("notify")
    assert server.taken[0].path == "http://localhost:9/x"
    script = host.etc / "notify.d/50-webhook"
    script.write_text(script.read_text().replace("exec ", f"export http_proxy={server.url}\nexec "))
    host.configure({"targets": [{"url": "http://localhost:9/x", "attempts": 1}]})
    host.expect("notify", 75, "Connection refused")
    assert len(server.taken) == 1


class TestMessages:
    def test_slack(self) -> None:
        made = messages.make("slack", notice(description="<!channel> & *bold*"))
        assert "&lt;!channel&gt; &amp; *bold*" in made["text"]
        assert {block["text"]["type"] for block in made["blocks"]} == {"plain_text"}
        assert "<!channel> & *bold*" in made["blocks"][1]["text"]["text"]
        assert "Not before: 2027-01-15 08:15:00 UTC" in made["text"]
        assert "Also touches: web-1" in made["text"]

    def test_slack_keeps_within_its_limits(self) -> None:
        made = messages.make("slack", notice(description="x" * 100000, resources=["y" * 5000] * 100))
        assert len(made["blocks"][0]["text"]["text"]) <= 150
        assert len(made["blocks"][1]["text"]["text"]) <= 3000

    def test_teams(self) -> None:
        made = messages.make("teams", notice(description="[here](http://x) _it_"))
        card = made["attachments"][0]["content"]
        assert made["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert card["body"][0]["text"] == r"web\-0: Reboot is overrun"
        assert card["body"][0]["color"] == "Attention"
        said = {fact["title"]: fact["value"] for fact in card["body"][1]["facts"]}
        assert said["Azure says"] == r"\[here\]\(http://x\) \_it\_"

    def test_eda(self) -> None:
        made = messages.make("eda", notice())
        assert made["azure_maintenance"]["event"]["event_type"] == "Reboot"
        assert made["azure_maintenance"]["topic"] == "overrun"

    @pytest.mark.parametrize(
        ("topic", "kind"), [("overrun", "failure"), ("done", "success"), ("drained", "info"), ("held", "failure")]
    )
    def test_apprise(self, topic: str, kind: str) -> None:
        made = messages.make("apprise", notice(topic))
        assert made["type"] == kind
        assert made["title"] == f"web-0: Reboot is {topic}"
        assert "Azure says: Host <upgrade> & {{ 7 * 7 }}" in made["body"]

    @pytest.mark.parametrize("kind", messages.FORMATS)
    @pytest.mark.parametrize("document", [{}, {"event": None}, {"event": {"resources": None}}, {"event": {"a": 1}}])
    def test_what_is_missing_is_left_out(self, kind: str, document: dict[str, Any]) -> None:
        event = Event("", "", "", None, "", document)
        assert json.dumps(messages.make(kind, event)).isascii()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({}, "either url or url_file expected"),
        ({"url": "https://x/", "url_file": "/x"}, "either url or url_file expected"),
        ({"url": "http://example.com/"}, "http sends everything in the clear; use https, or set allow_http"),
        ({"url": "https://x/", "format": "slak"}, "did you mean 'slack'?"),
        ({"url": "https://x/", "tokn_file": "/x"}, "targets[0].tokn_file: unknown key; did you mean 'token_file'?"),
        ({"url": "https://x/", "signature_header": "X: y"}, "the name of a header expected"),
        ({"url": "file:///etc/shadow"}, "begins with http:// or https://"),
    ],
)
def test_settings(target: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="settings") as caught:
        registry.check("webhook", {"targets": [target]}, where="settings")
    assert said in str(caught.value)
