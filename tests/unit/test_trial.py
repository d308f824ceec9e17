"""A trial, its status and its summary."""

from __future__ import annotations

import itertools

import pytest

from aiotune.errors import InternalError
from aiotune.hyperparameters import HyperParameters
from aiotune.status import TRANSITIONS, TrialStatus
from aiotune.trial import Trial


def trial_with(status: TrialStatus = TrialStatus.RUNNING) -> Trial:
    hp = HyperParameters()
    hp.Int("units", 32, 64, default=48)
    return Trial(hp, "0007", status)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(TrialStatus, TrialStatus)))
def test_status_moves_as_the_table_says(old: TrialStatus, new: TrialStatus) -> None:
    """Every pair: a legal move or none happens, any other is refused and changes nothing."""
    trial = trial_with(old)

    if new is old or new in TRANSITIONS[old]:
        trial.status = new
        assert trial.status is new
    else:
        with pytest.raises(InternalError, match=f"0007 cannot go from {old} to {new}"):
            trial.status = new
        assert trial.status is old


def test_status_can_be_set_as_text() -> None:
    """As programs written for KerasTuner do; an unknown one is refused."""
    trial = trial_with()
    trial.status = "COMPLETED"

    assert trial.status is TrialStatus.COMPLETED
    with pytest.raises(ValueError, match="DONE"):
        trial.status = "DONE"


@pytest.mark.parametrize("status", [s for s in TrialStatus if s.is_final])
def test_a_status_that_was_not_recorded_can_be_taken_back(status: TrialStatus) -> None:
    """A trial that claimed a final status runs again, so that it can be retried."""
    trial = trial_with(status)

    trial.reopen()

    assert trial.status is TrialStatus.RUNNING


def test_taking_back_leaves_an_unfinished_trial_alone() -> None:
    """INVALID is no end, so there is nothing to take back."""
    trial = trial_with(TrialStatus.INVALID)

    trial.reopen()

    assert trial.status is TrialStatus.INVALID


def test_ids_of_trials_made_by_hand_differ() -> None:
    """Thirty-two hexadecimal digits."""
    ids = {Trial(HyperParameters()).trial_id for _ in range(50)}

    assert len(ids) == 50
    assert {len(i) for i in ids} == {32}


def test_trial_survives_as_data() -> None:
    """What is rebuilt has the same state."""
    trial = trial_with()
    trial.metrics.update("loss", 0.5, 3)
    trial.score, trial.best_step = 0.5, 3
    trial.status = TrialStatus.COMPLETED

    rebuilt = Trial.from_state(trial.get_state())

    assert rebuilt.get_state() == trial.get_state()
    assert rebuilt.status is TrialStatus.COMPLETED
    assert rebuilt.values == {"units": 48}


def test_summary_and_values_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The values are shown by name; a trial without any says so."""
    trial = trial_with()
    trial.score = 0.25
    trial.summary()
    trial.display_hyperparameters()
    Trial(HyperParameters()).display_hyperparameters()

    printed = capsys.readouterr().out.splitlines()
    assert "Trial 0007 summary" in printed
    assert printed.count("units: 48") == 2
    assert any("0.25" in line for line in printed)
    assert printed[-1] == "default configuration"


def test_representation_tells_status_and_score() -> None:
    """A list of trials can be read."""
    trial = trial_with()
    trial.score = 0.125

    assert repr(trial) == "Trial(0007, RUNNING, score=0.125)"
