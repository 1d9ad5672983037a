#!/usr/bin/python
# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduled_events_info
short_description: Events that Azure has scheduled for this VM and its neighbours
version_added: 0.1.0
description:
  - Reads the scheduled-events document of the VM that the module runs on, and returns its events.
  - A VM is shown the events of its whole availability set, scale set or cloud service. Which ones touch the VM itself
    is marked by C(mine), by its name in Azure and never by its host name.
author:
  - azure_guest.imds contributors (@azure-guest)
extends_documentation_fragment:
  - azure_guest.imds.attributes
  - azure_guest.imds.attributes.info_module
  - azure_guest.imds.connection
options:
  vm_name:
    description:
      - Name of the VM in Azure.
      - Without it the service is asked for it, in one request more, and only when there are events.
    type: str
  mine:
    description:
      - V(true) for the events that touch this VM only, V(false) for those that do not. Without it both are returned.
    type: bool
  types:
    description: Return events of these types only.
    type: list
    elements: str
    choices: [Freeze, Reboot, Redeploy, Preempt, Terminate]
  sources:
    description: Return events from these sources only. Services older than 2019-08-01 do not tell an event's source.
    type: list
    elements: str
    choices: [Platform, User]
  statuses:
    description: Return events with these statuses only.
    type: list
    elements: str
    choices: [Scheduled, Started]
notes:
  - The first time that anybody asks switches scheduled events on for the VM. That takes up to two minutes, and a day
    without a question switches them off again.
  - Azure has no status for a finished or cancelled event; either is simply no longer there.
seealso:
  - module: azure_guest.imds.scheduled_event
  - module: azure_guest.imds.instance_facts
"""

EXAMPLES = r"""
- name: What is about to happen to this VM?
  azure_guest.imds.scheduled_events_info:
    mine: true
  register: scheduled

- name: Show it
  ansible.builtin.debug:
    msg: "{{ item.event_type }} not before {{ item.not_before }}: {{ item.description }}"
  loop: "{{ scheduled.events }}"
  loop_control:
    label: "{{ item.event_id }}"

- name: Reboots and redeployments that wait for an approval, of this VM or its neighbours
  azure_guest.imds.scheduled_events_info:
    types: [Reboot, Redeploy]
    statuses: [Scheduled]
  register: disruptive
"""

RETURN = r"""
events:
  description: The events that were asked for, in the service's order.
  returned: success
  type: list
  elements: dict
  contains:
    event_id:
      description: Id of the event. It compares case-insensitively.
      type: str
      returned: always
      sample: C7061BAC-AFDC-4513-B24B-AA5F13A16123
    event_status:
      description: V(Scheduled) or V(Started).
      type: str
      returned: always
    event_type:
      description: V(Freeze), V(Reboot), V(Redeploy), V(Preempt), V(Terminate), or one that is still to come.
      type: str
      returned: always
    event_source:
      description: V(Platform) or V(User); null from services older than 2019-08-01.
      type: str
      returned: always
    resource_type:
      description: Always V(VirtualMachine).
      type: str
      returned: always
    resources:
      description: Names of the VMs that the event touches.
      type: list
      elements: str
      returned: always
      sample: [web-0, web-1]
    mine:
      description: Whether this VM is among them.
      type: bool
      returned: always
    not_before:
      description: When it starts at the earliest, in UTC; null once it has started.
      type: str
      returned: always
      sample: "2022-04-11T22:26:58Z"
    not_before_epoch:
      description: The same in seconds since 1970.
      type: int
      returned: always
      sample: 1649716018
    not_before_text:
      description: The same as the service wrote it.
      type: str
      returned: always
      sample: Mon, 11 Apr 2022 22:26:58 GMT
    duration_in_seconds:
      description: Expected interruption; 0 for none, -1 for unknown, null from services older than 2020-07-01.
      type: int
      returned: always
    description:
      description: Free text. Do not branch on it.
      type: str
      returned: always
total:
  description: How many events the document has, whatever was asked for.
  returned: success
  type: int
document_incarnation:
  description: Changes whenever the events do, and may start anew.
  returned: success
  type: int
vm_name:
  description: Name of the VM; null if it was neither given nor needed.
  returned: success
  type: str
api_version:
  description: API version of the document.
  returned: success
  type: str
  sample: "2020-07-01"
failure:
  description: What went wrong, for playbooks to branch on.
  returned: on failure to get an answer
  type: dict
  contains:
    kind:
      description:
        - One of V(not_on_azure), V(unreachable), V(throttled), V(blocked), V(bad_request), V(absent), V(gone),
          V(service), V(bad_answer).
      type: str
      returned: always
    status:
      description: HTTP status of the answer, if there was one.
      type: int
      returned: always
    retryable:
      description: Whether the same may well succeed later.
      type: bool
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ..module_utils.doors import connection_arguments, failure
from ..module_utils.imds.errors import ImdsError
from ..module_utils.imds.event_results import SOURCES, STATUSES, TYPES, Filter, describe
from ..module_utils.imds.events import read_events
from ..module_utils.imds.settings import Settings


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **connection_arguments(env_fallback),
            "vm_name": {"type": "str"},
            "mine": {"type": "bool"},
            "types": {"type": "list", "elements": "str", "choices": list(TYPES)},
            "sources": {"type": "list", "elements": "str", "choices": list(SOURCES)},
            "statuses": {"type": "list", "elements": "str", "choices": list(STATUSES)},
        },
        supports_check_mode=True,
    )
    wanted = Filter.of(module.params)
    try:
        read = read_events(Settings.of(module.params), vm_name=module.params["vm_name"])
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    except ImdsError as exc:
        module.fail_json(**failure(exc))
    else:
        for problem in read.document.problems:
            module.warn(f"The events document has an entry that cannot be read: {problem}")
        module.exit_json(
            events=[describe(e, read.vm_name) for e in read.document.events if wanted.admits(e, read.vm_name)],
            total=len(read.document.events),
            document_incarnation=read.document.incarnation,
            vm_name=read.vm_name,
            api_version=read.api_version,
        )


if __name__ == "__main__":
    main()
