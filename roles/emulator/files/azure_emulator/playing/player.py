# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays a scenario on an emulator, through the same doors that everybody else uses."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from azure_emulator.client import ControlClient, ControlError
from azure_emulator.errors import EmulatorError
from azure_emulator.playing.matching import difference, shown
from azure_emulator.playing.specification import (
    DocumentCheck,
    Expectation,
    ExpectStep,
    JournalCheck,
    RequestStep,
    RunStep,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_ANSWER_TIMEOUT = 30.0
_REAL_POLL = 0.05
_HELD_POLL = 0.002


class FailedStepError(EmulatorError):
    """A step did not go as the scenario says."""

    def __init__(self, step: Step, problem: str) -> None:
        super().__init__(f"{step.path}: {problem}")


class Reply(NamedTuple):
    """What a request brought: a status and a body, or the kind of failure."""

    status: int | None
    body: bytes
    error: str | None = None


class Player:
    """Plays steps.

    Args:
        control: the emulator's control side.
        tell: called with a line for each step.
        sleep: waits on a clock that moves by itself; injected.
    """

    def __init__(
        self, control: ControlClient, tell: Callable[[str], None], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._control, self._tell, self._sleep = control, tell, sleep
        self._ids: dict[str, str] = {}
        self._endpoints = {vm["key"]: vm["endpoint"] for vm in control.fleet()["vms"]}
        self._virtual = control.clock()["mode"] == "virtual"

    def play(self, steps: list[Step]) -> None:
        """Play all steps.

        Raises:
            FailedStepError: at the first one that does not go as it should.
        """
        for step in steps:
            self._announce(step)
            try:
                getattr(self, f"_{step.action}")(step)
            except ControlError as exc:
                raise FailedStepError(step, str(exc)) from exc

    def _announce(self, step: Step) -> None:
        clock = self._control.clock()["now_text"][11:19]
        if step.say:
            self._tell(f"{clock}  {step.say}")
        elif step.action != "say":
            self._tell(f"{clock}    {step.action} {shown(_plain(step.argument))}")

    def _say(self, _step: Step) -> None:
        """Nothing but words."""

    def _advance(self, step: Step) -> None:
        self._pass(step.argument)

    def _pass(self, seconds: float) -> None:
        """Let time go by: at once on a virtual clock, else as long as it takes."""
        if self._virtual:
            self._control.advance(seconds)
            return
        clock = self._control.clock()
        self._sleep(seconds / clock["scale"])

    def _schedule(self, step: Step) -> None:
        event = self._control.call("POST", "/events", step.argument)
        self._remember(step, [event])

    def _operate(self, step: Step) -> None:
        result = self._control.call("POST", "/operations", step.argument)
        self._remember(step, result["events"])

    def _remember(self, step: Step, events: list[Any]) -> None:
        if step.name and len(step.name) != len(events):
            raise FailedStepError(step, f"{len(events)} events came of it, but as names {len(step.name)}")
        self._ids.update(zip(step.name, (event["event_id"] for event in events), strict=False))

    def _approve(self, step: Step) -> None:
        ids = [{"EventId": self._ids[name]} for name in step.argument.events]
        path = f"/metadata/scheduledevents?api-version={step.argument.api_version}"
        reply = self._ask(step, RequestStep(vm=step.argument.by, path=path, method="POST", body={"StartRequests": ids}))
        self._check_reply(step, Expectation(status=step.argument.status), reply)

    def _cancel(self, step: Step) -> None:
        self._control.cancel(self._ids[step.argument])

    def _reschedule(self, step: Step) -> None:
        self._control.reschedule(self._ids[step.argument.event], step.argument.not_before)

    def _fault(self, step: Step) -> None:
        self._control.call("POST", "/faults", step.argument)

    def _clear_faults(self, _step: Step) -> None:
        self._control.clear_faults()

    def _change(self, step: Step) -> None:
        changes = {"tags": step.argument.tags, "user_data": step.argument.user_data}
        self._control.change_vm(step.argument.vm, **{name: v for name, v in changes.items() if v is not None})

    def _request(self, step: Step) -> None:
        for _time in range(step.argument.times):
            if step.argument.advance is None:
                reply = self._ask(step, step.argument)
            else:
                reply = self._ask_while(step, step.argument)
            self._check_reply(step, step.argument.expect, reply)

    def _ask_while(self, step: Step, request: RequestStep) -> Reply:
        """Ask, and let time pass once the emulator holds the request back."""
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self._ask, step, request)
            deadline = time.monotonic() + _ANSWER_TIMEOUT
            while not asked.done() and not self._control.idle()["waiting_requests"]:
                if time.monotonic() > deadline:
                    break
                self._sleep(_HELD_POLL)
            self._pass(request.advance or 0.0)
            return asked.result()

    def _run(self, step: Step) -> None:
        run: RunStep = step.argument
        environment = {**os.environ, "AZURE_EMULATOR_CONTROL": self._control.url}
        if run.vm is not None:
            environment["AZURE_IMDS_ENDPOINT"] = self._endpoint(step, run.vm)
        try:
            done = subprocess.run(run.command, env=environment, timeout=run.timeout, check=False)  # noqa: S603 - the user's own
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise FailedStepError(step, f"{run.command[0]}: {exc}") from exc
        if done.returncode != run.status:
            raise FailedStepError(step, f"{run.command[0]} ended with {done.returncode}, not {run.status}")

    # Expectations

    def _expect(self, step: Step) -> None:
        """Look; with ``within``, again at each moment at which something happens, until it is so or time is up."""
        wanted: ExpectStep = step.argument
        end = self._control.clock()["now"] + (wanted.within or 0.0)
        while (problem := self._problem(step, wanted)) is not None:
            idle = self._control.idle()
            left = end - idle["now"]
            if left <= 0:
                raise FailedStepError(step, problem)
            if self._virtual:
                due = idle["next_due"]
                self._control.advance(left if due is None else min(left, max(0.0, due - idle["now"])))
            else:
                self._sleep(_REAL_POLL)

    def _problem(self, step: Step, wanted: ExpectStep) -> str | None:
        if wanted.vm is not None:
            state = self._control.vm(wanted.vm)["state"]
            if wanted.state is not None and state != wanted.state:
                return f"{wanted.vm} is {state}, not {wanted.state}"
        if wanted.event is not None:
            found = difference(wanted.has, self._control.event(self._ids[wanted.event]))
            if found:
                return f"of the event {wanted.event}, {found}"
        if wanted.document is not None:
            found = self._document_problem(step, wanted.document)
            if found:
                return f"in the document of {wanted.document.vm}, {found}"
        return self._journal_problem(wanted.requests) if wanted.requests is not None else None

    def _document_problem(self, step: Step, wanted: DocumentCheck) -> str | None:
        path = f"/metadata/scheduledevents?api-version={wanted.api_version}"
        reply = self._ask(step, RequestStep(vm=wanted.vm, path=path))
        if reply.status != 200:
            return f"there is none: {reply.error or reply.status}"
        expected: dict[str, Any] = {}
        if wanted.events is not None:
            expected["Events"] = [self._with_id(entry) for entry in wanted.events]
        if wanted.incarnation is not None:
            expected["DocumentIncarnation"] = wanted.incarnation
        return difference(expected, json.loads(reply.body))

    def _with_id(self, entry: dict[str, Any]) -> dict[str, Any]:
        fields = {name: value for name, value in entry.items() if name != "event"}
        return {**fields, "EventId": self._ids[entry["event"]]} if "event" in entry else fields

    def _journal_problem(self, wanted: JournalCheck) -> str | None:
        entries = self._control.requests(wanted.vm, category=wanted.category)
        chosen = [
            entry
            for entry in entries
            if (wanted.method is None or entry["method"] == wanted.method)
            and (wanted.status is None or entry["status"] == wanted.status)
        ]
        count, sort = len(chosen), " ".join(filter(None, [wanted.method, wanted.category, wanted.vm]))
        if wanted.count is not None and count != wanted.count:
            return f"{count} requests ({sort}), not {wanted.count}"
        if wanted.at_least is not None and count < wanted.at_least:
            return f"{count} requests ({sort}), not at least {wanted.at_least}"
        if wanted.at_most is not None and count > wanted.at_most:
            return f"{count} requests ({sort}), more than {wanted.at_most}"
        return None

    # Requests

    def _endpoint(self, step: Step, vm: str) -> str:
        endpoint: str | None = self._endpoints.get(vm)
        if endpoint is None:
            raise FailedStepError(step, f"no VM {vm!r} in the fleet")
        return endpoint

    def _ask(self, step: Step, request: RequestStep) -> Reply:
        parts = urlsplit(self._endpoint(step, request.vm))
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=_ANSWER_TIMEOUT)
        body = None if request.body is None else json.dumps(request.body).encode()
        try:
            connection.request(request.method, request.path, body, request.headers)
            response = connection.getresponse()
            return Reply(response.status, response.read())
        except ConnectionRefusedError:
            return Reply(None, b"", "refused")
        except ConnectionError:
            return Reply(None, b"", "reset")
        except http.client.IncompleteRead:
            return Reply(None, b"", "cut")
        except http.client.HTTPException:
            return Reply(None, b"", "garbage")
        except TimeoutError as exc:
            raise FailedStepError(step, f"no answer within {_ANSWER_TIMEOUT:g} s") from exc
        except ValueError as exc:  # a header that cannot be sent
            raise FailedStepError(step, str(exc)) from exc
        finally:
            connection.close()

    @staticmethod
    def _check_reply(step: Step, wanted: Expectation, reply: Reply) -> None:
        if reply.error != wanted.error:
            raise FailedStepError(step, f"the answer is {reply.error or reply.status}, not {wanted.error or 'one'}")
        if wanted.status is not None and reply.status != wanted.status:
            raise FailedStepError(step, f"status {reply.status}, not {wanted.status}: {reply.body[:200]!r}")
        if wanted.text is not None and reply.body.decode("utf-8", "replace") != wanted.text:
            raise FailedStepError(step, f"the text is {reply.body[:200]!r}, not {wanted.text!r}")
        if wanted.json is not None:
            try:
                found = difference(wanted.json, json.loads(reply.body))
            except ValueError:
                found = f"the body is no JSON: {reply.body[:200]!r}"
            if found:
                raise FailedStepError(step, found)


def _plain(argument: Any) -> Any:
    """A step's argument for people: without what was left open."""
    names = getattr(argument, "__slots__", None)
    if names is None:
        return argument
    given = {name: getattr(argument, name) for name in names}
    return {name: _plain(value) for name, value in given.items() if value not in (None, (), {})}


__all__ = ["FailedStepError", "Player"]
