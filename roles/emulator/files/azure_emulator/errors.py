# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong by the user's own input; everything else is a bug."""

from __future__ import annotations


class EmulatorError(Exception):
    """Root of the errors that are shown to users as one sentence."""


class InputError(EmulatorError):
    """A fleet file, scenario, control call or option that cannot be used.

    Args:
        path: where, for instance ``vms[3].fault_domain``; empty for the whole document.
        problem: what is wrong, and what would be right.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem

    def inside(self, *outer: str) -> InputError:
        """The same error, seen from further outside: first a file, or the key that its path is below."""
        return InputError(": ".join(filter(None, [*outer, self.path])), self.problem)


class NotFoundError(EmulatorError):
    """A control call names something that is not there."""


class ListenError(EmulatorError):
    """An address cannot be listened on."""


__all__ = ["EmulatorError", "InputError", "ListenError", "NotFoundError"]
