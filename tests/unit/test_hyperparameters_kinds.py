"""Choice, Boolean and Fixed, and what all kinds share."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import numpy as np
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
    deserialize,
    serialize,
)

KINDS: list[HyperParameter] = [
    Choice("c", ["x", "y", "z"], default="y"),
    Choice("flag", [True, False]),
    Choice("n", [4, 2, 8], ordered=False, conditions=[Parent("c", ["x", "z"])]),
    Boolean("b", default=True),
    Fixed("f", 0.5),
    Int("i", 6, 13, step=3),
    Int("log", 1, 1000, sampling="log", default=10),
    Float("x", 0, 1, step=0.1),
    Float("lr", 1e-4, 1e-2, sampling="log", conditions=[Parent("b", True), Parent("i", 9)]),
]


@pytest.mark.parametrize("hp", KINDS, ids=lambda hp: hp.name)
def test_every_kind_survives_json_pickle_and_deepcopy(hp: HyperParameter) -> None:
    """A hyperparameter that travels as data or as an object is equal and draws the same values."""
    through_json = deserialize(json.loads(json.dumps(serialize(hp))))

    for travelled in (through_json, pickle.loads(pickle.dumps(hp)), copy.deepcopy(hp)):
        assert (hp, hash(hp), hp.draw_key) == (travelled, hash(travelled), travelled.draw_key)
        assert hp.random_sample(3) == travelled.random_sample(3)


@pytest.mark.parametrize("hp", KINDS, ids=lambda hp: hp.name)
def test_from_config_leaves_its_argument_alone(hp: HyperParameter) -> None:
    """Reading a configuration twice gives the same hyperparameter twice."""
    config = hp.get_config()
    before = copy.deepcopy(config)

    first, second = type(hp).from_config(config), type(hp).from_config(config)

    assert before == config
    assert first == second == hp


@pytest.mark.parametrize("hp", KINDS, ids=lambda hp: hp.name)
def test_hyperparameters_are_frozen(hp: HyperParameter) -> None:
    """What all trials share cannot be changed by one of them."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        hp.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("hp", KINDS, ids=lambda hp: hp.name)
@given(prob=st.floats(0, 1, exclude_max=True))
def test_value_to_prob_lands_where_the_value_came_from(hp: HyperParameter, prob: float) -> None:
    """From a probability to a value, to its middle probability, one is back at the value."""
    value = hp.prob_to_value(prob)

    middle = hp.value_to_prob(value)

    again = hp.prob_to_value(min(middle, 1 - 1e-12))
    assert 0 <= middle <= 1
    assert hp.accepts(value)
    assert value == (pytest.approx(again, rel=1e-9) if hp.size is None else again)


@pytest.mark.parametrize("hp", KINDS, ids=lambda hp: hp.name)
def test_every_value_of_a_domain_can_be_drawn(hp: HyperParameter) -> None:
    """The domain lists each value once, and each is the value at its own probability."""
    domain = hp.domain
    if domain is None:
        assert hp.size is None
        return

    drawn = [hp.prob_to_value(hp.value_to_prob(value)) for value in domain]

    assert list(domain) == drawn
    assert hp.size == len(set(domain))


def test_random_sample_depends_on_its_seed_alone() -> None:
    """The same seed draws the same value, another seed another one."""
    hp = Float("x", 0, 1)

    assert hp.random_sample(42) == pytest.approx(0.6394267984578837)
    assert hp.random_sample(42) == hp.random_sample(42)
    assert hp.random_sample(42) != hp.random_sample(43)


def test_kinds_with_equal_configurations_differ() -> None:
    """An Int is not equal to a Float over the same range."""
    kinds: list[HyperParameter] = [Int("a", 1, 5, step=1), Float("a", 1, 5, step=1)]

    assert kinds[0] != kinds[1]


def test_names_become_strings() -> None:
    """A name that is a number is the number's text."""
    assert Int(7, 0, 1).name == "7"  # type: ignore[arg-type]


def test_choice_keeps_booleans() -> None:
    """A choice among booleans gives booleans, not 1 and 0."""
    hp = Choice("c", [True, False])

    assert list(hp.values) == [True, False]
    assert all(isinstance(value, bool) for value in (*hp.values, hp.default, hp.prob_to_value(0.9)))
    assert hp.ordered is False


def test_choice_of_three_puts_the_first_at_a_sixth() -> None:
    """Each choice has an equal part of [0, 1)."""
    hp = Choice("c", ["x", "y", "z"])

    assert hp.value_to_prob("x") == pytest.approx(1 / 6)
    assert [hp.prob_to_value(p) for p in (0, 0.34, 0.999999)] == ["x", "y", "z"]


def test_choice_takes_numbers_of_numpy_as_plain_ones() -> None:
    """Values of NumPy's types become values that JSON can write."""
    hp = Choice("c", np.array([1, 2, 3]))

    assert [int, int, int] == [type(value) for value in hp.values]


def test_choice_counts_a_repeated_value_once() -> None:
    """A value that is listed twice is one configuration."""
    assert Choice("c", [1, 2, 1]).values == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"values": []}, "`values` must be provided: Choice 'c'"),
        ({"values": ["a"], "default": "b"}, r"one of the choices \['a'\] of Choice 'c'.*'b'"),
        ({"values": ["a", "b"], "ordered": True}, "`ordered` must be False for Choice 'c'"),
        ({"values": [True, False], "ordered": True}, "`ordered` must be False"),
        ({"values": [1.0, float("nan")]}, "the value nan, which JSON cannot write"),
        ({"values": [1, 2**63]}, "does not fit into 64 bits"),
    ],
)
def test_choice_refuses_impossible_arguments(arguments: dict[str, object], words: str) -> None:
    """The sentence names the hyperparameter, the value and the law."""
    with pytest.raises(ConfigurationError, match=words):
        Choice("c", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 2.0], "only one type of values, but 'c' has.*float, int"),
        ([1, True], "only one type"),
        ([None], "None of type NoneType"),
        ([(1, 2)], r"\(1, 2\) of type tuple"),
    ],
)
def test_choice_refuses_values_of_wrong_types(values: list[object], words: str) -> None:
    """Mixed types and types that JSON would change are TypeErrors."""
    with pytest.raises(TypeError, match=words):
        Choice("c", values)  # type: ignore[arg-type]


def test_choice_has_no_probability_for_a_foreign_value() -> None:
    """Encoding a value that is not a choice says which choices there are."""
    with pytest.raises(ConfigurationError, match=r"'w' is not one of the choices \['x', 'y'\]"):
        Choice("c", ["x", "y"]).value_to_prob("w")


def test_boolean_is_true_in_the_upper_half() -> None:
    """KerasTuner's numbers: True from 0.5 on, encoded as 0.75 and 0.25."""
    hp = Boolean("b")

    assert [hp.prob_to_value(0.49), hp.prob_to_value(0.5)] == [False, True]
    assert [hp.value_to_prob(False), hp.value_to_prob(True)] == [0.25, 0.75]
    assert (hp.values, hp.default) == ((True, False), False)
    assert Boolean("b", default=1).default is True  # type: ignore[arg-type]


def test_boolean_refuses_another_default() -> None:
    """A default that is no truth value is refused with the name of the hyperparameter."""
    with pytest.raises(ConfigurationError, match=r"must be a Python boolean.*Boolean 'b' is 'yes'"):
        Boolean("b", default="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1, 1.5, "x", False])
def test_fixed_always_gives_its_value(value: float | str) -> None:
    """The constant is default, only value and every draw."""
    hp = Fixed("f", value)

    assert [value] * 3 == [hp.default, hp.random_sample(1), *hp.values]
    assert type(hp.value) is type(value)
    assert hp.value_to_prob(value) == 0.5


@pytest.mark.parametrize("value", [None, [1], float("inf")])
def test_fixed_refuses_what_json_cannot_carry(value: object) -> None:
    """A constant is a plain finite value."""
    with pytest.raises(ConfigurationError, match="'f'"):
        Fixed("f", value)  # type: ignore[arg-type]


def test_deserialize_refuses_an_unknown_kind() -> None:
    """A configuration of another kind names the kinds that there are."""
    with pytest.raises(ConfigurationError, match=r"'Quantum' is not a kind.*Boolean, Choice"):
        deserialize({"class_name": "Quantum", "config": {}})
