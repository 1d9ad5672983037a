# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request and an answer, as the pure parts of the emulator see them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


class Request(NamedTuple):
    """A request. ``path`` is decoded; ``query`` has every parameter in order; header names compare in any case.

    A body that is ``too_long`` has not been read.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes = b""
    base: str = ""
    too_long: bool = False

    def parameter(self, name: str) -> str | None:
        """The first value of a parameter, or None."""
        return next((value for key, value in self.query if key == name), None)


@lru_cache(maxsize=4096)
def split_target(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Decoded path and parameters of a request target."""
    path, _mark, query = target.partition("?")
    return unquote(path), tuple(parse_qsl(query, keep_blank_values=True))


@dataclass(slots=True)
class Answer:
    """An answer.

    Attributes:
        wait: seconds of the neighbourhood's clock until it is sent.
        real_wait: seconds on the wall, for simulated network latency.
        breakage: instead of a proper answer: ``reset``, ``hang``, ``cut`` or ``raw`` (the body alone, no HTTP).
        fault: id of the fault that made it, for the journal.
        in_flight: counts among the identity requests that are under way.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    real_wait: float = 0.0
    breakage: str | None = None
    fault: str | None = None
    in_flight: bool = False


def compact(value: Any) -> bytes:
    """JSON without blanks, as the services send it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    """An answer with a JSON body; ``_`` in header names stands for ``-``."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, compact(value), JSON, named)


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


__all__ = ["HTML", "JSON", "TEXT", "Answer", "RefusedError", "Request", "compact", "json_answer", "split_target"]
