"""Space: the unit cube, the number of configurations, the fingerprint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import (
    Boolean,
    Choice,
    Fixed,
    Float,
    HyperParameter,
    Int,
    Parent,
    Space,
    draw_values,
)

CONDITIONAL = Space.of(
    [
        Choice("kind", ["a", "b", "c"]),
        Int("units", 1, 4, conditions=[Parent("kind", ["a", "b"])]),
        Fixed("epochs", 2),
        Float("rate", 0, 1, step=0.25, conditions=[Parent("kind", "b"), Parent("units", [1, 2])]),
        Int("units", 10, 20, conditions=[Parent("kind", "c")]),
    ]
)


def test_axes_are_what_varies() -> None:
    """A constant takes no coordinate of the cube."""
    assert [hp.name for hp in CONDITIONAL.axes] == ["kind", "units", "rate", "units"]


def test_inactive_hyperparameters_stand_at_their_defaults() -> None:
    """Configurations that differ only in what is inactive are one point."""
    point = CONDITIONAL.to_unit({"kind": "c", "units": 20, "epochs": 2})

    expected = [5 / 6, 1 / 8, 1 / 10, 10.5 / 11]
    assert expected == pytest.approx(point)


@given(index=st.integers(0, 10_000))
def test_the_unit_cube_keeps_every_configuration(index: int) -> None:
    """Encoding a configuration and decoding the point gives the configuration back."""
    values = draw_values(CONDITIONAL.entries, seed=0, index=index, stream=0)

    point = CONDITIONAL.to_unit(values)

    assert all(0 <= coordinate <= 1 for coordinate in point)
    assert values == CONDITIONAL.from_unit(point)


@given(point=st.lists(st.floats(-2, 3), min_size=4, max_size=4))
def test_every_point_is_a_configuration(point: list[float]) -> None:
    """Points outside the cube count as the nearest inside, and decode to legal values."""
    values = CONDITIONAL.from_unit(point)

    assert values in list(CONDITIONAL.configurations())


def test_foreign_values_cannot_be_encoded() -> None:
    """A value that is none of the choices is named in the error."""
    with pytest.raises(ConfigurationError, match="'z' is not one of the choices"):
        CONDITIONAL.to_unit({"kind": "z"})


def test_combinations_count_only_what_is_active() -> None:
    """a: 4 units; b: 2 units times 5 rates and 2 without; c: 11 units."""
    assert CONDITIONAL.combinations == 4 + 2 * 5 + 2 + 11


def test_configurations_lists_each_once() -> None:
    """The list is as long as the count, without repetition, in odometer order."""
    listed = list(CONDITIONAL.configurations())

    assert CONDITIONAL.combinations == len({tuple(values.items()) for values in listed})
    assert listed[0] == {"kind": "a", "units": 1, "epochs": 2}
    assert listed[-1] == {"kind": "c", "units": 20, "epochs": 2}


parents = st.sampled_from([[], [Parent("a", 1)], [Parent("b", [1, 2])], [Parent("c", True)]])
small = st.one_of(
    st.builds(Choice, st.sampled_from("abcd"), st.just([1, 2, 3]), conditions=parents),
    st.builds(Boolean, st.sampled_from("bcde"), conditions=parents),
    st.builds(Int, st.sampled_from("abf"), st.just(1), st.integers(1, 3), conditions=parents),
)


@given(entries=st.lists(small, max_size=6))
def test_the_count_equals_the_list(entries: list[HyperParameter]) -> None:
    """Counting without listing agrees with listing, whatever depends on what."""
    space = Space.of(entries)

    listed = [tuple(values.items()) for values in space.configurations()]

    assert space.combinations == len(listed) == len(set(listed))


def test_a_space_with_a_continuum_is_infinite() -> None:
    """An unstepped Float has no count, unless it can never be active."""
    parent = Choice("a", [1, 2])
    reachable = Space.of([parent, Float("x", 0, 1, conditions=[Parent("a", 2)])])
    unreachable = Space.of([parent, Float("x", 0, 1, conditions=[Parent("a", 3)])])

    assert [reachable.combinations, unreachable.combinations] == [None, 2]
    assert list(reachable.configurations()) == []


def test_huge_and_long_spaces_are_counted_at_once() -> None:
    """Counting does not list: 10**18 units, 1,200 switches and a thousand constants are quick."""
    switches: list[HyperParameter] = [Boolean(f"b{i}") for i in range(1200)]
    constants = [Fixed(f"f{i}", i) for i in range(1000)]

    assert Space.of([Int("n", 1, 10**18), *switches]).combinations == 10**18 * 2**1200
    assert len(list(Space.of([*constants, Boolean("b")]).configurations())) == 2


def test_the_empty_space_has_one_configuration() -> None:
    """Nothing to choose leaves one way to choose it."""
    assert list(Space.of([]).configurations()) == [{}]
    assert Space.of([]).combinations == 1


def test_fingerprints_are_stable_and_tell_spaces_apart() -> None:
    """Equal spaces share a fingerprint for ever; another bound or order is another space."""
    entries: list[HyperParameter] = [Int("a", 1, 5), Choice("b", ["x"])]

    assert Space.of([Int("a", 1, 5), Choice("b", ["x"])]).fingerprint() == "4814e368252f914b"
    prints = {
        Space.of(other).fingerprint()
        for other in (entries, entries[::-1], [Int("a", 1, 6), entries[1]], entries[:1])
    }
    assert len(prints) == 4
