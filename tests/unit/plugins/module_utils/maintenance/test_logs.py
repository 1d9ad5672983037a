"""Lines to a terminal, entries to a journal that speaks systemd's protocol."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.maintenance import logs


def test_a_terminal_gets_bare_lines() -> None:
    stream = io.StringIO()
    log = logs.StderrLog(stream)
    log("info", "one", {"a": 1})
    log("error", "two", {})
    assert stream.getvalue() == "one\nerror: two\n"


def test_the_journal_gets_fields(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        log = logs.JournalLog(path)
        log("warning", "line", {"event_id": "ABC", "step": "approve", "none": None})
        log("info", "two\nlines", {})
        first, second = server.recv(4096), server.recv(4096)
        log.close()
    assert sorted(first.splitlines()) == [
        b"AZURE_MAINTENANCE_EVENT_ID=ABC",
        b"AZURE_MAINTENANCE_STEP=approve",
        b"MESSAGE=line",
        b"PRIORITY=4",
        b"SYSLOG_IDENTIFIER=azure-maintenance",
    ]
    assert second.startswith(b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n"), "values of several lines cannot forge fields"


def test_a_journal_that_takes_nothing_leaves_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.JournalLog(str(tmp_path / "nobody"))
    log("error", "still heard", {})
    log.close()
    assert capsys.readouterr().err == "<3>still heard\n"


def test_without_systemd_it_is_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    assert isinstance(logs.default_log(), logs.StderrLog)
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    assert isinstance(logs.default_log(), logs.StderrLog)
