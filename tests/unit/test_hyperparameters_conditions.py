"""Conditions: when a hyperparameter is active."""

from __future__ import annotations

from typing import Any

import pytest

from aiotune._values import Value
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import Parent


@pytest.mark.parametrize(
    ("given_values", "expected"),
    [
        ("x", ("x",)),
        (3, (3,)),
        (["1", 2], ("1", "2")),
        ([1, 2.0], (1, 2)),
        ([True, False], (True, False)),
        ((0.5, 1), (0.5, 1)),
    ],
)
def test_parent_values_become_one_type(given_values: Any, expected: tuple[Value, ...]) -> None:
    """Conditions take one value or several, converted to the first one's type if int or str."""
    values = Parent("a", given_values).values

    assert expected == values
    assert [type(value) for value in expected] == [type(value) for value in values]


@pytest.mark.parametrize("wrong", [None, [None], [(1,)], {"a": None}.values()])
def test_parent_values_of_other_types_are_refused(wrong: Any) -> None:
    """A condition on anything else than plain values is a TypeError."""
    with pytest.raises(TypeError, match="can contain only `int`, `float`, `str`, or `bool`"):
        Parent("a", wrong)


def test_a_condition_without_values_is_refused() -> None:
    """A condition that can never hold is a mistake."""
    with pytest.raises(ConfigurationError, match="'a' lists no values"):
        Parent("a", [])
