# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: metadata
short_description: Anything that the Azure Instance Metadata Service knows about the controller
version_added: 0.1.0
description:
  - A lookup runs on the controller. This one tells about the B(controller's own VM), whatever host a play is at. For
    facts about managed hosts use M(azure_guest.imds.instance_facts).
  - Reads any path of any category of the service.
author:
  - azure_guest.imds contributors (@azure-guest)
extends_documentation_fragment:
  - azure_guest.imds.connection.plugins
options:
  _terms:
    description:
      - Paths below C(/metadata), such as V(instance/compute/location), V(instance/network/interface/0/macAddress),
        V(scheduledevents), V(attested/document), V(loadbalancer), V(identity/info) or V(versions). Names are
        case-sensitive.
    type: list
    elements: str
    required: true
  format:
    description:
      - With V(auto) an object or array comes as such and a plain value as text. All elements of the instance document
        that one call asks for are taken from one request.
      - V(text) and V(json) put each path to the service in that format. As text, the instance category gives a bare
        value or a listing of names. As JSON, the service refuses plain values.
    type: str
    choices: [auto, json, text]
    default: auto
  query:
    description: Further parameters of the requests, such as C(nonce) for the attested document.
    type: dict
    default: {}
  on_missing:
    description:
      - What to do if the service has no such element. With V(warn) and V(skip) it is null in the result, so that the
        results stay in the order of the terms.
      - An element that is there and empty is an empty string.
    type: str
    choices: [error, warn, skip]
    default: error
notes:
  - Access tokens are not read with it, but with P(azure_guest.imds.access_token#lookup).
  - Everything that is not known to be a value is a string, also numbers and booleans; that is how the service has them.
  - The instance document holds the VM's user data and public keys. Where user data may be secret, ask for the elements
    that are needed and not for the whole, or set C(no_log).
  - A lookup is evaluated each time that the variable it stands in is used. Use it in C(set_fact), or once in C(vars) of
    a task.
seealso:
  - module: azure_guest.imds.instance_facts
  - plugin: azure_guest.imds.access_token
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Where does the controller run?
  ansible.builtin.debug:
    msg: "{{ lookup('azure_guest.imds.metadata', 'instance/compute/location') }}"

- name: Several values by one request
  ansible.builtin.set_fact:
    controller: "{{ dict(['name', 'zone'] | zip(answers)) }}"
  vars:
    answers: "{{ query('azure_guest.imds.metadata', 'instance/compute/name', 'instance/compute/zone') }}"

- name: A tag that may not be there
  ansible.builtin.debug:
    msg: "{{ first_tag | default('untagged', true) }}"
  vars:
    first_tag: "{{ lookup('azure_guest.imds.metadata', 'instance/compute/tagsList/0/value', on_missing='skip') }}"

- name: A proof of which VM this is
  ansible.builtin.set_fact:
    proof: "{{ lookup('azure_guest.imds.metadata', 'attested/document', query={'nonce': '1234567890'}) }}"
"""

RETURN = r"""
_raw:
  description: One element for each path, in their order.
  type: list
  elements: raw
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.utils.display import Display

from ..module_utils.imds.errors import AbsentError
from ..module_utils.imds.metadata import MetadataReader, normal_path
from ..plugin_utils.lookup_base import ImdsLookup

if t.TYPE_CHECKING:
    from ..module_utils.imds.client import ImdsClient


class LookupModule(ImdsLookup):
    """The lookup."""

    NAME = "azure_guest.imds.metadata"

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[t.Any]:
        """One element for each path."""
        settings = self.start(variables, kwargs)
        try:
            paths = [normal_path(term) for term in terms]
        except ValueError as exc:
            raise AnsibleLookupError(f"{self.NAME}: {exc}") from exc

        def question(client: ImdsClient) -> list[t.Any]:
            reader = MetadataReader(
                client,
                api_version=settings.api_version,
                form=self.get_option("format"),
                query={str(name): str(value) for name, value in (self.get_option("query") or {}).items()},
            )
            return [self._one(reader, path) for path in paths]

        return self.ask(settings, question) if paths else []

    def _one(self, reader: MetadataReader, path: str) -> t.Any:
        try:
            return reader.get(path)
        except AbsentError as exc:
            on_missing = self.get_option("on_missing")
            if on_missing == "error":
                raise
            if on_missing == "warn":
                Display().warning(f"{self.NAME}: {exc}")
            return None
