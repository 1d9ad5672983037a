# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The service: parts put together from a configuration, signals, and the loop."""

from __future__ import annotations

import argparse
import os
import select
import signal
import typing as t

from ..imds.client import ImdsClient, RetryPolicy
from ..imds.detection import require_azure
from ..imds.documents import check_instance, text
from ..imds.errors import BadAnswerError
from ..imds.scheduled_events import ScheduledEvents
from .agent import Agent, EventsSource, Identity, Parts
from .clock import Clock, make_clock
from .config import Config, ConfigError, load
from .fleet.document import Member
from .fleet.file import FileStore
from .fleet.memory import MemoryStore
from .fleet.store import Store
from .hooks import Launcher, Limits, ProcessLauncher, Runner
from .journal import Journal
from .logs import Log, default_log
from .notices import Notices
from .notify import Notifier
from .orders import OperatorFile
from .publish import Publisher
from .systemd_launcher import SystemdLauncher, usable

# The loop is the retry: one try, and the next look soon (contract section 1.5 for the service's own figures).
POLL_POLICY = RetryPolicy(total=10.0, attempt=10.0, retries=0, connect_retries=0, gone_total=0.0)
# The first question of all switches the service on, which takes up to two minutes.
FIRST_POLICY = POLL_POLICY._replace(total=130.0, attempt=130.0)


def boot_id() -> str:
    """What tells this boot from another; empty where the kernel does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def require_service(config: Config) -> None:
    """Before the first question: a service that the configuration names, or Azure's own on an Azure VM.

    Raises:
        NotOnAzureError: there is neither; nothing was sent.
    """
    if config.endpoint is None:
        require_azure()


def identify(client: ImdsClient) -> Identity:
    """This VM's name and domains, from the instance document. Raises ImdsError."""
    compute = check_instance(client.get_json("instance").value).get("compute", {})
    name = text(compute.get("name"))
    if name is None:
        raise BadAnswerError("the instance document has no compute.name (a classic VM?); set vm_name")
    member = Member(
        zone=text(compute.get("zone")),
        fault_domain=text(compute.get("platformFaultDomain")),
        update_domain=text(compute.get("platformUpdateDomain")),
        seen=0.0,
    )
    return Identity(name, member)


def make_store(config: Config) -> Store:
    """The fleet store that a configuration names."""
    if config.fleet.store == "file":
        return FileStore(t.cast("str", config.fleet.path))
    return MemoryStore()


def make_launcher(config: Config) -> Launcher:
    """What starts hooks: systemd where it can, and this process elsewhere."""
    if config.hook_launcher == "systemd" or (config.hook_launcher == "auto" and usable()):
        return SystemdLauncher(config.run_dir)
    return ProcessLauncher()


def make_runner(config: Config, clock: Clock, log: Log) -> Runner:
    """Hooks as the configuration wants them run."""
    return Runner(
        make_launcher(config),
        directory=config.hooks_dir,
        run_dir=config.run_dir,
        limits=Limits(config.hook_timeout, config.hook_timeouts),
        # Hooks are real programs: their limits count in real seconds even when a rehearsal's clock runs faster.
        mono=lambda: clock.real(clock.mono()),
        say=lambda line: log("info", line, {}),
    )


def make_parts(config: Config, *, log: Log, clock: Clock | None = None) -> Parts:
    """Everything that an agent on a real host is made of."""
    clock = clock or make_clock(config.clock)

    def who() -> Identity:
        require_service(config)  # the agent asks for events only once it knows who it is
        return identify(client)

    client = ImdsClient(config.endpoint, policy=POLL_POLICY, keep_alive=True)
    return Parts(
        config=config,
        clock=clock,
        events=ScheduledEvents(client, api_version=config.api_version, first_policy=FIRST_POLICY),
        identify=who,
        store=make_store(config),
        journal=Journal(config.state_dir, spare=config.run_dir, boot_id=boot_id()),
        runner=make_runner(config, clock, log),
        notices=Notices(make_runner(config, clock, log), lambda level, line: log(level, line, {})),
        operator=OperatorFile(os.path.join(config.state_dir, "operator.json")),
        log=log,
    )


def renewed_parts(parts: Parts, config: Config, *, log: Log) -> Parts:
    """What an agent goes on with after its configuration changed: running hooks and the journal stay what they are."""
    old, fresh = parts.config, make_parts(config, log=log, clock=parts.clock)
    if (old.state_dir, old.clock, old.hook_launcher) != (config.state_dir, config.clock, config.hook_launcher):
        log("warning", "another state_dir, clock or hook_launcher is used after a restart only", {})
    limits = Limits(config.hook_timeout, config.hook_timeouts)
    parts.runner.configure(directory=config.hooks_dir, run_dir=config.run_dir, limits=limits)
    parts.notices.configure(directory=config.hooks_dir, run_dir=config.run_dir, limits=limits)
    same_service = (old.endpoint, old.api_version) == (config.endpoint, config.api_version)
    same_store = (old.fleet.store, old.fleet.path) == (config.fleet.store, config.fleet.path)
    return parts._replace(
        config=config,
        events=parts.events if same_service else fresh.events,
        identify=parts.identify if same_service else fresh.identify,
        store=parts.store if same_store else fresh.store,
    )


class Service:
    """Runs an agent until SIGTERM or SIGINT; SIGHUP reads the configuration anew."""

    def __init__(self, config_path: str, config: Config, *, log: Log | None = None) -> None:
        self._path, self._log = config_path, log or default_log()
        self._agent = Agent(make_parts(config, log=self._log))
        self._publisher = Publisher(config, self._log)
        self._notifier = Notifier()
        self._heard: EventsSource | None = None
        self._stopping = self._reloading = False

    def run(self) -> int:
        """Returns the exit status."""
        reader, writer = os.pipe()
        for descriptor in (reader, writer):
            os.set_blocking(descriptor, False)
        # Any of these, a hook that ended included, ends the wait below at once.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._signalled)
        self._agent.start()
        self._notifier.ready()
        while not self._stopping:
            if self._reloading:
                self._reload()
            pause = self._agent.parts.clock.real(self._cycle())
            select.select([reader], [], [], min(pause, self._notifier.longest_pause))
            _drain_pipe(reader)
        self._notifier.stopping()
        self._agent.stop(leave_hooks=True)
        self._publisher.close()
        self._log("info", "stopped", {})
        return 0

    def _cycle(self) -> float:
        """One look of the agent's. The watchdog hears of it only after it."""
        agent, source = self._agent, self._agent.parts.events
        self._notifier.patient(self._heard is not source)  # its first answer may take two minutes
        pause = agent.cycle()
        if agent.last_read is not None and agent.read_error is None:
            self._heard = source
        self._publisher.update(self._agent)
        self._notifier.status(self._publisher.summary)
        self._notifier.alive()
        return pause

    def _signalled(self, number: int, _frame: object) -> None:
        self._stopping = self._stopping or number in (signal.SIGTERM, signal.SIGINT)
        self._reloading = self._reloading or number == signal.SIGHUP

    def _reload(self) -> None:
        self._reloading = False
        self._notifier.reloading()
        try:
            config = load(self._path)
            self._agent.reconfigure(renewed_parts(self._agent.parts, config, log=self._log))
            self._publisher.configure(config)
        except ConfigError as exc:
            self._log("error", f"the configuration is not read anew: {exc}", {})
        else:
            self._log("info", "the configuration was read anew", {})
        self._notifier.ready()


def command(config: Config, options: argparse.Namespace) -> int:
    """``azure-maintenance run``."""
    from .cli import CommandError

    for directory in (config.state_dir, config.run_dir):
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as exc:
            raise CommandError(f"{directory} cannot be made: {exc.strerror}") from exc
    return Service(options.config, config).run()


def _drain_pipe(reader: int) -> None:
    try:
        while os.read(reader, 4096):
            pass
    except BlockingIOError:
        pass


__all__ = ["Service", "boot_id", "command", "identify", "make_launcher", "make_parts", "make_store", "require_service"]
