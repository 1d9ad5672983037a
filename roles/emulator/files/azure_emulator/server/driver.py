# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time that passes: what falls due is let happen, requests that wait are woken, commands for outages are run."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure_emulator.neighbourhood import Hook, Neighbourhood

LOG = logging.getLogger(__name__)


class Driver:
    """Keeps the neighbourhood going on the running event loop.

    Args:
        hood: the neighbourhood.
        changed: called with the keys of VMs whose state has changed.

    Attributes:
        waiting: how many requests wait for a moment to come.
    """

    def __init__(self, hood: Neighbourhood, changed: Callable[[set[str]], None]) -> None:
        self._hood, self._changed = hood, changed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.waiting = 0

    def settle(self) -> None:
        """Let everything that is due happen, and see to its consequences; called before and after each request."""
        self._hood.catch_up()
        if self._hood.dirty:
            dirty, self._hood.dirty = self._hood.dirty, set()
            self._changed(dirty)
        for hook in self._take_hooks():
            task = self._loop.create_task(self._run_hook(hook))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._hood.timeline.next_due() != self._armed_for:
            self._arm()

    async def until(self, when: float) -> None:
        """Wait for a moment of the neighbourhood's clock."""
        if self._hood.clock.now() >= when:
            return
        woken = self._loop.create_future()
        handle = self._hood.timeline.at(when, lambda _due: None if woken.done() else woken.set_result(None))
        self.settle()
        self.waiting += 1
        try:
            await woken
        finally:
            self.waiting -= 1
            handle.cancel()

    async def advance(self, seconds: float) -> None:
        """Put the clock forward; returns when all that fell due on the way has happened, commands included."""
        self.settle()
        end = self._hood.clock.now() + seconds
        more = True
        while more:
            more = self._hood.step(end)
            self.settle()
            while self._tasks:
                await asyncio.gather(*self._tasks)
            await asyncio.sleep(0)  # requests that were woken get their turn

    async def close(self) -> None:
        """Stop the timer; commands that run are left to end by themselves or at their timeout."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._armed_for = self._hood.timeline.next_due()
        delay = self._hood.clock.real_seconds_until(due) if due is not None else None
        if delay is not None:
            self._timer = self._loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = self._armed_for = None
        self.settle()

    def _take_hooks(self) -> list[Hook]:
        hooks, self._hood.hooks = self._hood.hooks, []
        return hooks

    async def _run_hook(self, hook: Hook) -> None:
        """Run a VM's command; one after the other for each VM. Its failure is logged, and shows in the log."""
        spec = hook.vm.spec.on_impact
        command = spec.begin if hook.phase == "begin" else spec.end
        async with self._locks.setdefault(hook.vm.key, asyncio.Lock()):
            problem = await _run(command, hook, spec.timeout)
        details = {"vm": hook.vm.key, "phase": hook.phase, "command": list(command), "problem": problem}
        self._hood.note(self._hood.clock.now(), "impact_command", **details)
        if problem:
            LOG.warning("on_impact.%s of %s: %s", hook.phase, hook.vm.key, problem)


async def _run(command: tuple[str, ...], hook: Hook, timeout: float) -> str | None:
    """Run a command; returns what went wrong, or None."""
    environment = {
        **os.environ,
        "AZURE_EMULATOR_VM": hook.vm.key,
        "AZURE_EMULATOR_PHASE": hook.phase,
        "AZURE_EMULATOR_EVENT_ID": hook.event_id or "",
        "AZURE_EMULATOR_STATE": hook.state,
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=2, start_new_session=True
        )
    except OSError as exc:
        return f"cannot be started: {exc.strerror or exc}"
    try:
        code = await asyncio.wait_for(process.wait(), timeout)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return f"killed after {timeout:g} s"
    return f"exit status {code}" if code else None


__all__ = ["Driver"]
