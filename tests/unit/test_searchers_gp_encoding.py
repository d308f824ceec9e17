"""Configurations as numbers: every kind of hyperparameter, and which are active."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aiotune.hyperparameters import HyperParameters
from aiotune.searchers._encoding import Encoding


def encoding_of(declare: Callable[[HyperParameters], object]) -> Encoding:
    hp = HyperParameters()
    declare(hp)
    return Encoding(hp.space)


def rich() -> Encoding:
    """Return a space with conditions of every kind: on a choice, a number, a range, two parents."""
    hp = HyperParameters()
    hp.Fixed("version", 3)
    hp.Choice("model", ["a", "b", "c"])
    hp.Int("layers", 1, 4)
    hp.Int("width", 8, 5000, sampling="log")
    with hp.conditional_scope("model", ["b", "c"]):
        hp.Float("rate", 1e-4, 1e-1, sampling="log")
        with hp.conditional_scope("layers", [3, 4]):
            hp.Boolean("skip")
    with hp.conditional_scope("version", [3]):
        hp.Float("always", 0.0, 1.0, step=0.25)
    with hp.conditional_scope("version", [4]):
        hp.Float("never", 0.0, 1.0)
    return Encoding(hp.space)


def test_values_survive_the_way_there_and_back() -> None:
    """Random configurations decode to values that encode to the same row and mask."""
    encoding = rich()
    points = encoding.drawn(np.random.default_rng(0).random((200, encoding.width)))

    decoded = [encoding.values(row) for row in points.z]
    again = encoding.points(decoded)

    assert (again.active == points.active).all()
    assert np.where(points.active, again.z - points.z, 0.0) == pytest.approx(0.0, abs=0.02)
    for row, values in zip(again.z, decoded, strict=True):
        found = encoding.values(row)
        rates = (values.pop("rate", 1.0), found.pop("rate", 1.0))  # the one continuum rounds
        assert values == found
        assert rates[0] == pytest.approx(rates[1], rel=1e-12)


def test_the_mask_says_what_decoding_leaves_in() -> None:
    """An axis counts exactly if its hyperparameter is among the values."""
    encoding = rich()
    points = encoding.drawn(np.random.default_rng(1).random((200, encoding.width)))

    for row in range(len(points)):
        names = {
            axis.hp.name for axis, on in zip(encoding.axes, points.active[row], strict=True) if on
        }
        assert names == set(encoding.values(points.z[row])) - {"version"}


def test_twins_of_two_branches_have_an_axis_each() -> None:
    """One name under two conditions is two hyperparameters, never active together."""
    hp = HyperParameters()
    hp.Choice("model", ["a", "b"])
    with hp.conditional_scope("model", ["a"]):
        hp.Int("size", 1, 3)
    with hp.conditional_scope("model", ["b"]):
        hp.Int("size", 10, 30)
    encoding = Encoding(hp.space)

    points = encoding.points([{"model": "a", "size": 2}, {"model": "b", "size": 30}])

    assert points.active.tolist() == [[True, True, False], [True, False, True]]
    assert encoding.values(points.z[1]) == {"model": "b", "size": 30}


def test_ordered_choices_stand_by_value_and_not_by_place_in_the_list() -> None:
    """0.001 lies between 0.0001 and 0.01 however they are listed."""
    encoding = encoding_of(lambda hp: hp.Choice("rate", [0.01, 0.0001, 0.001]))

    points = encoding.points([{"rate": rate} for rate in (0.0001, 0.001, 0.01)])

    assert points.z[:, 0].tolist() == [0.0, 0.5, 1.0]


def test_what_is_unordered_is_a_category() -> None:
    """Words, truth values, and numbers that are said to be unordered."""

    def declare(hp: HyperParameters) -> None:
        hp.Choice("word", ["x", "y"])
        hp.Boolean("flag")
        hp.Choice("code", [3, 1, 2], ordered=False)
        hp.Choice("size", [3, 1, 2])

    kinds = [axis.is_category for axis in encoding_of(declare).axes]

    assert kinds == [True, True, True, False]


def test_what_has_one_value_is_no_axis() -> None:
    """It is decoded all the same."""

    def declare(hp: HyperParameters) -> None:
        hp.Fixed("a", 1)
        hp.Int("b", 2, 2)
        hp.Choice("c", ["only"])

    encoding = encoding_of(declare)

    assert encoding.width == 0
    assert encoding.values(np.empty(0)) == {"a": 1, "b": 2, "c": "only"}


def test_places_between_two_values_are_rounded_to_the_nearer() -> None:
    """So a climb along a list ends at a value."""
    encoding = encoding_of(lambda hp: hp.Int("n", 0, 4))

    rounded = encoding.completed(np.array([[0.1], [0.13], [0.9], [7.0], [-1.0]])).z

    assert rounded[:, 0] == pytest.approx([0.0, 0.25, 1.0, 1.0, 0.0])


@pytest.mark.parametrize("sampling", ["linear", "log", "reverse_log"])
def test_every_value_of_a_range_has_a_place_of_its_own(sampling: str) -> None:
    """Each is decoded from where it is encoded, in all three scales."""
    encoding = encoding_of(lambda hp: hp.Int("n", 1, 300, sampling=sampling))

    points = encoding.points([{"n": n} for n in range(1, 301)])

    assert [encoding.values(row)["n"] for row in points.z] == list(range(1, 301))
    assert (np.diff(points.z[:, 0]) > 0).all()
    assert (points.z[0, 0], points.z[-1, 0]) == (0.0, 1.0)


def test_what_an_old_trial_lacks_stands_at_its_default() -> None:
    """It was discovered after the trial had been created."""

    def declare(hp: HyperParameters) -> None:
        hp.Float("x", 0.0, 1.0)
        hp.Float("late", 0.0, 1.0, default=0.75)

    points = encoding_of(declare).points([{"x": 0.5}])

    assert points.z.tolist() == [[0.5, 0.75]]
    assert points.active.all()


def test_draws_give_each_choice_the_same_chance() -> None:
    """Of 4,000 draws each of four takes a quarter, within five standard deviations."""
    encoding = encoding_of(lambda hp: hp.Choice("c", ["a", "b", "c", "d"]))

    codes = encoding.drawn(np.random.default_rng(0).random((4000, 1))).z[:, 0]

    counts = np.bincount(codes.astype(int))
    assert (np.abs(counts - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5).all()


@pytest.mark.parametrize("sampling", ["linear", "log", "reverse_log"])
def test_the_ends_of_a_range_are_met_exactly(sampling: str) -> None:
    """At place 1 stands the largest value itself, not the float before it."""
    (axis,) = encoding_of(lambda hp: hp.Float("a", 1e-4, 0.1, sampling=sampling)).axes

    assert axis.value(0.0) == 1e-4
    assert axis.value(1.0) == 0.1
