"""Reading what KerasTuner has written: the whole, the strange and the damaged."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from aiotune.errors import ProjectError
from aiotune.migration._read import read_project

DATA = Path(__file__).parent.parent / "data"


def copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / f"kerastuner_{name}", tmp_path / name))


def test_a_project_is_read_in_the_order_of_its_trials() -> None:
    """Ids, values, scores, settings and the seed."""
    project = read_project(DATA / "kerastuner_bayesian")

    assert [trial.trial_id for trial in project.trials] == list("012345")
    assert project.trials[5].values == {"x": -1.0, "kind": "up"}
    assert project.trials[5].score == -1.0
    assert project.end_order == tuple("012345")
    assert (project.state["seed"], project.state["beta"]) == (1, 2.6)
    assert [entry["config"]["name"] for entry in project.entries] == ["x", "kind"]
    assert project.notes == ()


def test_bare_nan_and_infinity_are_numbers() -> None:
    """KerasTuner writes them as Python prints them; a missing best step is the first."""
    project = read_project(DATA / "kerastuner_failures")
    diverged, infinite = project.trials[3], project.trials[4]

    assert diverged.score is not None
    assert math.isnan(diverged.score)
    assert (diverged.status, diverged.best_step) == ("FAILED", 0)
    assert infinite.observed["half"] == {0: (math.inf,)}


def test_a_truncated_trial_is_named(tmp_path: Path) -> None:
    """Its path, where it breaks off, and how to go on without it."""
    directory = copied("random", tmp_path)
    path = directory / "trial_2" / "trial.json"
    path.write_text(path.read_text()[:200])

    with pytest.raises(ProjectError) as caught:
        read_project(directory)

    assert str(path) in str(caught.value)
    assert "cut off" in str(caught.value)
    assert "--skip-damaged" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cut off"),
        ("[1, 2]", "holds a list"),
        ('{"trial_id": "2"}', "missing required field `status`"),
        (
            '{"status": "", "metrics": {"metrics": 1}, "hyperparameters": {"space": [], "values": {}}}',
            "Expected `object`, got `int` - at `$.metrics.metrics`",
        ),
        ("\udcff", "not text"),
    ],
)
def test_damage_of_any_kind_can_be_skipped(tmp_path: Path, text: str, why: str) -> None:
    """The rest is read, and a note says what is missing and why."""
    directory = copied("random", tmp_path)
    damaged = directory / "trial_2" / "trial.json"
    damaged.write_bytes(text.encode("utf-8", "surrogateescape"))

    project = read_project(directory, skip_damaged=True)

    assert [trial.trial_id for trial in project.trials] == ["0", "1", "3"]
    (note,) = project.notes
    assert str(damaged) in note
    assert why in note
    assert note.endswith("It was left out.")


def test_a_trial_without_its_file_is_damage(tmp_path: Path) -> None:
    """The project speaks of it, so it is not passed over in silence."""
    directory = copied("random", tmp_path)
    shutil.rmtree(directory / "trial_1")

    with pytest.raises(ProjectError, match="is missing, although the project speaks of it"):
        read_project(directory)


def test_a_trial_that_the_oracle_did_not_get_to_write_is_read(tmp_path: Path) -> None:
    """A crash between the two files leaves it out of the order; it comes last."""
    directory = copied("random", tmp_path)
    path = directory / "oracle.json"
    state = json.loads(path.read_text())
    state["start_order"].remove("1")
    path.write_text(json.dumps(state))

    assert [trial.trial_id for trial in read_project(directory).trials] == ["0", "2", "3", "1"]


def test_without_the_oracles_file_the_trials_tell_the_space(tmp_path: Path) -> None:
    """If it may be skipped: order by number, no settings, a note."""
    directory = copied("hyperband", tmp_path)
    (directory / "oracle.json").write_text("{")
    with pytest.raises(ProjectError, match=r"oracle\.json is damaged"):
        read_project(directory)

    project = read_project(directory, skip_damaged=True)

    assert [trial.trial_id for trial in project.trials] == [f"{n:04d}" for n in range(15)]
    assert {entry["config"]["name"] for entry in project.entries} == {
        "units", "learning_rate", "bias", "dropout",
    }  # fmt: skip
    assert "the seed is 0" in project.notes[-1]


def test_an_oracles_file_that_lacks_what_all_have_is_damaged(tmp_path: Path) -> None:
    """The sentence says what."""
    (tmp_path / "oracle.json").write_text('{"start_order": []}')

    with pytest.raises(ProjectError, match="missing required field `hyperparameters`"):
        read_project(tmp_path)


def test_what_is_no_project_is_refused_with_advice(tmp_path: Path) -> None:
    """A missing directory, an empty one, one of aiotune's, and one that holds projects."""
    (tmp_path / "ours" / "journal").mkdir(parents=True)
    (tmp_path / "empty").mkdir()

    with pytest.raises(ProjectError, match="There is no directory"):
        read_project(tmp_path / "nowhere")
    with pytest.raises(ProjectError, match="is a project of aiotune already"):
        read_project(tmp_path / "ours")
    with pytest.raises(ProjectError, match="Name the directory that KerasTuner made"):
        read_project(tmp_path / "empty")
    with pytest.raises(ProjectError, match="There are projects within it: kerastuner_bayesian"):
        read_project(DATA)


def test_the_time_at_which_a_trial_began_is_kept(tmp_path: Path) -> None:
    """Where the display wrote it down; 0 where it did not, or wrote something else."""
    directory = copied("random", tmp_path)
    path = directory / "oracle.json"
    state = json.loads(path.read_text())
    state["display"]["trial_start"] = {"0": "2024-05-01T12:00:00.500000", "1": "yesterday"}
    path.write_text(json.dumps(state))

    first, second, third, _ = read_project(directory).trials

    assert first.started % 60 == 0.5
    assert (second.started, third.started) == (0.0, 0.0)
    assert first.ended > 0
