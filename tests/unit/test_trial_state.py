"""A trial as data and as a file, in KerasTuner's form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from aiotune.errors import ConfigurationError, ProjectError
from aiotune.hyperparameters import HyperParameters
from aiotune.status import TrialStatus
from aiotune.trial import Trial

DATA = Path(__file__).parent.parent / "data"


def ended() -> Trial:
    hp = HyperParameters()
    hp.Int("units", 2, 8)
    trial = Trial(hp, "07", TrialStatus.COMPLETED)
    trial.metrics.update("loss", 0.5, step=2)
    trial.metrics.update("odd", math.nan, step=2)
    trial.score, trial.best_step = 0.5, 2
    return trial


def test_a_trial_becomes_what_a_state_says() -> None:
    """Whatever it was before, and whatever moves are legal in a search."""
    trial = Trial(HyperParameters(), "00", TrialStatus.FAILED, "broken")

    trial.set_state(ended().get_state())

    assert (trial.trial_id, trial.status, trial.message) == ("07", TrialStatus.COMPLETED, None)
    assert (trial.score, trial.best_step, trial.values) == (0.5, 2, {"units": 2})
    assert trial.metrics.get_best_value("loss") == 0.5


def test_a_trial_goes_to_a_file_and_back(tmp_path: Path) -> None:
    """Numbers that are none included; nothing is left beside the file."""
    path = tmp_path / "trial.json"

    ended().save(path)
    loaded = Trial.load(str(path))

    assert repr(loaded.get_state()) == repr(ended().get_state())
    assert [p.name for p in tmp_path.iterdir()] == ["trial.json"]


@pytest.mark.parametrize("number", ["3", "4"])
def test_kerastuners_file_can_be_read(number: str) -> None:
    """With its bare NaN and Infinity, and a best step that is null."""
    trial = Trial.load(DATA / "kerastuner_failures" / f"trial_{number}" / "trial.json")

    assert (trial.trial_id, trial.best_step) == (number, 0)
    assert set(trial.values) == {"x", "y"}


def test_what_is_no_state_changes_nothing() -> None:
    """The sentence says what is missing or wrong."""
    trial = ended()
    before = trial.get_state()

    with pytest.raises(ConfigurationError, match=r"KeyError: 'hyperparameters'"):
        trial.set_state({"trial_id": "08"})
    with pytest.raises(ConfigurationError, match=r"'DONE' is not a valid TrialStatus"):
        trial.set_state({**before, "trial_id": "08", "status": "DONE"})

    assert repr(trial.get_state()) == repr(before)


@pytest.mark.parametrize("text", ["", "[]", '{"status": 3}'])
def test_what_is_no_trials_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    """Empty, of another kind, or of another program; and one that is not there."""
    path = tmp_path / "trial.json"
    path.write_text(text)

    with pytest.raises(ProjectError, match=r"trial\.json cannot be read as a trial"):
        Trial.load(path)
    with pytest.raises(ProjectError, match=r"absent\.json cannot be read as a trial"):
        Trial.load(tmp_path / "absent.json")
