"""What a model is told of trials: losses, failures, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aiotune._values import Value
from aiotune.hyperparameters import HyperParameters
from aiotune.searchers import FrozenHistory, Tried
from aiotune.searchers._surrogate import refit_size
from aiotune.searchers._targets import burdens, evidence_of, representative, standardised
from aiotune.status import TrialStatus

DONE, REJECTED = TrialStatus.COMPLETED, TrialStatus.REJECTED


def history_of(*tried: Tried, minimize: bool = True) -> FrozenHistory:
    unfinished = [t.index for t in tried if not t.status.is_final]
    return FrozenHistory(0, 0, HyperParameters(), minimize, tried, unfinished, frozenset())


def trial(
    index: int, status: TrialStatus, score: float | None = None, memory: int | None = None
) -> Tried:
    values: dict[str, Value] = {"x": index}
    return Tried(index, values, status, score, memory)


def test_trials_are_sorted_by_how_they_ended() -> None:
    """A trial that waits to run again is pending, one that failed is known to be bad."""
    evidence = evidence_of(
        history_of(
            trial(0, DONE, 0.5),
            trial(1, TrialStatus.FAILED),
            trial(2, REJECTED, memory=9),
            trial(3, TrialStatus.QUEUED),
            trial(4, TrialStatus.RUNNING),
            minimize=False,
        )
    )

    assert [t.index for t in evidence.known] == [0, 1]
    assert evidence.losses[0] == -0.5
    assert math.isnan(evidence.losses[1])
    assert [t.index for t in evidence.pending] == [3, 4]
    assert [t.index for t in evidence.refused] == [2]
    assert evidence.completed == 1


def test_targets_have_mean_0_and_variance_1_and_keep_their_order() -> None:
    """Whatever the losses were."""
    losses = np.random.default_rng(0).lognormal(3.0, 1.0, 50)

    targets = standardised(losses)

    assert (float(targets.mean()), float(targets.std())) == pytest.approx((0.0, 1.0))
    assert (np.argsort(targets) == np.argsort(losses)).all()


def test_a_diverged_training_does_not_flatten_the_good_ones() -> None:
    """A loss of 1e12 among losses of about 1 leaves them most of the variance."""
    losses = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1e12])

    targets = standardised(losses)

    assert targets[3] - targets[0] > 0.1


def test_the_better_half_stays_in_proportion() -> None:
    """Equal differences of losses below the median are equal differences of targets."""
    targets = standardised(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]))

    assert np.diff(targets)[:3] == pytest.approx(np.diff(targets)[0])
    assert np.diff(targets)[-1] < np.diff(targets)[0]


def test_a_failed_trial_counts_as_the_worst_that_completed() -> None:
    """No worse, so that one of chance does little harm."""
    targets = standardised(np.array([1.0, 5.0, math.nan, 3.0]))

    assert targets[2] == targets[1] == targets.max()


@pytest.mark.parametrize("losses", [[2.0, 2.0, 2.0], [7.0], [math.nan, math.nan], [1.0, math.nan]])
def test_losses_without_differences_are_all_0(losses: list[float]) -> None:
    """Nothing is divided by a spread of 0."""
    assert standardised(np.array(losses)).tolist() == [0.0] * len(losses)


def test_losses_at_the_ends_of_what_floats_hold_are_ranked() -> None:
    """Their differences overflow, their order does not."""
    targets = standardised(np.array([-1.7e308, 1.0, 1.7e308]))

    assert np.isfinite(targets).all()
    assert (np.diff(targets) > 0).all()


def test_of_too_many_rows_the_best_the_latest_and_a_spread_are_kept() -> None:
    """Two fifths, one fifth, and the rest."""
    losses = np.random.default_rng(0).random(500)

    kept = representative(losses, 100)

    assert len(kept) == 100
    assert set(np.argsort(losses)[:40].tolist()) <= set(kept.tolist())
    assert set(range(480, 500)) <= set(kept.tolist())
    assert representative(losses[:100], 100).tolist() == list(range(100))


def test_fits_become_rarer_as_trials_become_many() -> None:
    """Each of the first 64; every eighth to every sixteenth part after that."""
    sizes = [refit_size(rows) for rows in range(1, 1001)]

    assert sizes[:64] == list(range(1, 65))
    assert all(size <= rows < size * 1.13 for rows, size in enumerate(sizes, start=1))
    assert 80 < len(set(sizes)) < 200


def test_without_refusals_there_is_no_burden() -> None:
    """Nothing is known of where memory ends."""
    assert burdens(evidence_of(history_of(trial(0, DONE, 1.0, memory=5)))) is None


def test_the_limit_lies_between_what_ran_and_what_was_refused() -> None:
    """Geometrically half way: 400 between 200 and 800."""
    found = burdens(
        evidence_of(
            history_of(trial(0, DONE, 1.0, 200), trial(1, REJECTED, None, 800), trial(2, DONE, 1.0))
        )
    )

    assert found is not None
    assert list(found[0]) == [{"x": 0}, {"x": 1}]
    assert found[1] == pytest.approx([math.log(0.5), math.log(2.0)])


@pytest.mark.parametrize(("ran", "refused", "limit"), [(1000, 1010, 1000), (900, 510, 500)])
def test_a_limit_that_is_known_well_is_not_probed_further(
    ran: int, refused: int, limit: int
) -> None:
    """What ran is the limit then; and what was refused, where even more has run."""
    tried = (trial(0, DONE, 1.0, ran), trial(1, REJECTED, None, refused))

    found = burdens(evidence_of(history_of(*tried)))

    assert found is not None
    assert found[1] == pytest.approx([math.log(ran / limit), math.log(refused / limit)])


def test_refusals_of_unknown_memory_are_told_apart_by_label() -> None:
    """Refused ones count 1, all others -1."""
    tried = (trial(0, DONE, 1.0, 200), trial(1, REJECTED), trial(2, TrialStatus.FAILED))

    found = burdens(evidence_of(history_of(*tried)))

    assert found is not None
    assert dict(zip([v["x"] for v in found[0]], found[1].tolist(), strict=True)) == {
        1: 1.0,
        0: -1.0,
        2: -1.0,
    }
