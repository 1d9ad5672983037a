# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that change a proper answer: documents with one of the oddities that real services have shown.

Each takes the decoded JSON document of its category, may change it in place, and returns it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

Document = dict[str, Any]
Change = Callable[[Document, str], Document]


class Distortion(NamedTuple):
    """What a fault changes: in which category, how (given the VM's name), and in a sentence."""

    category: str
    change: Change
    help: str


def _each_event(change: Callable[[Document], None]) -> Change:
    def apply(document: Document, _vm: str) -> Document:
        for event in document["Events"]:
            change(event)
        return document

    return apply


def _set_in_events(name: str, value: Any) -> Change:
    def change(event: Document) -> None:
        if name in event:
            event[name] = value

    return _each_event(change)


def _iso_not_before(event: Document) -> None:
    if event["NotBefore"]:
        event["NotBefore"] = parsedate_to_datetime(event["NotBefore"]).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lower_case_ids(event: Document) -> None:
    event["EventId"] = event["EventId"].lower()


def _upper_case_ids(event: Document) -> None:
    event["EventId"] = event["EventId"].upper()


def _underscore_names(event: Document) -> None:
    event["Resources"] = [name if name.startswith("_") else f"_{name}" for name in event["Resources"]]


def _without_self(document: Document, vm: str) -> Document:
    for event in document["Events"]:
        event["Resources"] = [name for name in event["Resources"] if name.lower() not in (vm.lower(), f"_{vm}".lower())]
    return document


def _foreign_event(document: Document, vm: str) -> Document:
    """An event of some neighbour that is not in the fleet stands first."""
    event = {
        "EventId": str(uuid.uuid5(uuid.NAMESPACE_DNS, vm)).upper(),
        "EventStatus": "Scheduled",
        "EventType": "Reboot",
        "ResourceType": "VirtualMachine",
        "Resources": ["a-neighbour-of-another-tenant"],
        "NotBefore": "Mon, 01 Jan 2035 00:00:00 GMT",
        "Description": "",
        "EventSource": "Platform",
        "DurationInSeconds": -1,
    }
    document["Events"].insert(0, event)
    return document


def _set_in_compute(name: str, change: Callable[[Any], Any]) -> Change:
    def apply(document: Document, _vm: str) -> Document:
        compute = document.get("compute", {})
        if name in compute:
            compute[name] = change(compute[name])
        return document

    return apply


def _odd_tags(document: Document, _vm: str) -> Document:
    """A tag whose value holds both separators of the old tags string."""
    compute = document.get("compute", {})
    if "tags" in compute:
        compute["tags"] = ";".join(filter(None, [compute["tags"], "odd:a:b;c"]))
    if "tagsList" in compute:
        compute["tagsList"].append({"name": "odd", "value": "a:b;c"})
    return document


def _carriage_returns(document: Document, _vm: str) -> Document:
    for key in document.get("compute", {}).get("publicKeys", []):
        middle = len(key["keyData"]) // 2
        key["keyData"] = key["keyData"][:middle] + "\r\n" + key["keyData"][middle:] + "\r\n"
    return document


def _interfaces(change: Callable[[list[Document]], None]) -> Change:
    def apply(document: Document, _vm: str) -> Document:
        change(document["network"]["interface"])
        return document

    return apply


def _without_public_addresses(interfaces: list[Document]) -> None:
    for interface in interfaces:
        for address in interface["ipv4"]["ipAddress"]:
            address["publicIpAddress"] = ""


def _without_network(document: Document, _vm: str) -> Document:
    document.pop("network", None)
    return document


def _without_compute(document: Document, _vm: str) -> Document:
    document.pop("compute", None)
    return document


def _every_other_letter(text: str) -> str:
    """``westeurope`` as ``WestEurope`` would need a dictionary; what matters is that the case differs."""
    return text[:1].upper() + text[1:4].lower() + text[4:].title()


def _unchanged(document: Document, _vm: str) -> Document:
    return document


DISTORTIONS: dict[str, Distortion] = {
    "upper_case_ids": Distortion("scheduledevents", _each_event(_upper_case_ids), "EventIds in upper case"),
    "lower_case_ids": Distortion("scheduledevents", _each_event(_lower_case_ids), "EventIds in lower case"),
    "iso_not_before": Distortion("scheduledevents", _each_event(_iso_not_before), "NotBefore as in the 2017 samples"),
    "empty_not_before": Distortion("scheduledevents", _set_in_events("NotBefore", ""), "NotBefore empty"),
    "empty_description": Distortion("scheduledevents", _set_in_events("Description", ""), "Description empty"),
    "unknown_duration": Distortion("scheduledevents", _set_in_events("DurationInSeconds", -1), "duration -1"),
    "unknown_type": Distortion("scheduledevents", _set_in_events("EventType", "Relocate"), "a type yet to come"),
    "without_self": Distortion("scheduledevents", _without_self, "the asking VM left out of Resources"),
    "underscore_names": Distortion("scheduledevents", _each_event(_underscore_names), "names with a leading _"),
    "foreign_event": Distortion("scheduledevents", _foreign_event, "an event of another tenant's VM stands first"),
    "incarnation_reset": Distortion("scheduledevents", _unchanged, "DocumentIncarnation starts anew at 1"),
    "empty_zone": Distortion("instance", _set_in_compute("zone", lambda _: ""), "zone empty"),
    "odd_tags": Distortion("instance", _odd_tags, "a tag with : and ; in its value"),
    "carriage_returns": Distortion("instance", _carriage_returns, "public keys with CR LF inside"),
    "mixed_case_location": Distortion("instance", _set_in_compute("location", _every_other_letter), "location"),
    "upper_case_environment": Distortion(
        "instance", _set_in_compute("azEnvironment", str.upper), "azEnvironment in upper case"
    ),
    "numbers": Distortion("instance", _set_in_compute("platformFaultDomain", int), "a number where text is due"),
    "interfaces_swapped": Distortion("instance", _interfaces(list.reverse), "interfaces in another order"),
    "without_public_addresses": Distortion("instance", _interfaces(_without_public_addresses), "no public addresses"),
    "without_network": Distortion("instance", _without_network, "no network part"),
    "without_compute": Distortion("instance", _without_compute, "no compute part, as on classic VMs"),
    "region_lag": Distortion("instance", _unchanged, "the newest api-versions are missing"),
}

__all__ = ["DISTORTIONS", "Distortion"]
