# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The connection options that every door of the collection has. Checked without the client, which few runs need."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from .client import RetryPolicy

AUTO = "auto"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


class Settings(t.NamedTuple):
    """The connection options, as a user gives them.

    Attributes:
        endpoint: ``http://host[:port]``, or ``auto``: Azure's own address, on an Azure VM only.
        api_version: ``auto``, or one version that is kept to.
        timeout: seconds for a whole call with all its retries; None for what suits the category.
        retries: further tries after an answer that says "later".
    """

    endpoint: str = AUTO
    api_version: str = AUTO
    timeout: float | None = None
    retries: int = 5

    @classmethod
    def of(cls, options: t.Mapping[str, t.Any]) -> Settings:
        """The settings among a door's options; an option that is absent, None or empty has its default.

        Raises:
            ValueError: an option is out of range; the text names it.
        """
        given = {name: options[name] for name in cls._fields if options.get(name) not in (None, "")}
        settings = cls(**given)
        if settings.endpoint != AUTO:
            from .client import parse_endpoint

            parse_endpoint(settings.endpoint)
        if settings.api_version != AUTO and not _VERSION.fullmatch(settings.api_version):
            raise ValueError(f"api_version {settings.api_version!r} is neither auto nor a date such as 2021-02-01")
        if settings.timeout is not None and not 0 < settings.timeout <= 3600:
            raise ValueError(f"timeout is {settings.timeout:g} and must be more than 0 and at most 3600 seconds")
        if not 0 <= settings.retries <= 100:
            raise ValueError(f"retries is {settings.retries} and must be from 0 to 100")
        return settings

    def policy(self, usual: RetryPolicy | None = None) -> RetryPolicy:
        """The usual policy of a category with the user's bounds: an explicit timeout holds whatever happens."""
        if usual is None:
            from .client import RetryPolicy

            usual = RetryPolicy()
        retries = self.retries
        policy = usual._replace(retries=retries, connect_retries=min(retries, usual.connect_retries))
        if self.timeout is None:
            return policy
        total = self.timeout
        return policy._replace(total=total, gone_total=total, attempt=min(total, usual.attempt))


__all__ = ["AUTO", "Settings"]
