# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What must not be forgotten, on disk: the state after each step, and a log of every step with its reason.

``state.json`` is replaced atomically and flushed to disk; ``state.json.old`` is the one before. While the disk is full
or read-only the state goes to a second directory, usually in memory, which at least a crash of the handler survives.
The one with the highest serial number counts. ``drained`` exists from before the first drain hook until after the last
resume hook, so that a VM is put back into service even when all of them are lost. ``history.jsonl`` is for people: one
JSON object a line, newest last.
"""

from __future__ import annotations

import json
import os
import time
import typing as t

from ..imds.scheduled_events import Event
from . import model as m
from .files import remove_file, replace_file, sync_directory

FORMAT = 1
HISTORY_LIMIT = 1024 * 1024


class JournalFormatError(ValueError):
    """The bytes are no journal that this version understands."""


class Loaded(t.NamedTuple):
    """What was found, the boot that wrote it (None: unknown), and one sentence for each thing that was wrong.

    ``rebooted``: surely another boot than this one.
    """

    state: m.State
    boot_id: str | None
    problems: tuple[str, ...]
    rebooted: bool = False


class Journal:
    """The journal in a directory.

    Args:
        directory: exists and is ours to write in.
        spare: the second directory. boot_id: identifies this boot; running hooks of another boot are not looked for.
    """

    def __init__(self, directory: str, *, spare: str, boot_id: str) -> None:
        self._directory = directory
        self._boot_id = boot_id
        self.path = os.path.join(directory, "state.json")
        self._old = self.path + ".old"
        self._spare = os.path.join(spare, "state.json")
        self._serial = 0
        self._marker = os.path.join(directory, "drained")
        self._history = os.path.join(directory, "history.jsonl")

    def load(self) -> Loaded:
        """What was remembered.

        A torn or foreign file is set aside under another name and reported, never an error: the state before it
        counts then, and without that an empty one, drained if the marker says so.
        """
        problems: list[str] = []
        found = [self._load_one(path, problems) for path in (self.path, self._old, self._spare)]
        usable = [parsed for parsed in found if parsed is not None]
        if usable:
            newest = max(usable, key=lambda parsed: parsed.serial)
            self._serial = newest.serial
            rebooted = bool(newest.boot_id and self._boot_id and newest.boot_id != self._boot_id)
            return Loaded(newest.state, newest.boot_id, tuple(problems), rebooted)
        state = m.EMPTY
        if os.path.exists(self._marker):
            problems.append("no journal, and the marker says that this VM was drained: it will be resumed")
            state = state._replace(host=m.Host(service=m.HOST_DRAINED))
        return Loaded(state, None, tuple(problems))

    def _load_one(self, path: str, problems: list[str]) -> Parsed | None:
        try:
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
            return parse(text)
        except FileNotFoundError:
            return None
        except OSError as exc:
            problems.append(f"{path} cannot be read: {exc.strerror}")
        except (UnicodeDecodeError, JournalFormatError) as exc:
            aside = f"{path}.bad-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
            try:
                os.replace(path, aside)
                problems.append(f"{path} is not usable ({exc}) and was set aside as {aside}")
            except OSError as error:
                problems.append(f"{path} is not usable ({exc}) and cannot be set aside: {error.strerror}")
        return None

    def save(self, state: m.State, *, now: float) -> None:
        """Put the state on disk.

        Raises:
            OSError: it is not there. The state before it is, and this one in the second directory if possible.
        """
        self._serial += 1
        data = dump(state, serial=self._serial, boot_id=self._boot_id, now=now).encode("utf-8")
        try:
            self._save(data, out=state.host.service != m.IN_SERVICE)
        except OSError:
            try:
                replace_file(self._spare, data, durable=False)
            except OSError:
                pass  # the error of the first place is the one to tell
            raise

    def _save(self, data: bytes, *, out: bool) -> None:
        if out and not os.path.exists(self._marker):
            replace_file(self._marker, b"")
        try:
            remove_file(self._old)
            os.link(self.path, self._old)
        except OSError:
            pass  # the first save, or a file system without hard links: one generation is then all there is
        replace_file(self.path, data)
        if not out and os.path.exists(self._marker):
            remove_file(self._marker)
            sync_directory(self._directory)

    def log(self, entry: t.Mapping[str, t.Any]) -> None:
        """Add a line to the history. Raises OSError."""
        line = json.dumps(entry, sort_keys=True) + "\n"
        try:
            if os.stat(self._history).st_size > HISTORY_LIMIT:
                os.replace(self._history, self._history + ".1")
        except FileNotFoundError:
            pass
        with open(self._history, "a", encoding="utf-8") as stream:
            stream.write(line)


class Parsed(t.NamedTuple):
    """A state, its serial number, and the boot that wrote it."""

    state: m.State
    serial: int
    boot_id: str | None


def dump(state: m.State, *, serial: int, boot_id: str, now: float) -> str:
    """Readable JSON text of a state."""
    value = {
        "format": FORMAT,
        "serial": serial,
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "boot_id": boot_id,
        "vm_name": state.vm_name,
        "host": _plain(state.host),
        "events": {key: _plain(record) for key, record in state.events.items()},
    }
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _plain(value: t.Any) -> t.Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def parse(text: str) -> Parsed:
    """The state in JSON text.

    Keys that this version does not know are ignored, and missing ones have their default, so that an upgrade and a
    downgrade within a format number lose nothing else.

    Raises:
        JournalFormatError: anything else.
    """
    try:
        value = json.loads(text)
        if value["format"] != FORMAT:
            raise JournalFormatError(f"format {value['format']!r}; this version knows {FORMAT}")
        events = {key: _record(entry) for key, entry in value["events"].items()}
        return Parsed(m.State(events, _host(value["host"]), value["vm_name"]), int(value["serial"]), value["boot_id"])
    except JournalFormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise JournalFormatError(f"not a journal: {type(exc).__name__}: {exc}") from exc


def _known(cls: t.Any, entry: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: entry[name] for name in cls._fields if name in entry}


def _record(entry: t.Mapping[str, t.Any]) -> m.EventRecord:
    event = Event(**{**_known(Event, entry["event"]), "resources": tuple(entry["event"]["resources"])})
    record = m.EventRecord(**{**_known(m.EventRecord, entry), "event": event})
    if record.state not in {line.source for line in m.TRANSITIONS} | {line.target for line in m.TRANSITIONS}:
        raise JournalFormatError(f"event {event.event_id} is in the unknown state {record.state!r}")
    return record


def _host(entry: t.Mapping[str, t.Any]) -> m.Host:
    fields = _known(m.Host, entry)
    if fields.get("job"):
        job = _known(m.Job, fields["job"])
        fields["job"] = m.Job(**{**job, "hooks": tuple(job.get("hooks", ()))})
    if fields.get("last"):
        fields["last"] = m.JobResult(**_known(m.JobResult, fields["last"]))
    return m.Host(**fields)


__all__ = ["FORMAT", "Journal", "JournalFormatError", "Loaded", "dump", "parse"]
