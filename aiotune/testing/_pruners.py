"""What every pruner must keep to, as checks that a plugin's tests can run.

::

    @pytest.mark.parametrize("check", PRUNER_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(MyPruner)

Each takes what makes a pruner, and raises ``AssertionError`` with the rule that
was broken. Curves come from a formula: no trial runs.
"""

from __future__ import annotations

import copy
import math
import pickle
import random
import time
from collections.abc import Callable, Iterator

from aiotune.pruners import Curve, Pruner
from aiotune.pruners._base import badness
from aiotune.pruners._peers import Columns, Peers

__all__ = (
    "PRUNER_CHECKS",
    "check_answers_with_nothing_or_a_sentence",
    "check_costs_little_beside_a_thousand_trials",
    "check_is_a_function_of_its_arguments",
    "check_leaves_a_step_without_a_value_alone",
    "check_takes_the_others_as_a_search_gives_them",
    "check_travels_to_another_process",
)

MakePruner = Callable[[], Pruner]
_Case = tuple[Curve, int, list[Curve], bool]

_STRANGE = (math.nan, math.inf, -math.inf)
_STALL = 0.05
"""Seconds of work on the event loop from which on a search stutters."""


def _cases() -> Iterator[_Case]:
    """Yield judgements to make: own curve, step, others, whether to minimise."""
    chance = random.Random(20)  # noqa: S311 - curves, not secrets
    for case in range(120):
        trials, epochs = chance.randrange(12), chance.randrange(1, 30)
        every = chance.choice((1, 1, 2, 5))  # validation_freq
        curves = [
            Curve(index, _values(chance, chance.randrange(1, epochs + 1), every), index % 2 == 0)
            for index in range(trials + 1)
        ]
        reported = [curve for curve in curves if curve.values]
        if reported:
            own = reported[-1]
            yield own, max(own.values), reported[:-1], case % 2 == 0


def _values(chance: random.Random, epochs: int, every: int) -> dict[int, float]:
    values = {}
    for step in range(every - 1, epochs, every):
        is_strange = not chance.randrange(20)
        values[step] = chance.choice(_STRANGE) if is_strange else chance.gauss(0, 1)
    return values


def check_answers_with_nothing_or_a_sentence(make: MakePruner) -> None:
    """NaN, infinities, gaps and lonely trials raise nothing; a reason is a sentence of one line."""
    pruner = make()
    for own, step, others, minimize in _cases():
        reason = pruner.judge(own, step, others, minimize=minimize)
        is_sentence = isinstance(reason, str) and reason.endswith(".") and "\n" not in reason
        assert reason is None or is_sentence, f"{reason!r} is neither None nor a sentence"


def check_leaves_a_step_without_a_value_alone(make: MakePruner) -> None:
    """A step at which the trial did not report the objective is not judged."""
    pruner = make()
    for own, step, others, minimize in _cases():
        reason = pruner.judge(own, step + 1, others, minimize=minimize)
        assert reason is None, f"nothing was reported at the step, yet: {reason}"


def check_is_a_function_of_its_arguments(make: MakePruner) -> None:
    """Asked again, or made anew, or told of the others in another order, it answers the same."""
    pruner = make()
    for own, step, others, minimize in _cases():
        kept = copy.deepcopy((own, others))
        first = pruner.judge(own, step, others, minimize=minimize)
        assert repr((own, others)) == repr(kept), "it changed what it was given"
        for judge in (pruner.judge, make().judge):
            again = judge(own, step, others[::-1], minimize=minimize)
            assert again == first, f"it says {first!r}, then {again!r}"


def check_takes_the_others_as_a_search_gives_them(make: MakePruner) -> None:
    """A search gives a sequence that is no list, and knows a value's place without a look at a curve."""
    pruner = make()
    for own, _, others, minimize in _cases():
        columns = Columns()
        for curve in (own, *others):
            for step, value in curve.values.items():
                columns.add(step, badness(value, minimize=minimize))
        peers = Peers(columns, own, others.copy, minimize=minimize)
        for step in own.values:
            listed = pruner.judge(own, step, others, minimize=minimize)
            given = pruner.judge(own, step, peers, minimize=minimize)
            assert given == listed, (
                f"of a list it says {listed!r}, of what a search gives {given!r}"
            )


def check_travels_to_another_process(make: MakePruner) -> None:
    """A tuner is sent to its workers with its pruner, which answers there as here."""
    pruner = make()
    arrived: Pruner = pickle.loads(pickle.dumps(pruner))  # noqa: S301 - made one line before
    for own, step, others, minimize in _cases():
        here = pruner.judge(own, step, others, minimize=minimize)
        assert arrived.judge(own, step, others, minimize=minimize) == here, "it changed on the way"


def check_costs_little_beside_a_thousand_trials(make: MakePruner) -> None:
    """It is asked on the event loop after each epoch of each trial, so it must not hold it up."""
    pruner = make()
    others = [Curve(index, dict.fromkeys(range(300), 1.0)) for index in range(1000)]
    own = Curve(1000, dict.fromkeys(range(300), 2.0))
    spent = []
    for step in (0, 26, 80, 299):  # the third and fourth rung of a halving are among them
        began = time.thread_time()
        pruner.judge(own, step, others, minimize=True)
        spent.append(time.thread_time() - began)
    assert max(spent) < _STALL, f"a judgement took {max(spent):.3f} s beside 1000 trials"


PRUNER_CHECKS: tuple[Callable[[MakePruner], None], ...] = (
    check_answers_with_nothing_or_a_sentence,
    check_leaves_a_step_without_a_value_alone,
    check_is_a_function_of_its_arguments,
    check_takes_the_others_as_a_search_gives_them,
    check_travels_to_another_process,
    check_costs_little_beside_a_thousand_trials,
)
"""All checks."""
