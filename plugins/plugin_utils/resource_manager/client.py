# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of Azure Resource Manager: lists page by page, tried again under one deadline for all requests."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager import answers
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import (
    AzureError,
    BadAnswerError,
    DeadlineError,
    ThrottledError,
    UnauthorizedError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.transport import (
        Response,
        Transport,
    )

USER_AGENT = "azure_guest.imds/0.1.0"
Json = dict[str, Any]


class Patience(NamedTuple):
    """How long and how often to try; seconds, and two counts.

    Attributes:
        attempt: for one answer.
        first: before the second try of what failed; it doubles.
        first_throttled: the same after a 429 that names no time (contract section 12.4).
        cap: the longest wait of our own choice; ``Retry-After`` may ask for more.
        unreachable: tries while there is no answer at all. Throttling and failures are tried until the deadline.
        bad_answers: tries while answers are cut or garbled.
    """

    attempt: float = 60.0
    first: float = 0.25
    first_throttled: float = 1.0
    cap: float = 60.0
    unreachable: int = 4
    bad_answers: int = 3


class Client:
    """Asks one Resource Manager, from any number of threads.

    Args:
        transport: the way there.
        token: gives an access token; called with True when the last one was refused.
        timeout: seconds for all requests together, counted from now.
        patience: as above.
        clock: monotonic seconds. wall: epoch seconds. jitter: a number in [0, 1).
        sleep: waits so many seconds; by default until :meth:`abort` at the longest.
    """

    def __init__(
        self,
        transport: Transport,
        token: Callable[[bool], str],
        *,
        timeout: float,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport, self._token = transport, token
        self._patience = patience or Patience()
        self._clock, self._wall, self._jitter = clock, wall, jitter
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait
        self._started = clock()
        self.timeout = timeout
        self.deadline = self._started + timeout
        self._resume_at = self._started
        self._lock = threading.Lock()
        self.requests = 0

    def abort(self) -> None:
        """Give up everything that other threads wait for."""
        self._stop.set()
        self._transport.abort()

    def remaining(self) -> float:
        """Seconds until the deadline, none below zero."""
        return max(0.0, self.deadline - self._clock())

    def close(self) -> None:
        """End the kept connections."""
        self._transport.close()

    def pages(self, path: str, query: Mapping[str, str]) -> Iterator[list[Json]]:
        """The items of a list, page by page; the links to further pages are followed as they are.

        Raises:
            AzureError: one of its subclasses.
        """
        url = f"{quote(path)}?{urlencode(query, quote_via=quote)}"
        seen: set[str] = set()
        while url:
            if url in seen:
                raise BadAnswerError(f"GET {path}: the next page is one that was there before")
            seen.add(url)
            document = self._call("GET", path, url, None)
            value = document.get("value")
            if not isinstance(value, list):
                raise BadAnswerError(f"GET {path} answered no list")
            yield [item for item in value if isinstance(item, dict)]
            next_link = document.get("nextLink")
            url = next_link if isinstance(next_link, str) else ""

    def get(self, path: str, query: Mapping[str, str]) -> Json:
        """One JSON object. Raises AzureError."""
        return self._call("GET", path, f"{quote(path)}?{urlencode(query, quote_via=quote)}", None)

    def query(self, path: str, query: Mapping[str, str], body: Json) -> Json:
        """POST a question, one that changes nothing and may be asked again, and get its JSON object.

        Raises:
            AzureError: one of its subclasses.
        """
        return self._call("POST", path, f"{quote(path)}?{urlencode(query, quote_via=quote)}", body)

    def _call(self, method: str, path: str, url: str, body: Json | None) -> Json:
        """Try until there is an answer, a definite no, or no time left."""
        where = f"{method} {path}"
        target = self._transport.target(url)
        payload = None if body is None else json.dumps(body).encode()
        tries, refused = 0, False
        while True:
            self._wait_for_turn(where)
            tries += 1
            asked: float | None = None
            try:
                response = self._exchange(method, target, payload, refused=refused)
                if response.status == 200:
                    return answers.decode(where, response)
                error = answers.error_of(where, response)
                asked = answers.retry_after(response, self._wall())
            except AzureError as exc:
                error = exc
            if isinstance(error, UnauthorizedError) and not refused:
                refused = True  # expired in the middle of a long run, perhaps
                continue
            pause = self._pause(error, tries, asked)
            if not self._worth_another(error, tries) or self._clock() + pause >= self.deadline:
                raise self._final(error, tries, asked)
            self._rest(error, pause)

    def _exchange(self, method: str, target: str, payload: bytes | None, *, refused: bool) -> Response:
        headers = {
            "Authorization": f"Bearer {self._token(refused)}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": USER_AGENT,
        }
        if payload is not None:
            headers["Content-Type"] = "application/json"
        with self._lock:
            self.requests += 1
        limit = min(self.deadline, self._clock() + self._patience.attempt)
        return self._transport.exchange(method, target, headers, payload, deadline=limit)

    def _wait_for_turn(self, where: str) -> None:
        """Stand still while Azure wants rest: the limits are those of the identity, not of one list."""
        if self._stop.is_set():
            raise DeadlineError(f"{where}: given up after {self._clock() - self._started:.0f} s")
        with self._lock:
            pause = self._resume_at - self._clock()
        if pause > 0:
            self._sleep(pause)
        if self._clock() >= self.deadline or self._stop.is_set():
            raise DeadlineError(f"{where}: the {self.timeout:g} s for all requests together are over (option timeout)")

    def _pause(self, error: AzureError, tries: int, asked: float | None) -> float:
        patience = self._patience
        first = patience.first_throttled if isinstance(error, ThrottledError) else patience.first
        own = min(patience.cap, first * 2.0 ** (tries - 1)) * (0.5 + self._jitter() / 2)
        return own if asked is None else max(own, asked)

    def _worth_another(self, error: AzureError, tries: int) -> bool:
        if isinstance(error, UnreachableError):
            return tries < self._patience.unreachable
        if isinstance(error, BadAnswerError):
            return tries < self._patience.bad_answers
        return error.retryable

    def _rest(self, error: AzureError, pause: float) -> None:
        if isinstance(error, ThrottledError):
            with self._lock:
                self._resume_at = max(self._resume_at, self._clock() + pause)
        else:
            self._sleep(pause)

    def _final(self, error: AzureError, tries: int, asked: float | None) -> AzureError:
        """The same error; with how long was tried, when more tries might have helped."""
        if not error.retryable:
            return error
        spent = self._clock() - self._started
        text = f"{error} (tried {tries} time{'s' if tries > 1 else ''}, {spent:.1f} s after the start"
        text += f"; Azure asks to wait {asked:g} s" if asked else ""
        return type(error)(f"{text}; option timeout is {self.timeout:g} s)", status=error.status, code=error.code)


__all__ = ["Client", "Json", "Patience"]
