# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Facts about the VM that this runs on: always the same keys, whatever the machine.

A machine that is no Azure VM is told from its SMBIOS alone: no packet is sent, and the client is not even imported.
"""

from __future__ import annotations

import time
import typing as t

from .detection import detect
from .settings import AUTO, Settings

if t.TYPE_CHECKING:
    from .errors import ImdsError

# What can be gathered beside the instance document, each by one request of its own.
PARTS = ("load_balancer", "scheduled_events", "attested", "versions")


class Wish(t.NamedTuple):
    """What to gather, and from where.

    Attributes:
        enabled: ``auto``: ask on an Azure VM or at a configured endpoint; ``true``: ask; ``false``: do not.
        options: the connection options by name, as ``settings.Settings.of`` takes them.
        parts: some of :data:`PARTS`.
        public_keys: whether the SSH keys are among the facts.
        user_data: whether user data is wanted, beside the facts.
    """

    enabled: str = "auto"
    options: t.Mapping[str, t.Any] = {}
    parts: tuple[str, ...] = ()
    public_keys: bool = False
    user_data: bool = False


class Gathered(t.NamedTuple):
    """What came of it.

    Attributes:
        facts: see :func:`blank`.
        warnings: sentences for the user.
        error: why there are no facts, when the service was asked; None otherwise.
        user_data: base64 text, only when wished; it is no fact, for facts are cached.
    """

    facts: dict[str, t.Any]
    warnings: tuple[str, ...] = ()
    error: ImdsError | None = None
    user_data: str | None = None


def blank(*, now: float | None = None, reason: str | None = None, error: str | None = None) -> dict[str, t.Any]:
    """Facts that say nothing yet: every key, with None, an empty list or an empty dict for its value.

    Args:
        now: epoch seconds; the wall clock by default.
        reason: one sentence that says why there are no facts.
        error: the same as a word: ``disabled``, or the ``kind`` of an ImdsError.
    """
    nothing = (
        "endpoint api_version name vm_id vm_id_verified resource_id subscription_id resource_group computer_name "
        "location extended_location environment resource_manager size os_type fault_domain update_domain "
        "sub_fault_domain zone physical_zone placement_group_id dedicated_host_id dedicated_host_group_id scale_set "
        "scale_set_id scale_set_mode scale_set_instance_id availability_set priority eviction_policy license_type "
        "hibernation_enabled mac_address public_keys load_balancer scheduled_events attested versions"
    )
    facts: dict[str, t.Any] = {"available": False, "reason": reason, "error": error}
    facts.update(dict.fromkeys(nothing.split()))
    facts["collected_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    for name in ("private_ipv4", "public_ipv4", "private_ipv6", "interfaces", "data_disks"):
        facts[name] = []
    for name in ("tags", "compute", "network"):
        facts[name] = {}
    disk = "name id size_gb storage_type caching ephemeral"
    for name, keys in (
        ("image", "publisher offer sku version exact_version id"),
        ("plan", "name product publisher"),
        ("security", "type secure_boot virtual_tpm encryption_at_host"),
        ("os_disk", disk),
    ):
        facts[name] = dict.fromkeys(keys.split())
    return facts


def gather(wish: Wish, *, root: str = "/", now: t.Callable[[], float] = time.time) -> Gathered:
    """Gather facts about this machine.

    Args:
        wish: what, and from where.
        root: where the file system begins.
        now: epoch seconds.

    Returns:
        Facts in any case: a service that fails is a reason in them and an ``error``, not an exception.

    Raises:
        ValueError: an option is wrong; the text names it.
    """
    settings = Settings.of(wish.options)
    if wish.enabled == "false":
        return Gathered(blank(now=now(), reason="switched off: enabled is false", error="disabled"))
    if wish.enabled == "auto" and settings.endpoint == AUTO:
        found = detect(root.rstrip("/") + "/sys/class/dmi/id")
        if not found.on_azure:
            reason = f"this machine is not an Azure VM: {found.reason}"
            return Gathered(blank(now=now(), reason=reason, error="not_on_azure"))
    from .gathering import ask_service  # brings the client along, which is of no use off Azure

    return ask_service(wish, settings, root=root, now=now)


__all__ = ["PARTS", "Gathered", "Wish", "blank", "gather"]
