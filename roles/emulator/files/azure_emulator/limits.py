# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rate limits as token buckets on the neighbourhood's clock (contract sections 1.4 and 12.4)."""

from __future__ import annotations

from typing import NamedTuple


class Rate(NamedTuple):
    """A bucket's size, and how many tokens come back each second."""

    capacity: float
    refill: float


class Bucket:
    """Holds tokens, each good for one request."""

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._tokens = rate.capacity
        self._at = now

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.rate.capacity, self._tokens + (now - self._at) * self.rate.refill)
            self._at = now

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        self._fill(now)
        # A hair's breadth for sums of floats: five refills of 0.2 s are one second.
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens -= 1
        return True

    def remaining(self, now: float) -> int:
        """Whole tokens left."""
        self._fill(now)
        return int(self._tokens + 1e-9)

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        self._fill(now)
        return max(0.0, (1 - self._tokens) / self.rate.refill)


class Buckets:
    """Buckets by name, made full at first use."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._buckets: dict[tuple[str, ...], Bucket] = {}

    def bucket(self, name: tuple[str, ...], rate: Rate, now: float) -> Bucket:
        """The bucket of that name."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(rate, now)
        return bucket

    def take(self, name: tuple[str, ...], rate: Rate, now: float) -> bool:
        """Take a token from the bucket of that name; always granted while the limits are off."""
        return not self.enabled or self.bucket(name, rate, now).take(now)


__all__ = ["Bucket", "Buckets", "Rate"]
