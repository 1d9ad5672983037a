# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The names of the sets of hooks that come with the handler, and of the phases; the command line imports no more."""

from __future__ import annotations

NAMES = (
    "ansible_playbook",
    "docker",
    "haproxy",
    "kubernetes",
    "nginx",
    "patroni",
    "systemd_units",
    "webhook",
)
PHASES = ("drain", "ready", "resume", "health", "notify")

__all__ = ["NAMES", "PHASES"]
