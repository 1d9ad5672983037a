"""Writes each task's result as a line of JSON, so that tests of real runs need not read a terminal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: json_lines
type: notification
short_description: Results as lines of JSON
description: The file is named by the environment variable JSON_LINES.
"""


class CallbackModule(CallbackBase):
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "json_lines"

    def _write(self, outcome: str, found: Any) -> None:
        # ansible-core 2.19 renamed the attributes and kept the old ones under a deprecation.
        host = getattr(found, "host", None) or found._host
        task = getattr(found, "task", None) or found._task
        result = getattr(found, "result", None) or found._result
        line = {"host": host.get_name(), "task": task.get_name(), "outcome": outcome, "result": result}
        with Path(os.environ["JSON_LINES"]).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, default=str) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write("failed", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write("skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._write("unreachable", result)
