"""The part of systemd that runs transient services, small: programs of its names that act on real processes.

``install`` puts ``systemd-run``, ``systemctl`` and ``journalctl`` into a directory. They record how they were called,
and do what the real ones do about the properties that matter here: environment file, input, output, result.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path


def install(directory: Path) -> Path:
    """Write the programs. Returns the directory where calls, units and the journal are recorded."""
    state = directory / "state"
    state.mkdir(parents=True)
    for name in ("systemd-run", "systemctl", "journalctl"):
        program = directory / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -I {__file__} {state} {name} "$@"\n')
        program.chmod(0o755)
    return state


def main(state: Path, name: str, arguments: list[str]) -> int:
    if name == "monitor":
        return monitor(state, arguments[0])
    with (state / "calls").open("a") as stream:
        stream.write(json.dumps([name, *arguments]) + "\n")
    return {"systemd-run": systemd_run, "systemctl": systemctl, "journalctl": journalctl}[name](state, arguments)


def systemd_run(state: Path, arguments: list[str]) -> int:
    if (state / "refuse").exists():
        sys.stderr.write("Failed to start transient service unit: " + (state / "refuse").read_text() + "\n")
        return 1
    cut = arguments.index("--")
    options, command = arguments[:cut], arguments[cut + 1 :]
    unit = next(o for o in options if o.startswith("--unit=")).removeprefix("--unit=")
    properties = dict(o.removeprefix("--property=").split("=", 1) for o in options if o.startswith("--property="))
    (state / unit).write_text(json.dumps({"properties": properties, "command": command, "pid": None}))
    command = [sys.executable, "-I", __file__, str(state), "monitor", unit]
    none = subprocess.DEVNULL
    subprocess.Popen(command, start_new_session=True, stdin=none, stdout=none, stderr=none)
    return 0


def monitor(state: Path, unit: str) -> int:
    """What PID 1 does: runs the command, notes the end of it, ends the rest of it, runs ExecStopPost=."""
    described = json.loads((state / unit).read_text())
    properties = described["properties"]
    environment = {"PATH": os.defpath, **parse_environment(Path(properties["EnvironmentFile"]).read_text())}
    result = ["exit-code", "exited", "203"]
    with (state / f"{unit}.journal").open("wb") as output:
        source = Path(properties["StandardInput"].removeprefix("file:")).open("rb")  # noqa: SIM115
        try:
            child = subprocess.Popen(
                described["command"],
                env=environment,
                stdin=source,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=properties["WorkingDirectory"],
            )
        except OSError:
            pass
        else:
            (state / f"{unit}.pid").write_text(str(child.pid))
            status = child.wait()
            signal_group(child.pid, signal.SIGKILL)
            if status < 0:
                result = ["signal", "killed", signal.Signals(-status).name.removeprefix("SIG")]
            else:
                result = ["exit-code" if status else "success", "exited", str(status)]
    if not (state / "forgetful").exists():
        told = dict(zip(("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"), result, strict=True))
        subprocess.run(shlex.split(properties["ExecStopPost"]), env={**environment, **told}, check=True)
    (state / unit).unlink()
    return 0


def parse_environment(text: str) -> dict[str, str]:
    found = re.findall(r'^(\w+)="((?:[^"\\]|\\.)*)"$', text, re.MULTILINE | re.DOTALL)
    return {name: re.sub(r'\\(["\\$`])', r"\1", value) for name, value in found}


def systemctl(state: Path, arguments: list[str]) -> int:
    verb, unit = arguments[0], arguments[-1]
    if verb == "show":
        sys.stdout.write(f"ActiveState={'active' if (state / unit).exists() else 'inactive'}\nJob=0\n")
        return 0
    if not (state / unit).exists():
        sys.stderr.write(f"Unit {unit} not loaded.\n")
        return 5
    number = signal.SIGTERM
    if verb == "kill":
        number = signal.Signals[next(a for a in arguments if a.startswith("--signal=")).removeprefix("--signal=")]
    pid_file = state / f"{unit}.pid"
    while not pid_file.exists() and (state / unit).exists():
        time.sleep(0.005)
    signal_group(int(pid_file.read_text()), number)
    while verb == "stop" and (state / unit).exists():
        time.sleep(0.005)
    return 0


def journalctl(state: Path, arguments: list[str]) -> int:
    for argument in arguments:
        if argument.startswith("_SYSTEMD_UNIT="):
            sys.stdout.write((state / f"{argument.removeprefix('_SYSTEMD_UNIT=')}.journal").read_text())
    return 0


def signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
