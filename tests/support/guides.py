"""Reads the guides: their code blocks and their tables."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "docsite" / "rst"


def blocks(guide: str, language: str) -> dict[str, str]:
    """The code blocks of a language in a guide, by caption, or by number when there is none."""
    text = (FOLDER / guide).read_text(encoding="utf-8")
    pattern = rf"^\.\. code-block:: {language}\n(?:   :caption: (.*)\n)?\n((?:   .*\n|\n)+)"
    found = re.findall(pattern, text, re.MULTILINE)
    return {caption or str(number): textwrap.dedent(code) for number, (caption, code) in enumerate(found)}


def rows(guide: str, marker: str) -> list[list[str]]:
    """The cells of the table between ``.. <marker> begins`` and ``.. <marker> ends``, without its head."""
    text = (FOLDER / guide).read_text(encoding="utf-8")
    table = text.split(f".. {marker} begins\n")[1].split(f".. {marker} ends\n")[0]
    found: list[list[str]] = []
    for line in table.splitlines():
        cell = re.match(r"   (\*| ) - ?(.*)", line)
        if cell and cell[1] == "*":
            found.append([cell[2]])
        elif cell:
            found[-1].append(cell[2])
        elif found and line.strip():
            found[-1][-1] += " " + line.strip()
    return found[1:]


def literals(cell: str) -> list[str]:
    """What stands in literal marks in a cell."""
    return re.findall(r"``([^`]+)``", cell)
