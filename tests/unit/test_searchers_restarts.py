"""When a Bayesian search has converged, and what it goes on with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from aiotune.hyperparameters import HyperParameters
from aiotune.searchers import BayesianSearcher, FrozenHistory, Proposal, Tried, values_key
from aiotune.searchers._restarts import since_restart
from aiotune.searchers._targets import Evidence, evidence_of
from aiotune.status import TrialStatus

DONE, FAILED, REJECTED = TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.REJECTED


def trials(scores: Sequence[float | None], running: int = 0) -> Evidence:
    """Return the evidence of trials with these scores, ``None`` for a failed one; then some run."""
    tried = [
        Tried(index, {"x": index}, FAILED if score is None else DONE, score)
        for index, score in enumerate(scores)
    ]
    later = range(len(scores), len(scores) + running)
    tried += [Tried(index, {"x": index}, TrialStatus.RUNNING, None) for index in later]
    unfinished = [t.index for t in tried if not t.status.is_final]
    history = FrozenHistory(0, 0, HyperParameters(), True, tried, unfinished, frozenset())
    return evidence_of(history)


def indices(evidence: Evidence, index: int, axes: int = 2, design: int = 4) -> list[int]:
    """Return which trials the one with this index is chosen from."""
    return [t.index for t in since_restart(evidence, index, axes, design).known]


def hartmann(point: Sequence[float]) -> float:
    """The Hartmann function of six variables; its least value is -3.32237."""
    scale = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14]]
    scale += [[3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    centre = [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991]]
    centre += [[2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]
    far = [
        sum(a * (x - p / 1e4) ** 2 for a, x, p in zip(row, point, at, strict=True))
        for row, at in zip(scale, centre, strict=True)
    ]
    return -sum(w * math.exp(-f) for w, f in zip([1.0, 1.2, 3.0, 3.2], far, strict=True))


STALLED = [2.0] * 10 + [1.0] * 15 + [0.0] + [0.5] * 14
"""Forty scores of which the 26th is the best."""


def test_a_search_that_improves_never_begins_anew() -> None:
    """However long it lasts, and however little it improves each time."""
    evidence = trials([1.0 / (1 + index) for index in range(60)])

    assert since_restart(evidence, 60, 2, 4) is evidence


def test_what_came_before_a_restart_is_forgotten() -> None:
    """Ten trials without an improvement are enough in two dimensions, from forty trials on."""
    assert indices(trials(STALLED[:39]), 39) == list(range(39))
    assert indices(trials(STALLED), 41) == []
    assert indices(trials([*STALLED, 0.7, 0.8, 0.9]), 43) == [41, 42]


def test_every_fourth_trial_is_chosen_from_all() -> None:
    """It polishes the best, and the new beginning does not learn from it."""
    evidence = trials([*STALLED, 0.7, 0.8, 0.9, 0.6, 0.0])

    assert indices(evidence, 44) == list(range(45))
    assert indices(evidence, 45) == [41, 42, 43]


def test_a_new_beginning_converges_like_the_first() -> None:
    """Its own trials decide, not the best of all, and it is given twenty of them."""
    late = [0.9] * 7 + [0.3] + [0.4] * 40
    evidence = trials([*STALLED, *late])

    begun = indices(evidence, len(STALLED) + len(late) + 1)

    assert begun
    assert begun[0] == 67


@pytest.mark.parametrize(("axes", "converged"), [(5, True), (6, False)])
def test_more_hyperparameters_are_given_more_patience(axes: int, converged: bool) -> None:
    """Two trials for each: the eleven after the last improvement are enough for five."""
    evidence = trials([1.0] * 28 + [0.0] + [0.5] * 11)

    assert (indices(evidence, 41, axes, design=7) == []) is converged


def test_a_large_design_is_no_convergence() -> None:
    """Patience begins when the model is first asked."""
    scores = [0.0] + [0.5] * 58

    assert indices(trials(scores), 59, design=50) == list(range(59))
    assert indices(trials([*scores, 0.5]), 61, design=50) == []


def test_what_runs_is_not_held_against_a_search() -> None:
    """It was chosen before the latest results; nor does it belong to the new beginning."""
    assert indices(trials(STALLED, running=6), 46) == list(range(40))

    evidence = trials([*STALLED, 0.5, 0.5], running=6)
    assert indices(evidence, 47) == list(range(42))  # chosen before this was known
    assert indices(evidence, 49) == []
    assert since_restart(evidence, 49, 2, 4).pending == ()


def test_failures_and_refusals_are_never_forgotten() -> None:
    """Where trials cannot run is true of every beginning."""
    scores: list[float | None] = [*STALLED]
    scores[3] = None
    evidence = trials([*scores, 0.7])

    narrowed = since_restart(evidence, 42, 2, 4)

    assert [t.index for t in narrowed.known] == [3]
    assert math.isnan(narrowed.losses[0])
    assert narrowed.let_run == evidence.let_run


@pytest.mark.parametrize("size", [0.0, 1e-300, 8e307])
def test_scores_of_any_size_converge(size: float) -> None:
    """Equal ones as well."""
    assert indices(trials([size * score for score in STALLED]), 41) == []


def test_the_better_valley_is_found_although_a_worse_one_was_found_first() -> None:
    """Of these two searches of Hartmann-6, neither leaves 0.12 within 200 trials without restarts."""
    hp = HyperParameters()
    for axis in range(6):
        hp.Float(f"x{axis}", 0.0, 1.0)

    def regret_of(trials: int, seed: int) -> float:
        searcher, tried = BayesianSearcher(), list[Tried]()
        for index in range(trials):
            taken = {values_key(t.values) for t in tried}
            history = FrozenHistory(index, seed, hp, True, tried, (), taken)
            decision = searcher.propose(history, index)
            assert isinstance(decision, Proposal)
            loss = hartmann([float(value) for value in decision.values.values()])
            tried.append(Tried(index, decision.values, DONE, loss))
        return 3.32237 + min(t.score or 0.0 for t in tried)

    assert min(regret_of(110, seed) for seed in (0, 2)) < 0.01
