# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The options of a module. They are read on the target, where no variable and no ini file of the controller reaches.
    DOCUMENTATION = r"""
options:
  endpoint:
    description:
      - Where the Instance Metadata Service listens, as V(http://host[:port]).
      - With V(auto) that is Azure's link-local address, and it is asked only on an Azure VM, which is told from the
        machine's SMBIOS without a packet. Only when nothing answers there, the lease files of the DHCP client are
        searched for the address that classic VMs without a virtual network get (DHCP option 245).
      - An endpoint that is set, to an emulator for instance, counts as the statement that there is a service.
      - If this option is not set, the environment variable E(AZURE_IMDS_ENDPOINT) of the target is used.
    type: str
    default: auto
  api_version:
    description:
      - The API version to ask for, such as V(2021-02-01).
      - With V(auto) it is the oldest version that has all that is used here, and an older one where the service does
        not know that yet; new versions reach regions and clouds at different times.
      - If this option is not set, the environment variable E(AZURE_IMDS_API_VERSION) of the target is used.
    type: str
    default: auto
  timeout:
    description:
      - Seconds that one question may take, with all its retries. It holds whatever the service says.
      - If neither it nor E(AZURE_IMDS_TIMEOUT) on the target is set, a question may take 30 seconds, or 75 while the
        service says that it is being updated. The first question for scheduled events may take 150 seconds, because it
        switches them on for the VM.
    type: float
  retries:
    description:
      - How often to ask again when the service says that it cannot answer now.
      - If this option is not set, the environment variable E(AZURE_IMDS_RETRIES) of the target is used.
    type: int
    default: 5
notes:
  - The service is asked directly. Proxies that the environment names are not used, and redirects are not followed.
  - Variables of the controller reach these options only through C(module_defaults), which counts for C(gather_facts)
    too; see the examples of M(azure_guest.imds.instance_facts).
"""

    # The options of a plugin, which runs on the controller.
    PLUGINS = r"""
options:
  endpoint:
    description:
      - Where the Instance Metadata Service listens, as V(http://host[:port]).
      - With V(auto) that is Azure's link-local address, and it is asked only if the controller is an Azure VM, which is
        told from the machine's SMBIOS without a packet. Only when nothing answers there, the lease files of the DHCP
        client are searched for the address that classic VMs without a virtual network get (DHCP option 245).
      - An endpoint that is set, to an emulator for instance, counts as the statement that there is a service.
    type: str
    default: auto
    env:
      - name: AZURE_IMDS_ENDPOINT
    ini:
      - section: azure_imds
        key: endpoint
    vars:
      - name: ansible_azure_imds_endpoint
  api_version:
    description:
      - The API version to ask for, such as V(2021-02-01).
      - With V(auto) it is the oldest version that has all that is used here, and an older one where the service does
        not know that yet; new versions reach regions and clouds at different times.
    type: str
    default: auto
    env:
      - name: AZURE_IMDS_API_VERSION
    ini:
      - section: azure_imds
        key: api_version
    vars:
      - name: ansible_azure_imds_api_version
  timeout:
    description:
      - Seconds that one question may take, with all its retries. It holds whatever the service says.
      - Without it a question may take 30 seconds, or 75 while the service says that it is being updated.
    type: float
    env:
      - name: AZURE_IMDS_TIMEOUT
    ini:
      - section: azure_imds
        key: timeout
    vars:
      - name: ansible_azure_imds_timeout
  retries:
    description:
      - How often to ask again when the service says that it cannot answer now.
    type: int
    default: 5
    env:
      - name: AZURE_IMDS_RETRIES
    ini:
      - section: azure_imds
        key: retries
    vars:
      - name: ansible_azure_imds_retries
notes:
  - The service is asked directly. Proxies that the environment names are not used, and redirects are not followed.
"""
