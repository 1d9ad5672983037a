#!/usr/bin/python
# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduled_event
short_description: Approve an event that Azure has scheduled for this VM
version_added: 0.1.0
description:
  - Tells Azure that an event need not wait any longer, because the VM is ready for it.
  - An approval holds for every VM that the event touches, not only for the one that gives it. So it is refused when the
    event touches others that are not said to be ready.
  - An approval asks for an early start and nothing else. Azure starts an event that nobody approves when its
    C(not_before) has come, and no approval moves that moment further away.
author:
  - azure_guest.imds contributors (@azure-guest)
extends_documentation_fragment:
  - azure_guest.imds.attributes
  - azure_guest.imds.connection
attributes:
  check_mode:
    support: full
    details:
      - It reads the events and sends nothing.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - Azure does not show whether an event has been approved before it starts. Until then a second run sends the
        approval again, which is harmless, and reports a change.
options:
  state:
    description:
      - V(approved) lets the event start.
    type: str
    choices: [approved]
    default: approved
  event_id:
    description:
      - Ids of the events.
      - Without it, all events that touch this VM and that O(types) and O(sources) admit.
    type: list
    elements: str
    aliases: [event_ids]
  types:
    description: Take events of these types only. Not together with O(event_id).
    type: list
    elements: str
    choices: [Freeze, Reboot, Redeploy, Preempt, Terminate]
  sources:
    description: Take events from these sources only. Not together with O(event_id).
    type: list
    elements: str
    choices: [Platform, User]
  vm_name:
    description:
      - Name of the VM in Azure; it counts as ready.
      - Without it the service is asked for it, in one request more, and only when there are events.
    type: str
  ready_resources:
    description:
      - Names of the other VMs that are ready for the event. The events' C(resources) show which are meant.
    type: list
    elements: str
    default: []
  force:
    description:
      - Whether to approve although other VMs of the event may not be ready.
    type: bool
    default: false
notes:
  - If one of the events has to be refused, nothing is sent for any of them.
seealso:
  - module: azure_guest.imds.scheduled_events_info
"""

EXAMPLES = r"""
- name: Let whatever waits for this VM start now
  azure_guest.imds.scheduled_event:
    state: approved

- name: Do not keep a colleague waiting who restarted the VM in the portal
  azure_guest.imds.scheduled_event:
    types: [Reboot, Redeploy]
    sources: [User]

- name: Approve an event that touches two VMs, both of which were drained before
  azure_guest.imds.scheduled_event:
    event_id: C7061BAC-AFDC-4513-B24B-AA5F13A16123
    ready_resources: [web-0, web-1]
  run_once: true
"""

RETURN = r"""
events:
  description: What became of each event.
  returned: success
  type: list
  elements: dict
  contains:
    event_id:
      description: Id of the event.
      type: str
      returned: always
      sample: C7061BAC-AFDC-4513-B24B-AA5F13A16123
    outcome:
      description:
        - V(approved) if the approval was sent, or would be in check mode.
        - V(started) if the event had started already.
        - V(gone) if it is not there, because it finished, was cancelled, or never was.
      type: str
      returned: always
    event:
      description: The event as M(azure_guest.imds.scheduled_events_info) has it; null if it is gone.
      type: dict
      returned: always
vm_name:
  description: Name of the VM; null if it was neither given nor needed.
  returned: success
  type: str
refused:
  description: Why nothing was approved.
  returned: when an event touches VMs that are not known to be ready
  type: list
  elements: dict
  contains:
    event_id:
      description: Id of the event.
      type: str
      returned: always
    not_ready:
      description: The VMs that are not known to be ready.
      type: list
      elements: str
      returned: always
failure:
  description: What went wrong, for playbooks to branch on.
  returned: on failure
  type: dict
  contains:
    kind:
      description:
        - V(not_ready) if an event was refused here, else one of V(not_on_azure), V(unreachable), V(uncertain),
          V(throttled), V(blocked), V(bad_request), V(absent), V(gone), V(service), V(bad_answer).
        - V(uncertain) means that the answer to the approval was lost, twice.
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

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ..module_utils.doors import connection_arguments, failure
from ..module_utils.imds.errors import ImdsError
from ..module_utils.imds.event_results import SOURCES, TYPES, Approvals, Filter
from ..module_utils.imds.events import Approved, approve
from ..module_utils.imds.settings import Settings


def _refuse(module: AnsibleModule, plan: Approvals) -> None:
    parts = [f"{event.event_id} also touches {', '.join(names)}" for event, names in plan.refused]
    module.fail_json(
        msg=(
            f"Nothing was approved, because an approval holds for every VM of an event: {'; '.join(parts)}. "
            "List them in ready_resources once they are ready, or use force."
        ),
        refused=[{"event_id": event.event_id, "not_ready": list(names)} for event, names in plan.refused],
        failure={"kind": "not_ready", "status": None, "retryable": True},
    )


def _exit(module: AnsibleModule, done: Approved) -> None:
    outcomes = done.outcomes()
    result: dict[str, t.Any] = {"changed": bool(done.plan.approve), "events": outcomes, "vm_name": done.vm_name}
    for problem in done.problems:
        module.warn(f"The events document has an entry that cannot be read: {problem}")
    if module._diff:
        before = {outcome["event_id"]: (outcome["event"] or {}).get("event_status", "gone") for outcome in outcomes}
        after = {outcome["event_id"]: "approved" for outcome in outcomes if outcome["outcome"] == "approved"}
        result["diff"] = {"before": before, "after": {**before, **after}}
    module.exit_json(**result)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **connection_arguments(env_fallback),
            "state": {"type": "str", "choices": ["approved"], "default": "approved"},
            "event_id": {"type": "list", "elements": "str", "aliases": ["event_ids"]},
            "types": {"type": "list", "elements": "str", "choices": list(TYPES)},
            "sources": {"type": "list", "elements": "str", "choices": list(SOURCES)},
            "vm_name": {"type": "str"},
            "ready_resources": {"type": "list", "elements": "str", "default": []},
            "force": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("event_id", "types"), ("event_id", "sources")],
        supports_check_mode=True,
    )
    try:
        done = approve(
            Settings.of(module.params),
            vm_name=module.params["vm_name"],
            event_ids=module.params["event_id"],
            wanted=Filter.of(module.params),
            ready=module.params["ready_resources"] or (),
            force=module.params["force"],
            dry_run=module.check_mode,
        )
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    except ImdsError as exc:
        module.fail_json(**failure(exc))
    else:
        if done.plan.refused:
            _refuse(module, done.plan)
        _exit(module, done)


if __name__ == "__main__":
    main()
