# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The fleet document as JSON text, strictly: what is not one is refused with its place, never guessed at."""

from __future__ import annotations

import json
import typing as t

from ..windows import Hold, Span
from .document import FORMAT, FleetDocument, FleetFormatError, FleetWindow, Holder, Member


def dump(document: FleetDocument) -> str:
    """Readable, stable JSON text."""
    return json.dumps(as_json(document), indent=1, sort_keys=True) + "\n"


def as_json(document: FleetDocument) -> dict[str, t.Any]:
    """JSON-able form."""
    return {
        "format": FORMAT,
        "members": {name: member._asdict() for name, member in document.members.items()},
        "holders": {name: holder._asdict() for name, holder in document.holders.items()},
        "ready": {key: dict(vms) for key, vms in document.ready.items()},
        "windows": [
            {**window.span._asdict(), "by": window.by, "vms": None if window.vms is None else list(window.vms)}
            for window in document.windows
        ],
        "hold": None if document.hold is None else document.hold._asdict(),
    }


def load(text: str) -> FleetDocument:
    """The document in JSON text.

    Raises:
        FleetFormatError: not JSON, another format number, or a value of the wrong type, with its path.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise FleetFormatError(f"not JSON: {exc}") from exc
    if not isinstance(value, dict) or "format" not in value:
        raise FleetFormatError("not a fleet document: it has no format number")
    if value["format"] != FORMAT:
        raise FleetFormatError(
            f"format {value['format']!r}, and this version of azure-maintenance knows {FORMAT}; upgrade this host"
        )
    return FleetDocument(
        members={name: _member(entry, f"members.{name}") for name, entry in _object(value, "members").items()},
        holders={name: _holder(entry, f"holders.{name}") for name, entry in _object(value, "holders").items()},
        ready={
            key: {
                vm: _number(_checked(vms, f"ready.{key}"), vm, f"ready.{key}") for vm in _checked(vms, f"ready.{key}")
            }
            for key, vms in _object(value, "ready").items()
        },
        windows=tuple(_window(entry, f"windows[{i}]") for i, entry in enumerate(_array(value, "windows"))),
        hold=_hold(value.get("hold")),
    )


def _fail(path: str, wanted: str, value: t.Any) -> t.NoReturn:
    raise FleetFormatError(f"{path}: {wanted} expected, not {value!r:.60}")


def _checked(value: t.Any, path: str) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        _fail(path, "an object", value)
    return value


def _object(value: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    return _checked(value.get(name), name)


def _array(value: dict[str, t.Any], name: str) -> list[t.Any]:
    found = value.get(name)
    if not isinstance(found, list):
        _fail(name, "an array", found)
    return found


def _number(entry: dict[str, t.Any], name: str, path: str) -> float:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _fail(f"{path}.{name}", "a number", value)
    return float(value)


def _string(entry: dict[str, t.Any], name: str, path: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        _fail(f"{path}.{name}", "a string", value)
    return value


def _optional(entry: dict[str, t.Any], name: str, path: str) -> str | None:
    return None if entry.get(name) is None else _string(entry, name, path)


def _member(value: t.Any, path: str) -> Member:
    entry = _checked(value, path)
    return Member(
        zone=_optional(entry, "zone", path),
        fault_domain=_optional(entry, "fault_domain", path),
        update_domain=_optional(entry, "update_domain", path),
        seen=_number(entry, "seen", path),
    )


def _holder(value: t.Any, path: str) -> Holder:
    entry = _checked(value, path)
    if not isinstance(entry.get("forced"), bool):
        _fail(f"{path}.forced", "true or false", entry.get("forced"))
    return Holder(
        _number(entry, "since", path), _string(entry, "key", path), entry["forced"], _string(entry, "by", path)
    )


def _window(value: t.Any, path: str) -> FleetWindow:
    entry = _checked(value, path)
    span = Span(_number(entry, "start", path), _number(entry, "end", path), _string(entry, "reason", path))
    vms = entry.get("vms")
    if vms is not None and not (isinstance(vms, list) and all(isinstance(vm, str) for vm in vms)):
        _fail(f"{path}.vms", "an array of names or null", vms)
    return FleetWindow(span, _string(entry, "by", path), None if vms is None else tuple(vms))


def _hold(value: t.Any) -> Hold | None:
    if value is None:
        return None
    entry = _checked(value, "hold")
    until = None if entry.get("until") is None else _number(entry, "until", "hold")
    return Hold(until, _string(entry, "reason", "hold"), _string(entry, "by", "hold"))


__all__ = ["as_json", "dump", "load"]
