# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may stand in a fleet file: one dataclass for each mapping; a field's help is its documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azure_emulator.errors import InputError
from azure_emulator.imds.versions import EVENTS_VERSIONS, INSTANCE_VERSIONS
from azure_emulator.reading import (
    boolean,
    choice,
    either,
    expect_mapping,
    form,
    guid,
    integer,
    ipv4,
    ipv6,
    key,
    list_of,
    mapping_of,
    number,
    optional,
    part,
    resource_name,
    text,
)

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "72f988bf-0000-0000-0000-2d7cd011db47"
ENVIRONMENTS = ("AzurePublicCloud", "AzureUSGovernmentCloud", "AzureChinaCloud", "AzureGermanCloud", "AzureStack")
STATES = ("running", "stopped", "deallocated")

_boolean_or_ipv4 = either(boolean, ipv4, when=bool)
_boolean_or_ipv6 = either(boolean, ipv6, when=bool)
_ultra_figure = optional(integer(minimum=0))


@form("IP address")
def _address(value: Any, path: str) -> str:
    return ipv6(value, path) if ":" in str(value) else ipv4(value, path)


@form("an api-version of the instance category")
def _instance_version(value: Any, path: str) -> str:
    return choice(*INSTANCE_VERSIONS)(text()(value, path), path)


@form("``PT5M`` to ``PT15M``")
def _notice(value: Any, path: str) -> float:
    """The notice of a deletion, ``PT5M`` to ``PT15M`` (contract section 6.8), in seconds."""
    minutes = value[2:-1] if isinstance(value, str) and value.startswith("PT") and value.endswith("M") else ""
    if not minutes.isdecimal() or not 5 <= int(minutes) <= 15:
        raise InputError(path, f"{value!r} is not of PT5M to PT15M")
    return int(minutes) * 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """The image that a VM was made from."""

    publisher: str = key(text(empty=True), "Publisher of a gallery image.", default="Canonical")
    offer: str = key(text(empty=True), "Offer of a gallery image.", default="ubuntu-24_04-lts")
    sku: str = key(text(empty=True), "SKU of a gallery image.", default="server")
    version: str = key(text(empty=True), "Version of a gallery image.", default="24.04.202512100")
    id: str = key(
        text(empty=True), "Resource id of a custom image; such a VM has no publisher, offer or SKU.", default=""
    )
    community_gallery_image_id: str = key(text(empty=True), "Id in a community gallery.", default="")
    shared_gallery_image_id: str = key(text(empty=True), "Id in a shared gallery.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSpec:
    """The marketplace plan of a VM."""

    name: str = key(text(empty=True), "Plan.", default="")
    product: str = key(text(empty=True), "Product.", default="")
    publisher: str = key(text(empty=True), "Publisher.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeySpec:
    """An SSH key of the VM's administrator."""

    key_data: str = key(text(), "The public key; Azure hands on line ends inside it as they are.")
    path: str = key(text(), "Where it was put.", default="/home/azureuser/.ssh/authorized_keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionSpec:
    """Encryption of an OS disk."""

    enabled: bool = key(boolean, "Whether it is on.", default=False)
    disk_vault: str = key(text(empty=True), "Resource id of the vault with the secret.", default="")
    disk_secret_url: str = key(text(empty=True), "Address of the secret.", default="")
    key_vault: str = key(text(empty=True), "Resource id of the vault with the key.", default="")
    key_url: str = key(text(empty=True), "Address of the key.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class OsDiskSpec:
    """The OS disk of a VM."""

    name: str | None = key(optional(text()), "Name; null for one made from the VM's.", default=None)
    size_gb: int = key(integer(minimum=1), "Size.", default=30)
    caching: str = key(choice("None", "ReadOnly", "ReadWrite"), "Host caching.", default="ReadWrite")
    create_option: str = key(text(), "How it came to be.", default="FromImage")
    storage_account_type: str = key(text(), "Kind of storage.", default="Premium_LRS")
    ephemeral: bool = key(boolean, "Whether it lives on the host only.", default=False)
    write_accelerator: bool = key(boolean, "Whether write acceleration is on.", default=False)
    encryption: EncryptionSpec = key(part(EncryptionSpec), "Encryption.", factory=EncryptionSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDiskSpec:
    """A data disk of a VM."""

    name: str | None = key(optional(text()), "Name; null for one made from the VM's.", default=None)
    lun: int | None = key(optional(integer(minimum=0)), "Logical unit number; null for the next.", default=None)
    size_gb: int = key(integer(minimum=1), "Size.", default=128)
    caching: str = key(choice("None", "ReadOnly", "ReadWrite"), "Host caching.", default="None")
    create_option: str = key(text(), "How it came to be.", default="Empty")
    storage_account_type: str = key(text(), "Kind of storage.", default="Premium_LRS")
    write_accelerator: bool = key(boolean, "Whether write acceleration is on.", default=False)
    ultra: bool = key(boolean, "Whether it is an Ultra disk; the throttles are shown for those only.", default=False)
    shared: bool = key(boolean, "Whether several VMs may use it (Ultra).", default=False)
    bytes_per_second: int | None = key(_ultra_figure, "Throughput throttle (Ultra).", default=None)
    operations_per_second: int | None = key(_ultra_figure, "Operations throttle (Ultra).", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySpec:
    """The security profile of a VM."""

    secure_boot: bool = key(boolean, "UEFI secure boot.", default=True)
    virtual_tpm: bool = key(boolean, "Virtual TPM.", default=True)
    encryption_at_host: bool = key(boolean, "Encryption at the host.", default=False)
    security_type: str = key(text(empty=True), "TrustedLaunch, ConfidentialVM or empty.", default="TrustedLaunch")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySpec:
    """The managed identities of a VM."""

    system_assigned: bool = key(boolean, "Whether it has one of its own.", default=True)
    user_assigned: tuple[str, ...] = key(list_of(text()), "Names out of the fleet's identities.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class NicSpec:
    """A network interface of a VM."""

    mac: str | None = key(optional(text()), "Hardware address in any usual form; null for a made-up one.", default=None)
    private_ips: tuple[str, ...] = key(list_of(ipv4), "Private addresses; empty for a made-up one.", default=())
    prefix: int = key(integer(minimum=8, maximum=29), "Length of the subnet's prefix.", default=24)
    public_ip: bool | str = key(_boolean_or_ipv4, "A public address, or true for a made-up one.", default=False)
    ipv6: bool | str = key(_boolean_or_ipv6, "An IPv6 address, or true for a made-up one.", default=False)
    primary: bool | None = key(optional(boolean), "Whether it is the primary one; null: the first is.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactHookSpec:
    """Commands that really stop and start something when a VM goes down and comes back."""

    begin: tuple[str, ...] = key(list_of(text()), "Command and arguments for the begin of an impact.", default=())
    end: tuple[str, ...] = key(list_of(text()), "Command and arguments for its end.", default=())
    timeout: float = key(number(minimum=0.1), "Real seconds that each may take.", default=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSpec:
    """A virtual machine."""

    name: str = key(resource_name, "Name of the VM resource (compute.name).")
    alias: str | None = key(
        optional(resource_name),
        "Name on the control side, where two VMs of different groups share a name.",
        default=None,
    )
    size: str = key(text(), "VM size.", default="Standard_D2s_v5")
    location: str = key(text(), "Region.")
    environment: str = key(choice(*ENVIRONMENTS), "Cloud.")
    subscription_id: str = key(guid, "Subscription.")
    resource_group: str = key(resource_name, "Resource group.")
    tags: dict[str, str] = key(mapping_of(text(empty=True)), "Tags, added to the fleet's.", factory=dict)
    availability_set: str | None = key(optional(text()), "Name of an availability set.", default=None)
    scale_set: str | None = key(optional(text()), "Name of a scale set.", default=None)
    fault_domain: int | None = key(
        optional(integer(minimum=0)), "Fault domain; null: the set's, in turn.", default=None
    )
    update_domain: int | None = key(
        optional(integer(minimum=0)), "Update domain; null: the set's, in turn.", default=None
    )
    sub_fault_domain: int | None = key(optional(integer(minimum=0)), "Sub fault domain.", default=None)
    zone: str = key(text(empty=True), "Availability zone.", default="")
    physical_zone: str | None = key(optional(text(empty=True)), "Physical zone; null for a made-up one.", default=None)
    private_ip: str | None = key(optional(ipv4), "Private address; null for a made-up one.", default=None)
    public_ip: bool | str = key(_boolean_or_ipv4, "A public address, or true for a made-up one.", default=False)
    ipv6: bool | str = key(_boolean_or_ipv6, "A private IPv6 address, or true for a made-up one.", default=False)
    nics: tuple[NicSpec, ...] = key(
        list_of(part(NicSpec)), "Network interfaces, instead of the three above.", default=()
    )
    load_balancers: tuple[str, ...] = key(list_of(text()), "Names out of the fleet's load balancers.", default=())
    state: str = key(choice(*STATES), "Power state at the start.", default="running")
    provisioning_state: str = key(
        choice("Succeeded", "Failed", "Creating"), "As Resource Manager says.", default="Succeeded"
    )
    instance_view: str = key(
        choice("full", "no_statuses", "absent"),
        "How much of the run-time status Resource Manager has; a broken VM lacks some or all.",
        default="full",
    )
    os_type: str = key(choice("Linux", "Windows"), "Operating system.", default="Linux")
    image: ImageSpec = key(part(ImageSpec), "Image.", factory=ImageSpec)
    plan: PlanSpec = key(part(PlanSpec), "Marketplace plan.", factory=PlanSpec)
    computer_name: str | None = key(optional(text()), "Host name; null for one made from the name.", default=None)
    admin_username: str = key(text(empty=True), "Administrator.", default="azureuser")
    disable_password_authentication: bool = key(boolean, "Whether only keys log in.", default=True)
    public_keys: tuple[PublicKeySpec, ...] = key(list_of(part(PublicKeySpec)), "SSH keys.", default=())
    user_data: str = key(text(empty=True), "User data, base64.", default="")
    has_custom_data: bool = key(boolean, "Whether there was custom data (its content is never shown).", default=False)
    license_type: str = key(text(empty=True), "Hybrid Benefit licence.", default="")
    priority: str = key(choice("Regular", "Low", "Spot"), "Spot VMs can be evicted.", default="Regular")
    eviction_policy: str = key(choice("Deallocate", "Delete"), "What becomes of an evicted VM.", default="Deallocate")
    host_id: str = key(text(empty=True), "Resource id of a dedicated host.", default="")
    host_group_id: str = key(text(empty=True), "Resource id of a dedicated host group.", default="")
    extended_location: str = key(text(empty=True), "Name of an edge zone.", default="")
    hibernation: bool = key(boolean, "Whether it may hibernate.", default=False)
    host_compatibility_layer: bool = key(boolean, "Whether it runs on the host compatibility layer.", default=False)
    security: SecuritySpec = key(part(SecuritySpec), "Security profile.", factory=SecuritySpec)
    os_disk: OsDiskSpec = key(part(OsDiskSpec), "OS disk.", factory=OsDiskSpec)
    data_disks: tuple[DataDiskSpec, ...] = key(list_of(part(DataDiskSpec)), "Data disks.", default=())
    resource_disk_kb: int = key(integer(minimum=0), "Size of the temporary disk; 0 for none.", default=0)
    identity: IdentitySpec = key(part(IdentitySpec), "Managed identities.", factory=IdentitySpec)
    terminate_notification: float | None = key(
        optional(_notice), "Notice of a deletion, PT5M to PT15M; null: deleted without.", default=None
    )
    approve_user_operations: bool = key(
        boolean, "Whether restarts and redeploys by the user need no approval.", default=False
    )
    on_impact: ImpactHookSpec = key(part(ImpactHookSpec), "Commands for its outages.", factory=ImpactHookSpec)
    client_addresses: tuple[str, ...] = key(
        list_of(ipv4), "On a shared address: which callers are this VM, by their source address.", default=()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilitySetSpec:
    """An availability set."""

    name: str = key(resource_name, "Name.")
    fault_domains: int = key(integer(minimum=1, maximum=3), "Number of fault domains.", default=2)
    update_domains: int = key(integer(minimum=1, maximum=20), "Number of update domains.", default=5)
    location: str = key(text(), "Region.")
    subscription_id: str = key(guid, "Subscription.")
    resource_group: str = key(resource_name, "Resource group.")
    tags: dict[str, str] = key(mapping_of(text(empty=True)), "Tags of the set itself.", factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSetSpec:
    """A scale set."""

    name: str = key(resource_name, "Name.")
    orchestration_mode: str = key(choice("Uniform", "Flexible"), "Kind of scale set.", default="Uniform")
    instances: int = key(integer(minimum=0, maximum=5000), "How many VMs to make for it.", default=0)
    vm: dict[str, Any] = key(expect_mapping, "What its VMs have in common: any key of a VM.", factory=dict)
    zones: tuple[str, ...] = key(list_of(text()), "Zones, dealt out in turn.", default=())
    fault_domains: int | None = key(
        optional(integer(minimum=1, maximum=5)), "Number of fault domains; null: 5 if uniform, else 1.", default=None
    )
    single_placement_group: bool = key(boolean, "At most 100 VMs, which all see each other's events.", default=True)
    location: str = key(text(), "Region.")
    subscription_id: str = key(guid, "Subscription.")
    resource_group: str = key(resource_name, "Resource group.")
    tags: dict[str, str] = key(mapping_of(text(empty=True)), "Tags of the set itself.", factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """An inbound rule of a load balancer."""

    protocol: str = key(choice("tcp", "udp"), "Protocol.", default="tcp")
    frontend_port: int = key(integer(minimum=1, maximum=65535), "Port that is called.")
    backend_port: int = key(integer(minimum=1, maximum=65535), "Port on the VM.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerSpec:
    """A load balancer of the Standard SKU, which hides its VMs' public addresses from the instance document."""

    name: str = key(resource_name, "Name.")
    frontend_ip: str = key(_address, "Public address, IPv4 or IPv6.")
    rules: tuple[RuleSpec, ...] = key(list_of(part(RuleSpec)), "Inbound rules.", default=())
    outbound: bool = key(boolean, "Whether the VMs also leave by it.", default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentitySpec:
    """A user-assigned identity."""

    name: str = key(resource_name, "Name.")
    resource_group: str | None = key(optional(resource_name), "Resource group; null for the fleet's.", default=None)
    client_id: str | None = key(optional(guid), "Client id; null for a made-up one.", default=None)
    object_id: str | None = key(optional(guid), "Object id; null for a made-up one.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePrincipalSpec:
    """An application that signs in with a secret, for callers outside of the VMs."""

    client_id: str = key(guid, "Client id.")
    client_secret: str = key(text(), "Secret; it opens nothing but this emulator.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeniedSpec:
    """What a caller may not read."""

    subscription_id: str | None = key(optional(guid), "In which subscription; null for all.", default=None)
    action: str = key(text(), "Which actions; ``*`` stands for any text.", default="*")
    client_id: str | None = key(optional(guid), "For which caller; null for all.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsApiSpec:
    """How the scheduledevents category behaves."""

    first_call_delay: float = key(
        number(minimum=0), "Seconds that a VM's first call takes (Azure: up to 120).", default=0.0
    )
    delivery_delay: float = key(
        number(minimum=0), "Seconds from there to the first event (Azure: up to 300).", default=0.0
    )
    disable_after: float | None = key(
        optional(number(minimum=1)),
        "Seconds without a call that switch it off (Azure: 86400); null for never.",
        default=None,
    )
    newest_version: str = key(
        choice(*EVENTS_VERSIONS), "Newest api-version of the category in the region.", default=EVENTS_VERSIONS[-1]
    )
    lenient_versions: bool = key(boolean, "Take any instance api-version as the nearest older one.", default=False)
    user_operations: int | None = key(
        optional(integer(minimum=1)),
        "User operations that may be open at once (10 in 2017); null for any.",
        default=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityApiSpec:
    """How the identity category behaves."""

    token_lifetime: int = key(integer(minimum=60), "Seconds that a token is good for.", default=86400)
    latency: float = key(
        number(minimum=0), "Seconds that a token takes which is not in the service's cache.", default=0.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceManagerApiSpec:
    """How Azure Resource Manager behaves."""

    page_size: int = key(integer(minimum=1), "Entries of a page.", default=200)
    latency: float = key(number(minimum=0), "Real seconds that each call takes.", default=0.0)
    status_shows_update_domain: bool = key(
        boolean, "Whether ``statusOnly=true`` names the update domain, which is not documented.", default=True
    )
    throttle: bool = key(boolean, "Whether calls are counted and refused beyond the limits.", default=True)
    denied: tuple[DeniedSpec, ...] = key(list_of(part(DeniedSpec)), "What may not be read.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSpec:
    """How the services behave."""

    newest_version: str = key(
        _instance_version,
        "Newest instance api-version of the region; an older one is a region lag.",
        default=INSTANCE_VERSIONS[-1],
    )
    rate_limit: bool = key(boolean, "Whether 5 requests a second are the limit (identity: 20).", default=True)
    strict_header: bool = key(boolean, "Take only lower-case ``true`` on the identity path.", default=False)
    scheduled_events: EventsApiSpec = key(part(EventsApiSpec), "Scheduled events.", factory=EventsApiSpec)
    identity: IdentityApiSpec = key(part(IdentityApiSpec), "Managed identity.", factory=IdentityApiSpec)
    resource_manager: ResourceManagerApiSpec = key(
        part(ResourceManagerApiSpec), "Resource Manager.", factory=ResourceManagerApiSpec
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """A fleet file."""

    name: str = key(text(), "A name for people.", default="fleet")
    seed: str = key(text(), "What all made-up ids derive from.", default="azure-emulator")
    location: str = key(text(), "Region of everything that names none.", default="westeurope")
    environment: str = key(choice(*ENVIRONMENTS), "Cloud of every VM that names none.", default="AzurePublicCloud")
    tenant_id: str = key(guid, "Directory.", default=TENANT)
    subscription_id: str = key(guid, "Subscription of everything that names none.", default=SUBSCRIPTION)
    resource_group: str = key(resource_name, "Resource group of everything that names none.", default="rg-demo")
    tags: dict[str, str] = key(mapping_of(text(empty=True)), "Tags of every VM.", factory=dict)
    api: ApiSpec = key(part(ApiSpec), "How the services behave.", factory=ApiSpec)
    defaults: dict[str, Any] = key(expect_mapping, "What the VMs have in common: any key of a VM.", factory=dict)
    availability_sets: tuple[Any, ...] = key(list_of(expect_mapping), "Availability sets.", default=())
    scale_sets: tuple[Any, ...] = key(list_of(expect_mapping), "Scale sets.", default=())
    load_balancers: tuple[LoadBalancerSpec, ...] = key(list_of(part(LoadBalancerSpec)), "Load balancers.", default=())
    identities: tuple[UserIdentitySpec, ...] = key(
        list_of(part(UserIdentitySpec)), "User-assigned identities.", default=()
    )
    service_principals: tuple[ServicePrincipalSpec, ...] = key(
        list_of(part(ServicePrincipalSpec)), "Applications with a secret.", default=()
    )
    vms: tuple[Any, ...] = key(list_of(expect_mapping), "Virtual machines.", default=())


__all__ = [
    "ENVIRONMENTS",
    "STATES",
    "SUBSCRIPTION",
    "TENANT",
    "ApiSpec",
    "AvailabilitySetSpec",
    "DataDiskSpec",
    "DeniedSpec",
    "EventsApiSpec",
    "FleetSpec",
    "IdentityApiSpec",
    "IdentitySpec",
    "ImageSpec",
    "ImpactHookSpec",
    "LoadBalancerSpec",
    "NicSpec",
    "OsDiskSpec",
    "ResourceManagerApiSpec",
    "RuleSpec",
    "ScaleSetSpec",
    "ServicePrincipalSpec",
    "UserIdentitySpec",
    "VmSpec",
]
