"""Containers of thousands of trials share one list of entries."""

from __future__ import annotations

from aiotune.hyperparameters import HyperParameters, Int


def test_containers_that_share_their_entries_learn_apart() -> None:
    """What one of many trials discovers is in no other, nor in the space they were made from."""
    space = HyperParameters()
    space.Int("a", 1, 9)
    first, second = space.with_values({"a": 2}), space.with_values({"a": 3})

    first.Float("b", 0.0, 1.0)
    space.merge([Int("a", 1, 5)])

    assert [[hp.name for hp in one.space] for one in (space, first, second)] == [
        ["a"],
        ["a", "b"],
        ["a"],
    ]
    assert (space.space[0], second.space[0]) == (Int("a", 1, 5), Int("a", 1, 9))
    assert "b" not in second
    copied = second.copy()
    copied.space.clear()
    assert second.space
