# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the modules share: the connection options, documented by the doc fragment of that name, and failures."""

from __future__ import annotations

import sys
import typing as t
import zipimport

if t.TYPE_CHECKING:
    from .imds.errors import ImdsError


def connection_arguments(env_fallback: t.Callable[..., t.Any]) -> dict[str, dict[str, t.Any]]:
    """The argument specification of the connection options.

    Args:
        env_fallback: Ansible's own; passed in, because what lies here knows nothing of Ansible.
    """

    return {
        "endpoint": {"type": "str", "default": "auto", "fallback": (env_fallback, ["AZURE_IMDS_ENDPOINT"])},
        "api_version": {"type": "str", "default": "auto", "fallback": (env_fallback, ["AZURE_IMDS_API_VERSION"])},
        "timeout": {"type": "float", "fallback": (env_fallback, ["AZURE_IMDS_TIMEOUT"])},
        "retries": {"type": "int", "default": 5, "fallback": (env_fallback, ["AZURE_IMDS_RETRIES"])},
    }


def failure(error: ImdsError) -> dict[str, t.Any]:
    """An error as a result has it: the message, and beside it what a playbook can branch on.

    Returns:
        Keyword arguments for ``fail_json``.
    """
    return {
        "msg": str(error),
        "failure": {"kind": error.kind, "status": error.status, "retryable": error.retryable},
    }


def compile_once(path: str) -> None:
    """Spare the modules in a directory of an archive, which is how Ansible sends a module, half of their compilation.

    The import system asks a zipimporter for a module's file name, and CPython's compiles the whole module to tell it;
    then the import itself compiles again. Nothing happens where there is no archive.

    Args:
        path: ``__path__[0]`` of a package from which something was imported already, without packages inside.
    """
    importer = sys.path_importer_cache.get(path)
    if isinstance(importer, zipimport.zipimporter):
        importer.get_filename = (  # type: ignore[method-assign]
            lambda fullname: f"{path}/{fullname.rpartition('.')[2]}.py"
        )


__all__ = ["compile_once", "connection_arguments", "failure"]
