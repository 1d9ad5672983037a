# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Asks the service for what makes the facts: one request for the instance document, one for each further part."""

from __future__ import annotations

import typing as t

from . import system
from .connection import ask
from .documents import check_instance, objects, walk
from .errors import ImdsError
from .facts import Gathered, Wish, blank
from .instance import derive, public_keys, user_data
from .settings import AUTO, Settings

if t.TYPE_CHECKING:
    from .client import Answer, ImdsClient


def ask_service(wish: Wish, settings: Settings, *, root: str, now: t.Callable[[], float]) -> Gathered:
    """Ask, and make facts of the answers. See ``facts.gather``."""
    try:
        return ask(settings, lambda client: _gather(client, settings, wish, root, now()), root=root)
    except ImdsError as exc:
        facts = blank(now=now(), reason=str(exc), error=exc.kind)
        return Gathered(facts, (f"No Azure facts: {exc}",), exc)


def _gather(client: ImdsClient, settings: Settings, wish: Wish, root: str, now: float) -> Gathered:
    answer = client.get_json("instance", api_version=settings.api_version)
    document = check_instance(answer.value)
    warnings: list[str] = []
    facts = blank(now=now)
    facts.update(_instance_facts(client, answer, document, root, settings, warnings))
    if wish.public_keys:
        facts["public_keys"] = public_keys(document)
    if wish.parts:
        _add_parts(client, wish.parts, settings, facts, warnings)
    secret = _user_data(document, answer, warnings) if wish.user_data else None
    return Gathered(facts, tuple(warnings), None, secret)


def _instance_facts(
    client: ImdsClient,
    answer: Answer,
    document: t.Mapping[str, t.Any],
    root: str,
    settings: Settings,
    warnings: list[str],
) -> dict[str, t.Any]:
    here = system.read(root, interfaces=len(objects(walk(document, "network", "interface"))))
    facts = derive(document, here)
    if settings.endpoint == AUTO and facts["vm_id_verified"] is False:
        warnings.append(
            f"The metadata service describes another machine than this one: its vmId is {facts['vm_id']}, this "
            f"machine's SMBIOS UUID is {here.uuid}. Does a container, a nested VM or a proxy stand in between?"
        )
    return {"available": True, "endpoint": client.endpoint, "api_version": answer.api_version, **facts}


def _user_data(document: t.Mapping[str, t.Any], answer: Answer, warnings: list[str]) -> str | None:
    if "userData" not in (document.get("compute") or {}):
        warnings.append(f"User data is not known to api-version {answer.api_version} of this service (2021-01-01 is).")
    return user_data(document)


def _add_parts(
    client: ImdsClient, parts: tuple[str, ...], settings: Settings, facts: dict[str, t.Any], warnings: list[str]
) -> None:
    """Read each further part; one that fails is marked so and leaves the others alone."""
    from . import parts as further  # most runs ask for none

    for name in parts:
        try:
            facts[name] = {"available": True, "reason": None, **getattr(further, name)(client, facts, settings)}
        except ImdsError as exc:
            facts[name] = {"available": False, "reason": str(exc), **further.blank(name)}
            if not isinstance(exc, further.EXPECTED.get(name, ())):
                warnings.append(f"No Azure facts about {name}: {exc}")
    if "load_balancer" in parts:
        further.add_public_addresses(facts)


__all__ = ["ask_service"]
