# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a machine's coming or running maintenance, in the one shape that the inventory gives. Pure."""

from __future__ import annotations

from typing import TypedDict


class Maintenance(TypedDict):
    """The state of a machine's maintenance.

    ``state`` is ``none`` (known to have no event), ``scheduled``, ``started``, or a state of the maintenance handler.
    """

    state: str
    event_id: str | None
    event_type: str | None
    not_before: str | None
    source: str  # events, facts, fleet


__all__ = ["Maintenance"]
