# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a person ordered on this host: a file that the command writes and the service reads at each look."""

from __future__ import annotations

import json
import os
import typing as t

from .decide import Operator
from .files import replace_file
from .windows import Hold, Span

NO_ORDERS = Operator()


class OperatorFile:
    """Reads and writes the orders in ``operator.json`` of the state directory."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._orders = NO_ORDERS

    def read(self, now: float) -> Operator:
        """The orders that are in force. A file that cannot be understood holds all approvals, and says so."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            self._stamp, self._orders = None, NO_ORDERS
            return NO_ORDERS
        except OSError as exc:
            return _unreadable(f"{self.path} cannot be read: {exc.strerror}")
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        if stamp != self._stamp:
            try:
                with open(self.path, encoding="utf-8") as stream:
                    self._orders = parse(json.load(stream))
            except OSError as exc:
                return _unreadable(f"{self.path} cannot be read: {exc.strerror}")
            except (ValueError, KeyError, TypeError, AttributeError) as exc:
                return _unreadable(f"{self.path} is not usable: {exc}")
            self._stamp = stamp
        return in_force(self._orders, now)

    def write(self, orders: Operator) -> None:
        """Put orders in force. Raises OSError."""
        replace_file(self.path, (json.dumps(as_json(orders), indent=1, sort_keys=True) + "\n").encode("utf-8"))


def _unreadable(why: str) -> Operator:
    return Operator(hold=Hold(None, why, "azure-maintenance"))


def in_force(orders: Operator, now: float) -> Operator:
    """The orders without what is over."""
    hold = orders.hold if orders.hold and (orders.hold.until is None or now < orders.hold.until) else None
    return Operator(hold, tuple(span for span in orders.windows if now < span.end), orders.force)


def as_json(orders: Operator) -> dict[str, t.Any]:
    """JSON-able form."""
    return {
        "hold": None if orders.hold is None else orders.hold._asdict(),
        "windows": [span._asdict() for span in orders.windows],
        "force": sorted(orders.force),
    }


def parse(value: t.Any) -> Operator:
    """Orders in decoded JSON. Raises ValueError, KeyError, TypeError or AttributeError when it is something else."""
    hold = value["hold"]
    return Operator(
        None
        if hold is None
        else Hold(None if hold["until"] is None else float(hold["until"]), hold["reason"], hold["by"]),
        tuple(Span(float(span["start"]), float(span["end"]), str(span["reason"])) for span in value["windows"]),
        frozenset(str(key).lower() for key in value["force"]),
    )


__all__ = ["NO_ORDERS", "OperatorFile", "as_json", "in_force", "parse"]
