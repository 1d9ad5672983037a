# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same lists from Azure Resource Graph: one query for all subscriptions (contract section 12.3).

It has no fault or update domains, and what it says may be a minute old; so the run-time status and the instances of
uniform scale sets still come from Resource Manager, and are asked for at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import calls
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import BadAnswerError
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.listing import (
    Gathering,
    Job,
    Outcome,
    Query,
    read_list,
    run_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.client import Client, Json
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.listing import Submit

PATH = "/providers/Microsoft.ResourceGraph/resources"
PAGE = 1000
# Subscriptions of one query. Azure leaves out what is beyond 10,000 (contract section 12.3); this is far below.
SCOPE = 1000
_TYPES = {
    "microsoft.compute/virtualmachines": calls.MACHINES,
    "microsoft.compute/virtualmachinescalesets": calls.SCALE_SETS,
    "microsoft.network/networkinterfaces": calls.INTERFACES,
    "microsoft.network/publicipaddresses": calls.PUBLIC_ADDRESSES,
}
# Not sent anywhere by itself: it stands for the one query in jobs and failures.
GRAPH = calls.Call(
    "graph",
    "resource graph",
    PATH,
    "resource_graph",
    (),
    "Microsoft.ResourceGraph/resources/read",
    brings_machines=True,
)


def read_fleet(client: Client, query: Query) -> Outcome:
    """Read all lists of all subscriptions, most of them by one query. Failures are results, as in ``listing``."""
    first = [Job(GRAPH, label) for label in scopes(query)]
    if "status" in query.details:
        first += [Job(calls.STATUS, subscription) for subscription in query.subscriptions]
    gathering = GraphGathering(query)
    run_all(client, query, first, gathering, read=read)
    return gathering.outcome()


def read(client: Client, query: Query, job: Job) -> list[Any]:
    """The items of a job; those of the query come with the list that they belong to. Raises AzureError."""
    if job.call is not GRAPH:
        return read_list(client, query, job)
    rows: list[Any] = []
    for page in pages(client, query, scopes(query)[job.subscription]):
        rows += [_read_row(query, row) for row in page]
    return rows


def scopes(query: Query) -> dict[str, tuple[str, ...]]:
    """The subscriptions of each query, by what messages call them."""
    every = query.subscriptions
    if len(every) <= SCOPE:
        return {"all": every}
    starts = range(0, len(every), SCOPE)
    return {f"{n + 1} to {min(n + SCOPE, len(every))} of {len(every)}": every[n : n + SCOPE] for n in starts}


def pages(client: Client, query: Query, subscriptions: Sequence[str]) -> Iterator[list[Json]]:
    """The rows of the query for some subscriptions, page by page.

    Raises:
        AzureError: it fails, or Azure says that it cut the answer and gives no way to the rest.
    """
    options: Json = {"resultFormat": "objectArray", "$top": PAGE}
    body = {"subscriptions": list(subscriptions), "query": text_of(query), "options": options}
    while True:
        document = client.query(PATH, {"api-version": calls.RESOURCE_GRAPH_API_VERSION}, body)
        data = document.get("data")
        if not isinstance(data, list):
            raise BadAnswerError(f"POST {PATH} answered no rows")
        yield [row for row in data if isinstance(row, dict)]
        token = document.get("$skipToken")
        if not token:
            break
        if token == options.get("$skipToken"):
            raise BadAnswerError(f"POST {PATH}: the next page is the one that was there before")
        options["$skipToken"] = token
    if str(document.get("resultTruncated", "false")).lower() == "true":
        raise BadAnswerError(f"POST {PATH}: Azure cut the result off and gives no way to the rest of it")


def text_of(query: Query) -> str:
    """The query in Kusto's language. Paging needs ``id`` and a stable order (contract section 12.3)."""
    types = [name for name, call in _TYPES.items() if call is calls.MACHINES or call.part in query.details]
    listed = ", ".join(f"'{name}'" for name in types)
    return (
        f"Resources | where type in~ ({listed})"
        " | project id, name, type, subscriptionId, location, zones, tags, sku, properties | order by id asc"
    )


def _read_row(query: Query, row: Json) -> tuple[calls.Call, str, Any] | None:
    call = _TYPES.get(str(row.get("type")).lower())
    if call is None:
        return None
    item = calls.reader(call, scale_set=None, keep_raw=query.keep_raw)(row)
    return None if item is None else (call, str(row.get("subscriptionId", "")).lower(), item)


class GraphGathering(Gathering):
    """Sorts the rows of the query into the lists that they stand for."""

    def received(self, job: Job, items: list[Any], submit: Submit) -> None:
        """Keep items under their own lists, and ask for what follows from scale sets."""
        if job.call is not GRAPH:
            super().received(job, items, submit)
            return
        lists: dict[tuple[calls.Call, str], list[Any]] = {}
        for row in items:
            if row is None:
                self.note("Resource Graph gave rows without an id or of a type that was not asked for; left out")
            else:
                lists.setdefault(row[:2], []).append(row[2])
        for (call, subscription), found in lists.items():
            super().received(Job(call, subscription), found, submit)


__all__ = ["GRAPH", "GraphGathering", "pages", "read_fleet", "scopes", "text_of"]
