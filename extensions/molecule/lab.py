#!/usr/bin/env python3
# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab that the Molecule scenarios run in: real systemd hosts, and no way out.

It is a set of namespaces below one name: a network without any uplink, a mount namespace in which the control groups
are a pure version 2 tree of the lab's own, and Podman's state beside the machine's own. In the machine's namespaces
Podman would leave firewall chains behind, and a container that may mount could reach the machine's control groups.

    lab.py check          why this machine cannot have a lab; nothing when it can
    lab.py up | down      make it, or end everything in it and remove it
    lab.py image          build the hosts' image from this machine's own Debian package sources, if it is not current
    lab.py run COMMAND    run a command inside
    lab.py emulator ARGS  run azure_emulator inside, on Azure's own address, having checked that this leads nowhere
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAME = "azure-guest-lab"
STATE = Path("/run") / NAME
METADATA_ADDRESS = "169.254.169.254"
IMAGE = f"localhost/{NAME}-host:latest"
SUITE = "bookworm"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "netavark": "netavark",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
}
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "iproute2", "procps")
# Files of these namespaces are where a process joins them.
NAMESPACES = ("net", "mnt", "cgroup")
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
pids_limit = 0
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[engine.runtimes]
runc = ["/usr/sbin/runc", "/usr/bin/runc"]
[network]
network_config_dir = "{state}/networks"
"""
# The network of the hosts. The metadata address is one more of the lab's own, on the same link as theirs.
NETWORK, SUBNET, GATEWAY = "azure", "169.254.169.0/24", "169.254.169.1"
# A runtime makes every mount private and systemd in a container leaves it so; LoadCredential= wants them shared.
INIT = "#!/bin/sh\nmount --make-rshared / 2>/dev/null\nexec /sbin/init\n"
JOURNALD = "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n"


class LabError(Exception):
    """What cannot be done, and why."""


def cgroup_root() -> Path:
    """The machine's version 2 hierarchy, beside the old one or alone."""
    unified = Path("/sys/fs/cgroup/unified")
    root = unified if unified.is_dir() else Path("/sys/fs/cgroup")
    return root / NAME


def obstacles() -> list[str]:
    """Why there can be no lab here."""
    if sys.platform != "linux":
        return [f"it needs Linux, and this is {sys.platform}"]
    found = []
    if os.geteuid() != 0:
        found.append("it needs root, for namespaces and for systemd in containers")
    missing = sorted({package for program, package in PROGRAMS.items() if not find_program(program)})
    if missing:
        found.append(f"programs are missing; apt-get install --no-install-recommends {' '.join(missing)}")
    if not SOURCES.is_file():
        found.append(f"the hosts' image is made from {SOURCES}, which is not here (is this Debian 12?)")
    if not (cgroup_root().parent / "cgroup.controllers").exists():
        found.append("there is no version 2 hierarchy of control groups")
    return found


def find_program(name: str) -> str | None:
    """Its path; netavark is no command of its own."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/lib/podman")


def call(*command: str, quiet: bool = False) -> str:
    """Run a program. Raises LabError."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode and not quiet:
        raise LabError(f"{' '.join(command[:6])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def is_up() -> bool:
    """Whether the namespaces exist."""
    kind = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(STATE / "net")], capture_output=True, encoding="utf-8", check=False
    )
    return kind.stdout.strip() == "nsfs"


def up() -> None:
    """Make the namespaces."""
    if is_up():
        return
    STATE.mkdir(exist_ok=True)
    call("mount", "--bind", str(STATE), str(STATE))
    call("mount", "--make-private", str(STATE))
    for name in NAMESPACES:
        (STATE / name).touch()
    # A container must not be given more than we have, and Podman lowers its own number of processes to pid_max.
    files, processes = (resource.getrlimit(what)[1] for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    most = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    processes = most if processes == resource.RLIM_INFINITY else min(processes, most)
    settings = CONTAINERS_CONF.format(files=files, processes=processes, state=STATE)
    (STATE / "containers.conf").write_text(settings, encoding="ascii")
    # Processes of ours live in a group below, because a group that has children must have no processes.
    (cgroup_root() / "inside").mkdir(parents=True, exist_ok=True)
    private = "/run/containers /run/libpod /run/netns /run/runc /run/lock /dev/shm"
    script = f"""
        mount -t sysfs sysfs /sys
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        for place in {private}; do mkdir -p $place; mount -t tmpfs -o mode=755 tmpfs $place; done
        : >/run/lock/resolv.conf; mount --bind /run/lock/resolv.conf /etc/resolv.conf
        ip link set lo up
    """
    places = [f"--{kind}={STATE / name}" for kind, name in (("net", "net"), ("mount", "mnt"), ("cgroup", "cgroup"))]
    join = f'echo $$ >"{cgroup_root()}/cgroup.procs"; exec "$@"'
    call("sh", "-ec", join, "sh", "unshare", *places, "--propagation=private", "sh", "-ec", script)
    network = ["--internal", "--disable-dns", f"--subnet={SUBNET}", f"--gateway={GATEWAY}", NETWORK]
    call(*command_inside(["podman", "network", "create", *network]))
    call(*command_inside(["ip", "address", "add", f"{METADATA_ADDRESS}/32", "dev", "lo"]))


def down() -> None:
    """End every process of the lab, by its control group, and remove what was made."""
    group = cgroup_root()
    for _attempt in range(50):
        mine = {str(os.getpid()), str(os.getppid())}
        pids = [pid for place in group.rglob("cgroup.procs") for pid in place.read_text(encoding="ascii").split()]
        pids = [pid for pid in pids if pid not in mine]
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
    for name in NAMESPACES:
        call("umount", str(STATE / name), quiet=True)
    call("umount", str(STATE), quiet=True)
    shutil.rmtree(STATE, ignore_errors=True)
    for place in sorted(group.rglob("*"), reverse=True) if group.exists() else []:
        if place.is_dir():
            place.rmdir()
    if group.exists():
        group.rmdir()


def command_inside(command: list[str]) -> list[str]:
    """What runs a command in the lab."""
    if os.environ.get("AZURE_GUEST_LAB") == "inside":
        return command
    up()
    (cgroup_root() / "inside" / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    os.environ.update(CONTAINERS_CONF=str(STATE / "containers.conf"))
    places = [f"--{kind}={STATE / name}" for kind, name in (("net", "net"), ("mount", "mnt"), ("cgroup", "cgroup"))]
    return ["nsenter", *places, f"--wd={Path.cwd()}", "--", *command]


def run(command: list[str]) -> None:
    """Become a command inside."""
    full = command_inside(command)
    os.execvpe(full[0], full, {**os.environ, "AZURE_GUEST_LAB": "inside"})


def emulator(arguments: list[str]) -> None:
    """Become the emulator, where nobody else can be reached and nobody else can reach it."""
    inside = command_inside(["ip", "route", "get", METADATA_ADDRESS])
    route = call(*inside)
    if not route.startswith("local ") or "dev lo" not in route:
        raise LabError(f"{METADATA_ADDRESS} is not the lab's own: {route}")
    away = subprocess.run(command_inside(["ip", "route", "get", "192.0.2.1"]), capture_output=True, check=False)
    if away.returncode == 0:
        raise LabError("the lab has a way out; lab.py down, and again")
    run([sys.executable, "-m", "azure_emulator", *arguments])


def image() -> None:
    """Build the hosts' image."""
    text = Path(__file__).read_bytes() + SOURCES.read_bytes()
    key = hashlib.sha256(text).hexdigest()[:16]
    label = ["podman", "image", "inspect", '--format={{index .Labels "key"}}', IMAGE]
    if call(*command_inside(label), quiet=True).strip() == key:
        return
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-") as name:
        place = Path(name)
        (place / "lab-init").write_text(INIT, encoding="ascii")
        (place / "lab-init").chmod(0o755)
        (place / "lab.conf").write_text(JOURNALD, encoding="ascii")
        timers = "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer"
        hooks = [
            f"copy-in {place / 'lab-init'} /usr/local/sbin",
            'mkdir -p "$1/etc/systemd/journald.conf.d"',
            f"copy-in {place / 'lab.conf'} /etc/systemd/journald.conf.d",
            'rm -f "$1/etc/hostname" "$1/var/lib/dbus/machine-id"; : >"$1/etc/machine-id"',
            f'chroot "$1" systemctl mask getty.target console-getty.service {timers}',
        ]
        slim = [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("man", "doc", "locale", "info")]
        archive = place / "host.tar"
        call(
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            '--aptopt=Acquire::Languages "none"',
            *slim,
            f"--include={','.join(PACKAGES)}",
            *(f"--customize-hook={hook}" for hook in hooks),
            SUITE,
            str(archive),
            str(SOURCES),
        )
        changes = ['CMD ["/usr/local/sbin/lab-init"]', "STOPSIGNAL SIGRTMIN+3", f"LABEL key={key}"]
        options = [f"--change={change}" for change in changes]
        call(*command_inside(["podman", "import", "--quiet", *options, str(archive), IMAGE]))


def main(arguments: list[str]) -> int:
    """Do as told. Returns the exit status."""
    if not arguments or arguments[0] not in ("check", "up", "down", "image", "run", "emulator"):
        sys.stderr.write(__doc__ or "")
        return 2
    word, rest = arguments[0], arguments[1:]
    found = obstacles()
    if word == "check" or found:
        for obstacle in found:
            sys.stdout.write(f"no lab here: {obstacle}\n")
        return 1 if found else 0
    try:
        if word in ("run", "emulator"):
            {"run": run, "emulator": emulator}[word](rest)
        else:
            {"up": up, "down": down, "image": image}[word]()
    except LabError as exc:
        sys.stderr.write(f"lab: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
