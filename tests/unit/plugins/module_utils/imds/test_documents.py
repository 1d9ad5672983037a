"""Strings of the instance document turned into values."""

from __future__ import annotations

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import documents
from ansible_collections.azure_guest.imds.plugins.module_utils.imds.errors import BadAnswerError


@pytest.mark.parametrize(
    ("value", "expected"), [("a", "a"), ("", None), (None, None), (7, "7"), (True, None), ([], None)]
)
def test_text(value: object, expected: object) -> None:
    assert documents.text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("0", 0), ("36", 36), (5, 5), ("", None), ("x", None), (None, None), (True, None)]
)
def test_integer(value: object, expected: object) -> None:
    assert documents.integer(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("False", False), (True, True), ("", None), (None, None), ("yes", None)]
)
def test_boolean(value: object, expected: object) -> None:
    assert documents.boolean(value) is expected


def test_walk_stops_at_what_is_not_an_object() -> None:
    assert documents.walk({"a": {"b": "c"}}, "a", "b") == "c"
    assert documents.walk({"a": []}, "a", "b") is None
    assert documents.walk({}, "a", "b") is None


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (
            {"tagsList": [{"name": "a:b", "value": "c;d"}, {"name": "e", "value": ""}], "tags": "no"},
            {"a:b": "c;d", "e": ""},
        ),
        ({"tagsList": [], "tags": "ignored:yes"}, {}),
        ({"tags": "baz:bash;foo:bar"}, {"baz": "bash", "foo": "bar"}),
        ({"tags": "url:http://x;y;k:v"}, {"url": "http://x;y", "k": "v"}),
        ({"tags": "lonely"}, {"lonely": ""}),
        ({"tags": ""}, {}),
        ({}, {}),
    ],
)
def test_tags(compute: dict, expected: dict) -> None:
    assert documents.parse_tags(compute) == expected


@pytest.mark.parametrize("value", [[], "x", None, {}, {"error": "x"}, {"compute": []}, {"compute": {}, "network": "x"}])
def test_another_shape_is_no_instance_document(value: object) -> None:
    with pytest.raises(BadAnswerError):
        documents.check_instance(value)


@pytest.mark.parametrize("value", [{"compute": {}}, {"network": {"interface": []}}])
def test_one_part_is_enough(value: dict) -> None:
    assert documents.check_instance(value) is value
