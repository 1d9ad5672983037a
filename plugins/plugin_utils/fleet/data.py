# Copyright (c) azure_guest.imds contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks what comes from the cloud as data, so that no ansible-core evaluates it as a template.

Since core 2.19 a string is a template only if somebody trusted marked it as one. Before, every string was, unless it
was marked as unsafe; here those with a brace in them are, for there is no template without one.
"""

from __future__ import annotations

from typing import Any

try:
    from ansible.template import trust_as_template as _marks_templates
except ImportError:  # core 2.18
    _marks_templates = None


def as_data(value: Any) -> Any:
    """The value of JSON types with every string in it, keys too, safe from being evaluated."""
    return value if _marks_templates else _marked(value)


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        if "{" not in value and "}" not in value:
            return value
        from ansible.utils.unsafe_proxy import wrap_var  # noqa: PLC0415 only where it is needed

        return wrap_var(value)
    if isinstance(value, dict):
        return {_marked(key): _marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item) for item in value]
    return value


__all__ = ["as_data"]
