# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loadbalancer category (contract section 2.1): ports are numbers here, and IPv6 addresses stand in brackets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure_emulator.fleet.model import Vm


def loadbalancer_document(vm: Vm) -> dict[str, Any] | None:
    """What the load balancers do for a VM; None when it is behind none."""
    if not vm.load_balancers:
        return None
    private = vm.primary_nic.private_ips[0]
    public = [
        {"frontendIpAddress": nic.public_ip, "privateIpAddress": nic.private_ips[0]} for nic in vm.nics if nic.public_ip
    ]
    inbound = [
        {
            "frontendIpAddress": _bracketed(balancer.frontend_ip),
            "protocol": rule.protocol,
            "frontendPort": rule.frontend_port,
            "backendPort": rule.backend_port,
            "privateIpAddress": private,
        }
        for balancer in vm.load_balancers
        for rule in balancer.rules
    ]
    outbound = [
        {"frontendIpAddress": _bracketed(balancer.frontend_ip), "privateIpAddress": private}
        for balancer in vm.load_balancers
        if balancer.outbound
    ]
    return {"loadbalancer": {"publicIpAddresses": public, "inboundRules": inbound, "outboundRules": outbound}}


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


__all__ = ["loadbalancer_document"]
