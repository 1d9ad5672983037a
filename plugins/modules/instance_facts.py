#!/usr/bin/python
# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_facts
short_description: Facts about the Azure VM, from the inside
version_added: 0.1.0
description:
  - Asks the Azure Instance Metadata Service what Azure knows about the machine that the module runs on, in one request,
    and returns it as the fact C(azure).
  - On any other machine it says so in C(azure.available) and C(azure.reason) without sending a packet, and does not
    fail; so it can be among the fact modules of a mixed fleet.
  - The keys of C(azure) are always the same. What does not apply or is not known to this version of the service is
    null, an empty list or an empty dictionary.
  - It needs neither credentials nor privileges nor libraries on the target.
author:
  - azure_guest.imds contributors (@azure-guest)
extends_documentation_fragment:
  - azure_guest.imds.attributes
  - azure_guest.imds.attributes.info_module
  - azure_guest.imds.connection
attributes:
  facts:
    description: Returns an C(ansible_facts) dictionary that updates the facts of the host.
    support: full
options:
  enabled:
    description:
      - V(auto) asks on an Azure VM, and wherever O(endpoint) is set.
      - V(true) asks whatever the machine looks like.
      - V(false) asks nothing and returns facts that say so.
    type: str
    choices: ["auto", "true", "false"]
    default: auto
  required:
    description:
      - Whether to fail when there are no facts.
      - Without it, a machine that is no Azure VM is a fact, and a service that fails is a warning and a fact.
    type: bool
    default: false
  gather:
    description:
      - What to ask for. The instance document is asked for in any case; each further part is one request more.
      - V(load_balancer) is what a Standard load balancer knows about the VM; it adds to the public addresses.
      - V(scheduled_events) is the events document. The first time that anybody asks for it switches scheduled events on
        for the VM, which can take two minutes.
      - V(attested) is a signed proof of which VM this is. It is not secret, but others can show it as long as it is
        valid; consider where facts are cached.
      - V(versions) is the list of API versions that the service says it supports.
      - A part that fails is marked so in its own C(available) and C(reason), with a warning, and leaves the others
        alone.
    type: list
    elements: str
    choices: [instance, load_balancer, scheduled_events, attested, versions]
    default: [instance]
  public_keys:
    description:
      - Whether the SSH public keys that Azure put on the VM are among the facts.
    type: bool
    default: false
  user_data:
    description:
      - Whether to return the VM's user data as RV(user_data), outside of the facts.
      - Every process on the VM can read user data, yet people put secrets there. So it is never a fact, which would be
        cached and shown; set C(no_log) on the task.
    type: bool
    default: false
  inventory_hostname:
    description:
      - Name of the host that the facts are for.
      - It is meant for C(module_defaults) with C(gather_facts). If it is given, Ansible itself runs on the machine that
        the module runs on, and that machine is called otherwise, a warning says that these are the controller's facts.
      - As a task the module warns without it, and about delegated tasks as well.
    type: str
notes:
  - Azure does not tell a VM which availability set it is in. C(azure.availability_set) is there for what other sources
    know.
  - Tags of a scale set's instance and the data of a VM that was changed just now can lag behind, see
    R(the facts guide,ansible_collections.azure_guest.imds.docsite.facts_guide).
  - There is no version for Windows targets.
seealso:
  - plugin: azure_guest.imds.metadata
    plugin_type: lookup
  - module: azure_guest.imds.scheduled_events_info
"""

EXAMPLES = r"""
- name: Gather facts about the VM
  azure_guest.imds.instance_facts:

- name: Show where it is
  ansible.builtin.debug:
    msg: >-
      {{ ansible_facts.azure.name }} is in {{ ansible_facts.azure.location }}, zone {{ ansible_facts.azure.zone }},
      fault domain {{ ansible_facts.azure.fault_domain }}, update domain {{ ansible_facts.azure.update_domain }}
  when: ansible_facts.azure.available

- name: Fail on anything but an Azure VM, and find the public address behind a Standard load balancer
  azure_guest.imds.instance_facts:
    required: true
    gather: [load_balancer]

- name: Read the user data
  azure_guest.imds.instance_facts:
    user_data: true
  register: instance
  no_log: true

- name: Gather these facts with the usual ones at the start of a play
  hosts: all
  vars:
    ansible_facts_modules:
      - ansible.builtin.setup
      - azure_guest.imds.instance_facts
    # One after the other is faster than side by side, because of how Ansible waits for the latter.
    ansible_facts_parallel: false
  module_defaults:
    azure_guest.imds.instance_facts:
      # A variable for those hosts that have another endpoint, such as an emulator's.
      endpoint: "{{ ansible_azure_imds_endpoint | default('auto') }}"
      inventory_hostname: "{{ inventory_hostname }}"
  tasks:
    - name: Group the hosts by update domain
      ansible.builtin.group_by:
        key: update_domain_{{ ansible_facts.azure.update_domain }}
      when: ansible_facts.azure.available
"""

RETURN = r"""
ansible_facts:
  description: The facts that are added to the host's.
  returned: always
  type: dict
  contains:
    ansible_azure:
      description:
        - What Azure knows about this machine. Every key is always there.
        - As a fact it is C(ansible_facts.azure), and C(ansible_azure) where facts are injected as variables.
      returned: always
      type: dict
      contains:
        available:
          description: Whether the service answered, and so whether the rest means anything.
          type: bool
          returned: always
        reason:
          description: Why it is not available, in one sentence; else null.
          type: str
          returned: always
          sample: "this machine is not an Azure VM: the chassis asset tag is empty: /sys/class/dmi/id/chassis_asset_tag"
        error:
          description:
            - The same in one word, else null.
            - One of V(disabled), V(not_on_azure), V(unreachable), V(throttled), V(blocked), V(bad_request), V(absent),
              V(gone), V(service), V(bad_answer).
          type: str
          returned: always
        endpoint:
          description: Where the service answered.
          type: str
          returned: always
          sample: http://169.254.169.254
        api_version:
          description: The API version of the answer.
          type: str
          returned: always
          sample: "2023-11-15"
        collected_at:
          description: When the facts were gathered, by the machine's own clock, in UTC.
          type: str
          returned: always
          sample: "2026-11-22T18:24:00Z"
        name:
          description: Name of the VM resource; not the host name. Scheduled events name the VM by it.
          type: str
          returned: always
          sample: web-0
        vm_id:
          description: Azure's unique id of the VM, in lower case. Count machines by it.
          type: str
          returned: always
          sample: 5c08b38e-4d57-4c23-ac45-aca61037f084
        vm_id_verified:
          description:
            - Whether the machine's own SMBIOS UUID is that id, in the byte order of either VM generation.
            - Null if it cannot be read, which only root can.
          type: bool
          returned: always
        resource_id:
          description:
            - Id in Azure Resource Manager. Services older than 2019-03-11 do not give it; it is then put together.
          type: str
          returned: always
        subscription_id:
          description: Id of the subscription.
          type: str
          returned: always
        resource_group:
          description: Name of the resource group.
          type: str
          returned: always
        computer_name:
          description: Host name that Azure gave to the VM when it was made.
          type: str
          returned: always
        location:
          description: Region, in lower case without blanks.
          type: str
          returned: always
          sample: westeurope
        extended_location:
          description: Edge zone, if the VM is in one.
          type: str
          returned: always
        environment:
          description: The Azure cloud. Services older than 2018-10-01 do not name it; it is then told from the
            location.
          type: str
          returned: always
          sample: AzurePublicCloud
        resource_manager:
          description: Base URL of that cloud's Resource Manager; null in a cloud where each installation has its own.
          type: str
          returned: always
          sample: https://management.azure.com
        size:
          description: Size of the VM.
          type: str
          returned: always
          sample: Standard_D2s_v3
        os_type:
          description: V(Linux) or V(Windows).
          type: str
          returned: always
        fault_domain:
          description:
            - Number of the fault domain. It means something only beside those of the same availability set or scale
              set.
          type: int
          returned: always
        update_domain:
          description:
            - Number of the update domain. It means something only beside those of the same availability set or scale
              set.
          type: int
          returned: always
        sub_fault_domain:
          description: Number of the sub fault domain.
          type: int
          returned: always
        zone:
          description: Availability zone, as numbered for the subscription; null outside of zones.
          type: str
          returned: always
          sample: "1"
        physical_zone:
          description: The physical zone behind that number; the same for every subscription.
          type: str
          returned: always
          sample: westeurope-az1
        placement_group_id:
          description: Placement group inside of a scale set.
          type: str
          returned: always
        dedicated_host_id:
          description: Dedicated host.
          type: str
          returned: always
        dedicated_host_group_id:
          description: Group of dedicated hosts.
          type: str
          returned: always
        scale_set:
          description: Name of the scale set.
          type: str
          returned: always
        scale_set_id:
          description: Id of the scale set in Azure Resource Manager.
          type: str
          returned: always
        scale_set_mode:
          description: V(Uniform) or V(Flexible).
          type: str
          returned: always
        scale_set_instance_id:
          description: Id of the instance in its scale set; a number in a uniform one, the VM's name in a flexible one.
          type: str
          returned: always
          sample: "85"
        availability_set:
          description: Always null here, since the service does not tell it.
          type: str
          returned: always
        priority:
          description: V(Regular), V(Low) or V(Spot).
          type: str
          returned: always
        eviction_policy:
          description: What becomes of a Spot VM that is evicted, V(Deallocate) or V(Delete).
          type: str
          returned: always
        license_type:
          description: Azure Hybrid Benefit.
          type: str
          returned: always
          sample: Windows_Server
        hibernation_enabled:
          description: Whether the VM may hibernate.
          type: bool
          returned: always
        image:
          description: Image that the VM was made from. A custom image has an id and none of the first four.
          type: dict
          returned: always
          contains:
            publisher:
              description: Publisher in the marketplace.
              type: str
              returned: always
            offer:
              description: Offer in the marketplace.
              type: str
              returned: always
            sku:
              description: SKU in the marketplace.
              type: str
              returned: always
            version:
              description: Version of a marketplace image.
              type: str
              returned: always
            exact_version:
              description: The version that V(latest) stood for.
              type: str
              returned: always
            id:
              description: Id of a custom or gallery image.
              type: str
              returned: always
        plan:
          description: Marketplace plan; its values are null for a VM without one.
          type: dict
          returned: always
          contains:
            name:
              description: Name of the plan.
              type: str
              returned: always
            product:
              description: Product that it belongs to.
              type: str
              returned: always
            publisher:
              description: Publisher of the product.
              type: str
              returned: always
        security:
          description: Security profile.
          type: dict
          returned: always
          contains:
            type:
              description: V(TrustedLaunch), V(ConfidentialVM), or null for neither.
              type: str
              returned: always
            secure_boot:
              description: Whether UEFI secure boot is on.
              type: bool
              returned: always
            virtual_tpm:
              description: Whether there is a virtual TPM.
              type: bool
              returned: always
            encryption_at_host:
              description: Whether disks are encrypted on the host.
              type: bool
              returned: always
        tags:
          description:
            - Tags, their names and values as they are.
            - Services older than 2019-06-04 give one string. A V(:) or V(;) inside of a name or value cannot be told
              from a separator there; the first V(:) then ends the name, and a part without one continues the value
              before it.
          type: dict
          returned: always
          sample: {"role": "web", "cost:center": "42;7"}
        os_disk:
          description: Disk with the operating system.
          type: dict
          returned: always
          contains:
            name:
              description: Name of the disk.
              type: str
              returned: always
            id:
              description: Id of the managed disk.
              type: str
              returned: always
            size_gb:
              description: Size in GiB.
              type: int
              returned: always
            storage_type:
              description: Kind of storage.
              type: str
              returned: always
              sample: Premium_LRS
            caching:
              description: Kind of caching.
              type: str
              returned: always
            ephemeral:
              description: Whether the disk lies on the host and is lost with it.
              type: bool
              returned: always
        data_disks:
          description: Data disks by LUN.
          type: list
          elements: dict
          returned: always
          contains:
            lun:
              description: Logical unit number.
              type: int
              returned: always
            name:
              description: Name of the disk.
              type: str
              returned: always
            id:
              description: Id of the managed disk.
              type: str
              returned: always
            size_gb:
              description: Size in GiB.
              type: int
              returned: always
            storage_type:
              description: Kind of storage.
              type: str
              returned: always
            caching:
              description: Kind of caching.
              type: str
              returned: always
        mac_address:
          description: MAC address of the first of the C(interfaces).
          type: str
          returned: always
          sample: "00:0d:3a:f8:06:ec"
        private_ipv4:
          description: Private IPv4 addresses, in the order of the C(interfaces).
          type: list
          elements: str
          returned: always
        public_ipv4:
          description:
            - Public IPv4 addresses, in the order of the C(interfaces).
            - The service does not show here those that are behind a Standard load balancer; see O(gather).
          type: list
          elements: str
          returned: always
        private_ipv6:
          description: IPv6 addresses, in the order of the C(interfaces).
          type: list
          elements: str
          returned: always
        interfaces:
          description: Network interfaces, the primary one first if it can be told.
          type: list
          elements: dict
          returned: always
          contains:
            mac_address:
              description: MAC address.
              type: str
              returned: always
            device:
              description: Network device of that address on this machine.
              type: str
              returned: always
              sample: eth0
            primary:
              description: Whether it is the primary one; null if that cannot be told.
              type: bool
              returned: always
            private_ipv4:
              description: Private IPv4 addresses.
              type: list
              elements: str
              returned: always
            public_ipv4:
              description: Public IPv4 addresses.
              type: list
              elements: str
              returned: always
            ipv4_subnets:
              description: IPv4 subnets.
              type: list
              elements: str
              returned: always
              sample: ["10.1.0.0/24"]
            private_ipv6:
              description: IPv6 addresses.
              type: list
              elements: str
              returned: always
            ipv6_subnets:
              description: IPv6 subnets.
              type: list
              elements: str
              returned: always
        public_keys:
          description: SSH public keys; null unless O(public_keys=true).
          type: list
          elements: dict
          returned: always
          contains:
            path:
              description: File that the key was put into.
              type: str
              returned: always
            key_data:
              description: The key.
              type: str
              returned: always
        load_balancer:
          description: What a Standard load balancer knows about the VM; null unless asked for by O(gather).
          type: dict
          returned: always
          contains:
            available:
              description: Whether there is such a load balancer or address, and it could be read.
              type: bool
              returned: when asked for
            reason:
              description: Why not.
              type: str
              returned: when asked for
            public_addresses:
              description: Public addresses of the VM itself, each with the private one that it belongs to.
              type: list
              elements: dict
              returned: when asked for
              sample: [{"frontend_address": "51.0.0.1", "private_address": "10.1.0.4"}]
            inbound_rules:
              description: What the load balancer sends to the VM.
              type: list
              elements: dict
              returned: when asked for
              sample:
                - frontend_address: 50.0.0.1
                  private_address: 10.1.0.4
                  protocol: tcp
                  frontend_port: 80
                  backend_port: 443
            outbound_rules:
              description: The addresses that the VM's outgoing connections have.
              type: list
              elements: dict
              returned: when asked for
              sample: [{"frontend_address": "50.0.0.1", "private_address": "10.1.0.4"}]
        scheduled_events:
          description: Events that the VM is shown; null unless asked for by O(gather).
          type: dict
          returned: always
          contains:
            available:
              description: Whether they could be read.
              type: bool
              returned: when asked for
            reason:
              description: Why not.
              type: str
              returned: when asked for
            document_incarnation:
              description: Changes whenever the events do.
              type: int
              returned: when asked for
            events:
              description: The events, as M(azure_guest.imds.scheduled_events_info) has them.
              type: list
              elements: dict
              returned: when asked for
        attested:
          description: Signed proof of which VM this is; null unless asked for by O(gather).
          type: dict
          returned: always
          contains:
            available:
              description: Whether it could be read.
              type: bool
              returned: when asked for
            reason:
              description: Why not.
              type: str
              returned: when asked for
            encoding:
              description: Form of the signature.
              type: str
              returned: when asked for
              sample: pkcs7
            signature:
              description: The signed document in base64.
              type: str
              returned: when asked for
        versions:
          description: API versions of the service; null unless asked for by O(gather).
          type: dict
          returned: always
          contains:
            available:
              description: Whether they could be read.
              type: bool
              returned: when asked for
            reason:
              description: Why not.
              type: str
              returned: when asked for
            api_versions:
              description: The versions.
              type: list
              elements: str
              returned: when asked for
        compute:
          description:
            - The C(compute) part of the instance document as the service gave it, every value a string, without
              C(customData), C(userData) and C(publicKeys). Empty for a classic VM.
          type: dict
          returned: always
        network:
          description: The C(network) part of the instance document as the service gave it.
          type: dict
          returned: always
user_data:
  description: User data in base64; null if there is none.
  returned: if O(user_data=true)
  type: str
failure:
  description: What went wrong, for playbooks to branch on.
  returned: on failure to get an answer
  type: dict
  contains:
    kind:
      description: As C(azure.error).
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

from ..module_utils import imds
from ..module_utils.doors import compile_once, connection_arguments, failure
from ..module_utils.imds.facts import PARTS, Gathered, Wish, gather


def _warn_if_controllers(module: AnsibleModule, facts: dict[str, t.Any]) -> None:
    hostname = module.params["inventory_hostname"]
    if hostname and module.params["endpoint"] in (None, "", "auto"):
        from ..module_utils.imds.whereabouts import controller_warning

        warning = controller_warning(facts, hostname)
        if warning:
            module.warn(warning)


def _exit(module: AnsibleModule, gathered: Gathered) -> None:
    facts = gathered.facts
    if module.params["required"] and not facts["available"]:
        if gathered.error is not None:
            module.fail_json(**failure(gathered.error))
        kind = {"kind": facts["error"], "status": None, "retryable": False}
        module.fail_json(msg=f"There are no Azure facts, and they are required: {facts['reason']}", failure=kind)
    for warning in gathered.warnings:
        module.warn(warning)
    _warn_if_controllers(module, facts)
    result: dict[str, t.Any] = {"ansible_facts": {"ansible_azure": facts}}
    if module.params["user_data"]:
        result["user_data"] = gathered.user_data
    module.exit_json(**result)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **connection_arguments(env_fallback),
            "enabled": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
            "required": {"type": "bool", "default": False},
            "gather": {
                "type": "list",
                "elements": "str",
                "choices": ["instance", *PARTS],
                "default": ["instance"],
            },
            "public_keys": {"type": "bool", "default": False},
            "user_data": {"type": "bool", "default": False},
            "inventory_hostname": {"type": "str"},
        },
        supports_check_mode=True,
    )
    wish = Wish(
        enabled=module.params["enabled"] or "auto",
        options=module.params,
        parts=tuple(part for part in PARTS if part in (module.params["gather"] or ())),
        public_keys=module.params["public_keys"],
        user_data=module.params["user_data"],
    )
    compile_once(imds.__path__[0])
    try:
        gathered = gather(wish)
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    else:
        _exit(module, gathered)


if __name__ == "__main__":
    main()
