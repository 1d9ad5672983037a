# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Settings of the shipped hooks: the handler's own checks, and what only hooks need."""

from __future__ import annotations

import json
import os
import re
import stat
import typing as t

from .. import config
from ..config import Field, Schema

# The checks of the configuration itself, so that both say the same about the same mistake.
string, path, optional, seconds = config._string, config._path, config._optional, config._seconds
integer, choice, boolean = config._integer, config._choice, config._boolean

FAIL, IGNORE, PROCEED, CUT = "fail", "ignore", "proceed", "cut"


class SettingsError(ValueError):
    """What is wrong with the settings of a hook, where, and what would be right; all problems at once."""

    def __init__(self, where: str, problems: t.Sequence[str]) -> None:
        super().__init__("\n".join(f"{where}: {problem}" for problem in problems))
        self.problems = tuple(problems)


def matching(pattern: str, what: str) -> t.Callable[[t.Any], str]:
    """A string that matches as a whole."""
    compiled = re.compile(pattern)

    def convert(value: t.Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError(f"{what} expected, not {value!r:.60}")
        return value

    return convert


def list_of(convert: t.Callable[[t.Any], t.Any]) -> t.Callable[[t.Any], tuple[t.Any, ...]]:
    """A list, each entry of which is converted; the same entry twice is a mistake."""

    def convert_all(value: t.Any) -> tuple[t.Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"a list expected, not {value!r:.60}")
        found = []
        for index, entry in enumerate(value):
            try:
                converted = convert(entry)
            except ValueError as exc:
                raise ValueError(f"[{index}]: {exc}") from exc
            if converted in found:
                raise ValueError(f"[{index}]: {entry!r:.60} is there twice")
            found.append(converted)
        return tuple(found)

    return convert_all


def objects(schema: Schema, verify: t.Callable[[dict[str, t.Any]], None]) -> t.Callable[[t.Any], tuple[t.Any, ...]]:
    """A list of objects."""

    def build(entry: dict[str, t.Any], _index: int) -> dict[str, t.Any]:
        verify(entry)
        return entry

    return config._list_of(schema, build)


def url(value: t.Any) -> str:
    """An http or https URL with a host, without a password in it."""
    import urllib.parse

    text = string(value)
    if any(character.isspace() or ord(character) < 32 for character in text):
        raise ValueError("a URL has no blanks")
    try:
        parts = urllib.parse.urlsplit(text)
        _port = parts.port
    except ValueError as exc:
        raise ValueError(f"not a URL: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL that begins with http:// or https:// and names a host expected")
    if parts.username or parts.password:
        raise ValueError("a password in a URL ends up in logs; there is a setting with a file for it")
    return text


def check(schema: Schema, value: t.Any, where: str, required: t.Sequence[str]) -> dict[str, t.Any]:
    """Every setting with its converted value. Raises SettingsError."""
    problems: list[str] = []
    if isinstance(value, dict):
        problems = [f"{key}: required, and not there" for key in required if value.get(key) in (None, [], {})]
    try:
        found = config.check(schema, value, "")
    except ValueError as exc:
        raise SettingsError(where, [*problems, *getattr(exc, "problems", [str(exc)])]) from exc
    if problems:
        raise SettingsError(where, problems)
    return found


def load(path_: str) -> t.Any:
    """The content of a settings file; without a file there are none. Raises SettingsError."""
    try:
        with open(path_, encoding="utf-8") as stream:
            if os.fstat(stream.fileno()).st_mode & stat.S_IWOTH:
                raise SettingsError(path_, ["may be written by everybody, so it is not read; chmod o-w it"])
            return json.load(stream)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise SettingsError(path_, [f"cannot be read: {exc.strerror}"]) from exc
    except SettingsError:
        raise
    except (ValueError, RecursionError) as exc:
        raise SettingsError(path_, [f"not JSON: {exc}"]) from exc


__all__ = [
    "CUT",
    "FAIL",
    "IGNORE",
    "PROCEED",
    "Field",
    "Schema",
    "SettingsError",
    "boolean",
    "check",
    "choice",
    "integer",
    "list_of",
    "load",
    "matching",
    "objects",
    "optional",
    "path",
    "seconds",
    "string",
    "url",
]
