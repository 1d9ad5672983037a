"""Fetches the documented lists of a fleet and decodes them, eight at a time, and prints how long that took."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

THREADS = 8
COMPUTE, NETWORK, SETS = "2024-07-01", "2024-01-01", "2018-10-01"
LOCAL = threading.local()


def get(base: str, target: str, headers: dict[str, str]) -> Any:
    """One GET on this thread's connection."""
    if not hasattr(LOCAL, "connection"):
        parts = urlsplit(base)
        LOCAL.connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    LOCAL.connection.request("GET", target, headers=headers)
    return json.loads(LOCAL.connection.getresponse().read())


def chain(base: str, target: str, headers: dict[str, str]) -> list[Any]:
    """All pages of a list."""
    items: list[Any] = []
    pages = 0
    while target:
        page = get(base, target, headers)
        items += page["value"]
        pages += 1
        target = page.get("nextLink", "").removeprefix(base)
    COUNT.append(pages)
    return items


COUNT: list[int] = []


def sign_in(service: str) -> dict[str, str]:
    """The headers of a machine's managed identity."""
    token = get(
        service,
        "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/",
        {"Metadata": "true"},
    )["access_token"]
    LOCAL.connection.close()
    del LOCAL.connection
    return {"Authorization": f"Bearer {token}"}


def main() -> None:
    """Sign in, fetch, print."""
    base, service = sys.argv[1:]
    headers = sign_in(service)
    subscription = get(base, "/subscriptions?api-version=2022-12-01", headers)["value"][0]["id"]
    compute, network = f"{subscription}/providers/Microsoft.Compute", f"{subscription}/providers/Microsoft.Network"
    begin = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:

        def submit(target: str) -> Future[list[Any]]:
            return pool.submit(chain, base, target, headers)

        sets = submit(f"{compute}/virtualMachineScaleSets?api-version={COMPUTE}")
        others = [
            submit(f"{compute}/virtualMachines?api-version={COMPUTE}"),
            submit(f"{compute}/virtualMachines?api-version={COMPUTE}&statusOnly=true"),
            submit(f"{network}/networkInterfaces?api-version={NETWORK}"),
            submit(f"{network}/publicIPAddresses?api-version={NETWORK}"),
        ]
        for each in sets.result():
            others.append(submit(f"{each['id']}/virtualMachines?api-version={COMPUTE}&$expand=instanceView"))
            others.append(submit(f"{each['id']}/networkInterfaces?api-version={SETS}"))
            others.append(submit(f"{each['id']}/publicipaddresses?api-version={SETS}"))
        for future in others:
            future.result()
    sys.stdout.write(f"{time.perf_counter() - begin:.2f} s for {sum(COUNT)} requests\n")


if __name__ == "__main__":
    main()
