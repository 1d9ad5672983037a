"""Both lookups, found and called as Ansible does it."""

from __future__ import annotations

import json
import time
from typing import Any

import azure_documents as azure
import pytest
from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible.utils.display import Display
from scripted_server import ScriptedServer, answer

from ansible_collections.azure_guest.imds.plugins.lookup import access_token as access_token_plugin

SECRET = "eyJ0-secret"


def lookup(name: str, *terms: Any, variables: dict | None = None, **options: Any) -> list[Any]:
    plugin = lookup_loader.get(f"azure_guest.imds.{name}")
    return list(plugin.run(list(terms), variables or {}, **options))


class TestMetadata:
    def read(self, server: ScriptedServer, *terms: Any, **options: Any) -> list[Any]:
        return lookup("metadata", *terms, endpoint=server.endpoint, retries=0, **options)

    def test_many_paths_of_one_document(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance())]
        assert self.read(
            server,
            "instance/compute/name",
            "/metadata/instance/network/interface/1/macAddress/",
            "instance/compute/tagsList/0",
            "instance/compute/licenseType",
        ) == ["web-0", "000D3AF806EC", {"name": "role", "value": "web"}, ""]
        assert len(server.requests) == 1

    def test_other_categories(self, server: ScriptedServer) -> None:
        server.script = [answer(200, {"apiVersions": []}), answer(200, azure.events()), answer(200, {"signature": "x"})]
        found = self.read(server, "versions", "scheduledevents", "attested/document", query={"nonce": 123})
        assert found == [{"apiVersions": []}, azure.events(), {"signature": "x"}]
        assert [head.split()[1].partition("?")[2] for head in server.heads()] == [
            "nonce=123",
            "api-version=2020-07-01&nonce=123",
            "api-version=2020-09-01&nonce=123",
        ]

    def test_text_and_json_are_put_to_the_service(self, server: ScriptedServer) -> None:
        server.script = [answer(200, b"compute/\nnetwork/"), answer(200, {"interface": []})]
        assert self.read(server, "instance", format="text") == ["compute/\nnetwork/"]
        assert self.read(server, "instance/network", format="json") == [{"interface": []}]
        assert server.heads()[0] == "GET /metadata/instance?api-version=2023-11-15&format=text HTTP/1.1"
        assert server.heads()[1] == "GET /metadata/instance/network?api-version=2023-11-15 HTTP/1.1"

    def test_what_is_missing_is_an_error(self, server: ScriptedServer) -> None:
        server.script = [answer(200, azure.instance())]
        with pytest.raises(AnsibleError, match=r"instance/compute has no element 'nme'; it has .*name"):
            self.read(server, "instance/compute/nme")

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("instance/network/interface/2", "is a list of 2"),
            ("instance/compute/name/x", "instance/compute/name has no element 'x'"),
            ("instance/compute/tagsList/first", "no element 'first'"),
            ("instance/location", "it has compute, network"),
        ],
    )
    def test_where_a_path_ends_is_told(self, server: ScriptedServer, path: str, says: str) -> None:
        server.script = [answer(200, azure.instance())]
        with pytest.raises(AnsibleError, match=says):
            self.read(server, path)

    @pytest.mark.parametrize("on_missing", ["warn", "skip"])
    def test_what_is_missing_leaves_a_null_in_its_place(self, server, monkeypatch, on_missing: str) -> None:
        warnings: list[str] = []
        monkeypatch.setattr(Display, "warning", lambda _self, text, **_: warnings.append(text))
        server.script = [answer(200, azure.instance()), answer(404, {"error": "Not found"})]
        terms = ("instance/compute/nme", "instance/compute/name", "loadbalancer")
        assert self.read(server, *terms, on_missing=on_missing) == [None, "web-0", None]
        assert len(warnings) == (2 if on_missing == "warn" else 0)

    def test_an_error_is_not_missing(self, server: ScriptedServer) -> None:
        server.script = [answer(500)]
        with pytest.raises(AnsibleError, match="answered 500"):
            self.read(server, "instance/compute/name", on_missing="skip")

    @pytest.mark.parametrize(
        ("term", "says"),
        [
            ("", "is no path"),
            ("instance//compute", "is no path"),
            ("instance/../x", "is no path"),
            ("instance?api-version=1", "parameters go into query"),
            ("compute/name", "in no category of the service; those are attested, identity, instance"),
            ("identity/oauth2/token", "use the lookup azure_guest.imds.access_token"),
            (7, "a path is text, not 7"),
        ],
    )
    def test_what_is_no_path_is_refused(self, server: ScriptedServer, term: object, says: str) -> None:
        with pytest.raises(AnsibleError, match=says):
            self.read(server, term)
        assert server.requests == []

    def test_text_of_another_category_is_refused(self, server: ScriptedServer) -> None:
        with pytest.raises(AnsibleError, match="format text exists for the instance category only"):
            self.read(server, "scheduledevents", format="text")

    def test_no_term_is_no_question(self, server: ScriptedServer) -> None:
        assert self.read(server) == []
        assert server.requests == []


class TestOptions:
    def test_a_misspelt_one_is_refused(self) -> None:
        with pytest.raises(AnsibleError, match="unknown option 'tiemout'; did you mean timeout"):
            lookup("metadata", "versions", tiemout=9)
        with pytest.raises(AnsibleError, match=r"unknown option 'x'; the options are .*on_missing"):
            lookup("metadata", "versions", x=9)

    def test_a_wrong_one_is_named(self) -> None:
        with pytest.raises(AnsibleError, match="api_version 'latest'"):
            lookup("metadata", "versions", api_version="latest")
        with pytest.raises(AnsibleError, match="on_missing"):
            lookup("metadata", "versions", on_missing="explode")

    def test_keyword_before_variable_before_environment(self, server: ScriptedServer, monkeypatch) -> None:
        server.script = [answer(200, azure.instance())] * 3
        monkeypatch.setenv("AZURE_IMDS_ENDPOINT", server.endpoint)
        monkeypatch.setenv("AZURE_IMDS_API_VERSION", "2020-06-01")
        variables = {"ansible_azure_imds_api_version": "2021-02-01"}
        lookup("metadata", "instance/compute/name")
        lookup("metadata", "instance/compute/name", variables=variables)
        lookup("metadata", "instance/compute/name", variables=variables, api_version="2021-01-01")
        asked = [head.split("api-version=")[1][:10] for head in server.heads()]
        assert asked == ["2020-06-01", "2021-02-01", "2021-01-01"]

    def test_a_controller_that_is_no_azure_vm(self, monkeypatch) -> None:
        monkeypatch.setattr(
            "ansible_collections.azure_guest.imds.plugins.plugin_utils.lookup_base.require_azure", _not_azure
        )
        with pytest.raises(AnsibleError, match=r"asks about the controller, which is.*instance_facts"):
            lookup("metadata", "instance")


def _not_azure(_settings: object) -> None:
    from ansible_collections.azure_guest.imds.plugins.module_utils.imds.errors import NotOnAzureError

    raise NotOnAzureError("this machine is not an Azure VM.")


class TestAccessToken:
    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        access_token_plugin._tokens.clear()

    def token(self, server: ScriptedServer, *terms: Any, **options: Any) -> list[Any]:
        return lookup("access_token", *terms, endpoint=server.endpoint, retries=0, **options)

    def answer(self, lifetime: float = 3600, **changes: Any) -> bytes:
        body = {
            "access_token": SECRET,
            "client_id": "11111111-2222-3333-4444-555555555555",
            "expires_in": str(int(lifetime)),
            "expires_on": str(int(time.time() + lifetime)),
            "resource": "https://vault.azure.net",
            "token_type": "Bearer",
        }
        return answer(200, {**body, **changes})

    @pytest.mark.parametrize("term", ["https://vault.azure.net", " https://vault.azure.net/.default"])
    def test_for_a_resource_or_a_scope(self, server: ScriptedServer, term: str) -> None:
        server.script = [self.answer()]
        assert self.token(server, term) == [SECRET]
        assert server.heads()[0] == (
            "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1"
        )

    @pytest.mark.parametrize(
        ("option", "parameter"), [("client_id", "client_id"), ("object_id", "object_id"), ("resource_id", "msi_res_id")]
    )
    def test_of_a_user_assigned_identity(self, server: ScriptedServer, option: str, parameter: str) -> None:
        server.script = [self.answer()]
        self.token(server, "r", **{option: "a/b"})
        assert server.heads()[0].endswith(f"&{parameter}=a%2Fb HTTP/1.1")

    def test_two_identities_are_refused(self, server: ScriptedServer) -> None:
        with pytest.raises(AnsibleError, match="give one of them only"):
            self.token(server, "r", client_id="a", object_id="b")

    def test_it_is_kept_until_it_nears_its_end(self, server: ScriptedServer) -> None:
        server.script = [self.answer(), self.answer(299), self.answer()]
        assert self.token(server, "r", "r") == [SECRET, SECRET]
        assert len(server.requests) == 1
        self.token(server, "r", client_id="other")
        self.token(server, "r", client_id="other")
        assert len(server.requests) == 3

    def test_details(self, server: ScriptedServer) -> None:
        server.script = [self.answer()]
        details = self.token(server, "r", output="details")[0]
        assert details["access_token"] == SECRET
        assert details["expires_on"] > time.time()
        assert details["token_type"] == "Bearer"
        json.dumps(details)

    def test_a_scope_that_managed_identities_do_not_have(self, server: ScriptedServer) -> None:
        with pytest.raises(AnsibleError, match="neither a resource nor a scope"):
            self.token(server, "")
        with pytest.raises(AnsibleError, match="does not end in"):
            self.token(server, "/.default")

    def test_what_the_service_objects_to_is_told(self, server: ScriptedServer) -> None:
        said = {"error": "invalid_request", "error_description": "Identity not found"}
        server.script = [answer(400, said)]
        with pytest.raises(AnsibleError, match=r"answered 400.*Identity not found"):
            self.token(server, "r")

    @pytest.mark.parametrize("status", [404, 410, 429, 503])
    def test_what_passes_is_waited_for(self, server: ScriptedServer, status: int) -> None:
        """A 404 too: a fresh identity takes time to be known."""
        server.script = [answer(status, {"error": "not_found"}), self.answer()]
        assert lookup("access_token", "r", endpoint=server.endpoint, retries=1) == [SECRET]

    @pytest.mark.parametrize("body", [{"access_token": SECRET}, [SECRET], {"access_token": SECRET, "expires_on": "x"}])
    def test_no_error_ever_holds_a_token(self, server: ScriptedServer, body: object) -> None:
        server.script = [answer(200, body)]
        with pytest.raises(AnsibleError, match="no token") as caught:
            self.token(server, "r")
        assert SECRET not in str(caught.value)

    def test_a_broken_answer_is_not_quoted(self, server: ScriptedServer) -> None:
        server.script = [answer(200, f'{{"access_token": "{SECRET}"'.encode())]
        with pytest.raises(AnsibleError, match="something other than JSON") as caught:
            self.token(server, "r")
        assert SECRET not in str(caught.value)

    def test_a_token_does_not_show_itself(self) -> None:
        from ansible_collections.azure_guest.imds.plugins.module_utils.imds.identity import Token

        assert SECRET not in repr(Token(SECRET, 1.0, "r", None, "Bearer"))
