"""Answers of every api-version against a field table written for this test alone, and against the official schemas.

The schemas are not part of the project: ``IMDS_OPENAPI`` names a folder that holds ``<version>/imds-<version>.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_wire import send, token

from azure_emulator.testing import Emulator, running

# First api-version of each field, read off contract sections 3.3 to 3.5, one line for each; not taken from the code.
TABLE = """
compute.additionalCapabilities.hibernationEnabled 2021-11-01
compute.azEnvironment 2018-10-01
compute.evictionPolicy 2020-12-01
compute.extendedLocation.name 2021-03-01
compute.extendedLocation.type 2021-03-01
compute.host.id 2021-11-15
compute.hostGroup.id 2021-11-15
compute.isHostCompatibilityLayerVm 2020-06-01
compute.licenseType 2020-09-01
compute.location 2017-04-02
compute.name 2017-04-02
compute.offer 2017-04-02
compute.osProfile.adminUsername 2020-07-15
compute.osProfile.computerName 2020-07-15
compute.osProfile.disablePasswordAuthentication 2020-10-01
compute.osType 2017-04-02
compute.physicalZone 2023-11-15
compute.placementGroupId 2017-08-01
compute.plan.name 2018-04-02
compute.plan.product 2018-04-02
compute.plan.publisher 2018-04-02
compute.platformFaultDomain 2017-04-02
compute.platformSubFaultDomain 2021-10-01
compute.platformUpdateDomain 2017-04-02
compute.priority 2020-12-01
compute.provider 2018-10-01
compute.publicKeys[].keyData 2018-04-02
compute.publicKeys[].path 2018-04-02
compute.publisher 2017-04-02
compute.resourceGroupName 2017-08-01
compute.resourceId 2019-03-11
compute.securityProfile.encryptionAtHost 2021-11-01
compute.securityProfile.secureBootEnabled 2020-06-01
compute.securityProfile.securityType 2021-12-13
compute.securityProfile.virtualTpmEnabled 2020-06-01
compute.sku 2017-04-02
compute.storageProfile.dataDisks[].bytesPerSecondThrottle 2021-05-01
compute.storageProfile.dataDisks[].caching 2019-06-01
compute.storageProfile.dataDisks[].createOption 2019-06-01
compute.storageProfile.dataDisks[].diskCapacityBytes 2021-05-01
compute.storageProfile.dataDisks[].diskSizeGB 2019-06-01
compute.storageProfile.dataDisks[].image.uri 2019-06-01
compute.storageProfile.dataDisks[].isSharedDisk 2021-05-01
compute.storageProfile.dataDisks[].isUltraDisk 2021-05-01
compute.storageProfile.dataDisks[].lun 2019-06-01
compute.storageProfile.dataDisks[].managedDisk.id 2019-06-01
compute.storageProfile.dataDisks[].managedDisk.storageAccountType 2019-06-01
compute.storageProfile.dataDisks[].name 2019-06-01
compute.storageProfile.dataDisks[].opsPerSecondThrottle 2021-05-01
compute.storageProfile.dataDisks[].vhd.uri 2019-06-01
compute.storageProfile.dataDisks[].writeAcceleratorEnabled 2019-06-01
compute.storageProfile.imageReference.communityGalleryImageId 2023-07-01
compute.storageProfile.imageReference.exactVersion 2023-07-01
compute.storageProfile.imageReference.id 2019-06-01
compute.storageProfile.imageReference.offer 2019-06-01
compute.storageProfile.imageReference.publisher 2019-06-01
compute.storageProfile.imageReference.sharedGalleryImageId 2023-07-01
compute.storageProfile.imageReference.sku 2019-06-01
compute.storageProfile.imageReference.version 2019-06-01
compute.storageProfile.osDisk.caching 2019-06-01
compute.storageProfile.osDisk.createOption 2019-06-01
compute.storageProfile.osDisk.diffDiskSettings.option 2019-08-01
compute.storageProfile.osDisk.diskSizeGB 2019-06-01
compute.storageProfile.osDisk.encryptionSettings.diskEncryptionKey.secretUrl 2021-11-01
compute.storageProfile.osDisk.encryptionSettings.diskEncryptionKey.sourceVault.id 2021-11-01
compute.storageProfile.osDisk.encryptionSettings.enabled 2019-06-01
compute.storageProfile.osDisk.encryptionSettings.keyEncryptionKey.keyUrl 2021-11-01
compute.storageProfile.osDisk.encryptionSettings.keyEncryptionKey.sourceVault.id 2021-11-01
compute.storageProfile.osDisk.image.uri 2019-06-01
compute.storageProfile.osDisk.managedDisk.id 2019-06-01
compute.storageProfile.osDisk.managedDisk.storageAccountType 2019-06-01
compute.storageProfile.osDisk.name 2019-06-01
compute.storageProfile.osDisk.osType 2019-06-01
compute.storageProfile.osDisk.vhd.uri 2019-06-01
compute.storageProfile.osDisk.writeAcceleratorEnabled 2019-06-01
compute.storageProfile.resourceDisk.size 2021-02-01
compute.subscriptionId 2017-08-01
compute.tags 2017-08-01
compute.tagsList[].name 2019-06-04
compute.tagsList[].value 2019-06-04
compute.userData 2021-01-01
compute.version 2017-04-02
compute.virtualMachineScaleSet.id 2021-03-01
compute.vmId 2017-04-02
compute.vmScaleSetName 2017-12-01
compute.vmSize 2017-04-02
compute.zone 2017-12-01
network.interface[].ipv4.ipAddress[].privateIpAddress 2017-04-02
network.interface[].ipv4.ipAddress[].publicIpAddress 2017-04-02
network.interface[].ipv4.subnet[].address 2017-04-02
network.interface[].ipv4.subnet[].prefix 2017-04-02
network.interface[].ipv6.ipAddress[].privateIpAddress 2017-04-02
network.interface[].macAddress 2017-04-02
"""
FIRST = dict(line.split() for line in TABLE.strip().splitlines())
# Contract section 3.1, newest first, as the documentation lists them.
VERSIONS = [
    *("2025-04-07", "2024-07-17", "2024-03-15", "2023-11-15", "2023-07-01", "2021-12-13", "2021-11-15", "2021-11-01"),
    *("2021-10-01", "2021-08-01", "2021-05-01", "2021-03-01", "2021-02-01", "2021-01-01", "2020-12-01", "2020-10-01"),
    *("2020-09-01", "2020-07-15", "2020-06-01", "2019-11-01", "2019-08-15", "2019-08-01", "2019-06-04", "2019-06-01"),
    *("2019-04-30", "2019-03-11", "2019-02-01", "2018-10-01", "2018-04-02", "2018-02-01", "2017-12-01", "2017-10-01"),
    *("2017-08-01", "2017-04-02", "2017-03-01"),
]
FLEET = {
    "tags": {"k": "v"},
    "vms": [{"name": "a", "ipv6": True, "public_keys": [{"key_data": "ssh-rsa 0"}], "data_disks": [{"ultra": True}]}],
}
OPENAPI = Path(os.environ.get("IMDS_OPENAPI", ""))
DESCRIBED = sorted(path.name for path in OPENAPI.iterdir() if path.is_dir()) if os.environ.get("IMDS_OPENAPI") else []
# What the official files are known to leave out or to keep (contract appendix A and section 3.3).
FORGOTTEN = {"2019-08-15": {"compute.tagsList"}, "2019-11-01": {"compute.tagsList"}}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with running(FLEET) as emulator:
        yield emulator.endpoint("a")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, value


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_has_exactly_the_fields_that_had_come_by_then(base: str, version: str) -> None:
    document = send(base, f"/metadata/instance?api-version={version}").json
    shown = dict(leaves(document))
    # The preview of March 2017 shows what the first version after it does; custom data was there for three versions.
    expected = {path for path, first in FIRST.items() if first <= max(version, "2017-04-02")}
    expected |= {"compute.customData"} if "2019-02-01" <= version <= "2019-04-30" else set()
    assert set(shown) == expected
    assert all(isinstance(value, str) for value in shown.values())


def test_the_service_lists_the_versions_that_the_documentation_lists(base: str) -> None:
    assert send(base, "/metadata/versions").json == {"apiVersions": VERSIONS[::-1]}


# The official schemas


class Schema:
    """An official file, and what it says of a value."""

    def __init__(self, version: str) -> None:
        path = OPENAPI / version / f"imds-{version}.json"
        self.definitions: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["definitions"]

    def problems(self, value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
        """What of a value does not agree with its schema: another type, or a property that is not described."""
        reference = schema.get("$ref")
        schema = self.definitions[reference.rsplit("/", 1)[1]] if reference else schema
        kind = schema.get("type", "object" if "properties" in schema else None)
        types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
        if kind in types and not isinstance(value, types[kind]):
            yield f"{path} is {type(value).__name__}, not {kind}"
            return
        if kind == "array":
            for item in value:
                yield from self.problems(item, schema["items"], path)
        known = schema.get("properties")
        if isinstance(value, dict) and known:
            for name, item in value.items():
                place = f"{path}.{name}" if path else name
                if name in known:
                    yield from self.problems(item, known[name], place)
                else:
                    yield f"{place} is not described"

    def paths(self, schema: dict[str, Any], path: str) -> Iterator[str]:
        """The path of every value that a schema describes."""
        reference = schema.get("$ref")
        schema = self.definitions[reference.rsplit("/", 1)[1]] if reference else schema
        if "items" in schema:
            yield from self.paths(schema["items"], path + "[]")
        elif "properties" in schema:
            for name, child in schema["properties"].items():
                yield from self.paths(child, f"{path}.{name}" if path else name)
        else:
            yield path


needs_schemas = pytest.mark.skipif(not DESCRIBED, reason="IMDS_OPENAPI names no folder with the official schemas")


@needs_schemas
@pytest.mark.parametrize("version", DESCRIBED)
def test_the_instance_document_agrees_with_the_official_schema(base: str, version: str) -> None:
    schema = Schema(version)
    document = send(base, f"/metadata/instance?api-version={version}").json
    forgotten = {f"{path} is not described" for path in FORGOTTEN.get(version, set())}
    found = set(schema.problems(document, {"$ref": "#/definitions/Instance"}))
    assert found == forgotten
    described = set(schema.paths({"$ref": "#/definitions/Instance"}, ""))
    assert described - dict(leaves(document)).keys() == set()


@needs_schemas
@pytest.mark.parametrize("version", DESCRIBED)
def test_identity_agrees_with_the_official_schema(base: str, version: str) -> None:
    schema = Schema(version)
    query = f"api-version={version}&resource=https://management.azure.com/"
    body = send(base, f"/metadata/identity/oauth2/token?{query}").json
    assert list(schema.problems(body, {"$ref": "#/definitions/IdentityTokenResponse"})) == []
    info = send(base, f"/metadata/identity/info?api-version={version}").json
    assert list(schema.problems(info, {"$ref": "#/definitions/IdentityInfoResponse"})) == []
    refused = token(base, resource="").json
    assert list(schema.problems(refused, {"$ref": "#/definitions/IdentityErrorResponse"})) == []


@needs_schemas
@pytest.mark.parametrize("version", [v for v in DESCRIBED if v >= "2018-10-01"])
def test_the_attested_document_agrees_with_the_official_schema(base: str, version: str) -> None:
    body = send(base, f"/metadata/attested/document?api-version={version}").json
    assert list(Schema(version).problems(body, {"$ref": "#/definitions/AttestedData"})) == []


@needs_schemas
def test_errors_and_versions_agree_with_the_official_schema(base: str, emulator: Emulator) -> None:
    schema = Schema("2023-07-01")
    assert list(schema.problems(send(base, "/metadata/versions").json, {"$ref": "#/definitions/Versions"})) == []
    for fault in ("not_found", "gone", "throttled", "server_error"):
        emulator.control.add_fault(fault=fault, count=1)
        body = send(emulator.endpoint("solo"), "/metadata/instance?api-version=2021-02-01").json
        assert list(schema.problems(body, {"$ref": "#/definitions/ErrorResponse"})) == []
