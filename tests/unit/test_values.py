"""Configurations that do not change any more."""

from __future__ import annotations

import pickle

import pytest

from aiotune._values import Value, ValueTable


def test_frozen_values_are_what_they_were_made_of() -> None:
    """They read, compare and print like the dict, in its order, and travel."""
    values: dict[str, Value] = {"rate": 0.5, "deep": True, "kind": "plain", "units": 3}
    frozen = ValueTable().frozen(values)

    assert frozen == values
    assert values == frozen
    assert list(frozen.items()) == list(values.items())
    assert repr(frozen) == repr(values)
    assert (frozen["kind"], frozen.get("other"), len(frozen)) == ("plain", None, 4)
    assert pickle.loads(pickle.dumps(frozen)) == values
    with pytest.raises(KeyError, match="other"):
        frozen["other"]


def test_frozen_values_do_not_follow_the_dict() -> None:
    """What is done to the dict afterwards changes nothing."""
    values = {"a": 1}
    frozen = ValueTable().frozen(values)
    values["a"] = 2

    assert frozen == {"a": 1}


def test_order_and_names_are_kept_apart() -> None:
    """A table of one order of names serves no other order."""
    table = ValueTable()

    assert [list(table.frozen(v)) for v in ({"a": 1, "b": 2}, {"b": 1, "a": 2}, {})] == [
        ["a", "b"],
        ["b", "a"],
        [],
    ]
