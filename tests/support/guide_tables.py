"""Tables in the guides that are made from the code, between two comments each; and the guides' examples."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:   .*\n|\n)+)", re.MULTILINE)


def code_blocks(guide: Path, language: str) -> list[str]:
    """The examples in a language."""
    text = guide.read_text(encoding="utf-8")
    return [textwrap.dedent(block) for found, block in _BLOCK.findall(text) if found == language]


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A list-table of reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        for position, cell in enumerate(row):
            lines.append(f"   {'*' if position == 0 else ' '} - {cell}".rstrip())
    return "\n".join(lines)


def check_table(guide: Path, name: str, wanted: str, *, update: bool) -> None:
    """Assert that a guide has this table at its place, or put it there."""
    text = guide.read_text(encoding="utf-8")
    begin, end = f".. {name} begins\n", f".. {name} ends\n"
    before, found_begin, rest = text.partition(begin)
    found, found_end, after = rest.partition(end)
    assert found_begin, f"{guide.name} has no place for the table {name}"
    assert found_end, f"{guide.name} has no place for the table {name}"
    if update:
        guide.write_text(f"{before}{begin}\n{wanted}\n\n{end}{after}", encoding="utf-8")
        return
    assert found == f"\n{wanted}\n\n", "run: python -m pytest tests/unit -k guides_tables --update-guide -n0"
