# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module instance_facts, and warns when its facts are recorded for another host than they are about."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.imds.client import DEFAULT_ENDPOINT
from ..module_utils.imds.whereabouts import controller_text, delegation_text, is_called


class ActionModule(ActionBase):
    """The controller's side of the module."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module on the target; the result is the module's."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        wrap_async = self._task.async_val and not self._connection.has_native_async
        result.update(self._execute_module(task_vars=task_vars, wrap_async=wrap_async))
        facts = (result.get("ansible_facts") or {}).get("ansible_azure")
        warning = self._warning(facts, (task_vars or {}).get("inventory_hostname")) if facts else None
        if warning:
            Display().warning(warning)
        return result

    def _warning(self, facts: t.Mapping[str, t.Any], hostname: str | None) -> str | None:
        # What a configured endpoint says is about the VM that it stands for, wherever it is asked from.
        if hostname is None or facts["error"] == "disabled" or facts["endpoint"] not in (None, DEFAULT_ENDPOINT):
            return None
        delegate = self._task.delegate_to
        recorded_for = delegate if delegate and self._task.delegate_facts else hostname
        if self._connection.transport == "local":
            return None if is_called(recorded_for, facts, here=True) else controller_text(recorded_for, facts)
        if delegate and delegate != recorded_for and not is_called(recorded_for, facts):
            return delegation_text(recorded_for, delegate)
        return None
