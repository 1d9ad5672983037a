"""The journal on a real disk: what survives, and what is said about what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds.scheduled_events import Event
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import journal as j
from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import model as m

EVENT = Event("ABC", "Scheduled", "Reboot", "VirtualMachine", ("web-0", "web-1"), 5.0, "t", "d", "Platform", -1)
RECORD = m.EventRecord(EVENT, m.DRAINED, "why", "drain_and_approve", "rule", 1.0, 2.0, approved=3.0)
HOST = m.Host(
    m.HOST_DRAINED, 2, "held", m.Job("ready", "abc", 4.0, ("a", "b"), 1, "77"), m.JobResult("drain", m.OK, "x", 5.0)
)
STATE = m.State({"abc": RECORD}, HOST, "web-0")


@pytest.fixture
def journal(tmp_path: Path) -> j.Journal:
    (tmp_path / "spare").mkdir()
    return j.Journal(str(tmp_path), spare=str(tmp_path / "spare"), boot_id="boot-1")


def reopened(tmp_path: Path, *, boot_id: str = "boot-2") -> j.Loaded:
    return j.Journal(str(tmp_path), spare=str(tmp_path / "spare"), boot_id=boot_id).load()


def test_nothing_yet_is_an_empty_state(journal: j.Journal) -> None:
    assert journal.load() == j.Loaded(m.EMPTY, None, ())


def test_a_state_survives(journal: j.Journal, tmp_path: Path) -> None:
    journal.save(STATE, now=100.0)
    assert reopened(tmp_path) == j.Loaded(STATE, "boot-1", (), rebooted=True)
    assert reopened(tmp_path, boot_id="boot-1") == j.Loaded(STATE, "boot-1", ())
    assert not reopened(tmp_path, boot_id="").rebooted, "nobody knows"


def test_it_is_readable(journal: j.Journal, tmp_path: Path) -> None:
    journal.save(STATE, now=100.0)
    value = json.loads((tmp_path / "state.json").read_text())
    assert value["written"] == "1970-01-01T00:01:40Z"
    assert value["events"]["abc"]["event"]["resources"] == ["web-0", "web-1"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}', "\xff\xfe", "null", "[" * 100_000])
def test_a_torn_or_foreign_file_is_set_aside_and_the_one_before_counts(
    journal: j.Journal, tmp_path: Path, text: str
) -> None:
    journal.save(STATE, now=1.0)
    journal.save(STATE._replace(vm_name="newer"), now=2.0)
    (tmp_path / "state.json").write_text(text, encoding="latin-1")
    loaded = reopened(tmp_path)
    assert loaded.state == STATE
    assert len(loaded.problems) == 1
    assert "is not usable" in loaded.problems[0]
    aside = list(tmp_path.glob("state.json.bad-*"))
    assert len(aside) == 1
    assert aside[0].read_text(encoding="latin-1") == text


def test_when_all_is_lost_the_marker_says_that_the_vm_was_drained(journal: j.Journal, tmp_path: Path) -> None:
    journal.save(STATE, now=1.0)
    for path in tmp_path.glob("state.json*"):
        path.unlink()
    loaded = reopened(tmp_path)
    assert loaded.state.host.service == m.HOST_DRAINED
    assert "will be resumed" in loaded.problems[0]


def test_the_marker_goes_with_the_drain(journal: j.Journal, tmp_path: Path) -> None:
    journal.save(STATE, now=1.0)
    assert (tmp_path / "drained").exists()
    journal.save(STATE._replace(host=m.Host()), now=1.0)
    assert not (tmp_path / "drained").exists()


def test_a_disk_that_takes_nothing_leaves_the_spare(journal: j.Journal, tmp_path: Path) -> None:
    journal.save(STATE, now=1.0)
    # A directory in the way of the temporary file stands for a disk that refuses (root may write anything else).
    newer = STATE._replace(vm_name="newer")
    journal.path = str(tmp_path / "missing" / "state.json")
    with pytest.raises(OSError, match="No such file"):
        journal.save(newer, now=2.0)
    assert reopened(tmp_path).state == newer


def test_unknown_keys_of_a_newer_version_are_ignored_and_missing_ones_default(tmp_path: Path) -> None:
    value = json.loads(j.dump(STATE, serial=1, boot_id="b", now=1.0))
    value["host"]["mood"] = "fine"
    value["events"]["abc"]["colour"] = "red"
    del value["events"]["abc"]["incomplete"]
    assert j.parse(json.dumps(value)).state == STATE


def test_an_unknown_state_is_not_guessed_at() -> None:
    value = json.loads(j.dump(STATE, serial=1, boot_id="b", now=1.0))
    value["events"]["abc"]["state"] = "levitating"
    with pytest.raises(j.JournalFormatError, match="unknown state 'levitating'"):
        j.parse(json.dumps(value))


def test_history_is_a_line_each_and_bounded(
    journal: j.Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(j, "HISTORY_LIMIT", 500)
    for number in range(60):
        journal.log({"step": "move", "number": number})
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]) == {"step": "move", "number": 59}
    total = sum(path.stat().st_size for path in tmp_path.glob("history.jsonl*"))
    assert total < 1200
