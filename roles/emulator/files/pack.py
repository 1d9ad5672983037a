# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the emulator beside this file into one archive, on the controller, and print where it is and its digest.

One file travels faster than eighty, and its digest names the directory that it is unpacked into: another version never
mixes with the one before.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def pack(source: Path) -> bytes:
    """A tar archive of a package; the same files make the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(source.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".yml"):
                data = path.read_bytes()
                entry = tarfile.TarInfo(str(path.relative_to(source.parent)))
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def main(folder: str) -> None:
    """Pack into a folder."""
    data = pack(Path(__file__).with_name("azure_emulator"))
    digest = hashlib.sha256(data).hexdigest()
    archive = Path(folder, f"azure-emulator-{digest[:12]}.tar")
    archive.write_bytes(data)
    sys.stdout.write(json.dumps({"path": str(archive), "digest": digest}))


if __name__ == "__main__":
    main(sys.argv[1])
