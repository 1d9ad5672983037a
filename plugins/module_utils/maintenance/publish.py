# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the service shows of itself: the status file, the textfile for Prometheus, and the pages on loopback."""

from __future__ import annotations

import json
import os
import typing as t

from .agent import Agent
from .config import Config
from .exporter import Exporter, Page
from .files import remove_file, replace_file
from .logs import Log
from .metrics import render
from .status import one_line, snapshot

# How often to write what only grew older, in seconds.
EVERY = 15.0
# Without a successful read for so many poll intervals, and for at least so many seconds, the service is not healthy.
STALE_POLLS, STALE_SECONDS = 10.0, 30.0
_MOVING = ("time", "last_read")


class Publisher:
    """Keeps all of it up to date; nothing here can stop the service. ``summary`` is how it stands, in one line."""

    def __init__(self, config: Config, log: Log) -> None:
        self._log = log
        self._problem: str | None = None
        self._written: tuple[float, str] = (float("-inf"), "")
        self._exporter: Exporter | None = None
        self.summary = "starting"
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Use these settings from now on."""
        self._status_path = os.path.join(config.run_dir, "status.json")
        self._textfile = config.metrics_textfile
        wanted, have = config.http_port, self._exporter.port if self._exporter else None
        if self._exporter is not None and wanted != have:
            self._exporter.close()
            self._exporter = None
        if wanted is not None and self._exporter is None:
            try:
                self._exporter = Exporter(wanted)
            except OSError as exc:
                self._log("error", f"http_port {wanted} cannot be used: {exc.strerror}; no /metrics, no /healthz", {})

    def update(self, agent: Agent) -> None:
        """Show the agent as it is now."""
        status = snapshot(agent, pid=os.getpid())
        mono = agent.parts.clock.mono()
        digest = json.dumps({name: value for name, value in status.items() if name not in _MOVING}, sort_keys=True)
        healthy = healthz(status, agent.config)
        if self._exporter is not None:
            self._exporter.pages["/healthz"] = healthy
        if digest == self._written[1] and mono - self._written[0] < EVERY:
            return
        self._written = (mono, digest)
        self.summary = one_line(status)
        metrics = render(status, agent.counters)
        if self._exporter is not None:
            self._exporter.pages["/metrics"] = Page("200 OK", "text/plain; version=0.0.4", metrics)
        self._write(self._status_path, json.dumps(status), self._textfile, metrics)

    def close(self) -> None:
        """Show nothing any more: a file that nobody keeps up to date would look like a service that is well."""
        if self._exporter is not None:
            self._exporter.close()
        if self._textfile is not None:
            remove_file(self._textfile)

    def _write(self, status_path: str, status: str, textfile: str | None, metrics: str) -> None:
        try:
            replace_file(status_path, status.encode("utf-8"), mode=0o644, durable=False)
            if textfile is not None:
                replace_file(textfile, metrics.encode("utf-8"), mode=0o644, durable=False)
        except OSError as exc:
            if self._problem is None:
                self._log("warning", f"the status cannot be written: {exc}", {})
            self._problem = str(exc)
        else:
            self._problem = None


def healthz(status: t.Mapping[str, t.Any], config: Config) -> Page:
    """200 while the events are read, 503 with the reason while they are not; it recovers as soon as they are."""
    stale = max(STALE_SECONDS, STALE_POLLS * config.poll_interval)
    if status["last_read"] is None:
        why = f"events were never read: {status['errors'].get('metadata_service', 'not yet')}"
        return Page("503 Service Unavailable", "text/plain", why + "\n")
    age = status["time"] - status["last_read"]
    if age > stale:
        why = f"events were last read {age:.0f} s ago: {status['errors'].get('metadata_service', 'no reason known')}"
        return Page("503 Service Unavailable", "text/plain", why + "\n")
    return Page("200 OK", "text/plain", f"{status['service']}\n")


__all__ = ["Publisher", "healthz"]
