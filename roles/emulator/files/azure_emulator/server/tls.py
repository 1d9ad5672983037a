# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS for the Resource Manager side, with a certificate of the emulator's own CA."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from azure_emulator.certificates import Authority, write_private


class Tls:
    """A TLS context, and the file with the CA that its callers have to trust.

    :meth:`close` removes the file, unless the CA is kept in a directory.
    """

    def __init__(self, authority: Authority, address: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="azure-emulator-")
        root = authority.root().certificate_pem()
        kept = authority.kept_certificate
        self.ca_file = str(kept or Path(self._folder.name, "root.pem"))
        if kept is None:
            Path(self.ca_file).write_bytes(root)
        pair = authority.server(address)
        server = Path(self._folder.name, "server.pem")
        write_private(server, pair.key_pem() + pair.certificate_pem())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(server)
        server.unlink()  # loaded; the key need not lie around

    def close(self) -> None:
        """Remove the CA's file."""
        self._folder.cleanup()


__all__ = ["Tls"]
