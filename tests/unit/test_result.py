"""What a search returns, as values, tables and files."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.objective import Objective
from aiotune.result import SearchResult
from aiotune.status import TrialStatus
from aiotune.trial import Trial

LOSS = Objective("val_loss", "min")
FAILURE = TrialFailure(kind=FailureKind.ERROR, type="ValueError", message="too small\nmore")


def completed(trial_id: str, score: float, activation: str = "relu") -> Trial:
    hp = HyperParameters()
    hp.Choice("activation", ["relu", activation], default=activation)
    hp.Float("rate", 0.0, 1.0, default=0.25)
    trial = Trial(hp, trial_id, TrialStatus.COMPLETED)
    trial.score, trial.best_step, trial.attempts = score, 1, 1
    for step, value in enumerate((score + 1, score, score + 2)):
        trial.metrics.update("val_loss", value, step)
    return trial


def failed(trial_id: str) -> Trial:
    trial = Trial(HyperParameters(), trial_id, TrialStatus.FAILED)
    trial.failure, trial.attempts = FAILURE, 3
    return trial


def result_of(*trials: Trial, objective: Objective = LOSS) -> SearchResult:
    return SearchResult.from_trials(
        trials, objective=objective, project_dir=Path("runs/mnist"), elapsed=12.34
    )


def test_the_best_trial_follows_the_direction() -> None:
    """Least for a loss, most for a score; its score and values are at hand."""
    trials = (completed("0000", 0.5), completed("0001", 0.2, "tanh"), failed("0002"))
    result = result_of(*trials)

    assert result.best_trial is trials[1]
    assert result.best_score == 0.2
    assert result.best_values == {"activation": "tanh", "rate": 0.25}
    assert result_of(*trials, objective=Objective("score", "max")).best_trial is trials[0]


@pytest.mark.parametrize("trials", [(), (failed("0000"),)])
def test_without_a_completed_trial_there_is_no_best(trials: tuple[Trial, ...]) -> None:
    """A failed trial is never the best one."""
    result = result_of(*trials)

    assert (result.best_trial, result.best_score, result.best_values) == (None, None, None)


def test_counts_tell_what_became_of_the_trials() -> None:
    """One number for each status that occurs."""
    result = result_of(completed("0000", 0.5), failed("0001"), failed("0002"))

    assert result.counts == {"COMPLETED": 1, "FAILED": 2}


def test_a_row_is_flat_and_holds_the_metrics_of_the_best_step() -> None:
    """Hyperparameters and metrics have prefixes, so no name can hide another."""
    (row,) = result_of(completed("0000", 0.5)).to_dicts()

    assert row == {
        "trial": "0000",
        "status": "COMPLETED",
        "score": 0.5,
        "best_step": 1,
        "attempts": 1,
        "stopped_early": "",
        "error": "",
        "hp/activation": "relu",
        "hp/rate": 0.25,
        "metric/val_loss": 0.5,
    }


def test_a_failed_row_tells_the_error_in_one_line() -> None:
    """The kind of exception and the first line of its text."""
    (row,) = result_of(failed("0000")).to_dicts()

    assert (row["score"], row["attempts"], row["error"]) == (None, 3, "ValueError: too small")


def test_rows_with_different_columns_make_one_csv(tmp_path: Path) -> None:
    """A conditional hyperparameter or a failed trial leaves its cells empty."""
    path = tmp_path / "trials.csv"
    result_of(failed("0000"), completed("0001", 0.5, 'a,"b"\nc')).to_csv(path)

    with path.open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["hp/rate"], first["error"]) == ("", "ValueError: too small")
    assert (second["hp/rate"], second["hp/activation"]) == ("0.25", 'a,"b"\nc')


def test_an_empty_result_can_be_written(tmp_path: Path) -> None:
    """A search that was stopped before its first trial has a file of no rows."""
    path = tmp_path / "trials.csv"
    result_of().to_csv(str(path))

    assert path.read_text() == "\n"
    assert str(result_of()) == "0 trials (none) in 12.3 s"


def test_str_is_a_table_of_the_best_ten() -> None:
    """Counts first, then the best trials; twelve trials make ten rows."""
    trials = [completed(f"{i:04d}", i / 10) for i in range(12)]
    lines = str(result_of(*reversed(trials))).splitlines()

    assert lines[0] == "12 trials (12 completed) in 12.3 s"
    assert [line.split()[0] for line in lines[1:]] == [f"{i:04d}" for i in range(10)]
    assert lines[2].split() == ["0001", "COMPLETED", "0.1", "activation=relu,", "rate=0.25"]


def test_no_time_is_told_of_a_project_that_was_only_read() -> None:
    """``tuner.results()`` has searched nothing: its 0 seconds say nothing of the trials."""
    read = SearchResult.from_trials(
        [failed("0000")], objective=LOSS, project_dir=Path("runs/mnist"), elapsed=0.0
    )

    assert str(read).splitlines()[0] == "1 trial (1 failed)"


def test_the_table_is_safe_for_terminal_and_notebook() -> None:
    """A value can neither move the cursor nor bring its own HTML."""
    result = result_of(completed("0000", 0.5, "<script>\x1b[2J\n&"))
    html = result._repr_html_()

    assert "activation=<script>\\x1b[2J\\n&, rate=0.25" in str(result)
    assert "activation=&lt;script&gt;\\x1b[2J\\n&amp;, rate=0.25" in html
    assert html.startswith("<table><caption>1 trial (1 completed) in 12.3 s</caption>")


def test_a_result_cannot_be_changed() -> None:
    """What was found stays found."""
    result = result_of()
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.elapsed = 0.0  # type: ignore[misc]
