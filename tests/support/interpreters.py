"""The interpreters of this machine, for tests of what runs on hosts."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OLDEST = (3, 8)


def interpreters(versions: Iterable[tuple[int, int]]) -> dict[str, str]:
    """Paths by version (``3.8``), in the order given: on the path, and those that pyenv keeps."""
    found = {}
    for major, minor in versions:
        name = f"{major}.{minor}"
        kept = sorted(Path.home().glob(f".pyenv/versions/{name}.*/bin/python{name}"))
        path = str(kept[-1]) if kept else shutil.which(f"python{name}")
        if (major, minor) == sys.version_info[:2]:
            path = sys.executable
        if path and "shims" not in path:  # a shim may lead nowhere
            found[name] = path
    return found


def oldest() -> str:
    """The oldest interpreter that a host may have, of those that are here."""
    return next(iter(interpreters((3, minor) for minor in range(OLDEST[1], sys.version_info.minor + 1)).values()))
