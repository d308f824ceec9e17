"""Is the fold of the journal the state that the tuner had, and does its verdict follow from it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiotune import events
from aiotune.oracles import Oracle
from aiotune.pruners import Curve
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial

__all__ = ("check_fold", "check_verdicts")


def check_fold(
    oracle: Oracle, history: Sequence[events.Event], wrong: Callable[[str, str], None]
) -> None:
    """Compare an oracle's trials with those that its journal adds up to.

    Args:
        oracle: As it is at the end of a life.
        history: All that is recorded.
        wrong: Called with an invariant's number and a sentence.
    """
    folded = ProjectState.replay(history, seed=oracle.seed, objective=oracle.objective)
    for trial_id, trial in oracle.trials.items():
        told, known = _facts(folded.trials.get(trial_id)), _facts(trial)
        if told != known:
            wrong("I17", f"the journal says {told}, and the tuner knew {known}")


def check_verdicts(
    oracle: Oracle, history: Sequence[events.Event], wrong: Callable[[str, str], None]
) -> None:
    """Judge each training that was ended early once more, from what was recorded before; arguments as above."""
    if oracle.pruner is None:
        return
    state = ProjectState(seed=oracle.seed, objective=oracle.objective)
    for event in history:
        if isinstance(event, events.TrialPruned):
            curves = {trial.trial_id: _curve(trial, oracle) for trial in state.trials.values()}
            own = curves.pop(event.trial_id)
            others = [curve for curve in curves.values() if curve.values]
            minimize = oracle.objective.direction == "min"
            told = oracle.pruner.judge(own, event.step, others, minimize=minimize)
            if told != event.reason:
                wrong(
                    "I40", f"{event.trial_id} was ended for {event.reason!r}, and now for {told!r}"
                )
        state.apply(event)


def _curve(trial: Trial, oracle: Oracle) -> Curve:
    """Read a curve from a history, and not as the oracle does."""
    values = {
        step: oracle.objective.get_value(metrics)
        for execution, step, metrics in trial.history
        if execution == 0 and oracle.objective.has_value(metrics)
    }
    return Curve(trial.index, values, trial.status.is_final)


def _facts(trial: Trial | None) -> tuple[Any, ...]:
    if trial is None:
        return ()
    # What was handed out and not begun is running for the one, and queued for the other.
    status = trial.status if trial.status.is_final else "unfinished"
    return (
        trial.trial_id,
        status,
        trial.score if trial.status.is_final else None,
        trial.attempts,
        trial.failures,
        trial.lost,
        dict(trial.values) if trial.status.is_final else None,
    )
