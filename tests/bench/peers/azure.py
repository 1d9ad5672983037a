"""An Azure for inventory plugins of others: ``python tests/bench/peers/azure.py RESOURCE_MANAGER SERVICE LATENCY``.

They speak to the public cloud's names and to nothing else, and one of them needs ``/batch``, which no document
describes; so this stands in for a proxy (``HTTPS_PROXY``), plays those names with a certificate of its own
(``REQUESTS_CA_BUNDLE``), and answers out of the lists of a running emulator, which it reads once, at the start. It
prints one line of JSON with the proxy's address and the certificate's file, then serves until its input ends; ``GET
/count`` outside of any tunnel tells how many requests there were, and how many more inside of batches.

It is as kind to them as can be: batches are answered at once and cost one latency however much they hold, and instances
of uniform scale sets are among what Resource Graph gives.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import re
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parents[1]))

import fetch_floor

HOSTS = ("management.azure.com", "login.microsoftonline.com")
PAGE = 100
GRAPH_PAGE = 1000


class Resources:
    """Everything that can be asked for, as text: by path, lists by page."""

    def __init__(self, lists: dict[str, list[dict[str, Any]]]) -> None:
        self.one: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        views = {item["id"].lower(): item["properties"].get("instanceView", {}) for item in lists["status"]}
        machines = [
            *lists["machines"],
            *(item for path in lists if path.endswith("/virtualmachines") for item in lists[path] if "sku" in item),
        ]
        for machine in machines:
            system = machine["properties"]["storageProfile"]["osDisk"]["osType"].lower()
            machine["properties"]["osProfile"][f"{system}Configuration"] = {}  # the emulator's models leave it out
            view = machine["properties"].pop("instanceView", None) or views.get(machine["id"].lower(), {})
            self.one[f"{machine['id'].lower()}/instanceview"] = json.dumps(view)
            views[machine["id"].lower()] = view
        for item in (*lists["interfaces"], *lists["addresses"]):
            self.one[item["id"].lower()] = json.dumps(item)
        for path, items in lists.items():
            if path.startswith("/"):
                self.lists[path] = [json.dumps(item) for item in items]
        self.rows = [json.dumps(row) for row in graph_rows(machines, views, lists)]

    def get(self, url: str) -> tuple[int, str]:
        """Status and body of a GET."""
        parts = urlsplit(url)
        path = unquote(parts.path).rstrip("/").lower()
        if path in self.one:
            return 200, self.one[path]
        items = self.lists.get(path)
        if items is None:
            return 404, json.dumps({"error": {"code": "ResourceNotFound", "message": path}})
        start = int(parse_qs(parts.query).get("$skiptoken", ["0"])[0])
        end = start + PAGE
        link = f"https://{HOSTS[0]}{parts.path}?api-version=2024-07-01&$skiptoken={end}"
        more = f', "nextLink": {json.dumps(link)}' if end < len(items) else ""
        return 200, f'{{"value": [{", ".join(items[start:end])}]{more}}}'


def graph_rows(
    machines: list[dict[str, Any]], views: dict[str, dict[str, Any]], lists: dict[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """What the query in the documentation of azure_kql gives."""
    addresses = {item["id"].lower(): item["properties"].get("ipAddress") for item in lists["addresses"]}
    interfaces = {item["id"].lower(): item["properties"]["ipConfigurations"] for item in lists["interfaces"]}
    rows = []
    for machine in machines:
        identity, properties = machine["id"].lower(), machine["properties"]
        found = [
            configuration["properties"]
            for nic in properties["networkProfile"]["networkInterfaces"]
            for configuration in interfaces.get(nic["id"].lower(), [])
        ]
        public = [addresses.get(c["publicIPAddress"]["id"].lower()) for c in found if "publicIPAddress" in c]
        power = next((s for s in views[identity].get("statuses", []) if s["code"].startswith("PowerState/")), {})
        rows.append(
            {
                "vmId": identity,
                "inventory_hostname": machine["name"],
                "tags": machine.get("tags"),
                "location": machine["location"],
                "resourceGroup": identity.split("/")[4],
                "osType": properties["storageProfile"]["osDisk"]["osType"],
                "powerState": power.get("displayStatus"),
                "hostName": properties["osProfile"]["computerName"],
                "subscription_id": identity.split("/")[2],
                "subscription_name": "bench",
                "privateIps": [c["privateIPAddress"] for c in found],
                "publicIps": public,
            }
        )
    return rows


def read(base: str, service: str) -> tuple[str, Resources]:
    """The subscription and the resources of an emulator."""
    headers = fetch_floor.sign_in(service)
    subscription = fetch_floor.get(base, "/subscriptions?api-version=2022-12-01", headers)["value"][0]["id"]
    compute, network = f"{subscription}/providers/Microsoft.Compute", f"{subscription}/providers/Microsoft.Network"
    versions = {"c": fetch_floor.COMPUTE, "n": fetch_floor.NETWORK, "s": fetch_floor.SETS}

    def whole(path: str, version: str, more: str = "") -> list[Any]:
        return fetch_floor.chain(base, f"{path}?api-version={versions[version]}{more}", headers)

    sets = whole(f"{compute}/virtualMachineScaleSets", "c")
    lists = {
        "machines": whole(f"{compute}/virtualMachines", "c"),
        "status": whole(f"{compute}/virtualMachines", "c", "&statusOnly=true"),
        "interfaces": whole(f"{network}/networkInterfaces", "n"),
        "addresses": whole(f"{network}/publicIPAddresses", "n"),
        f"{compute}/virtualMachineScaleSets".lower(): sets,
    }
    lists[f"{compute}/virtualMachines".lower()] = lists["machines"]
    for each in sets:
        if each["properties"].get("orchestrationMode") != "Flexible":
            path = each["id"]
            lists[f"{path}/virtualMachines".lower()] = whole(f"{path}/virtualMachines", "c", "&$expand=instanceView")
            lists["interfaces"] += whole(f"{path}/networkInterfaces", "s")
            lists["addresses"] += whole(f"{path}/publicipaddresses", "s")
    return subscription, Resources(lists)


class Azure:
    """Answers what comes through the tunnels."""

    def __init__(self, resources: Resources, latency: float, context: ssl.SSLContext) -> None:
        self._resources, self._latency, self._context = resources, latency, context
        self.requests = self.inside = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to the proxy."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            method, target, _body = await self._receive(reader)
            if method != "CONNECT":
                found = json.dumps({"requests": self.requests, "inside": self.inside})
                self.requests = self.inside = 0
                await self._send(writer, 200, found)
            elif target.partition(":")[0] not in HOSTS:
                await self._send(writer, 403, "{}")
            else:
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                await writer.start_tls(self._context)
                while True:
                    method, target, body = await self._receive(reader)
                    self.requests += 1
                    await asyncio.sleep(self._latency)
                    await self._send(writer, *self._answer(method, target, body))
        writer.close()

    async def _receive(self, reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _version = head.split("\r\n", 1)[0].split(" ")
        length = re.search(r"(?im)^content-length: *(\d+)", head)
        return method, target, await reader.readexactly(int(length[1])) if length else b""

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: str) -> None:
        data = body.encode()
        head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()

    def _answer(self, method: str, target: str, body: bytes) -> tuple[int, str]:
        path = target.partition("?")[0].lower()
        if path == "/batch":
            return 200, self._batch(json.loads(body)["requests"])
        if path == "/providers/microsoft.resourcegraph/resources":
            return 200, self._graph(json.loads(body))
        if path.endswith("/oauth2/v2.0/token"):
            return 200, '{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "bench"}'
        if path.endswith("/.well-known/openid-configuration"):
            tenant = f"https://{HOSTS[1]}/{target.split('/')[1]}"
            found = {"token_endpoint": f"{tenant}/oauth2/v2.0/token", "issuer": f"{tenant}/v2.0"}
            return 200, json.dumps({**found, "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize"})
        if path == "/common/discovery/instance":
            names = {"preferred_network": HOSTS[1], "preferred_cache": HOSTS[1], "aliases": [HOSTS[1]]}
            where = f"https://{HOSTS[1]}/organizations/v2.0/.well-known/openid-configuration"
            return 200, json.dumps({"tenant_discovery_endpoint": where, "metadata": [names]})
        return self._resources.get(target)

    def _batch(self, wanted: list[dict[str, Any]]) -> str:
        self.inside += len(wanted)
        found = [(item["name"], *self._resources.get(item["url"])) for item in wanted]
        parts = (f'{{"name": "{n}", "httpStatusCode": {status}, "content": {text}}}' for n, status, text in found)
        return f'{{"responses": [{", ".join(parts)}]}}'

    def _graph(self, wanted: dict[str, Any]) -> str:
        start, rows = int((wanted.get("options") or {}).get("$skipToken") or 0), self._resources.rows
        end = start + GRAPH_PAGE
        shown = rows[start:end]
        more = f', "$skipToken": "{end}"' if end < len(rows) else ""
        head = f'"totalRecords": {len(rows)}, "count": {len(shown)}, "resultTruncated": "false", "facets": []'
        return f'{{{head}{more}, "data": [{", ".join(shown)}]}}'


def certificate(folder: Path) -> ssl.SSLContext:
    """A context with a certificate for the hosts' names; the certificate itself is what callers must trust."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Azure of the benchmark")])
    now = datetime.datetime.now(datetime.UTC)
    found = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(found.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def main() -> None:
    """Read, listen, say where, and serve until the input ends."""
    base, service, latency = sys.argv[1:]
    subscription, resources = read(base, service)
    with tempfile.TemporaryDirectory() as name:
        azure = Azure(resources, float(latency), certificate(Path(name)))
        server = await asyncio.start_server(azure.serve, "127.0.0.1", 0, limit=2**20)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready = {"proxy": address, "ca_file": str(Path(name, "ca.pem")), "subscription": subscription.split("/")[2]}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
