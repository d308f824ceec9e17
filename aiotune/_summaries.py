"""Summaries for people, in the layout that KerasTuner's users know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiotune._printable import printable
from aiotune.status import TrialStatus

if TYPE_CHECKING:
    from aiotune.hyperparameters import HyperParameter
    from aiotune.objective import Objective
    from aiotune.trial import Trial

__all__ = ("ranked", "results_summary", "search_space_summary", "trial_summary")

_MESSAGE_LIMIT = 4000


def search_space_summary(entries: Sequence[HyperParameter]) -> str:
    """Describe a search space: each hyperparameter, its kind and its range."""
    lines = ["Search space summary", f"Default search space size: {len(entries)}"]
    for hp in entries:
        config = {key: value for key, value in hp.get_config().items() if key != "name"}
        lines += [f"{printable(hp.name)} ({hp.kind})", str(config)]
    return "\n".join(lines)


def results_summary(
    project_dir: Path, objective: Objective, trials: Iterable[Trial], num_trials: int
) -> str:
    """Describe the best trials, then those that failed, up to a number.

    Args:
        project_dir: Where the project is.
        objective: What the scores are.
        trials: All trials.
        num_trials: How many to describe.
    """
    shown = ranked(trials, maximize=objective.direction == "max")[:num_trials]
    lines = [
        "Results summary",
        f"Results in {printable(project_dir)}",
        f"Showing {num_trials} best trials",
        printable(objective),
    ]
    for trial in shown:
        lines += ["", trial_summary(trial)]
    return "\n".join(lines)


def ranked(trials: Iterable[Trial], *, maximize: bool) -> list[Trial]:
    """Return completed trials best first, then the others that have ended, in order of creation."""
    done, others = [], []
    for trial in trials:
        scored = trial.status is TrialStatus.COMPLETED and trial.score is not None
        if scored:
            done.append(trial)
        elif trial.status.is_final:
            others.append(trial)
    done.sort(key=lambda t: t.score or 0.0, reverse=maximize)
    return done + others


def trial_summary(trial: Trial) -> str:
    """Describe one trial: values, score, or what went wrong."""
    lines = [f"Trial {printable(trial.trial_id)} summary", "Hyperparameters:"]
    if trial.shown_values:
        lines += [f"{printable(k)}: {printable(v)}" for k, v in trial.shown_values.items()]
    else:
        lines.append("default configuration")
    if trial.score is not None:
        lines.append(f"Score: {trial.score}")
    if trial.stop_reason is not None:
        lines.append(f"Stopped early: {printable(trial.stop_reason)}")
    if trial.message and trial.status is not TrialStatus.COMPLETED:
        lines += [printable(line) for line in _end(trial.message).rstrip().split("\n")]
    return "\n".join(lines)


def _end(text: str) -> str:
    return text if len(text) <= _MESSAGE_LIMIT else f"... {text[-_MESSAGE_LIMIT:]}"
