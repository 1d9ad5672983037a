# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lookups share: strict options, the connection, errors that name the lookup."""

from __future__ import annotations

import difflib
import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.imds.connection import ask, require_azure
from ..module_utils.imds.errors import ImdsError, NotOnAzureError
from ..module_utils.imds.settings import Settings

if t.TYPE_CHECKING:
    from ..module_utils.imds.client import ImdsClient

T = t.TypeVar("T")


class ImdsLookup(LookupBase):
    """A lookup that asks the metadata service of the controller's own VM."""

    NAME: str

    def start(self, variables: dict[str, t.Any] | None, keywords: dict[str, t.Any]) -> Settings:
        """Read the options; a keyword that is none is refused, where Ansible would ignore it."""
        known = set(self.option_definitions) - {"_terms"}
        for keyword in keywords:
            if keyword not in known:
                near = difflib.get_close_matches(keyword, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"the options are {', '.join(sorted(known))}"
                raise AnsibleLookupError(f"{self.NAME}: unknown option {keyword!r}; {hint}")
        self.set_options(var_options=variables, direct=keywords)
        try:
            return Settings.of({name: self.get_option(name) for name in Settings._fields if name in known})
        except ValueError as exc:
            raise AnsibleLookupError(f"{self.NAME}: {exc}") from exc

    def ask(self, settings: Settings, question: t.Callable[[ImdsClient], T]) -> T:
        """Put a question to the service of the controller's VM."""
        try:
            require_azure(settings)
            return ask(settings, question)
        except NotOnAzureError as exc:
            raise AnsibleLookupError(
                f"{self.NAME} asks about the controller, which is where lookups run: {exc} "
                "For facts about a managed host use the module azure_guest.imds.instance_facts."
            ) from exc
        except (ImdsError, ValueError) as exc:
            raise AnsibleLookupError(f"{self.NAME}: {exc}") from exc
