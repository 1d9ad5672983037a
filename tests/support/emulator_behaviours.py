"""What the emulator plays, row by row: category, behaviour, section of the contract, and the test that shows it.

The table of the emulator's reference is made from this; ``test_reference`` holds that every named test exists.
"""

from __future__ import annotations

from typing import NamedTuple


class Behaviour(NamedTuple):
    """A row: ``proof`` is ``file::test`` below ``tests/unit/emulator``, both without their ``test_``."""

    category: str
    text: str
    section: str
    proof: str


EVERY, MANAGER = "every category", "Resource Manager"
BEHAVIOURS = (
    # --- transport, checks and errors ---
    Behaviour(
        EVERY, "``Metadata: true`` is required, its name and value in any case", "1.1", "requests::without_the_header"
    ),
    Behaviour(
        EVERY, "a request with ``X-Forwarded-For`` is refused (400)", "1.1", "requests::forwarded_requests_are_refused"
    ),
    Behaviour(EVERY, "a parameter that comes twice is refused (400)", "1.1", "requests::a_parameter_given_twice"),
    Behaviour(
        EVERY,
        "headers ``Server: IMDS/…``, ``x-ms-request-id``, ``Date`` by the emulator's clock",
        "1.2",
        "requests::headers_of_an_answer",
    ),
    Behaviour(
        EVERY,
        "GET only, POST for ``scheduledevents`` as well (405)",
        "1.3",
        "requests::only_get_but_for_scheduledevents",
    ),
    Behaviour(
        EVERY,
        "5 requests a second for each VM, token bucket (429, no ``Retry-After``)",
        "1.4",
        "requests::five_requests_a_second_for_each_vm",
    ),
    Behaviour(
        EVERY,
        "the api-version matches exactly; a wrong one is answered with the newest three",
        "5.2",
        "requests::the_api_version_is_exact_and_the_newest_three_are_named",
    ),
    Behaviour(
        EVERY,
        "a category has no api-version before the one that introduced it",
        "2",
        "requests::categories_begin_with_a_version",
    ),
    Behaviour(
        EVERY,
        "order of the checks: path, method, header, ``X-Forwarded-For``, rate, parameters, api-version, route, format",
        "13",
        "requests::the_first_thing_that_is_wrong_decides",
    ),
    Behaviour(EVERY, "unknown paths are 404", "5.1", "requests::unknown_paths"),
    Behaviour(EVERY, "a body that is too long is refused (400)", "13", "requests::a_body_that_is_too_long_is_refused"),
    Behaviour(EVERY, "region lag: the newest api-versions are missing", "3.1", "requests::region_lag"),
    Behaviour(
        EVERY,
        "no answer while the VM is down: connections are refused, open ones reset",
        "6.4",
        "events_wire::a_reboot_breaks_connections_from_before",
    ),
    # --- instance ---
    Behaviour(
        "instance",
        "every field from the api-version that introduced it on, and not before",
        "3.3 to 3.5",
        "conformance::a_version_has_exactly_the_fields_that_had_come_by_then",
    ),
    Behaviour(
        "instance",
        'every value is text; what does not apply is ``""`` or ``[]``',
        "3.2",
        "documents::every_value_is_text",
    ),
    Behaviour(
        "instance",
        "routes into the document, sub-trees unwrapped, case-sensitive",
        "4",
        "requests::sub_trees_are_unwrapped",
    ),
    Behaviour(
        "instance",
        "a value only with ``format=text`` (else 400); a listing for objects and arrays",
        "4",
        "documents::text_form_of_each_kind_of_element",
    ),
    Behaviour(
        "instance", "an empty value is an empty body with status 200", "4", "requests::an_empty_leaf_is_an_empty_body"
    ),
    Behaviour("instance", "a route that leads nowhere is 404", "4", "documents::a_route_that_leads_nowhere"),
    Behaviour(
        "instance",
        "``tags`` in the old ambiguous form beside ``tagsList``",
        "3.3",
        "documents::tags_have_an_ambiguous_and_a_safe_form",
    ),
    Behaviour(
        "instance",
        "no offer, publisher and SKU for custom images",
        "1",
        "documents::a_custom_image_has_no_gallery_names",
    ),
    Behaviour(
        "instance",
        "throttles of data disks for Ultra disks only",
        "3.4",
        "documents::ultra_figures_are_empty_for_other_disks",
    ),
    Behaviour(
        "instance",
        "``extended=true`` from 2021-08-01 on",
        "2",
        "documents::extended_comes_when_asked_for_and_not_before_its_version",
    ),
    Behaviour(
        "instance",
        "no public address behind a Standard load balancer",
        "11",
        "documents::behind_a_load_balancer_the_public_address_is_hidden",
    ),
    Behaviour(
        "instance",
        "uniform scale sets by name, flexible ones by id as well; names and host names by their kind",
        "3.3, 6.6",
        "documents::the_flexible_set_is_named_by_id_and_the_uniform_one_by_name",
    ),
    Behaviour(
        "instance",
        "tags and user data may change while the VM runs",
        "3.3",
        "control::tags_and_user_data_can_change_while_running",
    ),
    # --- versions, v1 ---
    Behaviour(
        "versions",
        "the 35 api-versions of the instance category, ascending; no header, no api-version needed",
        "3.1",
        "conformance::the_service_lists_the_versions_that_the_documentation_lists",
    ),
    Behaviour(
        "v1",
        "``InstanceInfo``: ``_`` and name, update domain, fault domain",
        "2",
        "requests::the_legacy_document_of_placement",
    ),
    # --- scheduled events ---
    Behaviour(
        "scheduledevents", "a list of api-versions of its own", "3.1, 6.2", "requests::the_two_lists_of_versions_differ"
    ),
    Behaviour(
        "scheduledevents",
        "fields and event types by api-version; names with ``_`` in 2017-03-01",
        "6.1, 6.2",
        "events_wire::versions_differ_in_fields_and_types",
    ),
    Behaviour(
        "scheduledevents",
        "Scheduled, Started, gone; DocumentIncarnation counts each change",
        "6.4",
        "events_wire::the_life_of_an_approved_reboot",
    ),
    Behaviour(
        "scheduledevents",
        "without approval an event starts at NotBefore",
        "6.4",
        "events_wire::without_approval_it_starts_at_not_before",
    ),
    Behaviour("scheduledevents", "minimum notice by type", "6.3", "events_wire::the_minimum_notice_of_each_type"),
    Behaviour(
        "scheduledevents",
        "the whole availability set or placement group sees an event; a VM alone its own",
        "6.5",
        "fleet::scope_is_the_set_the_placement_group_or_the_vm_alone",
    ),
    Behaviour(
        "scheduledevents",
        "an approval is for all Resources; any VM in scope may give it",
        "6.7",
        "events_wire::an_approval_is_for_all_resources_and_any_vm_in_scope_may_give_it",
    ),
    Behaviour(
        "scheduledevents",
        "an approval from outside of the scope is refused (400)",
        "6.7",
        "events_wire::nobody_outside_of_the_scope_can_approve",
    ),
    Behaviour(
        "scheduledevents",
        "approving again is fine (200), approving what is gone is not (400)",
        "6.7",
        "events_wire::approving_twice_and_too_late_is_fine_while_the_event_is_listed",
    ),
    Behaviour(
        "scheduledevents",
        "several StartRequests in one POST: all or none",
        "6.7",
        "events_wire::several_are_approved_at_once_or_none",
    ),
    Behaviour(
        "scheduledevents",
        "a malformed POST is refused (400); DocumentIncarnation beside it means nothing",
        "6.7",
        "events_wire::a_malformed_approval",
    ),
    Behaviour(
        "scheduledevents",
        "an approved event waits for the host's other tenants, not beyond NotBefore",
        "6.4",
        "events_wire::other_tenants_delay_the_start_but_not_beyond_not_before",
    ),
    Behaviour(
        "scheduledevents",
        "cancellation: the event vanishes without having started",
        "6.4",
        "events_wire::a_cancelled_event_vanishes_without_having_started",
    ),
    Behaviour(
        "scheduledevents",
        "the same EventId with another NotBefore",
        "14",
        "events_wire::the_same_event_with_another_not_before",
    ),
    Behaviour(
        "scheduledevents",
        "a sudden hardware failure appears as Started",
        "6.3",
        "events_wire::a_hardware_failure_appears_as_started",
    ),
    Behaviour(
        "scheduledevents",
        "a Reboot that turns out to be a pause, or nothing",
        "6.4",
        "events_wire::a_reboot_that_turns_out_milder",
    ),
    Behaviour(
        "scheduledevents",
        "a frozen VM answers when the pause is over",
        "6.4",
        "events_wire::a_frozen_vm_answers_when_the_pause_is_over",
    ),
    Behaviour(
        "scheduledevents",
        "Preempt: Spot VMs alone, deallocated or deleted by their policy",
        "6.8",
        "events_wire::preempt_takes_the_vm_away_for_good",
    ),
    Behaviour(
        "scheduledevents",
        "Terminate: notice by the VM's own setting; deletions wait for each other",
        "6.8",
        "events_wire::coupled_deletions_wait_for_each_other",
    ),
    Behaviour(
        "scheduledevents",
        "a user's restart waits up to 15 minutes where somebody listens, and is immediate elsewhere",
        "6.8",
        "events_wire::a_restart_waits_only_where_somebody_listens",
    ),
    Behaviour(
        "scheduledevents",
        "at most so many user operations at once (10 in 2017), as an option",
        "6.8",
        "events_wire::no_more_than_ten_user_operations_at_once_when_so_configured",
    ),
    Behaviour(
        "scheduledevents",
        "a slow first call and late first events, as options",
        "1.5",
        "events_wire::the_first_call_may_take_its_time_and_events_come_later",
    ),
    Behaviour(
        "scheduledevents",
        "switched off by 24 hours of silence, then counting anew, as an option",
        "1.5",
        "events_wire::a_long_silence_switches_the_service_off_and_counts_anew",
    ),
    # --- attested ---
    Behaviour(
        "attested",
        "a PKCS#7 signature over nonce, times, VM, subscription, plan, SKU and licence",
        "8",
        "attested::what_is_signed",
    ),
    Behaviour("attested", "fields by api-version", "8", "attested::fields_by_version"),
    Behaviour(
        "attested",
        "leaf, intermediate (to be fetched) and root, of a CA that the emulator makes",
        "8",
        "attested::the_chain_leads_over_the_fetched_intermediate_to_the_root",
    ),
    Behaviour("attested", "the signer's name by cloud", "8, 9", "attested::each_cloud_signs_by_its_own_name"),
    Behaviour("attested", "a nonce of more than 32 letters and digits is refused (400)", "8", "attested::bad_nonces"),
    # --- identity ---
    Behaviour(
        "identity",
        "a token, all figures as text; it opens the emulator's Resource Manager",
        "7",
        "identity::a_token_has_all_its_figures_as_text",
    ),
    Behaviour(
        "identity",
        "system- and user-assigned identities, by ``client_id``, ``object_id`` or ``msi_res_id``",
        "7",
        "identity::which_identity_a_token_is_of",
    ),
    Behaviour(
        "identity",
        "the service's own cache, and ``bypass_cache``",
        "7",
        "identity::the_service_keeps_a_token_until_it_is_nearly_over_or_told_not_to",
    ),
    Behaviour("identity", "errors in the identity category's own shape", "7", "identity::documented_refusals"),
    Behaviour("identity", "20 requests a second", "1.4", "requests::twenty_tokens_a_second"),
    Behaviour("identity", "5 requests under way", "1.4", "identity::no_more_than_five_at_once"),
    Behaviour("identity", "``identity/info`` names the directory", "2", "identity::the_directory_of_the_vm"),
    # --- load balancer ---
    Behaviour(
        "loadbalancer",
        "public addresses, inbound and outbound rules; ports as numbers, IPv6 in brackets",
        "2.1",
        "surroundings::what_a_load_balancer_does_for_a_vm",
    ),
    Behaviour(
        "loadbalancer",
        "404 without a load balancer; unknown parameters and paths refused in its own words",
        "5.2",
        "requests::the_load_balancers_part_has_words_of_its_own",
    ),
    # --- Resource Manager ---
    Behaviour(
        MANAGER,
        "VMs of a subscription without uniform instances; ids that differ in case",
        "12.2 A",
        "resource_manager::the_list_of_vms_has_the_model_but_no_uniform_instance_and_no_status",
    ),
    Behaviour(
        MANAGER,
        "``statusOnly=true``: run-time status of the whole list",
        "12.2 B",
        "resource_manager::status_only_joins_by_id_without_case",
    ),
    Behaviour(
        MANAGER,
        "``$filter`` and ``$expand`` for one flexible set",
        "12.2 C",
        "resource_manager::the_flexible_set_can_be_filtered_and_expanded",
    ),
    Behaviour(MANAGER, "scale sets and availability sets", "12.2 D, J", "resource_manager::sets"),
    Behaviour(
        MANAGER,
        "instances of a uniform set with ``$expand``, ``$select`` and the power state's ``$filter``",
        "12.2 E",
        "resource_manager::instances_of_a_uniform_set_can_be_selected_and_filtered",
    ),
    Behaviour(
        MANAGER,
        "network interfaces and public addresses",
        "12.2 F, G",
        "resource_manager::interfaces_and_public_addresses_lead_back_to_the_vm",
    ),
    Behaviour(
        MANAGER,
        "those of a uniform set, at api-version 2018-10-01 alone",
        "12.2 H, I",
        "resource_manager::uniform_instances_have_their_own_calls",
    ),
    Behaviour(MANAGER, "the instance view of one VM", "12.2 K", "resource_manager::the_instance_view_of_one_vm"),
    Behaviour(
        MANAGER,
        "pages with absolute, opaque ``nextLink``",
        "12.2",
        "resource_manager::pages_are_linked_and_lose_nothing",
    ),
    Behaviour(
        MANAGER,
        "bearer token: missing, foreign, expired, of another audience (401)",
        "12.2",
        "resource_manager::a_token_for_something_else_or_an_old_one",
    ),
    Behaviour(
        MANAGER,
        "several subscriptions; 403 for what the fleet file denies",
        "12.2",
        "resource_manager::several_subscriptions_and_one_that_may_not_be_read",
    ),
    Behaviour(
        MANAGER,
        "VMs that are off, failed, or without run-time status",
        "12.1",
        "resource_manager::vms_that_are_off_or_broken",
    ),
    Behaviour(
        MANAGER,
        "limits with their headers, 429 with ``Retry-After``",
        "12.4",
        "resource_manager::reads_are_counted_and_refused_beyond_the_limit",
    ),
    Behaviour(
        MANAGER,
        "Resource Graph: a list of VMs with addresses, in pages",
        "12.3",
        "surroundings::a_list_of_vms_by_resource_graph",
    ),
    Behaviour(
        MANAGER,
        "Resource Graph: whole documents of several types, in pages",
        "12.3",
        "surroundings::documents_by_resource_graph_in_pages",
    ),
    Behaviour(MANAGER, "Resource Graph: quota and its headers", "12.3", "surroundings::the_quota_of_resource_graph"),
    Behaviour(
        MANAGER,
        "sign-in with a client secret at the token endpoint",
        "9",
        "surroundings::an_application_signs_in_with_its_secret",
    ),
    Behaviour(
        MANAGER,
        "``/metadata/endpoints`` in its three forms",
        "9",
        "surroundings::the_clouds_description_in_its_three_forms",
    ),
    Behaviour(
        MANAGER, "plain HTTP, or TLS by the emulator's own CA", "12.2", "surroundings::resource_manager_over_tls"
    ),
)


IMDS = "Azure Instance Metadata Service for virtual machines"
EVENTS = "Scheduled Events for Linux VMs in Azure; … for Windows VMs"
TOKENS = "How to use managed identities for Azure resources on an Azure VM to acquire an access token"
SECTIONS = {
    "1": ("Transport: address, headers, methods, rates, times", IMDS),
    "2": ("Endpoints, their parameters and first api-versions", IMDS),
    "2.1": ("Load balancer metadata", "Retrieve load balancer metadata using Azure Instance Metadata Service (IMDS)"),
    "3": (
        "Api-versions; the fields of the instance document and when each came",
        f"{IMDS}; OpenAPI files of the service in the repository ``Azure/azure-rest-api-specs``",
    ),
    "4": ("Routes and the text format", IMDS),
    "5": (
        "Errors and their bodies",
        f"{IMDS}; Common error codes when using IMDS to retrieve load balancer information",
    ),
    "6": ("Scheduled events: document, versions, notice, life, scope, names, approval", EVENTS),
    "6.8": (
        "What users do: restart, redeploy, delete, evict",
        f"{EVENTS}; Terminate notification for Azure Virtual Machine Scale Set instances",
    ),
    "7": ("Managed identity tokens", TOKENS),
    "8": ("Attested document", IMDS),
    "9": ("Clouds, their names and endpoints", "``/metadata/endpoints`` of Resource Manager; ``az cloud list``"),
    "11": ("What real clients have met", "public issues of the clients"),
    "12": ("Resource Manager: calls, shapes, paging", "Azure REST API reference, Compute and Network"),
    "12.3": (
        "Resource Graph",
        "Working with large Azure resource data sets; Guidance for throttled requests in Azure Resource Graph",
    ),
    "12.4": (
        "Throttling",
        "Understand how Azure Resource Manager throttles requests; Troubleshooting API throttling errors",
    ),
    "13": (
        "What is chosen here because nothing public says it",
        "see :ref:`below <ansible_collections.azure_guest.imds.docsite.emulator_choices>`",
    ),
    "14": ("Faults that real services have shown", "public issues of the clients"),
}
