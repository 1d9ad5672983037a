"""Where the emulator listens, TLS, signing in, Resource Graph, load balancers, commands for outages."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from emulator_wire import SUBSCRIPTION, bearer, events, send

from azure_emulator.certificates import Authority
from azure_emulator.errors import InputError
from azure_emulator.server.runtime import Addresses, check_addresses
from azure_emulator.server.tls import Tls
from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
CLIENT = "aaaaaaaa-0000-0000-0000-000000000001"

# Listening


def test_addresses_are_dealt_out_from_a_network() -> None:
    assert check_addresses(Addresses(network="127.80.0.0/30"), 2) == ["127.80.0.1", "127.80.0.2"]
    with pytest.raises(InputError, match=r"127\.80\.0\.0/30 has 2 addresses for 3 VMs"):
        check_addresses(Addresses(network="127.80.0.0/30"), 3)


@pytest.mark.parametrize(
    "addresses",
    [Addresses(network="10.0.0.0/24"), Addresses(control_address="192.0.2.1"), Addresses(shared="192.0.2.1:80")],
)
def test_what_others_can_reach_needs_leave(addresses: Addresses) -> None:
    with pytest.raises(InputError, match="--allow-non-loopback"):
        check_addresses(addresses, 1)
    assert check_addresses(addresses._replace(allow_non_loopback=True), 1)


def test_vms_on_one_address_have_a_port_each(fleet: dict[str, Any]) -> None:
    with running(fleet, network="127.0.0.1/32") as emulator:
        assert len({emulator.endpoint(vm) for vm in emulator.fleet.vms}) == len(emulator.fleet.vms)
        assert send(emulator.endpoint("web-1"), NAME).text == "web-1"


def ask_from(source: str, port: int) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    try:
        connection.request("GET", NAME, headers={"Metadata": "true"})
        return connection.getresponse().read().decode()
    except ConnectionResetError:
        return "reset"
    finally:
        connection.close()


def test_on_a_shared_address_the_caller_decides_which_vm_it_meets() -> None:
    vms = [
        {"name": "a", "client_addresses": ["127.0.3.1", "127.0.3.2"]},
        {"name": "b", "client_addresses": ["127.0.3.3"]},
    ]
    with running({"vms": vms}) as probe:
        port = int(probe.endpoint("a").rsplit(":", 1)[1])
    with running({"vms": vms}, shared=f"127.0.0.1:{port}") as emulator:
        assert [ask_from(f"127.0.3.{n}", port) for n in (1, 2, 3, 4)] == ["a", "a", "b", "reset"]
        emulator.control.operate("stop", "b")
        assert [ask_from(f"127.0.3.{n}", port) for n in (1, 3)] == ["a", "reset"]


def test_resource_manager_over_tls(fleet: dict[str, Any]) -> None:
    with running(fleet, tls=True) as emulator:
        assert emulator.resource_manager.startswith("https://")
        assert emulator.ca_file is not None
        context = ssl.create_default_context(cafile=emulator.ca_file)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        address = f"{emulator.resource_manager}/subscriptions?api-version=2020-01-01"
        request = urllib.request.Request(address, headers=bearer(emulator.endpoint("solo"), emulator.resource_manager))
        with urllib.request.urlopen(request, context=context, timeout=10) as reply:
            assert json.load(reply)["value"][0]["subscriptionId"] == SUBSCRIPTION
        ca_file = Path(emulator.ca_file)
        assert [path.name for path in ca_file.parent.iterdir()] == ["root.pem"]
    assert not ca_file.parent.exists()


def test_a_ca_that_is_kept_is_named_where_it_is_kept(tmp_path: Path) -> None:
    tls = Tls(Authority(tmp_path / "ca"), "127.0.0.1")
    assert tls.ca_file == str(tmp_path / "ca" / "root.pem")
    tls.close()
    assert ssl.create_default_context(cafile=tls.ca_file).get_ca_certs()


# Signing in, and the cloud's description


@pytest.fixture
def principal() -> Iterator[Emulator]:
    fleet = {
        "service_principals": [{"client_id": CLIENT, "client_secret": "s3cret"}],
        "vms": [{"name": "a"}, {"name": "b", "public_ip": True, "zone": "2", "tags": {"x": "y"}}],
    }
    with running(fleet) as emulator:
        yield emulator


def sign_in(emulator: Emulator, path: str = "/oauth2/v2.0/token", tenant: str | None = None, **form: str) -> Any:
    fields = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": "s3cret",
        "scope": "https://management.azure.com/.default",
        **form,
    }
    target = f"/{tenant or emulator.fleet.tenant_id}{path}"
    return send(emulator.resource_manager, target, method="POST", body=urlencode(fields).encode(), headers={})


@pytest.mark.parametrize(
    ("path", "form", "kind"),
    [("/oauth2/v2.0/token", {}, int), ("/oauth2/token", {"resource": "https://management.azure.com/"}, str)],
)
def test_an_application_signs_in_with_its_secret(
    principal: Emulator, path: str, form: dict[str, str], kind: type
) -> None:
    body = sign_in(principal, path, **form).json
    assert type(body["expires_in"]) is kind
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert send(principal.resource_manager, "/subscriptions?api-version=2020-01-01", headers=headers).status == 200
    assert "s3cret" not in json.dumps(principal.control.requests())


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"client_secret": "guess"}, 401, "invalid_client"),
        ({"client_id": CLIENT[:-1] + "9"}, 400, "unauthorized_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "https://management.azure.com/"}, 400, "invalid_scope"),
        ({"tenant": "11111111-1111-1111-1111-111111111111"}, 400, "invalid_request"),
    ],
)
def test_signing_in_goes_wrong(principal: Emulator, form: dict[str, str], status: int, code: str) -> None:
    reply = sign_in(principal, **form)
    assert (reply.status, reply.json["error"]) == (status, code)
    assert reply.json["error_description"].startswith("AADSTS")


def test_the_clouds_description_in_its_three_forms(principal: Emulator) -> None:
    def described(version: str) -> Any:
        return send(principal.resource_manager, f"/metadata/endpoints?api-version={version}", headers={}).json

    assert described("2022-09-01")["resourceManager"] == principal.resource_manager
    assert described("2019-05-01")[0]["name"] == "AzureCloud"
    assert described("2017-12-01")["cloudEndpoint"]["public"]["locations"] == ["westeurope"]


# Resource Graph

QUERY = """
resources | where type =~ 'microsoft.compute/virtualmachines'
| extend nic = tolower(tostring(properties.networkProfile.networkInterfaces[0].id))
| join kind=leftouter (resources
    | where type =~ 'microsoft.network/networkinterfaces' | project nic = tolower(id)) on nic
| join kind=leftouter (resources | where type =~ 'microsoft.network/publicipaddresses' | project pip = id) on pip
| project id, name, zones, tags, size = properties.hardwareProfile.vmSize, vmId = properties.vmId,
    power = tostring(properties.extended.instanceView.powerState.code), privateIp, publicIp
| order by id asc
"""


def graph(emulator: Emulator, query: Any = QUERY, headers: dict[str, str] | None = None, **options: Any) -> Any:
    body = json.dumps({"query": query, "options": options}).encode()
    target = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
    return send(
        emulator.resource_manager, target, method="POST", body=body, headers=headers or bearer(emulator.endpoint("a"))
    )


def test_a_list_of_vms_by_resource_graph(principal: Emulator) -> None:
    body = graph(principal).json
    assert (body["totalRecords"], body["count"], body["resultTruncated"]) == (2, 2, "false")
    first, second = body["data"]
    assert (first["name"], first["power"], first["publicIp"]) == ("a", "PowerState/running", "")
    assert (second["zones"], second["tags"], second["size"]) == (["2"], {"x": "y"}, "Standard_D2s_v5")
    assert second["publicIp"]


def test_pages_of_resource_graph(principal: Emulator) -> None:
    first = graph(principal, **{"$top": 1}).json
    rest = graph(principal, **{"$top": 1, "$skipToken": first["$skipToken"]}).json
    assert [row["name"] for row in first["data"] + rest["data"]] == ["a", "b"]
    assert "$skipToken" not in rest
    without_id = "Resources | where type =~ 'microsoft.compute/virtualmachines' | project name"
    cut = graph(principal, without_id, **{"$top": 1}).json
    assert (cut["resultTruncated"], "$skipToken" in cut) == ("true", False)


DOCUMENTS = """
Resources | where type in~ ('microsoft.compute/virtualmachines', 'microsoft.network/networkinterfaces')
| project id, name, type, subscriptionId, zones, tags, properties | order by id asc
"""


def test_documents_by_resource_graph_in_pages(principal: Emulator) -> None:
    whole = graph(principal, DOCUMENTS, **{"$top": 1000}).json
    rows: list[Any] = []
    token: dict[str, Any] = {}
    while True:
        page = graph(principal, DOCUMENTS, **{"$top": 1}, **token).json
        rows += page["data"]
        if "$skipToken" not in page:
            break
        token = {"$skipToken": page["$skipToken"]}
    assert rows == whole["data"]
    assert [row["type"].rpartition("/")[2] for row in rows] == ["virtualmachines"] * 2 + ["networkinterfaces"] * 2
    machine = rows[0]["properties"]
    assert machine["extended"]["instanceView"]["powerState"]["code"] == "PowerState/running"
    assert "platformFaultDomain" not in machine["extended"]["instanceView"]
    assert rows[2]["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (None, "no query"),
        ("Resources | where type in~ ('microsoft.storage/x') | project id", "documents of the type: microsoft.sto"),
        ("Resources | where type in~ ('microsoft.compute/virtualmachines') | project plan", "column: plan"),
        ("Resources | where type in~ ('microsoft.compute/virtualmachines') | limit 5", "step: limit 5"),
        ("Resources | count", "begin with a list of virtual machines"),
        ("Resources | where type =~ 'microsoft.compute/virtualmachines'", "with a projection"),
        ("Resources | where type =~ 'microsoft.compute/virtualmachines' | project id, privateIp", "column: privateip"),
        ("Resources | where type =~ 'microsoft.compute/virtualmachines' | limit 5 | project id", "step: limit 5"),
    ],
)
def test_other_queries_are_refused_with_what_was_not_understood(principal: Emulator, query: Any, words: str) -> None:
    reply = graph(principal, query)
    assert reply.status == 400
    assert words in reply.json["error"]["message"]


def test_the_quota_of_resource_graph() -> None:
    with running({"vms": [{"name": "a"}]}, rate_limit=True) as emulator:
        headers = bearer(emulator.endpoint("a"))
        replies = [graph(emulator, headers=headers) for _ in range(16)]
        assert replies[0].headers["x-ms-user-quota-remaining"] == "14"
        assert [reply.status for reply in replies] == [200] * 15 + [429]
        assert replies[-1].headers["Retry-After"] == "1"
        assert replies[-1].headers["x-ms-user-quota-resets-after"] == "00:00:05"


# Load balancers


def test_what_a_load_balancer_does_for_a_vm() -> None:
    rules = [{"frontend_port": 80, "backend_port": 8080}]
    fleet = {
        "load_balancers": [
            {"name": "v4", "frontend_ip": "203.0.113.1", "rules": rules},
            {"name": "v6", "frontend_ip": "2001:db8::1", "outbound": False, "rules": rules},
        ],
        "vms": [
            {"name": "a", "private_ip": "10.0.0.4", "public_ip": "203.0.113.9", "load_balancers": ["v4", "v6"]},
            {"name": "b"},
        ],
    }
    target = "/metadata/loadbalancer?api-version=2020-10-01"
    with running(fleet) as emulator:
        document = send(emulator.endpoint("a"), target).json["loadbalancer"]
        assert document["publicIpAddresses"] == [{"frontendIpAddress": "203.0.113.9", "privateIpAddress": "10.0.0.4"}]
        assert document["inboundRules"][0] == {
            "frontendIpAddress": "203.0.113.1",
            "protocol": "tcp",
            "frontendPort": 80,
            "backendPort": 8080,
            "privateIpAddress": "10.0.0.4",
        }
        assert document["inboundRules"][1]["frontendIpAddress"] == "[2001:db8::1]"
        assert len(document["outboundRules"]) == 1
        assert send(emulator.endpoint("b"), target).status == 404


# Outages that are felt


def test_commands_run_when_a_vm_goes_down_and_comes_back(tmp_path: Path) -> None:
    script = (
        "import os, sys; open(sys.argv[1], 'a').write("
        "' '.join(os.environ['AZURE_EMULATOR_' + n] for n in ('PHASE', 'VM', 'STATE')) + chr(10))"
    )
    log = tmp_path / "log"
    command = [sys.executable, "-c", script, str(log)]
    fleet = {"vms": [{"name": "a", "on_impact": {"begin": command, "end": command}}, {"name": "b"}]}
    with running(fleet) as emulator:
        emulator.control.schedule("Reboot", "a", not_before=10, impact=20)
        emulator.control.advance(10)
        assert log.read_text() == "begin a rebooting\n"
        emulator.control.advance(20)
        assert log.read_text() == "begin a rebooting\nend a running\n"
        done = [entry for entry in emulator.control.log() if entry["kind"] == "impact_command"]
        assert [entry["problem"] for entry in done] == [None, None]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["/nowhere/at-all"], "cannot be started: No such file or directory"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "exit status 3"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "killed after 0.3 s"),
    ],
)
def test_a_command_that_fails_is_reported_and_stops_nothing(command: list[str], problem: str) -> None:
    fleet = {"vms": [{"name": "a", "on_impact": {"begin": command, "timeout": 0.3}}]}
    with running(fleet) as emulator:
        emulator.control.schedule("Reboot", "a", not_before=1, impact=1)
        emulator.control.advance(10)
        (entry,) = [e for e in emulator.control.log() if e["kind"] == "impact_command"]
        assert entry["problem"] == problem
        assert emulator.control.vm("a")["state"] == "running"
        assert events(emulator.endpoint("a"))["Events"]


def test_a_caller_that_takes_it_for_a_proxy_is_answered_all_the_same(emulator: Emulator) -> None:
    parts = urlsplit(emulator.endpoint("solo"))
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    connection.request("GET", f"http://169.254.169.254{NAME}", headers={"Metadata": "true"})
    assert connection.getresponse().read() == b"solo"
    connection.close()
