"""By what configurations are known again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aiotune._values import Value
from aiotune.searchers import values_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": True}, {"a": 1}),
        ({"a": 0.0}, {"a": -0.0}),
    ],
)
def test_equal_configurations_have_one_key(
    one: Mapping[str, Value], other: Mapping[str, Value]
) -> None:
    """Whatever their order, and whatever kind of number says the same."""
    assert values_key(one) == values_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": -1}, {"a": -2}),  # which Python's hash takes for the same
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 2**60}, {"a": 2**60 + 1}),
        ({"a": 2**70}, {"a": 2**70 + 1}),
        ({"a": 0.1 + 0.2}, {"a": 0.3}),
        ({"a": "\udc80"}, {"a": "\udc81"}),
        ({"a": "b"}, {"ab": ""}),
    ],
)
def test_different_configurations_have_two(
    one: Mapping[str, Value], other: Mapping[str, Value]
) -> None:
    """Also where floats or hashes would be the same."""
    assert values_key(one) != values_key(other)


def test_a_key_is_the_same_in_every_process() -> None:
    """Unlike Python's hash of a text."""
    assert values_key({"kind": "plain", "rate": 0.5}) == 226557688801201007969565950157985295425
