"""The attested document, verified by OpenSSL's own command and by its fields (contract section 8)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from emulator_wire import send

from azure_emulator.certificates import Authority
from azure_emulator.errors import InputError
from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
DOCUMENT = "/metadata/attested/document?api-version=2020-09-01"


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


def fetch(base: str, target: str = DOCUMENT) -> bytes:
    """The signature, strictly decoded."""
    answer = send(base, target).json
    assert answer["encoding"] == "pkcs7"
    return base64.b64decode(answer["signature"], validate=True)


def content(signature: bytes, tmp_path: Path) -> dict[str, Any]:
    """What OpenSSL says was signed; the chain is looked at elsewhere."""
    (tmp_path / "signature.der").write_bytes(signature)
    fields: dict[str, Any] = json.loads(
        openssl("smime", "-verify", "-inform", "der", "-in", tmp_path / "signature.der", "-noverify")
    )
    return fields


def test_what_is_signed(emulator: Emulator, tmp_path: Path) -> None:
    base = emulator.endpoint("solo")
    fields = content(fetch(base, DOCUMENT + "&nonce=1234567890"), tmp_path)
    assert fields == {
        "licenseType": "",
        "nonce": "1234567890",
        "plan": {"name": "", "product": "", "publisher": ""},
        "sku": "server",
        "subscriptionId": "00000000-0000-0000-0000-000000000001",
        "timeStamp": {"createdOn": "01/05/26 08:00:00 -0000", "expiresOn": "01/05/26 14:00:00 -0000"},
        "vmId": emulator.fleet.vm("solo").vm_id,
    }
    assert content(fetch(base), tmp_path)["nonce"] == "20260105-080000"


@pytest.mark.parametrize(
    ("version", "missing"),
    [("2018-10-01", {"subscriptionId", "sku", "licenseType"}), ("2019-04-30", {"sku", "licenseType"}),
     ("2019-11-01", {"licenseType"}), ("2020-09-01", set())],
)  # fmt: skip
def test_fields_by_version(emulator: Emulator, tmp_path: Path, version: str, missing: set[str]) -> None:
    fields = content(fetch(emulator.endpoint("solo"), DOCUMENT.replace("2020-09-01", version)), tmp_path)
    assert {"subscriptionId", "sku", "licenseType"} - fields.keys() == missing


def test_the_chain_leads_over_the_fetched_intermediate_to_the_root(emulator: Emulator, tmp_path: Path) -> None:
    (signer,) = pkcs7.load_der_pkcs7_certificates(fetch(emulator.endpoint("solo")))
    assert signer.subject.rfc4514_string() == "CN=westeurope.metadata.azure.com"
    access = signer.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    place = access[0].access_location.value
    assert place.startswith(emulator.control.url)
    intermediate = x509.load_der_x509_certificate(send(emulator.control.url, place[len(emulator.control.url) :]).body)
    (tmp_path / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
    (tmp_path / "intermediate.pem").write_bytes(intermediate.public_bytes(Encoding.PEM))
    (tmp_path / "root.pem").write_bytes(send(emulator.control.url, "/certificates/root.pem").body)
    files = ("-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / "intermediate.pem", tmp_path / "signer.pem")
    assert b": OK" in openssl("verify", "-x509_strict", *files)


@pytest.mark.parametrize(
    ("environment", "domain"),
    [
        ("AzureUSGovernmentCloud", "metadata.azure.us"),
        ("AzureChinaCloud", "metadata.azure.cn"),
        ("AzureGermanCloud", "metadata.microsoftazure.de"),
    ],
)
def test_each_cloud_signs_by_its_own_name(environment: str, domain: str) -> None:
    with running({"environment": environment, "location": "somewhere", "vms": [{"name": "a"}]}) as emulator:
        (signer,) = pkcs7.load_der_pkcs7_certificates(fetch(emulator.endpoint("a")))
        assert signer.subject.rfc4514_string() == f"CN=somewhere.{domain}"


@pytest.mark.parametrize("nonce", ["a b", "x" * 33, "a-b", "%C3%A9"])
def test_bad_nonces(emulator: Emulator, nonce: str) -> None:
    assert send(emulator.endpoint("solo"), f"{DOCUMENT}&nonce={nonce.replace(' ', '+')}").status == 400


def test_a_kept_root_is_the_same_next_time_and_private(tmp_path: Path) -> None:
    directory = tmp_path / "ca"
    first, second = Authority(directory).root(), Authority(directory).root()
    assert first.certificate == second.certificate
    assert (directory / "root.key").stat().st_mode & 0o077 == 0
    (directory / "root.pem").write_bytes(Authority().root().certificate_pem())
    with pytest.raises(InputError, match="do not belong together"):
        Authority(directory).root()
    (directory / "root.key").write_text("nonsense")
    with pytest.raises(InputError, match="holds no CA of the emulator"):
        Authority(directory).root()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot keep the CA there"):
        Authority(tmp_path / "file" / "ca").root()
