"""Summaries for people: the search space, a trial, the results."""

from __future__ import annotations

from pathlib import Path

from aiotune._summaries import ranked, results_summary, search_space_summary, trial_summary
from aiotune.hyperparameters import HyperParameters
from aiotune.objective import Objective
from aiotune.status import TrialStatus
from aiotune.trial import Trial

ACCURACY = Objective("val_accuracy", "max")


def made(
    trial_id: str,
    score: float | None = None,
    status: TrialStatus = TrialStatus.COMPLETED,
    message: str | None = None,
) -> Trial:
    hp = HyperParameters()
    hp.Int("units", 32, 64, default=48)
    trial = Trial(hp, trial_id, status, message)
    trial.score = score
    return trial


def failed(trial_id: str, message: str = "ValueError: too small") -> Trial:
    return made(trial_id, None, TrialStatus.FAILED, message)


def ids(trials: list[Trial]) -> list[str]:
    return [trial.trial_id for trial in trials]


def test_search_space_summary_lists_each_hyperparameter() -> None:
    """Its size, then each hyperparameter's name and kind over its range, without the name again."""
    hp = HyperParameters()
    hp.Int("units", 32, 64)
    hp.Choice("activation", ["relu", "tanh"])
    lines = search_space_summary(list(hp.space)).splitlines()

    assert lines[:3] == ["Search space summary", "Default search space size: 2", "units (Int)"]
    assert "'min_value': 32" in lines[3]
    assert "'name'" not in lines[3]
    assert lines[4] == "activation (Choice)"


def test_trial_summary_shows_values_and_score() -> None:
    """In the layout that KerasTuner's users know."""
    assert trial_summary(made("0007", 0.5)).splitlines() == [
        "Trial 0007 summary",
        "Hyperparameters:",
        "units: 48",
        "Score: 0.5",
    ]


def test_trial_summary_of_a_failure_shows_its_message_line_by_line() -> None:
    """A traceback stays readable, and its control characters are escaped."""
    summary = trial_summary(failed("0007", "Traceback:\n  line 1\nValueError: \x1b[2J\n"))

    assert summary.splitlines()[3:] == ["Traceback:", "  line 1", "ValueError: \\x1b[2J"]


def test_a_long_message_keeps_its_end() -> None:
    """The error stands at the end of a traceback."""
    summary = trial_summary(failed("0007", "x" * 9000 + "ValueError: the reason"))

    assert summary.endswith("ValueError: the reason")
    assert len(summary) < 4200


def test_a_trial_without_hyperparameters_has_the_default_configuration() -> None:
    """As KerasTuner says it."""
    trial = Trial(HyperParameters(), "0007")

    assert trial_summary(trial).splitlines()[-1] == "default configuration"


def test_the_message_of_a_retry_that_succeeded_is_not_shown() -> None:
    """A completed trial has a score, not an error."""
    assert "once" not in trial_summary(made("0007", 0.5, message="failed once"))


def test_best_trials_come_first_and_failed_ones_last() -> None:
    """By the objective's direction; ties and failures in order of creation; no unfinished ones."""
    trials = [
        failed("a"),
        made("b", 0.1),
        made("c", 0.0),
        made("d", None, TrialStatus.RUNNING),
        made("e", 0.1),
        made("f", None, TrialStatus.CANCELLED),
        made("g", None, TrialStatus.REJECTED),
    ]

    assert ids(ranked(trials, maximize=True)) == ["b", "e", "c", "a", "g"]
    assert ids(ranked(trials, maximize=False)) == ["c", "b", "e", "a", "g"]


def test_results_summary_shows_the_best_then_the_failed_up_to_a_number() -> None:
    """Three of four trials: both completed, best first, then the first failed one's message."""
    trials = [failed("0000"), made("0001", 0.8), made("0002", 0.9), failed("0003", "late")]
    lines = results_summary(Path("runs/mnist"), ACCURACY, trials, 3).splitlines()

    assert lines[:4] == [
        "Results summary",
        "Results in runs/mnist",
        "Showing 3 best trials",
        str(ACCURACY),
    ]
    assert [line for line in lines if line.endswith(" summary")][1:] == [
        "Trial 0002 summary",
        "Trial 0001 summary",
        "Trial 0000 summary",
    ]
    assert lines[-1] == "ValueError: too small"


def test_ten_thousand_failures_are_ranked_at_once() -> None:
    """The cost grows with the number of trials, not with its square."""

    class Counted(Trial):
        __slots__ = ()
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return self is other

        __hash__ = Trial.__hash__

    trials: list[Trial] = [Counted(HyperParameters(), str(i), "FAILED") for i in range(100)]

    assert ranked(trials, maximize=True) == trials
    assert Counted.compared <= 100


def test_the_summary_of_a_pruned_trial_says_why() -> None:
    """Below its score, in one line whatever the reason holds."""
    trial = made("3", 0.5)
    trial.stop_reason = "worse than\nthe others"

    assert trial_summary(trial).splitlines()[-2:] == [
        "Score: 0.5",
        "Stopped early: worse than\\nthe others",
    ]
