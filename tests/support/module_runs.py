"""Runs a module's real main() in this process and reads the JSON that it prints."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from ansible.module_utils import basic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@contextmanager
def _arguments(arguments: dict[str, Any]) -> Iterator[None]:
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # ansible-core 2.18
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = None
    else:
        with patch_module_args(arguments):
            yield


def run(module: ModuleType, *, check: bool = False, diff: bool = False, **arguments: Any) -> dict[str, Any]:
    """The result of a module; ``failed`` and ``warnings`` are always there."""
    internal = {
        "_ansible_check_mode": check,
        "_ansible_diff": diff,
        "_ansible_remote_tmp": "/tmp",
        "_ansible_keep_remote_files": False,
    }
    printed = io.StringIO()
    warnings: list[str] = []
    code: Any = None
    # In a process that is also a controller, as the tests' is, Ansible prints warnings and leaves them out of results.
    warn = patch.object(basic.AnsibleModule, "warn", lambda _self, text: warnings.append(text))
    with _arguments({**arguments, **internal}), redirect_stdout(printed), warn:
        try:
            module.main()
        except SystemExit as exc:
            code = exc.code
    text = printed.getvalue().strip()
    result: dict[str, Any] = json.loads(text[text.index("{") :])
    result.setdefault("failed", bool(code))
    result["warnings"] = warnings
    return result
