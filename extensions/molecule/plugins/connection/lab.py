# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands in a host of the lab, whose container has the host's name."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lab
short_description: Run tasks in a host of the lab
description:
  - Runs commands with C(podman exec) in the container of the same name. For the Molecule scenarios of this collection.
author:
  - azure_guest.imds contributors (@azure-guest)
options: {}
"""

import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase


class Connection(ConnectionBase):
    """A host of the lab."""

    transport = "lab"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def _podman(self, *arguments, data=None):
        command = ["podman", "--log-level=error", *arguments]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd, in_data=None, sudoable=False):
        """Run a command line."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._podman("exec", "--interactive", self._play_context.remote_addr, "/bin/sh", "-c", cmd, data=in_data)

    def put_file(self, in_path, out_path):
        """Send a file."""
        super().put_file(in_path, out_path)
        self._copy(f"cat > '{out_path}'", Path(in_path).read_bytes())

    def fetch_file(self, in_path, out_path):
        """Fetch a file."""
        super().fetch_file(in_path, out_path)
        Path(out_path).write_bytes(self._copy(f"cat '{in_path}'"))

    def _copy(self, command, data=None):
        code, out, error = self.exec_command(command, in_data=data)
        if code:
            raise AnsibleConnectionFailure(f"{command}: {error.decode(errors='replace')}")
        return out

    def close(self):
        """End it."""
        self._connected = False
