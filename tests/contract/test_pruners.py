"""Every built-in pruner keeps the contract that plugins are held to."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import pytest

from aiotune.pruners import (
    Curve,
    MedianPruner,
    PatiencePruner,
    Pruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)
from aiotune.testing import PRUNER_CHECKS
from aiotune.testing._pruners import (
    check_answers_with_nothing_or_a_sentence,
    check_costs_little_beside_a_thousand_trials,
    check_is_a_function_of_its_arguments,
    check_leaves_a_step_without_a_value_alone,
    check_travels_to_another_process,
)

Make = Callable[[], Pruner]


def patience() -> Pruner:
    return PatiencePruner(2)


def patient_halving() -> Pruner:
    return PatiencePruner(1, wrapped=SuccessiveHalvingPruner(factor=2))


def narrow() -> Pruner:
    return ThresholdPruner(lower=-1.0, upper=1.0)


@pytest.mark.parametrize("check", PRUNER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "make", [MedianPruner, SuccessiveHalvingPruner, narrow, patience, patient_halving]
)
def test_pruner_keeps_the_contract(make: Make, check: Callable[[Make], None]) -> None:
    """The check raises nothing."""
    check(make)


class _Wordless:
    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        return "" if step in curve.values else None


class _Rash(_Wordless):
    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        return "It is never too early."


class _Counting(_Wordless):
    def __init__(self) -> None:
        self.asked = itertools.count()

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        return f"It was asked {next(self.asked)} times."


class _FirstOther(_Wordless):
    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        return f"Trial {others[0].index} was first." if others else None


class _Emptying(_Wordless):
    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        if isinstance(curve.values, dict):
            curve.values.clear()
        return None


class _Forgetful(_Wordless):
    """Sent by pickle, it is another."""

    answer: str | None = None

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        return self.answer

    def __setstate__(self, state: object) -> None:
        self.answer = "It has arrived."

    def __getstate__(self) -> object:
        return {"nothing": None}


class _Slow(_Wordless):
    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        until = time.thread_time() + 0.06
        while time.thread_time() < until:
            sum(curve.values.values())
        return None


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (_Wordless, check_answers_with_nothing_or_a_sentence),
        (_Rash, check_leaves_a_step_without_a_value_alone),
        (_Counting, check_is_a_function_of_its_arguments),
        (_FirstOther, check_is_a_function_of_its_arguments),
        (_Emptying, check_is_a_function_of_its_arguments),
        (_Forgetful, check_travels_to_another_process),
        (_Slow, check_costs_little_beside_a_thousand_trials),
    ],
)
def test_contract_refuses_a_broken_pruner(make: Make, check: Callable[[Make], None]) -> None:
    """A check that nothing can fail would prove nothing."""
    with pytest.raises(AssertionError):
        check(make)
