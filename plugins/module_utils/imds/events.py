# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Reads and approves scheduled events for the modules: connection, the VM's name, decision, requests."""

from __future__ import annotations

import typing as t

from .connection import ask, require_azure
from .errors import AbsentError
from .event_results import Approvals, Filter, describe, plan_approvals
from .scheduled_events import FIRST_CALL_POLICY, Approval, EventsDocument, ScheduledEvents

if t.TYPE_CHECKING:
    from .client import ImdsClient
    from .settings import Settings


class Read(t.NamedTuple):
    """A document and whose it is; ``vm_name`` is None when it was neither given nor needed."""

    document: EventsDocument
    vm_name: str | None
    api_version: str | None


class Approved(t.NamedTuple):
    """What was decided and done.

    Attributes:
        approvals: what became of ``plan.approve``, in the same order; empty when nothing was to be sent.
        problems: entries of the document that could not be read.
    """

    plan: Approvals
    approvals: tuple[Approval, ...]
    vm_name: str | None
    problems: tuple[str, ...]

    def outcomes(self) -> list[dict[str, t.Any]]:
        """One result for each event: approved ones, then those that had started, then those that are gone."""
        latest = [approval.event for approval in self.approvals]
        approved = [
            {"event_id": event.event_id, "outcome": "approved", "event": describe(now or event, self.vm_name)}
            for event, now in zip(self.plan.approve, latest or self.plan.approve)
        ]
        started = [
            {"event_id": event.event_id, "outcome": "started", "event": describe(event, self.vm_name)}
            for event in self.plan.started
        ]
        return approved + started + [{"event_id": i, "outcome": "gone", "event": None} for i in self.plan.gone]


def read_events(settings: Settings, *, vm_name: str | None = None, root: str = "/") -> Read:
    """Read this VM's events document, and the VM's name when there are events and it was not given.

    Raises:
        NotOnAzureError: there is nobody to ask; nothing was sent.
        ImdsError: the document or the name could not be read.
    """
    require_azure(settings, root=root)

    def question(client: ImdsClient) -> Read:
        return _read(_events(client, settings), vm_name)

    return ask(settings, question, root=root)


def approve(
    settings: Settings,
    *,
    vm_name: str | None = None,
    event_ids: t.Sequence[str] | None = None,
    wanted: Filter | None = None,
    ready: t.Iterable[str] = (),
    force: bool = False,
    dry_run: bool = False,
    root: str = "/",
) -> Approved:
    """Approve events of this VM; when one of them must be refused, nothing is sent.

    Args:
        settings: the connection options.
        vm_name, event_ids, wanted, ready, force: see ``event_results.plan_approvals``.
        dry_run: decide, and send nothing.
        root: where the file system begins.

    Raises:
        NotOnAzureError: there is nobody to ask; nothing was sent.
        UncertainError: the approval was sent and its answer lost, twice.
        ImdsError: the document or the name could not be read, or the service refused.
    """
    require_azure(settings, root=root)

    def question(client: ImdsClient) -> Approved:
        events = _events(client, settings)
        read = _read(events, vm_name)
        plan = plan_approvals(
            read.document.events,
            vm_name=read.vm_name or "",
            event_ids=event_ids,
            wanted=wanted,
            ready=ready,
            force=force,
        )
        send = bool(plan.approve) and not plan.refused and not dry_run
        approvals = tuple(events.start(plan.approve)) if send else ()
        return Approved(plan, approvals, read.vm_name, read.document.problems)

    return ask(settings, question, root=root)


def _events(client: ImdsClient, settings: Settings) -> ScheduledEvents:
    return ScheduledEvents(client, api_version=settings.api_version, first_policy=settings.policy(FIRST_CALL_POLICY))


def _read(events: ScheduledEvents, vm_name: str | None) -> Read:
    document = events.read()
    if vm_name is None and document.events:
        try:
            vm_name = events.vm_name()
        except AbsentError as exc:
            raise AbsentError(
                f"{exc} A classic VM has no such data; give its name as vm_name.", status=exc.status
            ) from exc
    return Read(document, vm_name, events.api_version)


__all__ = ["Approved", "Read", "approve", "read_events"]
