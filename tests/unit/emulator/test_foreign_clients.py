"""Clients that nobody here wrote, unchanged, against the emulator: tokens, sign-in, Resource Manager, the VM itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_wire import send

from azure_emulator.fleet.loading import load_fleet
from azure_emulator.testing import Emulator, running

azure_identity = pytest.importorskip("azure.identity", reason="azure-identity is not installed")
msal = pytest.importorskip("msal", reason="msal is not installed")
requests = pytest.importorskip("requests", reason="requests is not installed")

CLIENT = "aaaaaaaa-0000-0000-0000-000000000001"
SCOPE = "https://management.azure.com/.default"
FLEET = {
    "identities": [{"name": "one"}],
    "service_principals": [{"client_id": CLIENT, "client_secret": "s3cret"}],
    "vms": [
        {"name": "a", "identity": {"user_assigned": ["one"]}},
        {"name": "none", "identity": {"system_assigned": False}},
    ],
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """On a clock that goes, for these clients compare with the machine's; with the rate limits on, and TLS."""
    with running(FLEET, clock="real", rate_limit=True, tls=True) as running_emulator:
        yield running_emulator


def opens_resource_manager(emulator: Emulator, token: str) -> bool:
    reply = requests.get(
        f"{emulator.resource_manager}/subscriptions?api-version=2020-01-01",
        headers={"Authorization": f"Bearer {token}"},
        verify=emulator.ca_file,
        timeout=10,
    )
    return bool(reply.status_code == 200 and reply.json()["value"])


def at(vm: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", emulator.endpoint(vm))


def test_azure_identity_gets_a_token_of_the_vm(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    at("a", emulator, monkeypatch)
    with azure_identity.ManagedIdentityCredential() as credential:
        token = credential.get_token(SCOPE)
    assert opens_resource_manager(emulator, token.token)
    (entry,) = emulator.control.requests("a")
    assert entry["headers"]["User-Agent"].startswith("azsdk-python-identity/")


def test_azure_identity_gets_a_token_of_a_user_assigned_identity(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    at("a", emulator, monkeypatch)
    client_id = emulator.fleet.identities["one"].client_id
    with azure_identity.ManagedIdentityCredential(client_id=client_id) as credential:
        assert credential.get_token(SCOPE).token
    assert emulator.control.requests("a")[-1]["query"]["client_id"] == client_id


def test_azure_identity_understands_that_there_is_no_identity(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    at("none", emulator, monkeypatch)
    unavailable = pytest.raises(azure_identity.CredentialUnavailableError, match=r"(?i)identity")
    with azure_identity.ManagedIdentityCredential() as credential, unavailable:
        credential.get_token(SCOPE)


def test_azure_identity_waits_while_the_service_is_busy(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    at("a", emulator, monkeypatch)
    emulator.control.add_fault(fault="throttled", category="identity", count=1)
    with azure_identity.ManagedIdentityCredential() as credential:
        assert credential.get_token(SCOPE).token
    assert [entry["status"] for entry in emulator.control.requests("a")] == [429, 200]


def test_msal_gets_a_token_and_keeps_it(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    at("a", emulator, monkeypatch)
    with requests.Session() as session:
        client = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=session)
        first: dict[str, Any] = client.acquire_token_for_client(resource="https://management.azure.com/")
        again: dict[str, Any] = client.acquire_token_for_client(resource="https://management.azure.com/")
    assert opens_resource_manager(emulator, first["access_token"])
    assert again["token_source"] == "cache"


def test_azure_identity_signs_in_with_a_secret(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.ca_file))
    with azure_identity.ClientSecretCredential(
        emulator.fleet.tenant_id,
        CLIENT,
        "s3cret",
        authority=emulator.resource_manager,
        disable_instance_discovery=True,
    ) as credential:
        assert opens_resource_manager(emulator, credential.get_token(SCOPE).token)
    assert send(emulator.endpoint("a"), "/metadata/versions").status == 200


@pytest.mark.skipif(shutil.which("ip") is None, reason="there is no ip command to make a private network with")
def test_opentelemetry_reads_the_instance_document_at_azures_own_address(tmp_path: Path) -> None:
    """It knows no other address, so it is run in a private network that has nothing but the emulator."""
    pytest.importorskip("opentelemetry.resource.detector.azure.vm", reason="its Azure detector is not installed")
    private = ["unshare", "--map-root-user", "--net"]
    try:
        subprocess.run([*private, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a private network cannot be made here")
    fleet = tmp_path / "fleet.yml"
    fleet.write_text(
        "vms: [{name: web-0, size: Standard_E4s_v5, client_addresses: [169.254.169.254, 127.0.0.1]}]", encoding="utf-8"
    )
    # The guard of the tests' network would refuse the address; in there it leads nowhere else.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = Path(__file__).parents[2] / "support" / "link_local.py"
    done = subprocess.run(
        [*private, sys.executable, script, fleet],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    vm = load_fleet(fleet).vm("web-0")
    assert (found["host.id"], found["host.name"], found["host.type"]) == (vm.vm_id, "web-0", "Standard_E4s_v5")
    assert (found["cloud.region"], found["cloud.resource_id"]) == ("westeurope", vm.resource_id)
