"""A client that knows no address but Azure's own, in a private network with nothing in it but an emulator.

To be run by ``unshare --map-root-user --net``: prints as JSON what OpenTelemetry's detector says of the machine.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

ADDRESS = "169.254.169.254"


def main(fleet: Path) -> None:
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        raise SystemExit("this is no private network")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    serve = [
        sys.executable,
        "-m",
        "azure_emulator",
        "serve",
        "--fleet",
        str(fleet),
        "--port",
        "0",
        "--control-port",
        "0",
    ]
    shared = ["--shared-address", f"{ADDRESS}:80", "--allow-non-loopback"]
    with subprocess.Popen([*serve, *shared], stdout=subprocess.PIPE, text=True) as emulator:
        try:
            assert emulator.stdout is not None
            json.loads(emulator.stdout.readline())
            from opentelemetry.resource.detector.azure.vm import AzureVMResourceDetector

            found = AzureVMResourceDetector().detect().attributes
            sys.stdout.write(json.dumps({name: str(value) for name, value in found.items()}))
        finally:
            emulator.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
