# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The five types of events: notice, first api-version, length of the outage, texts (contract sections 6.1 to 6.8)."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """What sets an event type apart.

    Attributes:
        since: first scheduledevents api-version that knows it.
        notice: seconds between scheduling and NotBefore at least.
        impact: seconds that a VM is away unless told otherwise; None when it does not come back.
        settle: seconds between the end of the impact and the event leaving the document.
        duration: DurationInSeconds as shown; -1 is unknown.
        while_away: state of a VM during the impact.
        source: EventSource unless told otherwise.
        description: unless told otherwise, for Platform and User.
    """

    since: str
    notice: float
    impact: float | None
    settle: float
    duration: int
    while_away: str
    source: str
    description: dict[str, str]


# The observed times from Started to gone are five to ten minutes; these are shorter, so that a rehearsal does not drag.
KINDS = {
    "Freeze": Kind(
        since="2017-03-01",
        notice=900,
        impact=5,
        settle=60,
        duration=5,
        while_away="frozen",
        source="Platform",
        description={
            "Platform": "Virtual machine is being paused because of a memory-preserving Live Migration operation.",
            "User": "",
        },
    ),
    "Reboot": Kind(
        since="2017-03-01",
        notice=900,
        impact=90,
        settle=60,
        duration=-1,
        while_away="rebooting",
        source="Platform",
        description={
            "Platform": "Host server is undergoing maintenance.",
            "User": "Virtual machine is going to be restarted as requested by authorized user.",
        },
    ),
    "Redeploy": Kind(
        since="2017-03-01",
        notice=600,
        impact=180,
        settle=60,
        duration=-1,
        while_away="redeploying",
        source="Platform",
        description={
            "Platform": "Host Server infrastructure is undergoing maintenance.",
            "User": "Virtual machine is going to be redeployed as requested by authorized user.",
        },
    ),
    "Preempt": Kind(
        since="2017-11-01",
        notice=30,
        impact=None,
        settle=10,
        duration=-1,
        while_away="deallocated",
        source="Platform",
        description={"Platform": "", "User": ""},
    ),
    "Terminate": Kind(
        since="2019-01-01",
        notice=300,
        impact=None,
        settle=10,
        duration=-1,
        while_away="terminated",
        source="User",
        description={"Platform": "", "User": ""},
    ),
}
EVENT_TYPES = tuple(KINDS)
HARDWARE_FAILURE = "Host server is undergoing an emergency repair."
USER_NOTICE = 900.0
"""Seconds that a restart or redeploy by the user waits for approval (contract section 6.8)."""

__all__ = ["EVENT_TYPES", "HARDWARE_FAILURE", "KINDS", "USER_NOTICE", "Kind"]
