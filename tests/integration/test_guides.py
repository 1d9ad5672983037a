"""Every example of the guides about facts and lookups, run as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from ansible_runs import ROOT, Ansible

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import environments
from azure_emulator.testing import Emulator, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_runs import Run

PAGES = [ROOT / "docs" / "docsite" / "rst" / f"{name}_guide.rst" for name in ("facts", "lookup", "scenarios")]
TEMPLATE = "{{ 1 + 1 }}"
FLEET: dict[str, Any] = {
    "availability_sets": [{"name": "storage", "fault_domains": 3, "update_domains": 5}],
    "vms": [
        {"name": "web", "zone": "2", "tags": {"note": TEMPLATE}, "user_data": "c2VjcmV0"},
        *({"name": f"storage-{number}", "availability_set": "storage"} for number in range(4)),
    ],
}


class Example(NamedTuple):
    """One example: the page, its name, ``yaml`` or ``ini``, and its text."""

    page: str
    name: str
    language: str
    text: str


def examples() -> list[Example]:
    """All of them. A block of YAML or INI without a name would go untested, and is an error."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(
            r"(?:^\.\. example: (\S+)\n\n)?^\.\. code-block:: (yaml|ini)\n\n((?:(?: {3}.*)?\n)+)", text, re.MULTILINE
        )
        assert text.count(".. example: ") == len(blocks), path
        for name, language, block in blocks:
            assert name, f"{path}: an example without a name:\n{block}"
            found.append(Example(path.stem, name, language, re.sub(r"^ {3}", "", block, flags=re.MULTILINE)))
    return found


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running(FLEET) as found:
        yield found


class Stage:
    """Runs examples against the emulated VMs; ``web`` is in the inventory twice, and one host is no VM.

    The endpoint is what the readers' machines do not need: it comes as the environment of each play.
    """

    def __init__(self, directory: Path, emulator: Emulator) -> None:
        self.directory = directory
        self.emulator = emulator
        names = {name: name for name in emulator.fleet.vms} | {"www": "web"}
        hosts = {name: {"ansible_azure_imds_endpoint": emulator.endpoint(vm)} for name, vm in names.items()}
        hosts["localhost"] = hosts["web"]
        self.ansible = Ansible(directory, {**hosts, "elsewhere": {}})
        groups = directory / "groups.yml"
        groups.write_text(yaml.safe_dump({"storage": {"hosts": {n: {} for n in names if n.startswith("storage-")}}}))

    def configure(self, text: str) -> None:
        (self.directory / "ansible.cfg").write_text(text)

    def run(self, text: str, *, limit: str, **variables: Any) -> Run:
        plays = yaml.safe_load(text)
        for play in plays:
            endpoint = "{{ ansible_azure_imds_endpoint | default('') }}"
            play.setdefault("environment", {"AZURE_IMDS_ENDPOINT": endpoint})
            play.pop("become", None)  # the tests need no privileges
        given = json.dumps(variables)
        run = self.ansible.playbook(plays, "-i", str(self.directory / "groups.yml"), "-l", limit, "-e", given)
        assert run.code == 0, run.output
        return run


CHECKS: dict[str, Callable[[Stage, str], None]] = {}


def check(name: str) -> Callable[[Callable[[Stage, str], None]], Callable[[Stage, str], None]]:
    """Register what an example has to come to."""

    def register(function: Callable[[Stage, str], None]) -> Callable[[Stage, str], None]:
        CHECKS[name] = function
        return function

    return register


@check("gather-variable")
def _(stage: Stage, text: str) -> None:
    run = stage.run(text, limit="storage-1,elsewhere")
    assert re.fullmatch(
        r"storage-1 runs .+ in westeurope, fault domain 1, update domain 1",
        run.of("Where is it?", "storage-1").result["msg"],
    )
    assert run.of("Where is it?", "elsewhere").outcome == "skipped"
    assert "recorded for elsewhere are about the machine that Ansible runs on" in run.said


@check("gather-configuration")
def _(stage: Stage, text: str) -> None:
    stage.configure(text)
    show = [{"name": "Show", "ansible.builtin.debug": {"msg": "{{ ansible_facts.system }} {{ ansible_azure.name }}"}}]
    run = stage.run(yaml.safe_dump([{"hosts": "all", "tasks": show}]), limit="web")
    assert run.of("Show").result["msg"] == "Linux web"


@check("task")
def _(stage: Stage, text: str) -> None:
    run = stage.run(text, limit="web,storage-0,elsewhere")
    assert run.of("Group the hosts by zone", "web").result["add_group"] == "zone_2"
    assert run.of("Group the hosts by zone", "storage-0").result["add_group"] == "zone_none"


@check("local-fact")
def _(stage: Stage, text: str) -> None:
    directory = str(stage.directory / "facts.d")
    run = stage.run(text, limit="web", local_facts_directory=directory)
    assert run.of("Show it").result["msg"] == stage.emulator.fleet.vm("web").vm_id


@check("mixed")
def _(stage: Stage, text: str) -> None:
    run = stage.run(text, limit="web,elsewhere")
    assert run.of("Say why there are none", "web").outcome == "skipped"
    assert (
        "not_on_azure: this machine is not an Azure VM" in run.of("Say why there are none", "elsewhere").result["msg"]
    )


@check("more")
def _(stage: Stage, text: str) -> None:
    stage.emulator.control.schedule("Redeploy", ["storage-0", "storage-1"])
    run = stage.run(text, limit="storage-0,storage-2")
    assert run.of("What is coming?", "storage-0").result["msg"] == ["Redeploy"]
    assert run.of("What is coming?", "storage-2").result["msg"] == []


@check("user-data")
def _(stage: Stage, text: str) -> None:
    kept = stage.directory / "user-data"
    run = stage.run(text, limit="web", user_data_file=str(kept))
    assert kept.read_text() == "secret"
    assert "c2VjcmV0" not in run.output


@check("paths")
def _(stage: Stage, text: str) -> None:
    run = stage.run(text, limit="localhost")
    assert run.of("One value").result["msg"] == "westeurope"
    controller = run.of("Several values by one request").result["ansible_facts"]["controller"]
    assert (controller["name"], controller["zone"], len(controller["interfaces"])) == ("web", "2", 1)
    assert run.of("Another category").result["msg"] == "2025-04-07"


@check("missing")
def _(stage: Stage, text: str) -> None:
    assert stage.run(text, limit="localhost").of("The first tag, if there is one").result["msg"] == TEMPLATE


@check("token")
def _(stage: Stage, text: str) -> None:
    run = stage.run(text, limit="localhost", resource_manager=stage.emulator.resource_manager)
    assert run.of("Show them").result["msg"] == list(stage.emulator.fleet.subscriptions)
    assert "eyJ" not in run.output


@check("options")
def _(stage: Stage, text: str) -> None:
    stage.configure(text)
    task = {"name": "Show", "ansible.builtin.debug": {"msg": "{{ lookup('azure_guest.imds.metadata', 'versions') }}"}}
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    assert stage.run(yaml.safe_dump(plays), limit="web").of("Show").result["msg"]["apiVersions"]


@check("count")
def _(stage: Stage, text: str) -> None:
    run = stage.run(text, limit="all,!localhost")
    shown = [r.result["msg"] for r in run.results if r.task == "Say how many there are"]
    assert shown == ["5 VMs under 6 names"]


@check("replicas")
def _(stage: Stage, text: str) -> None:
    racks = stage.directory / "racks"
    run = stage.run(text, limit="storage", racks_file=str(racks))
    assert "failed=0" in run.output
    chosen = next(r for r in reversed(run.results) if r.task.startswith("Take each machine"))
    taken = [item for item in chosen.result["results"] if "ansible_facts" in item]
    assert [item["item"] for item in taken] == ["storage-0", "storage-1", "storage-2"]
    lines = racks.read_text().splitlines()
    assert [line.split()[1] for line in lines] == [
        f"/fault-domain-{number % 3}/update-domain-{number % 5}" for number in range(4)
    ]


@check("support")
def _(stage: Stage, text: str) -> None:
    stage.run(text, limit="web,elsewhere", bundle=str(stage.directory))
    web = json.loads((stage.directory / "web.json").read_text())
    assert (web["name"], web["tags"], web["versions"]["available"]) == ("web", {"note": TEMPLATE}, True)
    assert "c2VjcmV0" not in json.dumps(web)
    assert json.loads((stage.directory / "elsewhere.json").read_text())["error"] == "not_on_azure"


@check("environment")
def _(stage: Stage, text: str) -> None:
    run = stage.run(text, limit="web")
    assert run.of("Show them").result["msg"] == "AzurePublicCloud is managed at https://management.azure.com"


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"{example.page}-{example.name}")
def test_an_example(example: Example, tmp_path: Path, emulator: Emulator) -> None:
    CHECKS[example.name](Stage(tmp_path, emulator), example.text)


def test_no_check_without_its_example() -> None:
    assert set(CHECKS) == {example.name for example in examples()}


def test_the_table_of_environments() -> None:
    text = PAGES[2].read_text(encoding="utf-8")
    table = text.partition(".. environments begins")[2].partition(".. environments ends")[0]
    rows = re.findall(r"\* - ``(\w+)``\n     - (\S+)", table)
    expected = [
        (e.name, f"``{e.resource_manager}``" if e.resource_manager else "null:") for e in environments.ENVIRONMENTS
    ]
    assert rows == [("environment", "``resource_manager``"), *expected]
