# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""``azure-maintenance doctor``: whatever could keep the handler from its work, what it means, and what to do."""

from __future__ import annotations

import argparse
import os
import shutil
import time
import typing as t

from ..imds.client import DEFAULT_ENDPOINT, Answer, ImdsClient, RetryPolicy, parse_endpoint
from ..imds.detection import DMI_DIRECTORY, detect
from ..imds.documents import check_instance, text
from ..imds.errors import ImdsError
from ..imds.scheduled_events import ScheduledEvents, parse_not_before, resource_key
from .cli import BAD_CONFIG, FAILURE, OK, CommandError
from .config import Config, ConfigError, load
from .fleet.document import FleetFormatError
from .fleet.store import StoreError
from .hooks import HookError, find_hooks
from .looking import out, out_json, read_status
from .routes import Route, read_routes, route_to
from .service import make_store
from .status import ago

GOOD, WARNING, PROBLEM = "ok", "warning", "problem"
# A clock that is further off than this makes deadlines wrong, in seconds.
CLOCK_TOLERANCE = 5.0
LEAST_FREE = 16 * 1024 * 1024
STALE_HOLDER = 86400.0
PATIENCE = RetryPolicy(total=15.0, attempt=10.0, retries=1, connect_retries=0)


class Finding(t.NamedTuple):
    """What was looked at, how it is, and what to do when it is not well."""

    level: str
    what: str
    remedy: str = ""


class Paths(t.NamedTuple):
    """Where the system says what is asked of it; tests put something else there."""

    dmi: str = DMI_DIRECTORY
    routes: str = "/proc/net/route"
    product_uuid: str = DMI_DIRECTORY + "/product_uuid"


def command(options: argparse.Namespace) -> int:
    """Print every finding. 0 when there is no problem."""
    try:
        config = load(options.config)
    except ConfigError as exc:
        findings = [Finding(PROBLEM, problem, f"mend {options.config}") for problem in exc.problems]
        _show(findings, as_json=options.json)
        return BAD_CONFIG
    findings = [Finding(GOOD, f"the configuration {options.config}"), *examine(config)]
    _show(findings, as_json=options.json)
    return FAILURE if any(finding.level == PROBLEM for finding in findings) else OK


def _show(findings: t.Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        out_json([finding._asdict() for finding in findings])
        return
    for finding in findings:
        out(f"{finding.level:<8} {finding.what}")
        if finding.remedy:
            out(f"         {finding.remedy}")
    counts = {level: sum(finding.level == level for finding in findings) for level in (PROBLEM, WARNING)}
    out("")
    out(", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items()))


def examine(config: Config, paths: Paths = Paths()) -> list[Finding]:  # noqa: B008 - an immutable default
    """Every finding about this host."""
    findings = [*check_machine(config, paths), *check_network(config, paths), *check_service(config, paths)]
    findings += [*check_directories(config), *check_hooks(config), *check_fleet(config), *check_handler(config)]
    return findings


# --- the machine and its network -----------------------------------------------------------------------------------


def check_machine(config: Config, paths: Paths) -> list[Finding]:
    """Is this an Azure VM at all?"""
    detection = detect(paths.dmi)
    if detection.on_azure:
        return [Finding(GOOD, "this is an Azure VM")]
    if config.endpoint is not None:
        return [
            Finding(GOOD, f"the configuration names a metadata service, so this need not be Azure: {config.endpoint}")
        ]
    return [Finding(PROBLEM, f"this is not an Azure VM: {detection.reason}", "for a rehearsal, set endpoint")]


def check_network(config: Config, paths: Paths) -> list[Finding]:
    """Where does the way to the service lead?"""
    findings = []
    proxies = sorted(name for name in os.environ if name.lower() in ("http_proxy", "all_proxy") and os.environ[name])
    if proxies:
        findings.append(Finding(GOOD, f"{', '.join(proxies)} is set; the metadata service is asked without a proxy"))
    host = parse_endpoint(config.endpoint or DEFAULT_ENDPOINT)[0]
    try:
        routes = read_routes(paths.routes)
    except OSError as exc:
        return [*findings, Finding(WARNING, f"the routes cannot be read: {paths.routes}: {exc.strerror}")]
    return [*findings, *_route_findings(host, routes)]


def _route_findings(host: str, routes: t.Sequence[Route]) -> list[Finding]:
    if host.startswith("127.") or not host.replace(".", "").isdigit():
        return []
    route = route_to(host, routes)
    default = route_to("0.0.0.0", [r for r in routes if r.prefix == 0])  # noqa: S104 - a destination, not an address
    if route is None:
        remedy = "the primary network interface must use DHCP, which brings the route; or add one to it"
        return [Finding(PROBLEM, f"no route leads to {host}", remedy)]
    if default is not None and route.interface != default.interface:
        remedy = f"it answers on the primary interface only; is that {default.interface}?"
        return [
            Finding(WARNING, f"the route to {host} leaves by {route.interface}, the default route does not", remedy)
        ]
    return [Finding(GOOD, f"the route to {host} leaves by {route.interface}")]


def check_service(config: Config, paths: Paths) -> list[Finding]:
    """Does the service answer, and is it about this VM? Nothing is sent where there is no reason to expect one."""
    if config.endpoint is None and not detect(paths.dmi).on_azure:
        return []
    with ImdsClient(config.endpoint, policy=PATIENCE) as client:
        try:
            began, answer = time.time(), client.get_json("instance")
            compute = check_instance(answer.value).get("compute", {})
        except ImdsError as exc:
            return [Finding(PROBLEM, f"the metadata service: {exc}", _service_remedy(exc))]
        name = text(compute.get("name"))
        took = (time.time() - began) * 1000
        findings = [
            Finding(GOOD, f"the metadata service answers within {took:.0f} ms, api-version {answer.api_version}")
        ]
        findings += [
            *_identity_findings(config, name, text(compute.get("vmId")), paths),
            *_clock_findings(answer, began),
        ]
        try:
            document = ScheduledEvents(client, api_version=config.api_version).read()
        except ImdsError as exc:
            remedy = "the first question ever takes up to two minutes; ask again after that"
            return [*findings, Finding(PROBLEM, f"scheduled events: {exc}", remedy)]
    findings.append(Finding(GOOD, f"scheduled events are on, {len(document.events)} shown"))
    findings += [Finding(WARNING, f"an event cannot be read: {problem}") for problem in document.problems]
    return findings


def _service_remedy(error: ImdsError) -> str:
    return {
        "blocked": "a guest proxy agent, a firewall rule for this user, or a container runtime stands in the way",
        "throttled": "something else on this VM asks all the time; which process is it?",
        "bad_answer": "a proxy or another cloud answers at this address",
        "bad_request": "set api_version to auto",
    }.get(error.kind, "")


def _identity_findings(config: Config, name: str | None, vm_id: str | None, paths: Paths) -> list[Finding]:
    findings = []
    if name is None and config.vm_name is None:
        findings.append(Finding(PROBLEM, "the service does not say this VM's name", "set vm_name"))
    elif config.vm_name and name and config.vm_name.lower() != name.lower():
        remedy = "events name the VM's name in Azure; leave vm_name empty unless this is on purpose"
        findings.append(Finding(WARNING, f"vm_name is {config.vm_name}, and the service calls this VM {name}", remedy))
    else:
        findings.append(Finding(GOOD, f"this VM is {config.vm_name or name}"))
    uuid = _product_uuid(paths.product_uuid)
    if uuid and vm_id and not same_machine(uuid, vm_id):
        what = f"the service describes VM {vm_id}, and this machine's SMBIOS says {uuid}"
        findings.append(Finding(WARNING, what, "does something forward the service's address to another machine?"))
    return findings


def _product_uuid(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read(64).strip()
    except OSError:
        return ""  # only root may read it


def same_machine(uuid: str, vm_id: str) -> bool:
    """Whether an SMBIOS UUID is a vmId: equal, or with the first three groups byte-swapped (contract section 3.7)."""
    groups = uuid.lower().split("-")
    swapped = ["".join(reversed([g[i : i + 2] for i in range(0, len(g), 2)])) for g in groups[:3]] + groups[3:]
    return vm_id.lower() in ("-".join(groups), "-".join(swapped))


def _clock_findings(answer: Answer, asked: float) -> list[Finding]:
    """The service's clock is the host's: NotBefore counts by it."""
    theirs = parse_not_before(answer.headers.get("date", ""))  # the same form, RFC 1123
    if theirs is None:
        return []
    off = abs(asked - theirs)
    if off <= CLOCK_TOLERANCE:
        return [Finding(GOOD, "this VM's clock agrees with the service's")]
    return [
        Finding(WARNING, f"this VM's clock is {off:.0f} s off the service's", "is chrony or systemd-timesyncd running?")
    ]


# --- the handler's own things ----------------------------------------------------------------------------------------


def check_directories(config: Config) -> list[Finding]:
    """Can the journal be written?"""
    findings = []
    for directory in (config.state_dir, config.run_dir):
        if not os.path.isdir(directory):
            findings.append(Finding(WARNING, f"{directory} does not exist", "the service makes it when it starts"))
        elif not os.access(directory, os.W_OK):
            findings.append(
                Finding(PROBLEM, f"{directory} cannot be written", "run this as the service's user, or mend it")
            )
        elif shutil.disk_usage(directory).free < LEAST_FREE:
            findings.append(Finding(WARNING, f"the file system of {directory} is almost full"))
        else:
            findings.append(Finding(GOOD, f"{directory} can be written"))
    return findings


def check_hooks(config: Config) -> list[Finding]:
    """Which hooks are there, and can they be run?"""
    findings = []
    for phase in ("drain", "ready", "resume", "health", "notify"):
        try:
            hooks = find_hooks(config.hooks_dir, phase)
        except HookError as exc:
            findings.append(Finding(PROBLEM, str(exc)))
            continue
        findings += _left_out(config, phase, hooks)
        findings += [f for hook in hooks for f in _interpreter(os.path.join(config.hooks_dir, f"{phase}.d", hook))]
        if hooks:
            findings.append(Finding(GOOD, f"{phase} hooks: {', '.join(hooks)}"))
        elif phase == "drain":
            remedy = "events are approved without draining anything; is that wanted?"
            findings.append(Finding(WARNING, "no drain hooks", remedy))
    return findings + _shipped_settings(config)


def _shipped_settings(config: Config) -> list[Finding]:
    """What is wrong with the settings of shipped hooks."""
    from .shipped import registry, settings

    findings = []
    for name in registry.NAMES:
        path = registry.settings_path(config.hooks_dir, name)
        if os.path.exists(path):
            try:
                registry.check(name, settings.load(path), where=path)
                findings.append(Finding(GOOD, f"settings of the {name} hooks"))
            except settings.SettingsError as exc:
                findings += [Finding(PROBLEM, line, f"mend {path}") for line in str(exc).splitlines()]
    return findings


def _left_out(config: Config, phase: str, hooks: t.Collection[str]) -> list[Finding]:
    place = os.path.join(config.hooks_dir, f"{phase}.d")
    try:
        names = sorted(os.listdir(place))
    except FileNotFoundError:
        return []
    left = [name for name in names if name not in hooks and os.path.isfile(os.path.join(place, name))]
    return [Finding(WARNING, f"{place}/{name} is not run", "chmod +x it, or take it away") for name in left]


def _interpreter(path: str) -> list[Finding]:
    with open(path, "rb") as stream:
        first = stream.readline(256)
    if not first.startswith(b"#!"):
        return []
    words = first[2:].decode("utf-8", "replace").split()
    if words and not os.access(words[0], os.X_OK):
        return [
            Finding(PROBLEM, f"{path} wants {words[0]}, which is not there", "install it, or change the first line")
        ]
    if len(words) > 1 and os.path.basename(words[0]) == "env" and shutil.which(words[1]) is None:
        return [
            Finding(PROBLEM, f"{path} wants {words[1]}, which is not on PATH", "install it, or change the first line")
        ]
    return []


def check_fleet(config: Config) -> list[Finding]:
    """Can the fleet document be used, and is anybody out for too long?"""
    if config.fleet.store == "memory":
        return [Finding(GOOD, "no fleet store: this VM is handled by itself, events of several VMs are left to Azure")]
    try:
        document = make_store(config).load()[0]
    except (StoreError, FleetFormatError) as exc:
        return [Finding(PROBLEM, f"the fleet document: {exc}")]
    findings = [Finding(GOOD, f"the fleet document has {len(document.members)} members, {len(document.holders)} out")]
    now = time.time()
    for name, holder in document.holders.items():
        if now - holder.since > STALE_HOLDER:
            remedy = "if that VM is gone for good, take its slot back"
            findings.append(Finding(WARNING, f"{name} has been out for {ago(now - holder.since)}", remedy))
    return findings


def check_handler(config: Config) -> list[Finding]:
    """Does the service run, and what does it say of itself?"""
    try:
        status = read_status(config)
    except CommandError as exc:
        return [Finding(PROBLEM, str(exc), "systemctl start azure-maintenance")]
    if not status["running"]:
        return [Finding(PROBLEM, "the handler does not run", "systemctl status azure-maintenance")]
    findings = [Finding(GOOD, f"the handler runs; {status['vm_name']} is {status['service'].replace('_', ' ')}")]
    findings += [Finding(PROBLEM, f"{what.replace('_', ' ')}: {why}") for what, why in status["errors"].items()]
    names = {resource_key(name) for event in status["events"] for name in event["resources"]}
    if status["fleet"] and config.fleet.store != "memory":
        strangers = sorted(names - {resource_key(name) for name in status["fleet"]["members"]})
        if strangers:
            remedy = (
                "an event that touches them is never approved here; install a handler, or list them in assume_ready"
            )
            findings.append(Finding(WARNING, f"no handler is known of {', '.join(strangers)}", remedy))
    return findings


if __name__ == "__main__":
    raise SystemExit("run azure-maintenance doctor")
