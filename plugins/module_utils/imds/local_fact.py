# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What an executable fact prints: the same facts as the module gives, for every ordinary run of Ansible's own setup."""

from __future__ import annotations

import json
import os
import sys
import typing as t

from .facts import Wish, blank, gather

# An ordinary gathering of facts should not wait for long.
TIMEOUT = 10.0


def main(config: t.Mapping[str, t.Any], *, root: str = "/", environment: t.Mapping[str, str] | None = None) -> int:
    """Print facts as JSON. Whatever happens, it is JSON, and the exit code is 0: a fact must not spoil the others.

    Args:
        config: ``enabled`` and the connection options, as they were when the fact was installed.
        root: where the file system begins.
        environment: holds ``AZURE_IMDS_ENDPOINT``, for a fact that was installed without an endpoint.
    """
    options = {"timeout": TIMEOUT, **config}
    if options.get("endpoint") in (None, "auto"):
        options["endpoint"] = (os.environ if environment is None else environment).get("AZURE_IMDS_ENDPOINT")
    try:
        facts = gather(Wish(enabled=config.get("enabled") or "auto", options=options), root=root).facts
    except ValueError as exc:
        facts = blank(reason=str(exc), error="bad_option")
    json.dump(facts, sys.stdout)
    return 0


__all__ = ["TIMEOUT", "main"]
