# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Any element of any category by its path, the way a user writes it."""

from __future__ import annotations

import typing as t

from .api_versions import LADDERS, category_of
from .errors import AbsentError

if t.TYPE_CHECKING:
    from .client import ImdsClient

AUTO, JSON, TEXT = "auto", "json", "text"
FORMATS = (AUTO, JSON, TEXT)
CATEGORIES = (*sorted(LADDERS), "versions")


def normal_path(term: t.Any) -> str:
    """The path below ``/metadata`` that a user means: ``instance/compute/name``.

    Raises:
        ValueError: it is none; the text says why.
    """
    if not isinstance(term, str):
        raise ValueError(f"a path is text, not {term!r:.60}")
    path = term.strip().strip("/")
    if path.startswith("metadata/"):
        path = path[len("metadata/") :]
    if "?" in path or "://" in path:
        raise ValueError(f"{term!r} is no path; parameters go into query, the address into endpoint")
    if not path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{term!r} is no path such as instance/compute/location")
    if category_of(path) not in CATEGORIES:
        raise ValueError(f"{term!r} is in no category of the service; those are {', '.join(CATEGORIES)}")
    if path.startswith("identity/oauth2"):
        raise ValueError(f"{term!r} gives a secret; use the lookup azure_guest.imds.access_token for it")
    return path


class MetadataReader:
    """Reads elements by path, all of the instance category from one document.

    Args:
        client: speaks to the service.
        api_version: ``auto``, or one version for every path.
        form: ``json`` and ``text`` put each path to the service in this format; ``auto`` reads JSON, and takes
            elements of the instance document out of the whole, which the service itself would not give as JSON when
            they are plain values (contract section 4).
        query: further parameters of each request.
    """

    def __init__(
        self,
        client: ImdsClient,
        *,
        api_version: str = "auto",
        form: str = AUTO,
        query: t.Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._api_version = api_version
        self._form = form
        self._query = query
        self._instance: t.Any = None

    def get(self, path: str) -> t.Any:
        """The element at a path as ``normal_path`` gives it.

        Raises:
            AbsentError: the service has no such element.
            ValueError: the category has no text form.
            ImdsError: it could not be read.
        """
        category = category_of(path)
        if self._form == TEXT:
            if category != "instance":
                raise ValueError(f"format text exists for the instance category only, not for {path}")
            return self._client.get_text(path, api_version=self._api_version).value
        if self._form == JSON or category != "instance" or self._query:
            return self._json(path)
        if self._instance is None:
            self._instance = self._json(category)
        return pick(self._instance, path)

    def _json(self, path: str) -> t.Any:
        sensitive = category_of(path) in ("identity", "attested")
        return self._client.get_json(path, api_version=self._api_version, query=self._query, sensitive=sensitive).value


def pick(document: t.Any, path: str) -> t.Any:
    """The element of the instance document at a path that begins with the category; keys and indexes are exact.

    Raises:
        AbsentError: there is none; the text says where the path ends.
    """
    value = document
    walked = category_of(path)
    for part in path.split("/")[1:]:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise AbsentError(f"{walked} has no element {part!r}{_choices(value)}")
        walked = f"{walked}/{part}"
    return value


def _choices(value: t.Any) -> str:
    if isinstance(value, dict) and value:
        return f"; it has {', '.join(sorted(value))}"
    return f"; it is a list of {len(value)}" if isinstance(value, list) else ""


__all__ = ["FORMATS", "MetadataReader", "normal_path", "pick"]
