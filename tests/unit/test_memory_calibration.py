"""What observed peaks teach of predictions."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune.memory import COLD_RATIO, FLOOR, Calibration, CalibrationKey

MIB = 1 << 20
GIB = 1 << 30
KEY = CalibrationKey("space", "torch", "NVIDIA H200", "float32")
OTHER = CalibrationKey("other", "torch", "NVIDIA H200", "float32")

ratios = st.floats(0.3, 5.0)
seen = st.tuples(ratios, st.booleans())


def tell(
    calibration: Calibration, values: Iterable[tuple[float, bool]], key: CalibrationKey = KEY
) -> Calibration:
    """Let a calibration observe ratios, censored or not, of models of 64 GiB."""
    for ratio, censored in values:
        calibration.observe(
            key, predicted=64 * GIB, peak=round(64 * GIB * ratio), context=0, censored=censored
        )
    return calibration


def whole(*values: float) -> list[tuple[float, bool]]:
    """Return ratios of peaks that were seen to the end."""
    return [(value, False) for value in values]


def cut(*values: float) -> list[tuple[float, bool]]:
    """Return ratios at which memory ran out."""
    return [(value, True) for value in values]


def learned(*values: tuple[float, bool]) -> float:
    """Return what observations of one space amount to, to six digits."""
    return round(tell(Calibration(), values).ratio(KEY), 6)


# ── before much is known ───────────────────────────────────────────────────


def test_before_anything_was_seen_the_ratio_is_the_one_of_the_beginning() -> None:
    """Nothing observed is no reason to reserve less."""
    assert COLD_RATIO == Calibration().ratio(KEY) == 1.3


def test_four_low_peaks_do_not_lower_the_ratio() -> None:
    """So few may all be of the smallest models."""
    assert learned(*whole(0.5, 0.5, 0.6, 0.6)) == 1.3


def test_one_high_peak_raises_the_ratio_at_once() -> None:
    """What a space was seen to take, it takes again."""
    assert learned(*whole(2.0)) == 2.1


def test_other_spaces_on_the_same_device_raise_the_ratio_of_the_beginning() -> None:
    """Five of their peaks suffice; low ones do not lower it."""
    assert tell(Calibration(), whole(*[2.0] * 5), OTHER).ratio(KEY) == pytest.approx(2.1)
    assert tell(Calibration(), whole(*[2.0] * 4), OTHER).ratio(KEY) == 1.3
    assert tell(Calibration(), whole(*[0.6] * 5), OTHER).ratio(KEY) == 1.3


@pytest.mark.parametrize(
    "key",
    [
        CalibrationKey("other", "jax", "NVIDIA H200", "float32"),
        CalibrationKey("other", "torch", "NVIDIA L4", "float32"),
        CalibrationKey("other", "torch", "NVIDIA H200", "bfloat16"),
    ],
)
def test_spaces_elsewhere_teach_nothing(key: CalibrationKey) -> None:
    """Another back end, device or dtype is another story."""
    assert tell(Calibration(), whole(*[2.0] * 9), key).ratio(KEY) == 1.3


def test_a_long_search_does_not_outvote_the_other_spaces() -> None:
    """Of each space only the last peaks are pooled."""
    calibration = tell(Calibration(), whole(*[0.6] * 500), OTHER)
    for number in range(4):
        key = CalibrationKey(f"high {number}", "torch", "NVIDIA H200", "float32")
        tell(calibration, whole(2.0, 2.0), key)

    assert calibration.ratio(KEY) == pytest.approx(2.1)


# ── what a space teaches ───────────────────────────────────────────────────


def test_five_peaks_of_a_space_replace_the_ratio_of_the_beginning() -> None:
    """From then on, less is reserved than before."""
    assert learned(*whole(0.6, 0.7, 0.8, 0.7, 0.6)) == 0.84


@given(st.lists(ratios, min_size=5, max_size=60))
def test_the_ratio_is_the_conformal_quantile_with_a_margin(values: list[float]) -> None:
    """Without censored values it is 1.05 times the ceil(0.95 (n + 1))-th smallest, clamped."""
    n = len(values)
    rank = min(n, -(-(n + 1) * 95 // 100))
    expected = min(4.0, max(0.5, 1.05 * sorted(values)[rank - 1]))

    assert expected == pytest.approx(tell(Calibration(), whole(*values)).ratio(KEY))


@pytest.mark.parametrize(("value", "expected"), [(0.1, 0.5), (50.0, 4.0)])
def test_the_ratio_stays_within_its_bounds(value: float, expected: float) -> None:
    """Neither a lucky series nor a broken counter takes it beyond half or fourfold."""
    assert expected == learned(*whole(*[value] * 6))


@given(st.lists(seen, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_observations_does_not_matter(
    values: list[tuple[float, bool]], chance: random.Random
) -> None:
    """Trials that run side by side end in any order."""
    shuffled = chance.sample(values, len(values))

    assert tell(Calibration(), values).ratio(KEY) == tell(Calibration(), shuffled).ratio(KEY)


def test_what_the_floor_covers_is_left_out() -> None:
    """A toy that takes five times its prediction says nothing of its larger siblings."""
    calibration = Calibration()
    for _ in range(9):
        calibration.observe(KEY, predicted=50 * MIB, peak=FLOOR + 600 * MIB - 1, context=600 * MIB)

    assert calibration.count(KEY) == 0
    assert calibration.ratio(KEY) == 1.3


def test_the_drivers_context_is_no_part_of_a_ratio() -> None:
    """It is added to every reservation by itself."""
    calibration = Calibration()
    for _ in range(5):
        calibration.observe(KEY, predicted=10 * GIB, peak=11 * GIB, context=GIB)

    assert calibration.ratio(KEY) == pytest.approx(1.05)


def test_a_prediction_of_nothing_teaches_nothing() -> None:
    """A program without a model has no ratio."""
    calibration = Calibration()
    calibration.observe(KEY, predicted=0, peak=GIB, context=0)

    assert calibration.count(KEY) == 0


def test_an_answer_is_never_older_than_the_last_observation() -> None:
    """What was asked before is asked anew after something was learned."""
    calibration = tell(Calibration(), whole(*[0.8] * 5))
    before = calibration.ratio(KEY)
    tell(calibration, whole(1.0))

    assert (before, calibration.ratio(KEY)) == pytest.approx((0.84, 1.05))


# ── censored values ────────────────────────────────────────────────────────


def test_running_out_of_memory_raises_the_ratio_beyond_what_was_reached() -> None:
    """How much more is unknown: half as much again is assumed."""
    assert learned(*whole(0.8, 0.8, 0.9, 0.8, 0.9), *cut(1.0)) == 1.5


def test_a_larger_whole_peak_settles_what_a_censored_one_left_open() -> None:
    """The same trial with more memory says how much it was."""
    assert learned(*whole(0.8, 0.8, 0.9, 0.8, 0.9), *cut(1.0), *whole(1.1)) == 1.155


def test_a_censored_peak_is_not_taken_for_a_whole_one() -> None:
    """A hundred attempts that all were cut at 1.0 took more, all of them."""
    assert learned(*whole(*[0.9] * 5), *cut(*[1.0] * 100)) == 1.5
    assert tell(Calibration(), cut(*[1.0] * 100)).count(KEY) == 0


def test_the_quantile_is_that_of_kaplan_and_meier() -> None:
    """Values that were cut between the two largest peaks make the larger one the answer."""
    peaks = [0.5 + 0.01 * step for step in range(39)]

    # Of 39 peaks the 38th: 1/39 of the trials survive it, which is just the level.
    assert learned(*whole(*peaks)) == 0.9135
    # Cut below all peaks, four more change nothing: nobody knows where they would have ended.
    assert learned(*whole(*peaks), *cut(*[0.4] * 4)) == 0.9135
    # Cut just above the 38th peak, they survive it: 5/43 do, and none the 39th.
    assert learned(*whole(*peaks), *cut(*[0.875] * 4)) == 0.924


def test_at_equal_ratios_the_censored_value_is_the_larger_one() -> None:
    """It was cut there and would have gone on."""
    assert learned(*whole(*[1.0] * 5), *cut(1.0)) == 1.5


@given(st.lists(seen, max_size=60), ratios)
def test_a_censored_value_never_lowers_the_ratio(
    values: list[tuple[float, bool]], reached: float
) -> None:
    """Running out of memory cannot be an argument for less of it, in this space or another."""
    before = tell(Calibration(), values)
    after = tell(tell(Calibration(), values), cut(reached))

    assert after.ratio(KEY) >= before.ratio(KEY)
    assert after.ratio(OTHER) >= before.ratio(OTHER)


def test_no_censored_value_counts_as_enough() -> None:
    """Five attempts that were cut do not end the time of the high ratio."""
    assert learned(*cut(*[0.6] * 5)) == 1.3
    assert learned(*cut(*[1.3] * 5)) == 1.95


# ── how well it covers ─────────────────────────────────────────────────────


def under_reserved(chance: random.Random, sigma: float, *, capped: bool = False) -> list[bool]:
    """Return which of trials 6 to 60 of one search took more than was learned until then."""
    calibration, missed = Calibration(), []
    for number in range(60):
        ratio = math.exp(chance.gauss(0, sigma))
        allowed = calibration.ratio(KEY)
        if number >= 5:
            missed.append(ratio > allowed)
        if capped and ratio > allowed:
            tell(calibration, cut(allowed))
        tell(calibration, whole(ratio))
    return missed


@pytest.mark.parametrize("capped", [False, True])
@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.3])
def test_one_in_twenty_trials_at_most_takes_more_than_was_learned(
    sigma: float, capped: bool
) -> None:
    """However broad the ratios of a space are; running out of memory on the way does no harm."""
    chance = random.Random(20)
    missed = list(
        itertools.chain.from_iterable(
            under_reserved(chance, sigma, capped=capped) for _ in range(40)
        )
    )

    assert sum(missed) / len(missed) <= 0.05


def test_learning_saves_memory_where_predictions_are_too_high() -> None:
    """A space that takes 0.6 of its predictions is not given 1.3 of them for long."""
    chance = random.Random(21)
    values = [0.6 * math.exp(chance.gauss(0, 0.05)) for _ in range(40)]

    assert 0.6 < tell(Calibration(), whole(*values)).ratio(KEY) < 0.8


# ── the driver's context ───────────────────────────────────────────────────


def test_the_context_of_a_device_is_assumed_until_it_was_seen() -> None:
    """Then it is the largest of late; each back end has its own."""
    calibration = Calibration()
    assert calibration.context("torch", "NVIDIA H200") == 600 * MIB

    for size in (500, 520, 510):
        calibration.observe_context("torch", "NVIDIA H200", size * MIB)

    assert calibration.context("torch", "NVIDIA H200") == 520 * MIB
    assert calibration.context("jax", "NVIDIA H200") == 600 * MIB


def test_one_odd_context_is_forgotten_in_time() -> None:
    """A neighbour that started meanwhile makes one measurement too large, not all."""
    calibration = Calibration()
    calibration.observe_context("torch", "NVIDIA H200", 9 * GIB)
    for _ in range(8):
        calibration.observe_context("torch", "NVIDIA H200", 500 * MIB)

    assert calibration.context("torch", "NVIDIA H200") == 500 * MIB


@pytest.mark.parametrize("size", [0, -1, 1 << 50])
def test_a_context_that_cannot_be_is_ignored(size: int) -> None:
    """A difference of two counters that were read at different times may be anything."""
    calibration = Calibration()
    calibration.observe_context("torch", "NVIDIA H200", size)

    assert calibration.context("torch", "NVIDIA H200") == 600 * MIB


def test_a_cpu_has_no_context() -> None:
    """Its back end is counted with the host's memory."""
    calibration = Calibration()
    calibration.observe_context("torch", "cpu", GIB)

    assert calibration.context("torch", "cpu") == 0


# ── combining and keeping ──────────────────────────────────────────────────


@given(st.lists(seen, max_size=20), st.lists(seen, max_size=20))
def test_merging_is_like_seeing_both(
    mine: list[tuple[float, bool]], theirs: list[tuple[float, bool]]
) -> None:
    """What was kept and what a search adds make one calibration; neither changes."""
    first, second = tell(Calibration(), mine), tell(Calibration(), theirs)
    kept = first.to_dicts()
    first.observe_context("torch", "NVIDIA H200", 500 * MIB)
    second.observe_context("torch", "NVIDIA H200", 510 * MIB)

    merged = first.merged(second)

    assert tell(Calibration(), [*mine, *theirs]).to_dicts()["ratios"] == merged.to_dicts()["ratios"]
    assert merged.context("torch", "NVIDIA H200") == 510 * MIB
    assert kept["ratios"] == first.to_dicts()["ratios"]


def test_only_the_last_observations_of_a_space_are_kept() -> None:
    """Its memory is bounded, and what changed long ago is forgotten."""
    calibration = tell(Calibration(), whole(*[3.0] * 100, *[0.8] * 512))

    assert calibration.count(KEY) == 512
    assert calibration.ratio(KEY) == pytest.approx(0.84)


def test_only_the_last_spaces_are_kept() -> None:
    """The one that was observed longest ago goes first."""
    calibration = Calibration()
    keys = [CalibrationKey(f"{n}", "torch", "NVIDIA H200", "float32") for n in range(129)]
    for key in [*keys[:128], keys[0], keys[128]]:
        tell(calibration, whole(1.0), key)

    assert [key for key in keys if not calibration.count(key)] == [keys[1]]


@given(st.lists(seen, max_size=30), st.lists(st.integers(1, GIB), max_size=5))
def test_plain_data_brings_back_what_was_seen(
    values: list[tuple[float, bool]], contexts: list[int]
) -> None:
    """Ratios, censoring, order and contexts survive."""
    calibration = tell(tell(Calibration(), values), values[:3], OTHER)
    for size in contexts:
        calibration.observe_context("jax", "NVIDIA L4", size)

    back = Calibration.from_dicts(calibration.to_dicts())

    assert calibration.to_dicts() == back.to_dicts()
    assert calibration.ratio(KEY) == back.ratio(KEY)
    assert calibration.context("jax", "NVIDIA L4") == back.context("jax", "NVIDIA L4")


def test_even_an_absurd_ratio_can_be_read_again() -> None:
    """What is observed is kept within what is accepted."""
    calibration = Calibration()
    calibration.observe(KEY, predicted=1, peak=1 << 60, context=0)

    assert Calibration.from_dicts(calibration.to_dicts()).count(KEY) == 1
