# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: azure_fleet
short_description: The virtual machines of Azure subscriptions, complete or an error
version_added: 0.1.0
author:
  - azure_guest.imds contributors (@azure-guest)
description:
  - Lists standalone virtual machines, those of availability sets, and those of uniform and flexible scale sets, of any
    number of subscriptions, with their addresses, power state, zone, fault domain and update domain.
  - Uses documented list calls only, never a call per machine, and asks all lists at the same time.
  - A part that cannot be read is an error, unless O(on_partial) says otherwise; the error names the subscription and
    the permission that is missing.
  - Needs no Azure SDK. Signs in with the managed identity of the controller's own virtual machine, a service principal,
    a workload identity, the Azure CLI or, if asked, the C(azure-identity) package.
  - Can build the same inventory from the facts that P(azure_guest.imds.instance_facts#module) left in the fact cache
    (O(source=facts)), without any credentials and without a single call.
  - Strings that come from Azure, such as tags, are never evaluated as templates.
  - The name of the configuration file must end in C(azure_fleet.yml) or C(azure_fleet.yaml).
notes:
  - An inventory source that fails is only a warning to Ansible, which goes on with no hosts. Set
    E(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED) to V(true) (C(any_unparsed_is_failed) in section C([inventory]) of
    C(ansible.cfg)) to have it end the run.
  - The proxies of the environment (E(HTTPS_PROXY), E(NO_PROXY)) are used for Azure, never for the metadata service.
seealso:
  - module: azure_guest.imds.instance_facts
    description: Gathers the facts for O(source=facts).
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Marks the file as a configuration of this plugin.
    type: str
    required: true
    choices: [azure_guest.imds.azure_fleet]
  source:
    description:
      - Where the machines come from.
      - Host variables and groups are the same from each source, as far as it can know them.
    type: str
    default: resource_manager
    choices:
      resource_manager: Azure Resource Manager's list calls. The default, and the most complete.
      resource_graph: >-
        One query of Azure Resource Graph for all subscriptions; run-time status and scale set instances still come from
        Resource Manager. Fewer requests where there are many subscriptions. What it says may be a minute old, and a
        subscription that the identity may not read is not told from an empty one unless O(details) has V(status).
      facts: The fact cache of an earlier run that gathered C(azure_guest.imds.instance_facts).
  subscriptions:
    description:
      - Ids or display names of the subscriptions to list.
      - Without any, all subscriptions that the identity can see.
      - May be templates.
    type: list
    elements: str
    default: []
    env:
      - name: AZURE_SUBSCRIPTION_ID
  cloud:
    description:
      - The cloud. V(stack) needs O(resource_manager) and learns O(authority) and O(audience) from there.
    type: str
    default: public
    choices: [public, us_government, china, stack]
    env:
      - name: AZURE_FLEET_CLOUD
  resource_manager:
    description:
      - URL of Azure Resource Manager, when it is not the one of O(cloud). Plain http is allowed to loopback only.
      - May be a template.
    type: str
    env:
      - name: AZURE_FLEET_RESOURCE_MANAGER
  authority:
    description:
      - URL of the sign-in, when it is not the one of O(cloud).
      - May be a template.
    type: str
    env:
      - name: AZURE_AUTHORITY_HOST
  audience:
    description:
      - What the access token must be for, when it is not what O(cloud) says.
    type: str
  auth:
    description:
      - How to sign in.
    type: str
    default: auto
    choices:
      auto: >-
        The first of these that is there. A service principal or a workload identity that is configured, the managed
        identity if the controller is an Azure virtual machine, the Azure CLI.
      managed_identity: The identity of the controller's own virtual machine.
      service_principal: >-
        O(tenant_id) and O(client_id) with O(client_secret) or O(client_certificate_path).
      workload_identity: O(tenant_id) and O(client_id) with O(federated_token_file).
      cli: Whoever is logged in with C(az login).
      default: What C(DefaultAzureCredential) of the Python package C(azure-identity) finds.
    env:
      - name: AZURE_FLEET_AUTH
  tenant_id:
    description:
      - Tenant of the service principal; V(adfs) for an Azure Stack without Entra. May be a template.
    type: str
    aliases: [tenant]
    env:
      - name: AZURE_TENANT_ID
      - name: AZURE_TENANT
  client_id:
    description:
      - Application id of the service principal, or client id of a user-assigned managed identity. May be a template.
    type: str
    env:
      - name: AZURE_CLIENT_ID
  client_secret:
    description:
      - Secret of the service principal. May be a template, or encrypted with Ansible Vault.
    type: str
    aliases: [secret]
    env:
      - name: AZURE_CLIENT_SECRET
      - name: AZURE_SECRET
  client_certificate_path:
    description:
      - File with the service principal's certificate and RSA key, PEM or PFX. May be a template.
    type: path
    aliases: [x509_certificate_path]
    env:
      - name: AZURE_CLIENT_CERTIFICATE_PATH
  client_certificate_password:
    description:
      - Password of that file. May be a template, or encrypted with Ansible Vault.
    type: str
    env:
      - name: AZURE_CLIENT_CERTIFICATE_PASSWORD
  federated_token_file:
    description:
      - File with the token of a workload identity. May be a template.
    type: path
    env:
      - name: AZURE_FEDERATED_TOKEN_FILE
  identity_object_id:
    description: Object id of the user-assigned managed identity to use.
    type: str
  identity_resource_id:
    description: Resource id of the user-assigned managed identity to use.
    type: str
  imds_endpoint:
    description:
      - Where the metadata service of the controller's own machine is, for the managed identity; Azure's own address by
        default.
    type: str
    env:
      - name: AZURE_IMDS_ENDPOINT
    ini:
      - section: azure_imds
        key: endpoint
  ca_path:
    description:
      - File or directory of certificates to trust in place of the system's.
    type: path
    env:
      - name: REQUESTS_CA_BUNDLE
      - name: CURL_CA_BUNDLE
  timeout:
    description:
      - Seconds for all requests together. Throttled and failed requests are tried again within this time, not before
        the moment that Azure asks for (C(Retry-After)).
    type: float
    default: 120
  connections:
    description: How many requests may be on their way at the same time.
    type: int
    default: 16
  details:
    description:
      - What to read besides the machines themselves. Each one left out saves its calls and its permission, and leaves
        the fields that it brings V(null).
      - V(status) brings power state, fault domain and update domain of machines outside of uniform scale sets;
        V(scale_sets) the instances of uniform scale sets; V(interfaces) addresses; V(public_addresses) public addresses
        and names.
    type: list
    elements: str
    choices: [status, scale_sets, interfaces, public_addresses]
    default: [status, scale_sets, interfaces, public_addresses]
  compute_api_version:
    description: The api-version for Microsoft.Compute, for clouds that lag behind.
    type: str
    default: '2024-07-01'
  network_api_version:
    description: The api-version for Microsoft.Network, for clouds that lag behind.
    type: str
    default: '2024-01-01'
  resource_groups:
    description: Only machines of these resource groups; shell patterns, without regard to case.
    type: list
    elements: str
    default: []
  exclude_resource_groups:
    description: No machines of these resource groups; shell patterns, without regard to case.
    type: list
    elements: str
    default: []
  locations:
    description: Only machines of these regions.
    type: list
    elements: str
    default: []
  tags:
    description:
      - Only machines with all of these tags. The value of each is a shell pattern, a list of them of which one must
        match, or V(null) for any value.
      - The instances of a uniform scale set are only asked for if the tags of the set pass, too.
    type: dict
    default: {}
  include_host_filters:
    description:
      - Jinja2 expressions over host variables; a machine is in the inventory if one of them is true. Without any, all.
    type: list
    elements: str
    default: []
  exclude_host_filters:
    description:
      - Jinja2 expressions over host variables; a machine is left out if one of them is true.
    type: list
    elements: str
    default: []
  hostnames:
    description:
      - What to call a machine, first choice first. The first that gives a name fit for a host is taken, and the name of
        the machine when there is none.
      - The name of a field as in the host variables, without the prefix (V(name), V(computer_name), V(private_ipv4),
        C(tags.fqdn)), or a Jinja2 expression over host variables.
      - V(inventory_hostname) is, with O(source=facts), the name of the host whose facts they are.
      - Machines that would have the same name all get their resource group behind it (C(web_rg1), C(web_rg2)), and what
        is still the same the subscription, too; a warning tells.
      - The default is V(name), and V(inventory_hostname) before it with O(source=facts).
    type: list
    elements: str
  connect_with:
    description:
      - What C(ansible_host) is set to, first choice first, in the words of O(hostnames).
      - With an empty list it is not set.
    type: list
    elements: str
    default: [public_ipv4, private_ipv4, public_ipv6, private_ipv6]
  windows_connection:
    description:
      - Sets C(ansible_connection) of Windows machines (and C(ansible_shell_type) with V(ssh)).
    type: str
    choices: [winrm, psrp, ssh]
  hostvars_prefix:
    description: What the names of host variables begin with.
    type: str
    default: azure_
  host_variables:
    description:
      - Which host variables to set, without prefix. All by default; a few are faster in a very large fleet.
      - Filters, O(hostnames), O(compose) and so on see all of them all the same.
    type: list
    elements: str
    default: []
  include_raw:
    description:
      - Sets the host variable C(azure_raw) with the documents that Azure gave (C(virtual_machine), C(status),
        C(network_interfaces), C(public_addresses)). They are large.
    type: bool
    default: false
  group_by:
    description:
      - Which groups to make. C(azure_location_westeurope), C(azure_zone_1), C(azure_fault_domain_0),
        C(azure_update_domain_2), C(azure_tag_role_web), C(azure_availability_set_web), C(azure_scale_set_api),
        C(azure_maintenance_scheduled) and so on. An empty list makes none.
    type: list
    elements: str
    choices:
      - availability_set
      - environment
      - fault_domain
      - location
      - maintenance
      - os_type
      - physical_zone
      - power_state
      - priority
      - resource_group
      - scale_set
      - size
      - subscription
      - tag
      - update_domain
      - zone
    default: [location, zone, fault_domain, update_domain, tag, availability_set, scale_set, maintenance]
  group_by_tags:
    description: Which tags make groups; shell patterns of their names.
    type: list
    elements: str
    default: ['*']
  qualified_groups:
    description:
      - The number of a domain means something only inside its availability set or scale set, that of a zone only in its
        region. So these groups exist there, too (C(azure_availability_set_web_update_domain_2),
        C(azure_location_westeurope_zone_1)). V(false) leaves the plain ones alone.
    type: bool
    default: true
  group:
    description: A group for all machines of this source.
    type: str
  maintenance_from:
    description:
      - Where to learn of coming and running maintenance, for the host variable C(azure_maintenance) and the groups
        C(azure_maintenance_none), C(azure_maintenance_scheduled), C(azure_maintenance_started),
        C(azure_maintenance_out) and C(azure_maintenance_ready).
      - Facts that were gathered with scheduled events (O(source=facts)) tell it by themselves. Never cached.
    type: list
    elements: str
    choices:
      events: >-
        The Scheduled Events that the controller's own virtual machine is shown, those of its availability set or scale
        set. The first question switches them on for that machine and may take two minutes.
      fleet: The fleet document of the maintenance handlers, see O(maintenance_fleet).
    default: []
  maintenance_fleet:
    description:
      - With O(maintenance_from=fleet), where the fleet document is, in the words of the handler's own configuration
        (C(store), which is V(file), and C(path)).
    type: dict
    default: {}
  on_partial:
    description:
      - What to do when a part cannot be read (a subscription is forbidden, a list fails until O(timeout), facts of a
        host are unreadable or older than O(max_age), maintenance states cannot be had).
    type: str
    default: fail
    choices:
      fail: An error that names what is missing.
      warn: A warning that names it; the inventory has what could be read, and fields that could not are V(null).
      stale: >-
        A warning; the machines of a subscription that could not be read completely come from the cache, of up to
        O(stale_if_error) seconds ago; with O(source=facts), facts older than O(max_age) are used. An error when there
        is nothing.
  stale_if_error:
    description:
      - When Azure cannot be read, the inventory in the cache is used if it is no older than so many seconds; a warning
        tells, and the host variable C(azure_age) is the age in seconds. V(0) never does. Needs O(cache).
    type: int
    default: 0
  max_age:
    description:
      - With O(source=facts), how many seconds old the facts of a host may be; V(0) for any age.
    type: int
    default: 86400
  fact_cache_plugin:
    description: With O(source=facts), the cache plugin that has the facts; Ansible's own fact cache by default.
    type: str
  fact_cache_connection:
    description: With O(fact_cache_plugin), its connection, for instance a directory.
    type: str
  fact_cache_prefix:
    description: With O(fact_cache_plugin), the prefix of its keys.
    type: str
"""

EXAMPLES = r"""
# Everything that the identity of this Azure VM can see. File: azure_fleet.yml
plugin: azure_guest.imds.azure_fleet

---
# Two subscriptions, with a cache that also helps when Azure does not answer.
plugin: azure_guest.imds.azure_fleet
subscriptions:
  - Production
  - 11111111-2222-3333-4444-555555555555
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/ansible/azure_fleet
cache_timeout: 900
stale_if_error: 86400

---
# A service principal; the secret is looked up when the inventory is read.
plugin: azure_guest.imds.azure_fleet
auth: service_principal
tenant_id: 11111111-2222-3333-4444-555555555555
client_id: 66666666-7777-8888-9999-000000000000
client_secret: "{{ lookup('ansible.builtin.env', 'FLEET_SECRET') }}"

---
# Running Linux machines of two resource groups, called by their names in DNS.
plugin: azure_guest.imds.azure_fleet
resource_groups: [shop-*, payments]
tags:
  environment: [prod, staging]
exclude_host_filters:
  - azure_power_state != 'running'
  - azure_os_type == 'Windows'
hostnames:
  - tags.fqdn
  - azure_name ~ '.internal.example.org'
connect_with: [private_ipv4]

---
# The same inventory from the facts of an earlier run, without credentials.
plugin: azure_guest.imds.azure_fleet
source: facts
max_age: 604800

---
# Groups and variables of one's own.
plugin: azure_guest.imds.azure_fleet
group_by: [location, zone, update_domain]
keyed_groups:
  - key: azure_size
    prefix: size
compose:
  ansible_user: azure_tags.login | default('azureuser')
groups:
  needs_attention: azure_problems | length > 0
"""

import contextlib
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible import constants
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable, get_cache_plugin
from ansible.plugins.loader import cache_loader
from ansible.vars.reserved import is_reserved_name

from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet import names, policy, snapshot, words
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.data import as_data
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.filters import Filters, read_tag_filter
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.groups import Grouping
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.records import FIELDS, Record
from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.settings import AzureSettings
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.errors import AzureError, SettingsError
from ansible_collections.azure_guest.imds.plugins.plugin_utils.resource_manager.sign_in_settings import SignIn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader


SUFFIXES = ("azure_fleet.yml", "azure_fleet.yaml")
AGE = "age"


class _Host(NamedTuple):
    """A machine on its way into the inventory."""

    name: str
    record: Record
    variables: dict[str, Any]


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """The door: options in, hosts out; see ``plugin_utils.fleet`` for what happens in between."""

    NAME = "azure_guest.imds.azure_fleet"

    def verify_file(self, path: str) -> bool:
        """Whether the file may be one of ours, by its name."""
        return bool(super().verify_file(path)) and path.endswith(SUFFIXES)

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        """Read the configuration, take the fleet, hand it to Ansible."""
        super().parse(inventory, loader, path, cache)
        self._reject_unknown_options(self._read_config_data(path))
        try:
            filters = self._filters()
            fleet = (
                self._facts() if self.get_option("source") == "facts" else self._azure(path, filters, fresh=not cache)
            )
            hosts = self._hosts(self._with_maintenance(fleet), filters)
        except (SettingsError, ValueError) as exc:
            raise AnsibleParserError(f"{path}: {exc}") from exc
        except AzureError as exc:
            raise AnsibleError(f"{path}: {exc}") from exc
        self._hand_over(hosts)

    # Options

    def _reject_unknown_options(self, config: Mapping[str, Any]) -> None:
        defined = constants.config.get_configuration_definitions("inventory", self._load_name)
        known = set(defined) | {
            alias["name"] if isinstance(alias, dict) else alias
            for entry in defined.values()
            for alias in entry.get("aliases", ())
        }
        for name in config:
            if name not in known:
                raise AnsibleParserError(f"unknown option {name!r}{words.nearest(str(name), known)}")

    def _text(self, option: str) -> str | None:
        """A string option, rendered where it is a template."""
        return self._rendered(self.get_option(option))

    def _rendered(self, value: Any) -> str | None:
        if isinstance(value, str) and self.templar.is_template(value):
            self.templar.available_variables = self._vars
            value = self.templar.template(value)
        return None if value is None or value == "" else str(value)

    def _filters(self) -> Filters:
        try:
            tags = read_tag_filter(self.get_option("tags"))
        except ValueError as exc:
            raise SettingsError(f"tags: {exc}") from exc
        lists = (self.get_option(name) for name in ("resource_groups", "exclude_resource_groups", "locations"))
        groups, excluded, locations = (tuple(str(item) for item in entries) for entries in lists)
        return Filters(groups, excluded, locations, tags)

    def _azure_settings(self, filters: Filters) -> AzureSettings:
        sign_in = SignIn(self.get_option("auth"), *(self._text(option) for option in SignIn._fields[1:]))
        return AzureSettings(
            sign_in=sign_in,
            graph=self.get_option("source") == "resource_graph",
            cloud=self.get_option("cloud"),
            resource_manager=self._text("resource_manager"),
            authority=self._text("authority"),
            audience=self._text("audience"),
            subscriptions=tuple(filter(None, map(self._rendered, self.get_option("subscriptions")))),
            details=frozenset(self.get_option("details")),
            filters=filters,
            keep_raw=self.get_option("include_raw"),
            compute_api_version=self.get_option("compute_api_version"),
            network_api_version=self.get_option("network_api_version"),
            timeout=self.get_option("timeout"),
            connections=max(1, self.get_option("connections")),
        )

    # Sources

    # What reads a source is imported when it is read: Ansible compiles a collection's code anew in each run, and a run
    # that finds everything in the cache should not pay for it.

    def _azure(self, path: str, filters: Filters, *, fresh: bool) -> snapshot.Snapshot:
        settings = self._azure_settings(filters)

        def read() -> policy.Reading:
            from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet import azure_source

            return azure_source.read_azure(settings)

        will = policy.Policy(
            self.get_option("on_partial"), self.get_option("cache_timeout"), self.get_option("stale_if_error")
        )
        return policy.take(
            read,
            will,
            cache=self._snapshot_cache(path, settings) if self.get_option("cache") else None,
            may_use_cached=not fresh,
            now=time.time(),
            report=self._report(),
        )

    def _snapshot_cache(self, path: str, settings: AzureSettings) -> snapshot.SnapshotCache:
        """The cache plugin of the options, told that nothing expires: what is too old may still help in an outage."""
        options = {"_uri": "cache_connection", "_prefix": "cache_prefix"}
        given = {name: self.get_option(option) for name, option in options.items()}
        store = get_cache_plugin(
            self.get_option("cache_plugin"),
            _timeout=0,
            **{name: value for name, value in given.items() if value is not None},
        )
        shape = settings._asdict()
        # Neither secrets nor patience shape what is asked.
        del shape["timeout"], shape["connections"]
        who = settings.sign_in
        shape["sign_in"] = (who.kind, who.tenant_id, who.client_id, who.identity_object_id, who.identity_resource_id)
        shape["details"] = sorted(settings.details)
        key = f"{self.get_cache_key(path)}_{snapshot.shape_key(shape)}"
        return snapshot.SnapshotCache(_Store(store), key)

    def _facts(self) -> snapshot.Snapshot:
        from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet import facts_source

        store = _Facts(*self._fact_cache_plugin(), facts_source.EntryError)
        max_age, keep_raw = self.get_option("max_age"), self.get_option("include_raw")
        return policy.take_from_facts(
            lambda: facts_source.read_from_facts(store, max_age=max_age, keep_raw=keep_raw),
            policy.Policy(self.get_option("on_partial")),
            report=self._report(),
        )

    def _fact_cache_plugin(self) -> tuple[Any, str]:
        """The cache plugin of the facts, told that nothing expires: ``max_age`` decides, and says so."""
        name = self.get_option("fact_cache_plugin")
        options = {"_uri": "fact_cache_connection", "_prefix": "fact_cache_prefix"} if name else {}
        given = {key: self.get_option(option) for key, option in options.items()}
        name = name or constants.CACHE_PLUGIN
        if name.rpartition(".")[2] == "memory":
            raise SettingsError(
                "source facts: the fact cache is the plugin memory, which forgets everything at the end of a run. Set"
                " fact_caching and fact_caching_connection in ansible.cfg, or fact_cache_plugin here."
            )
        store = cache_loader.get(name, _timeout=0, **{key: value for key, value in given.items() if value is not None})
        if store is None:
            raise SettingsError(f"source facts: there is no cache plugin {name!r}")
        with contextlib.suppress(KeyError):  # a plugin without prefixes
            if store.get_option("_prefix") is None:
                store.set_option("_prefix", "")  # core's file caches cannot list their keys without one
        return store, name

    def _with_maintenance(self, fleet: snapshot.Snapshot) -> snapshot.Snapshot:
        """The records with what is known of their maintenance right now."""
        origins = self.get_option("maintenance_from")
        if not origins:
            return fleet
        from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet import maintenance_source
        from ansible_collections.azure_guest.imds.plugins.plugin_utils.fleet.maintenance import merged

        records = list(fleet.records)
        for origin in origins:
            try:
                if origin == "events":
                    found, notes = maintenance_source.from_events(records, self._text("imds_endpoint"))
                else:
                    found, notes = maintenance_source.from_fleet(records, self.get_option("maintenance_fleet"))
            except maintenance_source.MaintenanceError as exc:
                if self.get_option("on_partial") == "fail":
                    raise
                self.display.warning(f"azure_fleet: {exc}")
                continue
            for note in notes:
                self.display.warning(f"azure_fleet: {note}")
            for number, state in found.items():
                records[number] = {**records[number], "maintenance": merged(records[number]["maintenance"], state)}
        return fleet._replace(records=records)

    def _report(self) -> policy.Report:
        return policy.Report(
            lambda text: self.display.warning(f"azure_fleet: {text}"),
            lambda text: self.display.v(f"azure_fleet: {text}"),
        )

    # Hosts

    def _hosts(self, fleet: snapshot.Snapshot, filters: Filters) -> list[_Host]:
        """The machines that the filters let pass, with their names and variables."""
        known = fleet.inventory_names or [None] * len(fleet.records)
        chosen = [(record, name) for record, name in zip(fleet.records, known, strict=True) if filters.keeps(record)]
        prefix = self.get_option("hostvars_prefix")
        variables = [self._variables(record, prefix) for record, _name in chosen]
        wanted = self._words("hostnames", self._default_hostnames(), prefix)
        candidates = [
            names.first_fit(self._values(wanted, record, name, values)) or names.made_fit(record["name"])
            for (record, name), values in zip(chosen, variables, strict=True)
        ]
        records = [record for record, _name in chosen]
        unique, clashes = names.unique(records, candidates)
        for clash, now in clashes.items():
            self.display.warning(
                f"azure_fleet: {len(now)} machines would be called {clash}; they are called {', '.join(sorted(now))}."
                " Choose names with hostnames to have it another way."
            )
        addresses = self._words("connect_with", (), prefix)
        hosts = []
        for (record, name), host, values in zip(chosen, unique, variables, strict=True):
            address = next(iter(filter(None, self._values(addresses, record, name, values))), None)
            if address:
                values["ansible_host"] = as_data(address)
            self._add_windows_hints(record, values)
            if self._passes_host_filters(values, host):
                hosts.append(_Host(host, record, values))
        if not hosts:
            self._say_why_empty(filters, len(chosen))
        return hosts

    def _say_why_empty(self, filters: Filters, chosen: int) -> None:
        if chosen:
            why = f"Of {chosen} machines none passes the host filters."
        elif filters != Filters():
            why = "No machine passes resource_groups, exclude_resource_groups, locations and tags."
        else:
            why = "The source was read without an error and has no machines."
        self.display.warning(f"azure_fleet: no hosts. {why}")

    def _default_hostnames(self) -> tuple[str, ...]:
        return ("inventory_hostname", "name") if self.get_option("source") == "facts" else ("name",)

    def _words(self, option: str, default: Sequence[str], prefix: str) -> list[words.Word]:
        given = self.get_option(option)
        return words.read_words(option, default if given is None else given, prefix)

    def _values(
        self, wanted: Iterable[words.Word], record: Record, inventory_name: str | None, variables: Mapping[str, Any]
    ) -> Iterable[str | None]:
        for word in wanted:
            if word.kind != "expression":
                yield words.plain_value(word, record, inventory_name)
                continue
            try:
                value = self._compose(word.value, variables)
            except Exception as exc:
                if self.get_option("strict"):
                    raise AnsibleError(f"{word.value!r} fails for {record['name']}: {exc}") from exc
                continue
            yield value if isinstance(value, str) else None

    def _variables(self, record: Record, prefix: str) -> dict[str, Any]:
        variables = {prefix + field: as_data(value) for field, value in record.items() if field != "raw" or value}
        collected = snapshot.epoch(record["collected_at"])
        variables[prefix + AGE] = None if collected is None else max(0, int(time.time() - collected))
        return variables

    def _add_windows_hints(self, record: Record, variables: dict[str, Any]) -> None:
        connection = self.get_option("windows_connection")
        if connection and record["os_type"] == "Windows":
            variables["ansible_connection"] = connection
            if connection == "ssh":
                variables["ansible_shell_type"] = "powershell"

    def _passes_host_filters(self, variables: Mapping[str, Any], host: str) -> bool:
        included = self.get_option("include_host_filters")
        if included and not any(self._is_true(condition, variables, host) for condition in included):
            return False
        return not any(self._is_true(c, variables, host) for c in self.get_option("exclude_host_filters"))

    def _is_true(self, condition: str, variables: Mapping[str, Any], host: str) -> bool:
        try:
            value = self._compose(condition, variables)
        except Exception as exc:
            raise AnsibleParserError(f"the host filter {condition!r} fails for {host}: {exc}") from exc
        return value not in ("", "False") if isinstance(value, str) else bool(value)

    # To Ansible

    def _hand_over(self, hosts: Sequence[_Host]) -> None:
        chosen = self._chosen_variables()
        grouping = Grouping(
            self.get_option("group_by"),
            tags=self.get_option("group_by_tags"),
            qualified=self.get_option("qualified_groups"),
            sanitize=self._sanitize_group_name,
        )
        inventory = self.inventory
        top = self.get_option("group")
        top = inventory.add_group(self._sanitize_group_name(top)) if top else None
        memberships = grouping.of([host.record for host in hosts])
        made = {name: inventory.add_group(name) for name in sorted({name for group in memberships for name in group})}
        for host, groups in zip(hosts, memberships, strict=True):
            name = inventory.add_host(host.name, top)
            for key, value in host.variables.items():
                if chosen is None or key in chosen:
                    inventory.set_variable(name, key, value)
            for group in groups:
                inventory.add_child(made[group], name)
            self._construct(name, host.variables)

    def _construct(self, host: str, variables: dict[str, Any]) -> None:
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)

    def _chosen_variables(self) -> frozenset[str] | None:
        """The names of the host variables to set, None for all; refuses names that belong to Ansible."""
        prefix, wanted = self.get_option("hostvars_prefix"), self.get_option("host_variables")
        fields = (*FIELDS, AGE)
        unknown = [field for field in wanted if field not in fields]
        if unknown:
            hint = words.nearest(unknown[0], fields)
            raise AnsibleParserError(f"host_variables: {unknown[0]!r} is no field of a machine{hint}")
        chosen = {prefix + field for field in wanted or fields}
        reserved = sorted(name for name in chosen if is_reserved_name(name) or name.startswith("ansible_"))
        if reserved or not re.fullmatch(r"[A-Za-z_]\w*|", prefix, re.ASCII):
            raise AnsibleParserError(
                f"hostvars_prefix: {prefix!r} would make "
                + (f"variables that belong to Ansible: {', '.join(reserved)}" if reserved else "invalid variable names")
            )
        return frozenset({*chosen, "ansible_host", "ansible_connection", "ansible_shell_type"}) if wanted else None


class _Store:
    """Ansible's wrapper of a cache plugin, with every error of the plugin as one."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self._wrapped.get(key, default)
        except Exception as exc:
            raise snapshot.CorruptError(str(exc)) from exc

    def __setitem__(self, key: str, value: Any) -> None:
        self._wrapped[key] = value

    def set_cache(self) -> None:
        self._wrapped.set_cache()


class _Facts:
    """A fact cache plugin, with every error of the plugin as one that says what was read."""

    def __init__(self, wrapped: Any, name: str, entry_error: type[Exception]) -> None:
        self._wrapped, self._name, self._entry_error = wrapped, name, entry_error

    def keys(self) -> list[str]:
        try:
            return list(self._wrapped.keys())
        except Exception as exc:
            raise AnsibleError(f"the fact cache ({self._name}) cannot be read: {exc}") from exc

    def get(self, key: str) -> Any:
        try:
            return self._wrapped.get(key)
        except Exception as exc:
            raise self._entry_error(str(exc) or type(exc).__name__) from exc
