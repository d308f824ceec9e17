"""Pruners: who is stopped, why, and what is told of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aiotune.errors import ConfigurationError
from aiotune.pruners import (
    Curve,
    MedianPruner,
    PatiencePruner,
    Pruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)

NAN = math.nan


def curve(*values: float | None, index: int = 99) -> Curve:
    """A curve with a value for each step; ``None`` where nothing was reported."""
    return Curve(index, {step: value for step, value in enumerate(values) if value is not None})


def others(*values: float, step: int = 0) -> list[Curve]:
    """One curve for each value, at one step."""
    return [Curve(index, {step: value}, done=True) for index, value in enumerate(values)]


def stops(pruner: Pruner, own: Curve, rest: Sequence[Curve] = (), *, minimize: bool = True) -> bool:
    """Whether a trial is stopped at its last step."""
    return pruner.judge(own, max(own.values), rest, minimize=minimize) is not None


# ── median ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("own", "stopped"), [(0.2, False), (0.3, False), (0.31, True)])
@pytest.mark.parametrize("minimize", [True, False])
def test_median_stops_what_is_worse_than_half_of_the_others(
    own: float, stopped: bool, minimize: bool
) -> None:
    """Worse than the median stops; as good as the median goes on; in both directions."""
    sign = 1 if minimize else -1
    rest = others(*(sign * value for value in (0.1, 0.2, 0.3, 0.4, 0.5)))

    assert stops(MedianPruner(), curve(sign * own), rest, minimize=minimize) == stopped


def test_median_says_why() -> None:
    """With both values, the step and the number of trials."""
    told = MedianPruner().judge(
        curve(0.95, 0.9), 1, others(0.1, 0.4, 0.4, 0.4, 0.7, step=1), minimize=True
    )

    assert told == (
        "Its best value of the objective up to step 1, 0.9, is worse than the median 0.4 of the 5 other "
        "trials that reported there."
    )


def test_median_needs_enough_others_at_the_step() -> None:
    """Trials that did not get there are no evidence."""
    rest = [*others(0.1, 0.1, 0.1, 0.1, step=3), *others(0.1, 0.1, step=2)]

    assert not stops(MedianPruner(), curve(9, 9, 9, 9), rest)
    assert stops(MedianPruner(min_trials=4), curve(9, 9, 9, 9), rest)


def test_median_counts_a_trials_best_value() -> None:
    """One noisy epoch does not end a trial that was good before."""
    rest = others(0.4, 0.4, 0.4, 0.4, 0.4, step=1)

    assert not stops(MedianPruner(), curve(0.1, 0.9), rest)
    assert stops(MedianPruner(), curve(0.5, 0.9), rest)


def test_median_does_not_look_ahead_of_the_step() -> None:
    """What the trial reported later, by another execution say, is not its best so far."""
    rest = others(0.4, 0.4, 0.4, 0.4, 0.4, step=1)

    told = MedianPruner().judge(curve(0.5, 0.9, 0.1), 1, rest, minimize=True)

    assert told is not None


def test_median_takes_nan_for_the_worst() -> None:
    """A trial that has diverged stops; among others, those that diverged lift the median."""
    good, diverged = others(0.1, 0.2, 0.3, 0.4, 0.5), others(0.1, 0.2, NAN, NAN, NAN)

    assert stops(MedianPruner(), curve(NAN), good)
    assert not stops(MedianPruner(), curve(NAN), diverged)
    assert not stops(MedianPruner(), curve(1e9), diverged)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (NAN, "Its objective is NaN at step 0, which is worse than"),
        (math.inf, "Its best value of the objective up to step 0, inf, is worse than"),
        (-math.inf, "Its best value of the objective up to step 0, -inf, is worse than"),
    ],
)
def test_median_tells_what_is_not_finite(value: float, told: str) -> None:
    """NaN is not called infinite, nor infinity NaN."""
    minimize = value != -math.inf

    sentence = MedianPruner().judge(curve(value), 0, others(*[1.0] * 5), minimize=minimize)

    assert sentence == f"{told} the median 1 of the 5 other trials that reported there."


def test_median_leaves_the_warm_up_and_the_steps_between_alone() -> None:
    """With a warm-up of 3 and an interval of 2: steps 3, 5, 7 are judged."""
    pruner = MedianPruner(min_trials=1, warmup_steps=3, interval=2)

    judged = [
        step
        for step in range(8)
        if pruner.judge(curve(*[9.0] * 8), step, others(1.0, step=step), minimize=True)
    ]

    assert judged == [3, 5, 7]


# ── successive halving ─────────────────────────────────────────────────────


def test_halving_lets_the_best_part_of_a_rung_go_on() -> None:
    """Of nine that reached the rung, three go on."""
    pruner = SuccessiveHalvingPruner(factor=3)
    rest = others(*(0.1 * k for k in range(1, 9)))

    assert not stops(pruner, curve(0.05), rest)
    assert not stops(pruner, curve(0.25), rest)
    assert stops(pruner, curve(0.35), rest)


def test_halving_maximises_too() -> None:
    """The same with accuracies."""
    pruner = SuccessiveHalvingPruner(factor=2)
    rest = others(0.5, 0.6, 0.7)

    assert not stops(pruner, curve(0.65), rest, minimize=False)
    assert stops(pruner, curve(0.55), rest, minimize=False)


@pytest.mark.parametrize(
    ("settings", "rungs"),
    [
        ({}, [1, 3, 9, 27]),
        ({"min_resource": 2, "factor": 4}, [2, 8, 32]),
        ({"min_early_stopping_rate": 2}, [9, 27]),
        ({"min_resource": 5, "factor": 2, "min_early_stopping_rate": 1}, [10, 20]),
    ],
)
def test_halving_judges_at_its_rungs_only(settings: dict[str, int], rungs: list[int]) -> None:
    """Rungs lie at min_resource times powers of the factor, the first ones left out."""
    pruner = SuccessiveHalvingPruner(**settings)
    worst = curve(*[9.0] * 32)

    judged = []
    for step in range(32):
        so_far = Curve(99, {s: v for s, v in worst.values.items() if s <= step})
        if pruner.judge(so_far, step, others(*[1.0] * 9, step=step), minimize=True):
            judged.append(step + 1)

    assert judged == rungs


def test_halving_judges_a_trial_with_gaps_at_its_first_report_after_a_rung() -> None:
    """Validated at every fourth epoch: the rungs of 3 and 9 epochs are met at 4 and 12."""
    pruner = SuccessiveHalvingPruner()
    judged = []
    for last in range(4, 25, 4):
        own = Curve(99, {epoch - 1: 9.0 for epoch in range(4, last + 1, 4)})
        if pruner.judge(own, last - 1, others(*[1.0] * 9, step=last - 1), minimize=True):
            judged.append(last)

    assert judged == [4, 12]


def test_halving_stops_nobody_before_a_rung_has_as_many_as_the_factor() -> None:
    """The best third of two trials is nobody; from the third trial on there is one."""
    pruner = SuccessiveHalvingPruner(factor=3)

    assert not stops(pruner, curve(9.0), others(0.1))
    assert stops(pruner, curve(9.0), others(0.1, 0.2))


def test_halving_gives_equals_the_better_rank() -> None:
    """Nobody is stopped for a tie with the best."""
    pruner = SuccessiveHalvingPruner(factor=3)

    assert not stops(pruner, curve(0.5), others(0.5, 0.5, 0.5, 0.5, 0.5))


def test_halving_takes_nan_for_the_worst() -> None:
    """It ranks behind every number, and equal to another NaN."""
    pruner = SuccessiveHalvingPruner(factor=3)

    assert stops(pruner, curve(NAN), others(1e9, 1e9))
    assert not stops(pruner, curve(NAN), others(NAN, NAN))
    assert not stops(pruner, curve(1e9), others(NAN, NAN))


def test_halving_says_why() -> None:
    """Its value, its rank, the rung and how many may go on."""
    told = SuccessiveHalvingPruner().judge(
        curve(0.8, 0.8, 0.75), 2, others(0.1, 0.2, 0.3, 0.9, 0.9, step=2), minimize=True
    )

    assert told == (
        "Its objective of 0.75 at step 2 is number 4 of the 6 trials that reached the rung of 3 steps, of "
        "which the best 2 may go on."
    )


# ── threshold ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.5, None),
        (0.1, None),
        (2.0, None),
        (0.05, "Its objective of 0.05 at step 0 is below the lower limit of 0.1."),
        (2.5, "Its objective of 2.5 at step 0 is above the upper limit of 2."),
        (math.inf, "Its objective of inf at step 0 is above the upper limit of 2."),
        (NAN, "Its objective is NaN at step 0; training has diverged."),
    ],
)
def test_threshold_stops_what_leaves_the_range(value: float, told: str | None) -> None:
    """The limits themselves are within; NaN never is."""
    pruner = ThresholdPruner(lower=0.1, upper=2.0)

    assert pruner.judge(curve(value), 0, [], minimize=True) == told


def test_threshold_without_limits_stops_nan_alone() -> None:
    """A guard against divergence that needs no numbers."""
    assert not stops(ThresholdPruner(), curve(math.inf))
    assert stops(ThresholdPruner(), curve(NAN))


def test_threshold_leaves_the_warm_up_alone() -> None:
    """The first steps may be as bad as they like."""
    pruner = ThresholdPruner(upper=1.0, warmup_steps=2)
    own = curve(9, 9, 9)

    assert [
        pruner.judge(own, step, [], minimize=True) is None for step in range(3)
    ] == [True, True, False]  # fmt: skip


# ── patience ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "stopped"),
    [
        ((0.5, 0.6, 0.7), False),
        ((0.5, 0.6, 0.7, 0.8), True),
        ((0.5, 0.5, 0.5, 0.5), True),
        ((0.5, 0.6, 0.7, 0.4), False),
        ((0.5, 0.6, NAN, 0.6), True),
        ((0.5, None, None, 0.6, None, 0.6), False),
        ((0.5, None, 0.7, 0.6, None, 0.6), True),
        ((NAN, NAN, NAN), True),
        ((NAN, NAN, 0.9), False),
    ],
)
def test_patience_counts_reports_without_an_improvement(
    values: tuple[float | None, ...], stopped: bool
) -> None:
    """The third in a row stops; equals and NaN are no improvements; gaps do not count."""
    assert stops(PatiencePruner(3), curve(*values)) == stopped


def test_patience_maximises_too() -> None:
    """Accuracies that fall are no improvement, those that rise are."""
    assert stops(PatiencePruner(2), curve(0.5, 0.4, 0.3), minimize=False)
    assert not stops(PatiencePruner(2), curve(0.5, 0.6, 0.7), minimize=False)


def test_patience_asks_for_more_than_min_delta() -> None:
    """Creeping forward is not improving; the distance is from the last improvement."""
    slow = curve(1.0, 0.95, 0.9, 0.85)

    assert stops(PatiencePruner(3, min_delta=0.2), slow)
    assert not stops(PatiencePruner(3, min_delta=0.1), slow)


def test_patience_does_not_look_ahead_of_the_step() -> None:
    """It judges what was known at the step."""
    told = PatiencePruner(2).judge(curve(0.5, 0.6, 0.6, 0.1), 2, [], minimize=True)

    assert told == (
        "Its objective has not improved on 0.5, reported at step 0, in the 2 reports up to step 2."
    )


def test_patience_says_how_much_and_since_when() -> None:
    """With min_delta, and in the objective's own sign."""
    told = PatiencePruner(2, min_delta=0.1).judge(curve(0.2, 0.5, 0.55, 0.3), 3, [], minimize=False)
    never = PatiencePruner(2).judge(curve(NAN, NAN), 1, [], minimize=True)

    assert told == (
        "Its objective has not improved by more than 0.1 on 0.5, reported at step 1, in the 2 reports up "
        "to step 3."
    )
    assert never == "Its objective was not a number in any of its 2 reports up to step 1."


def test_patience_lets_the_wrapped_pruner_decide() -> None:
    """It is asked only about a trial that does not improve, and its answer stands."""
    pruner = PatiencePruner(2, wrapped=ThresholdPruner(upper=1.0))

    assert not stops(pruner, curve(9, 8, 7))
    assert not stops(pruner, curve(0.5, 0.6, 0.6))
    told = pruner.judge(curve(9, 9, 9), 2, [], minimize=True)
    assert told == "Its objective of 9 at step 2 is above the upper limit of 1."


# ── all ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "pruner",
    [MedianPruner(1), SuccessiveHalvingPruner(1, 2), ThresholdPruner(upper=1), PatiencePruner(1)],
    ids=lambda pruner: type(pruner).__name__,
)
def test_a_step_without_a_value_is_not_judged(pruner: Pruner) -> None:
    """The objective may be missing at some steps, as with validation_freq."""
    own = Curve(99, {0: 9.0, 1: 9.0})

    assert pruner.judge(own, 2, others(1.0, 1.0, 1.0, step=2), minimize=True) is None


@pytest.mark.parametrize(
    "pruner",
    [MedianPruner(1), SuccessiveHalvingPruner(1, 2), ThresholdPruner(upper=1), PatiencePruner(2)],
    ids=lambda pruner: type(pruner).__name__,
)
def test_alone_and_in_order_nobody_is_stopped(pruner: Pruner) -> None:
    """The first trial of a search, improving, goes on to its end."""
    own = curve(*(1.0 / (step + 1) for step in range(30)))

    assert [pruner.judge(own, step, [], minimize=True) for step in range(30)] == [None] * 30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MedianPruner(0), r"min_trials of MedianPruner must be a whole number >= 1, but is 0\."),
        (lambda: MedianPruner(warmup_steps=-1), r"warmup_steps of MedianPruner .* >= 0, but is -1\."),
        (lambda: MedianPruner(interval=0), r"interval of MedianPruner .* >= 1, but is 0\."),
        (lambda: SuccessiveHalvingPruner(0), r"min_resource of SuccessiveHalvingPruner .* >= 1"),
        (lambda: SuccessiveHalvingPruner(factor=1), r"factor .* >= 2, but is 1\."),
        (
            lambda: SuccessiveHalvingPruner(min_early_stopping_rate=-1),
            r"min_early_stopping_rate .* >= 0, but is -1\.",
        ),
        (lambda: ThresholdPruner(lower=NAN), r"lower of ThresholdPruner must be a number, but is nan"),
        (lambda: ThresholdPruner(upper="1"), r"upper of ThresholdPruner must be a number, but is '1'"),  # type: ignore[arg-type]
        (lambda: ThresholdPruner(2, 1), r"lower limit of 2 is above its upper limit of 1\."),
        (lambda: ThresholdPruner(warmup_steps=True), r"warmup_steps .* but is True\."),
        (lambda: PatiencePruner(0), r"patience of PatiencePruner .* >= 1, but is 0\."),
        (lambda: PatiencePruner(1, -0.1), r"min_delta of PatiencePruner must not be negative"),
        (lambda: PatiencePruner(1, wrapped=3), r"wrapped of PatiencePruner .* no method judge\(\)\."),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_impossible_arguments_are_refused(make: Callable[[], Any], message: str) -> None:
    """The sentence names the pruner, the argument and its value."""
    with pytest.raises(ConfigurationError, match=message):
        make()
