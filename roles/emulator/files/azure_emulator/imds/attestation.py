# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attested document: who the VM is, signed (contract section 8)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from azure_emulator.imds.answers import error
from azure_emulator.messages import Answer, RefusedError, compact, json_answer

if TYPE_CHECKING:
    from azure_emulator.certificates import Authority
    from azure_emulator.fleet.model import Vm

# First api-version of the fields that came after the first.
NEWER_FIELDS = {"subscriptionId": "2019-04-30", "sku": "2019-11-01", "licenseType": "2020-09-01"}
# Which sub-domain signs, by cloud.
DOMAINS = {
    "AzurePublicCloud": "metadata.azure.com",
    "AzureUSGovernmentCloud": "metadata.azure.us",
    "AzureChinaCloud": "metadata.azure.cn",
    "AzureGermanCloud": "metadata.microsoftazure.de",
    "AzureStack": "metadata.azure.com",
}
VALID_FOR = 6 * 3600
_NONCE_LIMIT = 32


def attested_fields(vm: Vm, version: str, nonce: str, now: float) -> dict[str, Any]:
    """What is signed, in an api-version."""
    plan, image = vm.spec.plan, vm.spec.image
    fields = {
        "licenseType": vm.spec.license_type,
        "nonce": nonce or datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S"),
        "plan": {"name": plan.name, "product": plan.product, "publisher": plan.publisher},
        "sku": "" if image.id else image.sku,
        "subscriptionId": vm.spec.subscription_id,
        "timeStamp": {"createdOn": _time(now), "expiresOn": _time(now + VALID_FOR)},
        "vmId": vm.vm_id,
    }
    return {name: value for name, value in fields.items() if NEWER_FIELDS.get(name, "") <= version}


def _time(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%m/%d/%y %H:%M:%S -0000")


def attested_document(authority: Authority, vm: Vm, version: str, nonce: str | None, now: float) -> Answer:
    """The answer: a PKCS#7 SignedData with its content. The signer's certificate is in it, its issuers' are not.

    Raises:
        RefusedError: a nonce that is too long or not alphanumeric.
    """
    if nonce and (len(nonce) > _NONCE_LIMIT or not (nonce.isascii() and nonce.isalnum())):
        text = f"Bad request. nonce is not made of at most {_NONCE_LIMIT} letters and digits"
        raise RefusedError(error("attested", 400, text))
    signer = authority.leaf(f"{vm.spec.location.lower()}.{DOMAINS[vm.spec.environment]}")
    content = compact(attested_fields(vm, version, nonce or "", now))
    signature = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(content)
        .add_signer(signer.certificate, signer.key, hashes.SHA256())
        # Without attributes: they would hold the machine's time, and the clock here is the neighbourhood's.
        .sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes])
    )
    return json_answer({"encoding": "pkcs7", "signature": base64.b64encode(signature).decode()})


__all__ = ["DOMAINS", "NEWER_FIELDS", "VALID_FOR", "attested_document", "attested_fields"]
