"""Int and Float: bounds, steps and scales."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import Float, Int, Space

TENTHS = tuple(i / 10 for i in range(11))


@pytest.mark.parametrize(
    ("hp", "expected"),
    [
        (Int("a", 6, 13, step=3), (6, 9, 12)),
        (Int("a", 2, 32, step=2, sampling="log"), (2, 4, 8, 16, 32)),
        (Int("a", 2, 33, step=2, sampling="reverse_log"), (33, 31, 27, 19, 3)),
        (Int("a", 5, 5), (5,)),
        (Float("a", 0.1, 100, step=10, sampling="log"), (0.1, 1.0, 10.0, 100.0)),
        (Float("a", 1e-6, 1, step=10, sampling="log"), (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)),
        (Float("a", 1e-3, 1, step=10, sampling="reverse_log"), (1.0, 0.991, 0.901, 0.001)),
        (Float("a", 0, 1, step=0.1), TENTHS),
        (Float("a", 0, 1, step=0.2), TENTHS[::2]),
        (Float("a", 0, 0.5, step=0.1), TENTHS[:6]),
        (Float("a", 0, 0.7, step=0.7 / 3), (0.0, 0.7 / 3, 2 * (0.7 / 3), 0.7)),
        (Float("a", 0.25, 1, step=0.5), (0.25, 0.75)),
        (Float("a", 2, 2), (2.0,)),
    ],
)
def test_stepped_ranges_have_exactly_the_values_that_are_written(
    hp: Int | Float, expected: tuple[float, ...]
) -> None:
    """Both bounds are met where the step meets them, and decimals stay decimals."""
    assert expected == hp.values
    assert {type(value) for value in expected} == {type(value) for value in hp.values}


@given(
    low=st.integers(-1000, 1000),
    steps=st.integers(0, 200),
    width=st.integers(1, 500),
    digits=st.integers(0, 6),
)
def test_decimal_steps_reach_the_upper_bound(low: int, steps: int, width: int, digits: int) -> None:
    """A range of n decimal steps has n + 1 values, the last is the bound, each has its own part."""
    scale = 10**digits
    high = (low + steps * width) / scale

    hp = Float("a", low / scale, high, step=width / scale)

    values = hp.values
    assert (steps + 1, high) == (len(values), values[-1])
    assert list(values) == [hp.prob_to_value(hp.value_to_prob(value)) for value in values]


@given(
    low=st.integers(1, 50),
    span=st.integers(0, 10_000),
    step=st.one_of(st.none(), st.integers(2, 9)),
    sampling=st.sampled_from(["linear", "log", "reverse_log"]),
    prob=st.floats(0, 1, exclude_max=True),
)
def test_int_gives_whole_numbers_within_its_bounds(
    low: int, span: int, step: int | None, sampling: str, prob: float
) -> None:
    """Every scale and step gives an int in the range, in draws and in the grid's values."""
    hp = Int("a", low, low + span, step=step, sampling=sampling)

    for value in (hp.prob_to_value(prob), *hp.values):
        assert type(value) is int
        assert low <= value <= low + span
        assert value in (hp.domain or ())


def test_log_int_shares_the_unit_interval_by_ratio() -> None:
    """With logarithmic sampling, each doubling of the range has an equal share."""
    hp = Int("a", 1, 7, sampling="log")

    drawn = [hp.prob_to_value((i + 0.5) / 3000) for i in range(3000)]

    counts = {value: drawn.count(value) for value in range(1, 8)}
    assert counts[1] == pytest.approx(1000, abs=2)
    assert counts[2] + counts[3] == pytest.approx(1000, abs=2)
    assert sum(counts[value] for value in (4, 5, 6, 7)) == pytest.approx(1000, abs=2)


def test_linear_int_is_uniform() -> None:
    """Each whole number has an equal part."""
    hp = Int("a", 5, 9)

    drawn = [hp.prob_to_value((i + 0.5) / 500) for i in range(500)]

    assert dict.fromkeys(range(5, 10), 100) == {v: drawn.count(v) for v in range(5, 10)}
    assert hp.value_to_prob(6) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("sampling", "low", "high", "value", "prob"),
    [
        ("linear", -1.0, 1.0, 0.5, 0.75),
        ("log", 1e-3, 1e3, 1.0, 0.5),
        ("reverse_log", 1.0, 100.0, 91.0, 0.5),
    ],
)
def test_float_scales(sampling: str, low: float, high: float, value: float, prob: float) -> None:
    """Value and probability correspond as the scale says, and meet both bounds."""
    hp = Float("a", low, high, sampling=sampling)

    assert prob == pytest.approx(hp.value_to_prob(value))
    assert value == pytest.approx(hp.prob_to_value(prob))
    assert pytest.approx([hp.value_to_prob(low), hp.value_to_prob(high)]) == [0.0, 1.0]
    assert low == pytest.approx(hp.prob_to_value(0.0))


def test_unstepped_values_are_ten_in_a_fixed_order() -> None:
    """A grid looks at ten places of a continuum, in ascending order, each time the same."""
    values = Float("a", 0, 1).values

    assert [0.05 + 0.1 * i for i in range(10)] == pytest.approx(list(values))
    assert Int("a", 1, 3, sampling="log").values == (1, 2, 3)


@pytest.mark.parametrize(
    "hp",
    [
        Float("a", 0, 1),
        Float("a", 0, 1, step=0.1),
        Int("a", 0, 100),
        Int("a", 1, 9, sampling="log"),
    ],
)
def test_values_outside_the_range_encode_as_its_ends(hp: Int | Float) -> None:
    """The unit cube holds any number that a user may put in."""
    assert hp.value_to_prob(-5) == hp.value_to_prob(hp.min_value)
    assert hp.value_to_prob(500) == hp.value_to_prob(hp.max_value)
    assert not hp.accepts(500)
    assert not hp.accepts("7")


def test_large_ranges_cost_nothing() -> None:
    """A range of 10**18 whole numbers is counted and drawn from without being listed."""
    hp = Int("a", 0, 10**18)

    assert hp.size == 10**18 + 1
    assert hp.accepts(10**18)
    assert hp.prob_to_value(0.5) == pytest.approx(10**18 // 2)


@pytest.mark.parametrize("kind", [Int, Float])
def test_defaults_and_types(kind: type[Int | Float]) -> None:
    """The default is the least value; numbers of NumPy and whole floats are taken as numbers."""
    hp = kind("a", np.int64(2), 8.0, default=np.float32(4))  # type: ignore[arg-type]

    assert kind("a", 2, 8).default == 2
    assert (hp.min_value, hp.max_value, hp.default) == (2, 8, 4)
    plain = int if kind is Int else float
    assert [plain] * 3 == [type(v) for v in (hp.min_value, hp.max_value, hp.default)]


def test_sampling_is_read_without_case_and_none_is_linear() -> None:
    """KerasTuner's spellings of the scale are understood."""
    assert Float("a", 1, 2, sampling="LOG").sampling == "log"
    assert Int("a", 1, 2, sampling=None).sampling == "linear"


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        (Int, {"min_value": 2.5}, "min_value must be an int, but is 2.5 for Int 'a'"),
        (Int, {"step": 1.5}, "step must be an int"),
        (Int, {"default": 2.5}, "default must be an int"),
        (Int, {"max_value": 2**63}, "does not fit into 64 bits"),
        (Float, {"max_value": float("inf")}, "max_value must be finite, but is inf"),
        (Float, {"min_value": 9}, "min_value 9.0 is greater than the max_value 8.0 of Float 'a'"),
        (Int, {"sampling": "cubic"}, "`sampling` must be one of linear, log, reverse_log"),
        (Int, {"min_value": 0, "sampling": "log"}, "does not support negative values or 0"),
        (Float, {"min_value": -1, "sampling": "reverse_log"}, "does not support negative values"),
        (Float, {"step": 1, "sampling": "log"}, "expected step > 1, but it is 1.0"),
        (Int, {"step": 0}, "`step` must be greater than 0, but is 0 for Int 'a'"),
        (Float, {"step": -0.1}, "`step` must be greater than 0, but is -0.1"),
        (Int, {"default": 9}, "default 9 of Int 'a' lies outside its range from 1 to 8"),
        (Float, {"default": float("nan")}, "default must be finite"),
        (
            Float,
            {"min_value": 1e-200, "max_value": 1e200, "sampling": "log"},
            "ratio of the bounds 1e-200 and 1e\\+200 of Float 'a' is larger than the largest float",
        ),
    ],
)
def test_impossible_ranges_are_refused(
    kind: type[Int | Float], arguments: dict[str, Any], words: str
) -> None:
    """The sentence names the hyperparameter, the numbers and the law."""
    with pytest.raises(ConfigurationError, match=words):
        kind("a", **{"min_value": 1, "max_value": 8, **arguments})


@pytest.mark.parametrize(
    ("argument", "value"),
    list(itertools.product(["min_value", "max_value", "step", "default"], ["3", True])),
)
@pytest.mark.parametrize("kind", [Int, Float])
def test_numbers_of_wrong_types_are_refused(
    kind: type[Int | Float], argument: str, value: object
) -> None:
    """Strings and booleans are no numbers."""
    with pytest.raises(TypeError, match=f"{argument} must be a number.*{value!r}"):
        kind("a", **{"min_value": 1, "max_value": 8, argument: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [None, 10.0])
@pytest.mark.parametrize("low", [3.3, 1e-5, 1e-12, 1e-300])
def test_the_upper_end_of_a_reversed_scale_has_a_place(low: float, step: float | None) -> None:
    """Also where the lower end is lost beside it: 1e6 + 1e-12 is 1e6."""
    hp = Float("rate", low, 1e6, step=step, sampling="reverse_log")

    prob = hp.value_to_prob(1e6)

    assert 0.0 <= prob <= 1.0
    assert hp.prob_to_value(min(prob, 1 - 2**-53)) == 1e6


def test_the_widest_ranges_of_whole_numbers_are_counted() -> None:
    """A seed of 63 or 64 bits is a hyperparameter like any other."""
    seed, signed = Int("seed", 0, 2**63 - 1), Int("signed", -(2**63), 2**63 - 1)

    assert (seed.size, signed.size) == (2**63, 2**64)
    assert Space.of([seed, Int("units", 1, 3)]).combinations == 2**63 * 3


@pytest.mark.parametrize(("value", "expected"), [(2.5, False), ("64", False), (64.0, True)])
def test_whether_a_long_range_has_a_value_is_told_at_once(value: Any, expected: bool) -> None:
    """What is no whole number is not looked for among a million million of them."""
    assert expected == Int("a", 1, 10**12).accepts(value)
