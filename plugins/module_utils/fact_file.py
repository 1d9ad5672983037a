# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""An executable fact as one file: a Python zip application that holds all it needs of the library."""

from __future__ import annotations

import importlib.util
import io
import json
import marshal
import typing as t
import zipfile

MAIN = b"""\
import json
import sys

from azure_guest.imds.local_fact import main

sys.exit(main(json.loads(__loader__.get_data(sys.path[0] + "/config.json").decode("utf-8"))))
"""
# What the fact needs of the library, and no more.
MODULES = (
    *("__init__", "api_versions", "bodies", "client", "connection", "detection", "documents", "elsewhere"),
    *("environments", "errors", "facts", "failures", "gathering", "instance", "leases", "local_fact", "routes"),
    *("settings", "system", "version", "wire"),
)
_DATE = (1980, 1, 1, 0, 0, 0)


class FactFile(t.NamedTuple):
    """What makes a fact, whoever wrote the file.

    Attributes:
        interpreter: the first line without ``#!``.
        sources: Python source by path inside of the archive.
        config: what ``local_fact.main`` takes.
        magic: of the Python that the compiled code in it is for.
    """

    interpreter: str
    sources: t.Mapping[str, bytes]
    config: t.Mapping[str, t.Any]
    magic: bytes

    def build(self) -> bytes:
        """The file's bytes. Compiled code lies beside each source; another Python than the one that runs this takes
        the source."""
        buffer = io.BytesIO()
        buffer.write(f"#!{self.interpreter}\n".encode())
        with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
            for path, source in sorted(self.sources.items()):
                archive.writestr(zipfile.ZipInfo(path, _DATE), source)
                archive.writestr(zipfile.ZipInfo(path + "c", _DATE), _compiled(path, source))
            text = json.dumps(self.config, sort_keys=True)
            archive.writestr(zipfile.ZipInfo("config.json", _DATE), text.encode("utf-8"))
        return buffer.getvalue()


def wanted(
    interpreter: str, library: t.Mapping[str, bytes], config: t.Mapping[str, t.Any], *, package_init: bytes = b""
) -> FactFile:
    """The fact to install.

    Args:
        interpreter: path of the Python that will run it.
        library: source of each of :data:`MODULES`.
        config: what ``local_fact.main`` takes.
        package_init: source of the outer package.
    """
    sources = {f"azure_guest/imds/{name}.py": library[name] for name in MODULES}
    sources.update({"__main__.py": MAIN, "azure_guest/__init__.py": package_init})
    # Isolated from the environment and without site packages: it needs neither, and starts in half of the time.
    return FactFile(f"{interpreter} -ISB", sources, dict(config), importlib.util.MAGIC_NUMBER)


def parse(data: bytes) -> FactFile | None:
    """What makes an installed fact, or None for a file of another kind."""
    head, newline, _rest = data.partition(b"\n")
    if not (head.startswith(b"#!") and newline):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            sources = {name: archive.read(name) for name in names if name.endswith(".py")}
            config = json.loads(archive.read("config.json").decode("utf-8"))
            compiled = archive.read("__main__.pyc")
    except (zipfile.BadZipFile, KeyError, ValueError):
        return None
    return FactFile(head[2:].decode("utf-8", "replace"), sources, config, compiled[:4])


def _compiled(path: str, source: bytes) -> bytes:
    """Compiled code that Python takes without comparing it with its source (PEP 552, unchecked)."""
    code = compile(source, path, "exec", dont_inherit=True)
    return (
        importlib.util.MAGIC_NUMBER
        + (1).to_bytes(4, "little")
        + importlib.util.source_hash(source)
        + marshal.dumps(code)
    )


__all__ = ["MODULES", "FactFile", "parse", "wanted"]
