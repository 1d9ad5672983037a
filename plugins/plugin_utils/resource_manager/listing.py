# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All lists of a fleet, in parallel: what they brought, and which of them could not be read."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import calls
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.answers import printable
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import (
    AbsentError,
    AzureError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.client import Client
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.documents import (
        Interface,
        Machine,
        PublicAddress,
        ScaleSet,
        Status,
    )

    Read = Callable[[Client, "Query", "Job"], list[Any]]
    Submit = Callable[["Job"], None]


UNREGISTERED = "MissingSubscriptionRegistration"


class Query(NamedTuple):
    """What is asked of Azure.

    Attributes:
        subscriptions: their ids.
        details: which lists besides the machines, out of ``calls.DETAILS``.
        keep_set: whether the instances of a uniform scale set are wanted; asked before anything is fetched of it.
        keep_raw: keep the documents.
        compute_api_version, network_api_version: for clouds that lag behind.
        connections: requests at the same time, at most.
    """

    subscriptions: tuple[str, ...]
    details: frozenset[str] = frozenset(calls.DETAILS)
    keep_set: Callable[[ScaleSet], bool] = lambda _set: True
    keep_raw: bool = False
    compute_api_version: str = calls.COMPUTE_API_VERSION
    network_api_version: str = calls.NETWORK_API_VERSION
    connections: int = 16


class Failure(NamedTuple):
    """A list that could not be read."""

    call: calls.Call
    subscription: str
    scale_set: ScaleSet | None
    error: AzureError


class Job(NamedTuple):
    """A list to be read, of a subscription or of one of its scale sets."""

    call: calls.Call
    subscription: str
    scale_set: ScaleSet | None = None


class Gap(NamedTuple):
    """A list that could not be read: of a subscription, or of one scale set of it (lower-case id)."""

    part: str
    subscription: str
    scale_set: str | None
    reason: str


class Listing(NamedTuple):
    """What the list calls brought; the dicts are by lower-case id."""

    machines: Sequence[Machine]
    statuses: Mapping[str, Status]
    interfaces: Mapping[str, Interface]
    public_addresses: Mapping[str, PublicAddress]
    gaps: Sequence[Gap] = ()
    parts: frozenset[str] = frozenset({"status", "interfaces", "public_addresses"})  # those that were asked for


class Outcome(NamedTuple):
    """The lists, those that failed, and what else should be said."""

    listing: Listing
    failures: list[Failure]
    notes: list[str]


def read_fleet(client: Client, query: Query) -> Outcome:
    """Read all lists of all subscriptions. Failures are results, so that one list does not hide the others."""
    gathering = Gathering(query)
    first = [Job(call, s) for s in query.subscriptions for call in calls.subscription_calls(query.details)]
    run_all(client, query, first, gathering)
    return gathering.outcome()


def read_list(client: Client, query: Query, job: Job) -> list[Any]:
    """All pages of one list, each item read at once and forgotten. Raises AzureError."""
    base = job.scale_set.id if job.scale_set else f"/subscriptions/{job.subscription}"
    read = calls.reader(job.call, scale_set=job.scale_set.name if job.scale_set else None, keep_raw=query.keep_raw)
    items: list[Any] = []
    parameters = {"api-version": api_version(query, job.call), **dict(job.call.query)}
    for page in client.pages(base + job.call.path, parameters):
        items += [read(item) for item in page]
    return items


def run_all(
    client: Client, query: Query, first: Sequence[Job], gathering: Gathering, *, read: Read = read_list
) -> None:
    """Run jobs, and those that follow from them, in threads until all are done or the time is over."""
    with ThreadPoolExecutor(query.connections, thread_name_prefix="azure") as pool:
        pending: dict[Future[list[Any]], Job] = {}

        def submit(job: Job) -> None:
            pending[pool.submit(read, client, query, job)] = job

        try:
            for job in first:
                submit(job)
            while pending:
                remaining = client.remaining()
                if not remaining:
                    client.abort()  # what is still on its way fails now
                done, _rest = wait(pending, timeout=remaining or None, return_when=FIRST_COMPLETED)
                for future in done:
                    gathering.take(pending.pop(future), future, submit)
        except BaseException:
            client.abort()
            raise


def api_version(query: Query, call: calls.Call) -> str:
    """The api-version that a call takes."""
    if call.api == "scale_set_network":
        return calls.SCALE_SET_NETWORK_API_VERSION
    return query.compute_api_version if call.api == "compute" else query.network_api_version


class Gathering:
    """Puts the lists together as they come, in an order that does not depend on which came first."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._results: list[tuple[Job, list[Any]]] = []
        self._failures: list[Failure] = []
        self._notes: list[str] = []

    def take(self, job: Job, future: Future[list[Any]], submit: Submit) -> None:
        """Keep the result of a job, and submit those that follow from it."""
        try:
            items = future.result()
        except AzureError as exc:
            if exc.code == UNREGISTERED:
                return  # a subscription that never had such a resource
            if isinstance(exc, AbsentError) and job.scale_set is not None:
                self.note(f"scale set {printable(job.scale_set.name)} was deleted while it was being read")
            else:
                self._failures.append(Failure(job.call, job.subscription, job.scale_set, exc))
            return
        self.received(job, items, submit)

    def received(self, job: Job, items: list[Any], submit: Submit) -> None:
        """Keep the items of a list, and ask for what follows from scale sets."""
        self.keep(job, items)
        if job.call is calls.SCALE_SETS:
            self.follow(job.subscription, items, submit)

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self._notes:
            self._notes.append(text)

    def keep(self, job: Job, items: list[Any]) -> None:
        """Keep items that were read, and count those that were none."""
        found = [item for item in items if item is not None]
        if len(found) < len(items):
            self.note(
                f"{len(items) - len(found)} of {len(items)} items in the list of {job.call.title} of subscription"
                f" {job.subscription} have no proper id or name and were left out"
            )
        self._results.append((job, found))

    def follow(self, subscription: str, sets: Sequence[ScaleSet | None], submit: Submit) -> None:
        """Ask for the instances of the uniform scale sets that are wanted."""
        for scale_set in sets:
            if scale_set is not None and scale_set.uniform and self._query.keep_set(scale_set):
                for call in calls.scale_set_calls(self._query.details):
                    submit(Job(call, subscription, scale_set))

    def outcome(self) -> Outcome:
        """Everything that was kept."""
        machines = {m.id.lower(): m for c in (calls.MACHINES, calls.INSTANCES) for m in self._of(c)}
        gaps = [
            Gap(f.call.part, f.subscription, f.scale_set.id.lower() if f.scale_set else None, str(f.error))
            for f in self._failures
        ]
        listing = Listing(
            list(machines.values()),
            {s.id: s for s in self._of(calls.STATUS)},
            {i.id: i for c in (calls.INTERFACES, calls.SET_INTERFACES) for i in self._of(c)},
            {a.id: a for c in (calls.PUBLIC_ADDRESSES, calls.SET_PUBLIC_ADDRESSES) for a in self._of(c)},
            gaps,
            self._query.details,
        )
        return Outcome(listing, sorted(self._failures, key=_failure_order), self._notes)

    def _of(self, call: calls.Call) -> Iterator[Any]:
        order = {subscription: n for n, subscription in enumerate(self._query.subscriptions)}
        results = [(_job_order(job, order), items) for job, items in self._results if job.call is call]
        results.sort(key=lambda result: result[0])
        for _order, items in results:
            yield from items


def _job_order(job: Job, subscriptions: Mapping[str, int]) -> tuple[int, str]:
    return subscriptions.get(job.subscription, 0), job.scale_set.id.lower() if job.scale_set else ""


def _failure_order(failure: Failure) -> tuple[str, str, str]:
    return failure.subscription, failure.scale_set.id.lower() if failure.scale_set else "", failure.call.title


__all__ = ["Failure", "Gap", "Gathering", "Job", "Listing", "Outcome", "Query", "read_fleet", "read_list", "run_all"]
