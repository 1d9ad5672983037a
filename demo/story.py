# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Azure does in the demonstration, and how much of each tier may be out: one round of maintenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

FLEET = Path(__file__).parent / "fleet.yml"
HOOKS = Path(__file__).parent / "hooks"
# How many VMs of a tier may be out at once.
LIMITS = {"web": 2, "db": 1}


class Act(NamedTuple):
    """One event that Azure schedules: so many seconds after the first one, and what it does to its VMs."""

    after: float
    type: str
    resources: tuple[str, ...]
    details: dict[str, Any]


# A host update rolls through the update domains of the web tier and the zones of the database tier. Azure is in a
# hurry and announces everything within two minutes, so the handlers have to take turns.
ROUND = (
    Act(0, "Reboot", ("web-0",), {"impact": 60, "settle": 20}),
    Act(10, "Reboot", ("web-1",), {"impact": 45, "settle": 20}),
    Act(20, "Redeploy", ("web-2", "web-3"), {"impact": 60, "settle": 20, "not_before": 900}),
    Act(30, "Freeze", ("db-0",), {"duration": 9, "settle": 30, "not_before": 120}),
    Act(40, "Reboot", ("db-1",), {"impact": 60, "settle": 20}),
    Act(50, "Reboot", ("db-2",), {"impact": 60, "settle": 20}),
    Act(
        90,
        "Reboot",
        ("web-4",),
        {
            "source": "User",
            "impact": 45,
            "settle": 20,
            "description": "Virtual machine is going to be restarted as requested by authorized user.",
        },
    ),
)


def tier_of(vm: str) -> str:
    """The tier of a VM of the fleet file."""
    return vm.split("-", 1)[0]


__all__ = ["FLEET", "HOOKS", "LIMITS", "ROUND", "Act", "tier_of"]
