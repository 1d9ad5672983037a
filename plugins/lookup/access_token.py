# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: access_token
short_description: Access token of a managed identity of the controller
version_added: 0.1.0
description:
  - A lookup runs on the controller. This one gives a token of a managed identity of the B(controller's own VM),
    whatever host a play is at.
  - The token is a secret. Set C(no_log) on tasks that use it.
author:
  - azure_guest.imds contributors (@azure-guest)
extends_documentation_fragment:
  - azure_guest.imds.connection.plugins
options:
  _terms:
    description:
      - For whom each token is, either a resource such as V(https://management.azure.com/) or a scope such as
        V(https://vault.azure.net/.default).
    type: list
    elements: str
    required: true
  client_id:
    description: Client id of a user-assigned identity.
    type: str
  object_id:
    description: Object id of a user-assigned identity.
    type: str
  resource_id:
    description: Id of a user-assigned identity in Azure Resource Manager.
    type: str
  output:
    description:
      - V(token) for the token alone, V(details) for a dictionary with C(access_token), C(token_type), C(expires_on) in
        seconds since 1970, C(resource) and C(client_id).
    type: str
    choices: [token, details]
    default: token
notes:
  - Without an identity option the system-assigned identity is used, or the only user-assigned one.
  - A token is kept in the memory of the Ansible process until five minutes before it expires, and nowhere else. Ansible
    runs tasks in processes of their own, so that several tasks ask several times; the service keeps tokens itself.
seealso:
  - plugin: azure_guest.imds.metadata
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Read a secret from a key vault
  ansible.builtin.uri:
    url: https://example.vault.azure.net/secrets/database?api-version=7.4
    headers:
      Authorization: "Bearer {{ lookup('azure_guest.imds.access_token', 'https://vault.azure.net') }}"
  register: secret
  no_log: true
  delegate_to: localhost

- name: Which subscriptions does a user-assigned identity see?
  ansible.builtin.uri:
    url: https://management.azure.com/subscriptions?api-version=2022-12-01
    headers:
      Authorization: "Bearer {{ lookup('azure_guest.imds.access_token', resource, client_id=reader) }}"
  vars:
    resource: https://management.azure.com/
    reader: 11111111-2222-3333-4444-555555555555
  register: subscriptions
  no_log: true
  delegate_to: localhost
"""

RETURN = r"""
_raw:
  description: One token, or one dictionary with O(output=details), for each term.
  type: list
  elements: raw
"""

import time
import typing as t

from ansible.errors import AnsibleLookupError

from ..module_utils.imds.identity import Identity, Token, fetch_token, resource_of
from ..plugin_utils.lookup_base import ImdsLookup

if t.TYPE_CHECKING:
    from ..module_utils.imds.settings import Settings

_tokens: dict[tuple[t.Any, ...], Token] = {}


class LookupModule(ImdsLookup):
    """The lookup."""

    NAME = "azure_guest.imds.access_token"

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[t.Any]:
        """One token for each resource or scope."""
        settings = self.start(variables, kwargs)
        identity = Identity(*(self.get_option(name) for name in Identity._fields))
        details = self.get_option("output") == "details"
        tokens = [self._token(settings, self._resource(term), identity) for term in terms]
        return [token._asdict() if details else token.access_token for token in tokens]

    def _resource(self, term: t.Any) -> str:
        if not isinstance(term, str) or not term.strip():
            raise AnsibleLookupError(f"{self.NAME}: {term!r:.60} is neither a resource nor a scope")
        term = term.strip()
        try:
            return resource_of(term) if term.endswith("/.default") else term
        except ValueError as exc:
            raise AnsibleLookupError(f"{self.NAME}: {exc}") from exc

    def _token(self, settings: Settings, resource: str, identity: Identity) -> Token:
        key = (settings.endpoint, resource, identity)
        token = _tokens.get(key)
        if token is None or not token.is_fresh(time.time()):
            token = self.ask(settings, lambda client: fetch_token(client, resource, identity))
            _tokens[key] = token
        return token
