# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator's own certificate authority: for the attested document's signature, and for TLS.

Root, intermediate and leaf, as Azure has them: the leaf names where its issuer's certificate can be fetched.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from azure_emulator.errors import InputError

ROOT_NAME = "Azure emulator root (for tests only)"
_INTERMEDIATE_NAME = "Azure emulator issuing CA (for tests only)"
# Good at any time that a virtual clock may show, so that only the document's own times count.
_VALID_FROM, _VALID_FOR = datetime(2016, 1, 1, tzinfo=UTC), timedelta(days=40 * 365)
# TLS clients look at the machine's clock, and some refuse certificates that are good for years.
_TLS_VALID_FOR = timedelta(days=300)
INTERMEDIATE_PATH = "/certificates/intermediate.cer"
ROOT_PATH = "/certificates/root.pem"


class KeyPair(NamedTuple):
    """A private key and its certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """The private key as PEM, unencrypted."""
        form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, encryption)


class Authority:
    """Makes keys and certificates when they are first needed.

    Args:
        directory: where to keep the root, so that it can be trusted for longer than one run; None for nowhere.

    Attributes:
        base_url: where :data:`INTERMEDIATE_PATH` is served; set once it is known.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._root: KeyPair | None = None
        self._intermediate: KeyPair | None = None
        self._leaves: dict[str, KeyPair] = {}
        self.base_url = "http://127.0.0.1"

    @property
    def kept_certificate(self) -> Path | None:
        """Where the root's certificate is kept; None when it is not."""
        return self._directory.absolute() / "root.pem" if self._directory else None

    def root(self) -> KeyPair:
        """The root.

        Raises:
            InputError: the directory holds something else, or cannot be written.
        """
        if self._root is None:
            self._root = self._kept_root() if self._directory else _make_root()
        return self._root

    def intermediate(self) -> KeyPair:
        """The CA that issues the leaves."""
        if self._intermediate is None:
            key = _new_key()
            certificate = _as_authority(_builder(_INTERMEDIATE_NAME, key, self.root()), path_length=0).sign(
                self.root().key, hashes.SHA256()
            )
            self._intermediate = KeyPair(key, certificate)
        return self._intermediate

    def leaf(self, name: str) -> KeyPair:
        """A certificate of a DNS name, issued by the intermediate; the same one each time."""
        if name not in self._leaves:
            key, issuer = _new_key(), self.intermediate()
            where = x509.UniformResourceIdentifier(self.base_url + INTERMEDIATE_PATH)
            access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)
            certificate = (
                _builder(name, key, issuer)
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
                .add_extension(x509.AuthorityInformationAccess([access]), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .sign(issuer.key, hashes.SHA256())
            )
            self._leaves[name] = KeyPair(key, certificate)
        return self._leaves[name]

    def server(self, address: str) -> KeyPair:
        """A TLS server's certificate for an address and ``localhost``, issued by the root itself."""
        key, root = _new_key(), self.root()
        names = [x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName("localhost")]
        yesterday = datetime.now(UTC) - timedelta(days=1)
        certificate = (
            _builder(address, key, root, valid_from=yesterday, valid_for=_TLS_VALID_FOR)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(root.key, hashes.SHA256())
        )
        return KeyPair(key, certificate)

    def _kept_root(self) -> KeyPair:
        directory = self._directory or Path()
        certificate, key = directory / "root.pem", directory / "root.key"
        try:
            if certificate.exists() and key.exists():
                return _read_root(certificate, key)
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = _make_root()
            write_private(key, made.key_pem())
            certificate.write_bytes(made.certificate_pem())
        except OSError as exc:
            raise InputError(str(exc.filename or directory), f"cannot keep the CA there: {exc.strerror}") from exc
        return made


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, from its first moment on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def _read_root(certificate: Path, key: Path) -> KeyPair:
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        root = x509.load_pem_x509_certificate(certificate.read_bytes())
    except ValueError as exc:
        raise InputError(str(certificate.parent), f"holds no CA of the emulator: {exc}") from exc
    if not isinstance(private, rsa.RSAPrivateKey) or private.public_key() != root.public_key():
        raise InputError(str(certificate.parent), "holds a key and a certificate that do not belong together")
    return KeyPair(private, root)


def _make_root() -> KeyPair:
    key = _new_key()
    certificate = _as_authority(_builder(ROOT_NAME, key, None), path_length=1).sign(key, hashes.SHA256())
    return KeyPair(key, certificate)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _builder(
    name: str,
    key: rsa.RSAPrivateKey,
    issuer: KeyPair | None,
    *,
    valid_from: datetime = _VALID_FROM,
    valid_for: timedelta = _VALID_FOR,
) -> x509.CertificateBuilder:
    """A certificate to be signed by its issuer; by itself for None."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key = (issuer.key if issuer else key).public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_from + valid_for)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    usage = {name: name in ("key_cert_sign", "crl_sign", "digital_signature") for name in _KEY_USAGES}
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(x509.KeyUsage(**usage), critical=True)


_KEY_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)

__all__ = ["INTERMEDIATE_PATH", "ROOT_NAME", "ROOT_PATH", "Authority", "KeyPair", "write_private"]
