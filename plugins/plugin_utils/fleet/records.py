# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one shape in which every source describes a virtual machine.

A record survives JSON as it is. None means "not known, or does not apply"; an empty list or dict means "none".
What a source cannot know is None in all of its records:

=======================  ================================================  ===================
field                    Resource Manager, Resource Graph                  facts
=======================  ================================================  ===================
physical_zone            None                                              the zone
provisioning_state       known                                             None
power_state              known                                             None
public_fqdns             known                                             None
public_ipv6              known                                             None
redeploy_status          known                                             None
availability_set         known                                             as the facts have it
fault_domain,            None for a machine outside of any set,            a number for each
update_domain            and in a flexible set no update domain            machine
=======================  ================================================  ===================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.maintenance import Maintenance


class Record(TypedDict):
    """A virtual machine. Domains are ints, everything else is a string, a list of strings or as said."""

    name: str  # the resource's name, which Scheduled Events use too (contract section 6.6)
    resource_id: str
    vm_id: str | None  # lower case
    subscription_id: str | None
    resource_group: str | None
    location: str | None  # westeurope
    environment: str | None  # AzurePublicCloud
    zone: str | None  # logical, means something within the subscription's region
    physical_zone: str | None
    size: str | None
    os_type: str | None  # Linux, Windows
    computer_name: str | None
    priority: str | None  # Spot, Low; None or Regular for an ordinary machine
    provisioning_state: str | None
    power_state: str | None  # running, deallocated, ...
    availability_set: str | None  # name
    scale_set: str | None  # name
    scale_set_instance_id: str | None  # a number in a uniform set, the name in a flexible one
    fault_domain: int | None
    update_domain: int | None
    tags: dict[str, str]
    private_ipv4: list[str] | None  # of the primary interface and configuration first
    private_ipv6: list[str] | None
    public_ipv4: list[str] | None
    public_ipv6: list[str] | None
    public_fqdns: list[str] | None
    redeploy_status: dict[str, Any] | None  # Azure's maintenanceRedeployStatus, verbatim
    maintenance: Maintenance | None
    problems: list[str]  # what is wrong with the machine, or could not be read
    collected_at: str  # when it was read: UTC, ISO 8601
    raw: dict[str, Any] | None  # the documents, if asked for


FIELDS: tuple[str, ...] = tuple(Record.__annotations__)


__all__ = ["FIELDS", "Record"]
