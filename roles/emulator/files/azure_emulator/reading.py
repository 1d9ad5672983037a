# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict readers of what users write (YAML files, JSON bodies): wrong type, unknown key and bad value each say where.

A dataclass is the specification of a mapping: each field carries its reader and a sentence of help, see :func:`key`.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from azure_emulator.errors import InputError

T = TypeVar("T")
R = TypeVar("R", bound=Callable[..., Any])
Reader = Callable[[Any, str], T]
_FORMS: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
_MANY = 12
_MISSING: Any = dataclasses.MISSING
# They would end the name where it stands in a resource id or in an address. What Azure would not take besides is let
# pass, so that callers can be shown names that are out to hurt them.
_NOT_IN_NAMES = "/\\?#%"


def form(words: str) -> Callable[[R], R]:
    """Says in which form a reader takes its values, for the reference."""

    def decorate(reader: R) -> R:
        _FORMS[reader] = words
        return reader

    return decorate


def form_of(reader: Reader[Any]) -> str:
    """The form in which a reader takes its values."""
    return _FORMS.get(reader, "anything")


def key(
    reader: Reader[Any], help_text: str, *, default: Any = _MISSING, factory: Any = _MISSING, name: str | None = None
) -> Any:
    """A field of a specification: how its value is read, what it means, and what it is when it is left out."""
    metadata = {"reader": reader, "help": help_text, "name": name}
    # pylint: disable=invalid-field-call  # what it returns is used in a dataclass, which pylint cannot see from here
    if factory is not _MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def keys_of(specification: type) -> dict[str, dataclasses.Field[Any]]:
    """The keys that a specification knows, in order, with their fields."""
    fields = dataclasses.fields(specification)
    return {f.metadata.get("name") or f.name: f for f in fields if "reader" in f.metadata}


def read(
    specification: type[T],
    value: Any,
    path: str,
    *,
    missing: Mapping[str, Any] | None = None,
    places: Mapping[str, str] | None = None,
) -> T:
    """Make a specification's object from a mapping.

    Args:
        specification: a dataclass whose fields were made with :func:`key`.
        value: what the user wrote.
        path: where it stands.
        missing: values for keys that the user left out (already in the form that the readers take).
        places: where those of them stand that the user wrote somewhere else.

    Raises:
        InputError: no mapping, an unknown or missing key, or a value that its reader refuses.
    """
    fields = keys_of(specification)
    own = refuse_unknown(value, fields, path)
    mapping = {**(missing or {}), **own}
    arguments: dict[str, Any] = {}
    for name, field in fields.items():
        if name in mapping:
            place = join(path, name) if name in own else (places or {}).get(name, join(path, name))
            arguments[field.name] = field.metadata["reader"](mapping[name], place)
        elif field.default is _MISSING and field.default_factory is _MISSING:
            raise InputError(path, f"the key {name} is missing")
    return specification(**arguments)


def refuse_unknown(value: Any, known: Iterable[str], path: str) -> dict[str, Any]:
    """The value as a mapping with none but known keys."""
    mapping = expect_mapping(value, path)
    names = list(known)
    for name in mapping:
        if name not in names:
            raise InputError(join(path, name), f"unknown key{did_you_mean(name, names)}")
    return mapping


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name, or all of them when none is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(names)}" if names else ""


def join(path: str, name: str) -> str:
    """The path of a key below a path."""
    return f"{path}.{name}" if path else name


def kind(value: Any) -> str:
    """How a user would call a value's type."""
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


@form("mapping")
def expect_mapping(value: Any, path: str) -> dict[str, Any]:
    """A mapping with text keys."""
    if not isinstance(value, dict):
        raise InputError(path, f"expected a mapping, found {kind(value)}")
    for name in value:
        if not isinstance(name, str):
            raise InputError(path, f"the key {name!r} is {kind(name)}; write it in quotes")
    return value


@form("list")
def expect_list(value: Any, path: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise InputError(path, f"expected a list, found {kind(value)}")
    return value


def text(*, empty: bool = False) -> Reader[str]:
    """Text; numbers are taken as they are written, for YAML reads ``zone: 1`` as one."""

    @form("text, may be empty" if empty else "text")
    def reader(value: Any, path: str) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise InputError(path, f"expected text, found {kind(value)}; write it in quotes")
        if not value and not empty:
            raise InputError(path, "must not be empty")
        return value

    return reader


@form("name")
def resource_name(value: Any, path: str) -> str:
    """The name of an Azure resource, which becomes a part of ids and addresses."""
    name = text()(value, path)
    bad = next((character for character in name if character in _NOT_IN_NAMES or not character.isprintable()), None)
    if bad is not None:
        raise InputError(path, f"the name {name!r} has a {bad!r}, which ends it in an id or an address; leave it out")
    return name


def choice(*names: str) -> Reader[str]:
    """One of some names, in any case; returned as it is spelt here."""
    by_lower = {name.lower(): name for name in names}

    @form(" or ".join(f"``{name}``" for name in names) if len(names) < _MANY else "one of the known names")
    def reader(value: Any, path: str) -> str:
        found = by_lower.get(value.lower()) if isinstance(value, str) else None
        if found is None:
            raise InputError(path, f"{value!r} is none of {', '.join(names)}{_near(value, names)}")
        return found

    return reader


def _near(value: Any, names: Iterable[str]) -> str:
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    return hint if "did you mean" in hint else ""


@form("true or false")
def boolean(value: Any, path: str) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise InputError(path, f"expected true or false, found {kind(value)}")
    return value


def number(*, minimum: float = -math.inf, maximum: float = math.inf) -> Reader[float]:
    """A number within bounds."""

    @form(_bounded("number", minimum, maximum))
    def reader(value: Any, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(path, f"expected a number, found {kind(value)}")
        if not math.isfinite(value):
            raise InputError(path, f"expected a number, found {value}")
        _bounds(value, path, minimum, maximum)
        return float(value)

    return reader


def integer(*, minimum: float = -math.inf, maximum: float = math.inf) -> Reader[int]:
    """A whole number within bounds; ``"3"`` is taken as 3."""

    @form(_bounded("whole number", minimum, maximum))
    def reader(value: Any, path: str) -> int:
        if isinstance(value, str) and value.removeprefix("-").isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(path, f"expected a whole number, found {kind(value)}")
        _bounds(value, path, minimum, maximum)
        return value

    return reader


def _bounded(words: str, minimum: float, maximum: float) -> str:
    if math.isfinite(minimum) and math.isfinite(maximum):
        return f"{words}, {minimum:g} to {maximum:g}"
    return f"{words}, {minimum:g} or more" if math.isfinite(minimum) else words


def _bounds(value: float, path: str, minimum: float, maximum: float) -> None:
    if value < minimum:
        raise InputError(path, f"{value:g} is less than {minimum:g}")
    if value > maximum:
        raise InputError(path, f"{value:g} is more than {maximum:g}")


def optional(reader: Reader[T]) -> Reader[T | None]:
    """What the reader takes, or null."""
    return form(f"{form_of(reader)}, or null")(lambda value, path: None if value is None else reader(value, path))


def list_of(reader: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list of what the reader takes."""
    return form(f"list of {form_of(reader)}")(
        lambda value, path: tuple(
            reader(item, f"{path}[{index}]") for index, item in enumerate(expect_list(value, path))
        )
    )


def mapping_of(reader: Reader[T]) -> Reader[dict[str, T]]:
    """A mapping whose names are free and whose values the reader takes."""
    return form(f"mapping of names to {form_of(reader)}")(
        lambda value, path: {name: reader(item, join(path, name)) for name, item in expect_mapping(value, path).items()}
    )


def part(specification: type[T]) -> Reader[T]:
    """A mapping with a specification of its own."""
    return form("mapping")(lambda value, path: read(specification, value, path))


def either(first: Reader[Any], second: Reader[Any], *, when: type) -> Reader[Any]:
    """The first reader for values of a type, the second for all others."""
    return form(f"{form_of(first)}, or {form_of(second)}")(
        lambda value, path: first(value, path) if isinstance(value, when) else second(value, path)
    )


@form("IPv4 address")
def ipv4(value: Any, path: str) -> str:
    """An IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(value if isinstance(value, str) else ""))
    except ValueError:
        raise InputError(path, f"{value!r} is no IPv4 address such as 10.0.0.4") from None


@form("IPv6 address")
def ipv6(value: Any, path: str) -> str:
    """An IPv6 address."""
    try:
        return str(ipaddress.IPv6Address(value if isinstance(value, str) else ""))
    except ValueError:
        raise InputError(path, f"{value!r} is no IPv6 address such as fd00::4") from None


@form("GUID")
def guid(value: Any, path: str) -> str:
    """A GUID in its usual form of 36 characters; its case is kept."""
    if isinstance(value, str) and len(value) == 36:
        groups = value.split("-")
        if [len(group) for group in groups] == [8, 4, 4, 4, 12] and all(
            character in "0123456789abcdefABCDEF" for group in groups for character in group
        ):
            return value
    raise InputError(path, f"{value!r} is no GUID such as 0b1f6471-1bf0-4dda-aec3-111122223333")


__all__ = [
    "Reader",
    "boolean",
    "choice",
    "did_you_mean",
    "either",
    "expect_list",
    "expect_mapping",
    "form",
    "form_of",
    "guid",
    "integer",
    "ipv4",
    "ipv6",
    "join",
    "key",
    "keys_of",
    "kind",
    "list_of",
    "mapping_of",
    "number",
    "optional",
    "part",
    "read",
    "refuse_unknown",
    "resource_name",
    "text",
]
