"""Ways to an access token: which is taken, what it asks, and what it says when there is none."""

from __future__ import annotations

import base64
import datetime
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from scripted_server import ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import credentials, errors, sign_in
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.clouds import Cloud
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.sign_in_settings import SignIn
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import Transport
from azure_emulator.testing import running

if TYPE_CHECKING:
    from pathlib import Path

AUDIENCE = "https://management.azure.com/"
TENANT, CLIENT = "tenant-1", "client-1"
GRANTED = answer(200, {"token_type": "Bearer", "access_token": "granted"})


def cloud(server: ScriptedServer) -> Cloud:
    return Cloud("AzurePublicCloud", "https://management.azure.com", server.endpoint, AUDIENCE)


def source(server: ScriptedServer, **settings: Any) -> credentials.TokenSource:
    given = SignIn(tenant_id=TENANT, client_id=CLIENT, **settings)
    kind = "workload_identity" if given.federated_token_file else "service_principal"
    return credentials.token_source(given, kind, cloud(server), deadline=time.monotonic() + 10)


def form(server: ScriptedServer) -> dict[str, str]:
    body = server.requests[-1].partition(b"\r\n\r\n")[2].decode()
    return {name: values[0] for name, values in parse_qs(body).items()}


def around(*, on_azure: bool = False, has_cli: bool = False) -> credentials.Surroundings:
    return credentials.Surroundings(lambda: on_azure, lambda: has_cli)


@pytest.mark.parametrize(
    ("settings", "place", "kind"),
    [
        (SignIn(client_secret="x"), around(on_azure=True), "service_principal"),
        (SignIn(client_certificate_path="x"), around(on_azure=True), "service_principal"),
        (SignIn(federated_token_file="f", tenant_id="t", client_id="c"), around(), "workload_identity"),
        (SignIn(federated_token_file="f"), around(has_cli=True), "cli"),
        (SignIn(imds_endpoint="http://127.0.0.1:1"), around(has_cli=True), "managed_identity"),
        (SignIn(), around(on_azure=True, has_cli=True), "managed_identity"),
        (SignIn(), around(has_cli=True), "cli"),
        (SignIn(kind="default"), around(on_azure=True), "default"),
    ],
)
def test_which_way_is_taken(settings: SignIn, place: credentials.Surroundings, kind: str) -> None:
    assert credentials.choose(settings, place) == kind


def test_no_way_says_what_was_looked_for() -> None:
    with pytest.raises(errors.SettingsError, match=r"no Azure VM.*CLI is not installed.*client_secret"):
        credentials.choose(SignIn(), around())
    with pytest.raises(errors.SettingsError, match="'msi' is none of auto, managed_identity"):
        credentials.choose(SignIn(kind="msi"), around())


def test_a_secret(server: ScriptedServer) -> None:
    server.script = [GRANTED]
    token = source(server, client_secret="s3cret")
    assert token() == token() == "granted"
    assert server.heads() == ["POST /tenant-1/oauth2/v2.0/token HTTP/1.1"]
    assert form(server) == {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": "s3cret",
        "scope": "https://management.azure.com/.default",
    }


def test_a_secret_at_the_emulator() -> None:
    principal = {"client_id": "00000000-0000-0000-0000-0000000000aa", "client_secret": "right"}
    with running({"service_principals": [principal], "vms": [{"name": "a"}]}) as emulator:
        own = Cloud("x", emulator.resource_manager, emulator.resource_manager, AUDIENCE)
        given = SignIn(tenant_id=emulator.fleet.tenant_id, **principal)
        deadline = time.monotonic() + 10
        assert credentials.token_source(given, "service_principal", own, deadline=deadline)().startswith("eyJ")
        wrong = credentials.token_source(
            given._replace(client_secret="wr0ng"), "service_principal", own, deadline=deadline
        )
        with pytest.raises(errors.CredentialError, match="invalid_client: AADSTS7000215: Invalid client") as caught:
            wrong()
        assert "wr0ng" not in str(caught.value)


def test_a_federated_token(server: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("federated\n")
    server.script = [GRANTED]
    assert source(server, federated_token_file=str(file))() == "granted"
    assert form(server)["client_assertion"] == "federated"
    assert form(server)["client_assertion_type"].endswith("jwt-bearer")
    for content, message in (("", "is empty"), (None, "cannot be read")):
        file.unlink()
        if content is not None:
            file.write_text(content)
            with pytest.raises(errors.SettingsError, match=message):
                source(server, federated_token_file=str(file))()
        else:
            with pytest.raises(errors.SettingsError, match=message):
                source(server, federated_token_file=str(file))()
            file.write_text("x")


class Pair:
    """A key and a certificate of it."""

    def __init__(self, key: Any = None) -> None:
        self.key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fleet")])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        self.certificate = builder.sign(self.key, hashes.SHA256())

    def pem(self, password: bytes | None = None) -> bytes:
        protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        key = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
        return key + self.certificate.public_bytes(serialization.Encoding.PEM)

    def pfx(self, password: bytes) -> bytes:
        return serialization.pkcs12.serialize_key_and_certificates(
            b"fleet", self.key, self.certificate, None, serialization.BestAvailableEncryption(password)
        )


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("form_of", ["pem", "encrypted pem", "pfx"])
def test_a_certificate_signs_who_asks(server: ScriptedServer, tmp_path: Path, form_of: str) -> None:
    pair, file = Pair(), tmp_path / "certificate"
    password = None if form_of == "pem" else "pass"
    file.write_bytes(pair.pfx(b"pass") if form_of == "pfx" else pair.pem(password.encode() if password else None))
    server.script = [GRANTED]
    assert source(server, client_certificate_path=str(file), client_certificate_password=password)() == "granted"
    head, claims, signature = form(server)["client_assertion"].split(".")
    digest = base64.urlsafe_b64encode(pair.certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    assert decoded(head) == {"typ": "JWT", "alg": "PS256", "x5t#S256": digest}
    stated = decoded(claims)
    assert stated["iss"] == stated["sub"] == CLIENT
    assert stated["aud"] == f"{server.endpoint}/tenant-1/oauth2/v2.0/token"
    assert stated["exp"] - stated["nbf"] == 600
    pair.key.public_key().verify(
        base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
        f"{head}.{claims}".encode(),
        padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH),
        hashes.SHA256(),
    )


def test_federation_services_get_the_older_form() -> None:
    pair = Pair()
    signed = sign_in.sign_assertion(pair.key, pair.certificate, sign_in.Principal("adfs", CLIENT), "aud", now=1000)
    head, claims, signature = signed.split(".")
    assert decoded(head)["alg"] == "RS256"
    assert "x5t" in decoded(head)
    pair.key.public_key().verify(
        base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
        f"{head}.{claims}".encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
    assert sign_in.token_path("adfs") == "/oauth2/token"


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "certificate"
    for content, password, message in (
        (Pair().pem(b"pass"), "wrong", "or the password is wrong"),
        (Pair().pfx(b"pass"), "wrong", "or the password is wrong"),
        (b"-----BEGIN NONSENSE-----", None, "holds no usable key"),
        (Pair(ec.generate_private_key(ec.SECP256R1())).pem(), None, "must hold an RSA key"),
    ):
        file.write_bytes(content)
        with pytest.raises(errors.SettingsError, match=message):
            sign_in.load_certificate(str(file), password)
    with pytest.raises(errors.SettingsError, match="No such file"):
        sign_in.load_certificate(str(tmp_path / "none"), None)


def test_a_sign_in_that_fails_for_a_moment_is_tried_again(server: ScriptedServer) -> None:
    server.script = [answer(503), answer(429, {"error": "x", "error_description": "y"}), GRANTED]
    slept: list[float] = []
    wire = sign_in.Wire(Transport(server.endpoint), time.monotonic() + 10, time.monotonic, slept.append)
    assert sign_in.token_by_secret(wire, sign_in.Principal(TENANT, CLIENT), AUDIENCE, "s") == "granted"
    assert slept == [0.25, 0.5]


def test_an_answer_without_a_token(server: ScriptedServer) -> None:
    server.script = [answer(200, {"token_type": "Bearer"})]
    with pytest.raises(errors.CredentialError, match="the answer holds no access token"):
        source(server, client_secret="x")()


def test_what_an_azure_stack_announces(server: ScriptedServer) -> None:
    wire = sign_in.Wire(Transport(server.endpoint), time.monotonic() + 10)
    announced = {"loginEndpoint": "https://adfs.example/adfs/", "audiences": ["https://management.adfs.example/1"]}
    server.script = [answer(200, {"authentication": announced})]
    assert sign_in.discover_stack(wire) == ("https://adfs.example/adfs", "https://management.adfs.example/1")
    server.script = [answer(200, {"authentication": {}})]
    with pytest.raises(errors.CredentialError, match="set authority and audience"):
        sign_in.discover_stack(wire)


def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    program = tmp_path / "az"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "asked"


def test_the_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = az(tmp_path, monkeypatch, """echo '{"accessToken": "of-the-cli"}'""")
    assert credentials.cli_token(AUDIENCE, "tenant-9") == "of-the-cli"
    assert asked.read_text().split() == [
        *("account", "get-access-token", "--output", "json", "--resource", AUDIENCE, "--tenant", "tenant-9"),
    ]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo \"Please run 'az login' to setup account.\" >&2; exit 1", "ended with 1: Please run 'az login'"),
        ("echo nonsense", "something other than a token"),
        ("""echo '{"accessToken": ""}'""", "an empty token"),
        ("sleep 5", "did not answer within 0.2 s"),
    ],
)
def test_a_cli_that_gives_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str) -> None:
    az(tmp_path, monkeypatch, script)
    with pytest.raises(errors.CredentialError, match=message):
        credentials.cli_token(AUDIENCE, None, timeout=0.2 if "sleep" in script else 30)


def test_no_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(errors.CredentialError, match="not on the PATH"):
        credentials.cli_token(AUDIENCE, None)


def test_the_managed_identity() -> None:
    fleet = {"identities": [{"name": "fleet"}], "vms": [{"name": "a", "identity": {"user_assigned": ["fleet"]}}]}
    with running({**fleet, "vms": [*fleet["vms"], {"name": "b", "identity": {"system_assigned": False}}]}) as emulator:
        own = SignIn(imds_endpoint=emulator.endpoint("a"))
        assert credentials.managed_identity_token(own, AUDIENCE).startswith("eyJ")
        chosen = emulator.fleet.vm("a").identities[-1]
        for given in (
            own._replace(client_id=chosen.client_id),
            own._replace(identity_object_id=chosen.object_id),
            own._replace(identity_resource_id=chosen.resource_id),
        ):
            token = credentials.managed_identity_token(given, AUDIENCE)
            assert decoded(token.split(".")[1])["appid"] == chosen.client_id
        with pytest.raises(errors.CredentialError, match="Does this VM have an identity"):
            credentials.managed_identity_token(SignIn(imds_endpoint=emulator.endpoint("b")), AUDIENCE)
        with pytest.raises(errors.SettingsError, match="give one of them only"):
            credentials.managed_identity_token(own._replace(client_id="x", identity_object_id="y"), AUDIENCE)
        with pytest.raises(errors.SettingsError, match="not of the form http"):
            credentials.managed_identity_token(SignIn(imds_endpoint="ftp://x"), AUDIENCE)


SDK = Cloud("x", "https://management.azure.com", "https://login.example", AUDIENCE)


def test_the_sdk_finds_the_managed_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azure.identity", reason="azure-identity is not installed")
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/nowhere")  # it would start every command line tool that it knows
    with running({"vms": [{"name": "a"}, {"name": "b", "identity": {"system_assigned": False}}]}) as emulator:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", emulator.endpoint("a"))
        token = credentials.azure_identity_token(SignIn(kind="default"), SDK)
        assert decoded(token.split(".")[1])["aud"].rstrip("/") == AUDIENCE.rstrip("/")
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", emulator.endpoint("b"))
        with pytest.raises(errors.CredentialError, match="azure-identity found no way to sign in"):
            credentials.azure_identity_token(SignIn(kind="default"), SDK)


def test_the_sdk_is_missed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(errors.CredentialError, match="azure-identity is not installed"):
        credentials.azure_identity_token(SignIn(), SDK)


def test_many_threads_renew_a_refused_token_once() -> None:
    given = iter(["first", "second", "third"])
    token = credentials.TokenSource(lambda: next(given))
    assert [token(), token(True), token(True), token(True), token()] == [
        "first",
        "second",
        "second",
        "second",
        "second",
    ]
