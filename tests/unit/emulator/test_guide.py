"""What the guide shows is done here, in its order: files are written, commands run, and what they print is compared."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from azure_emulator.fleet.loading import load_fleet, parse_yaml

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "docsite" / "rst" / "emulator_guide.rst"
BLOCK = re.compile(r"(?:^\.\. file: (\S+)\n)?^\.\. code-block:: (\w+)\n\n((?:(?: {3}.*)?\n)+)", re.MULTILINE)
VM_ADDRESS, CONTROL, MANAGER = "http://127.80.0.{}:8169", "http://127.0.0.1:8170", "//127.0.0.1:8171"
SERVED = f"127.{60 + os.getpid() % 20}.{os.getpid() // 20 % 256}.0/24"


class Block(NamedTuple):
    file: str
    language: str
    text: str


def blocks() -> list[Block]:
    text = GUIDE.read_text(encoding="utf-8")
    return [Block(file, language, textwrap.dedent(body).strip() + "\n") for file, language, body in BLOCK.findall(text)]


class Reader:
    """Somebody who reads the guide and does what it says; an emulator gets free ports instead of the usual ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.emulator: subprocess.Popen[str] | None = None
        self.files: dict[str, str] = {}
        self.real: dict[str, str] = {}
        commands = folder / "bin"
        commands.mkdir()
        self._command(commands / "azure-emulator", f"exec {sys.executable} -m azure_emulator")
        self._command(commands / "python", f"exec {sys.executable}")
        places = [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
        local = {
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
        }
        fixed = {"PATH": os.pathsep.join(places), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", **local}
        self.environment = {**os.environ, **fixed}

    @staticmethod
    def _command(path: Path, line: str) -> None:
        path.write_text(f'#!/bin/sh\n{line} "$@"\n', encoding="utf-8")
        path.chmod(0o755)

    def write(self, name: str, text: str) -> None:
        """Write a file; its addresses change with each emulator that is served."""
        self.files[name] = text
        (self.folder / name).write_text(self._to_real(text), encoding="utf-8")

    def _to_real(self, text: str) -> str:
        for shown, real in self.real.items():
            text = text.replace(shown, real)
        return text

    def _to_shown(self, text: str) -> str:
        for shown, real in self.real.items():
            text = text.replace(real, shown)
        return text

    def run(self, command: str) -> str:
        """What a command prints, in the guide's addresses."""
        if command.endswith("&"):
            return self._serve(command.removesuffix("&").strip())
        done = subprocess.run(
            ["sh", "-c", self._to_real(command)], cwd=self.folder, env=self.environment, text=True, check=False,
            timeout=120, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wrong = "azure-emulator: " in done.stderr
        assert bool(done.returncode) == wrong, (command, done.stdout, done.stderr)
        return self._to_shown(done.stderr if wrong else done.stdout)

    def _serve(self, command: str) -> str:
        self.stop()
        options = ["--port", "0", "--control-port", "0", "--resource-manager-port", "0", "--network", SERVED]
        self.emulator = subprocess.Popen(
            [*command.split(), *options], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert self.emulator.stdout is not None
        line = self.emulator.stdout.readline()
        addresses = json.loads(line)
        manager = addresses["resource_manager"]
        self.real = {
            CONTROL: addresses["control"],
            MANAGER: manager[manager.index("//") :],
            **{VM_ADDRESS.format(number): real for number, real in enumerate(addresses["vms"].values(), 1)},
        }
        self.environment["AZURE_EMULATOR_CONTROL"] = addresses["control"]
        for name, text in list(self.files.items()):
            self.write(name, text)
        return self._to_shown(line)

    def stop(self) -> None:
        if self.emulator is not None:
            self.emulator.terminate()
            code = self.emulator.wait(30)
            assert self.emulator.stdout is not None
            self.emulator.stdout.close()
            self.emulator = None
            assert code == 0


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    somebody = Reader(tmp_path)
    try:
        yield somebody
    finally:
        somebody.stop()


def pattern(expected: list[str]) -> str:
    """Of the lines that are shown: ``…`` is any text, a line of three dots any lines."""
    parts = []
    for line in expected:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        words = re.escape(" ".join(line.split())).replace(r"\ ", " ").replace("…", ".*")
        parts.append(words + r"\n")
    return "".join(parts)


def normal(text: str) -> str:
    return "".join(" ".join(line.split()) + "\n" for line in text.splitlines())


def test_what_the_guide_shows_is_what_happens(reader: Reader) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the guide's commands use curl, which is not installed")
    ran = 0
    for block in blocks():
        if block.file:
            reader.write(block.file, block.text)
        if block.language != "console":
            continue
        lines = block.text.splitlines()
        starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in itertools.pairwise([*starts, len(lines)]):
            command = lines[start].removeprefix("$ ")
            printed = reader.run(command)
            wanted = pattern(lines[start + 1 : end])
            assert re.fullmatch(wanted, normal(printed)), f"{command}\nprinted:\n{printed}\nwanted:\n{wanted}"
            ran += 1
    assert ran > 35


def test_every_fleet_in_the_guide_is_one() -> None:
    fleets = [b.text for b in blocks() if b.language == "yaml" and "vms:" in b.text and "hosts:" not in b.text]
    good = [text for text in fleets if "faultdomain" not in text and "Rebot" not in text]
    assert len(good) == 5
    for text in good:
        content = parse_yaml(text, "guide")
        load_fleet(content.get("fleet", content))


def test_both_pages_are_in_the_table_of_contents() -> None:
    listed = parse_yaml((ROOT / "docs" / "docsite" / "extra-docs.yml").read_text(encoding="utf-8"), "extra-docs")
    pages = [page for section in listed["sections"] for page in section["toctree"]]
    assert {"emulator_guide", "emulator_reference"} <= set(pages)
