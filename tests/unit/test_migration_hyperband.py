"""KerasTuner's brackets as budgets that our searcher goes on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from aiotune.migration import import_keras_tuner
from aiotune.migration._hyperband import Budgets
from aiotune.migration._read import OldTrial, read_project
from aiotune.oracles import HyperbandOracle
from aiotune.status import TrialStatus

DATA = Path(__file__).parent.parent / "data"


def trial_of(
    trial_id: str, epochs: int, round_number: int = 0, parent: str | None = None
) -> OldTrial:
    control = {"tuner/epochs": epochs, "tuner/initial_epoch": 0, "tuner/round": round_number}
    if parent is not None:
        control["tuner/trial_id"] = parent  # type: ignore[assignment]
    return OldTrial(trial_id, "COMPLETED", control, (), {}, 1.0, 0, None, Path("old"))


def test_each_trial_gets_the_budget_that_our_searcher_would_have_given() -> None:
    """Bracket, round, iteration, epochs and the parent's index."""
    project = read_project(DATA / "kerastuner_hyperband")
    budgets = Budgets.of(project)
    assert budgets is not None

    given = [budgets.give(trial, index) for index, trial in enumerate(project.trials)]

    def first(bracket: int, epochs: int) -> dict[str, int]:
        return {
            "epochs": epochs, "initial_epoch": 0, "round": 0, "bracket": bracket, "iteration": 0,
        }  # fmt: skip

    def later(bracket: int, number: int, begin: int, end: int, parent: int) -> dict[str, int]:
        return {
            "epochs": end, "initial_epoch": begin, "round": number,
            "bracket": bracket, "iteration": 0, "parent": parent,
        }  # fmt: skip

    assert given == [
        *[first(2, 1)] * 4,
        later(2, 1, 1, 2, 2),
        later(2, 1, 1, 2, 0),
        later(2, 2, 2, 4, 4),
        *[first(1, 2)] * 3,
        later(1, 1, 2, 4, 9),
        later(1, 1, 2, 4, 8),
        *[first(0, 4)] * 3,
    ]


def test_the_bracket_is_told_by_the_epochs_and_not_by_what_kerastuner_wrote() -> None:
    """It writes the bracket that was being filled, whatever the trial's own is."""
    trial = trial_of("0", epochs=2)
    misled = OldTrial(
        "0", "COMPLETED", {**trial.values, "tuner/bracket": 0}, (), {}, 1.0, 0, None, Path("old")
    )

    budget = Budgets(4, 2).give(misled, 0)

    assert budget is not None
    assert budget["bracket"] == 1


def test_a_bracket_that_is_full_begins_the_next_iteration() -> None:
    """The bracket of 4 epochs at once has three places."""
    budgets = Budgets(4, 2)

    given = [budgets.give(trial_of(str(n), epochs=4), n) for n in range(4)]

    assert [budget and budget["iteration"] for budget in given] == [0, 0, 0, 1]


def test_a_promotion_without_its_parent_has_no_budget() -> None:
    """The trial that it goes on with was damaged, so it cannot be placed."""
    assert Budgets(4, 2).give(trial_of("5", 2, 1, parent="0"), 0) is None


def test_epochs_of_no_bracket_are_kept_without_one() -> None:
    """Our searcher then leaves the trial alone."""
    assert Budgets(4, 2).give(trial_of("0", epochs=3), 0) == {
        "epochs": 3, "initial_epoch": 0, "round": 0,
    }  # fmt: skip


async def test_a_search_that_was_finished_has_nothing_left(tmp_path: Path) -> None:
    """All brackets are full, so the oracle stops at once."""
    await import_keras_tuner(DATA / "kerastuner_hyperband", tmp_path, "new")
    oracle = HyperbandOracle("val_loss", max_epochs=4, factor=2)

    async with oracle.open(tmp_path, "new"):
        trial = await oracle.create_trial("w")

    assert trial.status is TrialStatus.STOPPED


async def test_a_search_that_was_begun_goes_on_where_it_was(tmp_path: Path) -> None:
    """The bracket takes its third configuration, then promotes the best of all three."""
    await import_keras_tuner(DATA / "kerastuner_hyperband_begun", tmp_path, "new")
    oracle = HyperbandOracle("val_loss", max_epochs=4, factor=2)

    async with oracle.open(tmp_path, "new"):
        ninth = await oracle.create_trial("w")
        await oracle.update_trial(ninth.trial_id, {"val_loss": 0.5})
        await oracle.end_trial(ninth)
        tenth = await oracle.create_trial("w")

    assert ninth.budget == {
        "epochs": 2, "initial_epoch": 0, "round": 0, "bracket": 1, "iteration": 0,
    }  # fmt: skip
    assert (tenth.budget["round"], tenth.budget["parent"], tenth.budget["epochs"]) == (1, 8, 4)
    assert dict(tenth.values) == dict(oracle.trials["8"].values)


async def test_a_lost_parent_takes_its_children_with_it(tmp_path: Path) -> None:
    """They are left out with a note; the others stay, renamed where the number is needed again."""
    directory = Path(shutil.copytree(DATA / "kerastuner_hyperband_begun", tmp_path / "old"))
    (directory / "trial_1" / "trial.json").write_text("")

    made = await import_keras_tuner(directory, tmp_path, "new", skip_damaged=True)

    oracle = HyperbandOracle("val_loss", max_epochs=4, factor=2)
    async with oracle.open(tmp_path, "new"):
        ids = list(oracle.trials)
    assert [note.split(":")[0] for note in made.notes[1:3]] == [
        "Trial 4 was left out", "Trial 6 was left out",
    ]  # fmt: skip
    assert ids == ["0", "2", "3", "5", "7-imported", "8-imported"]
    assert json.loads((directory / "oracle.json").read_text())["start_order"] == list("012345678")


async def test_promotions_find_the_weights_of_the_trials_that_they_go_on_with(
    tmp_path: Path,
) -> None:
    """Under the name that a trainer looks for, without a second copy on the disk."""
    made = await import_keras_tuner(DATA / "kerastuner_hyperband", tmp_path, "new")

    weights = made.project_dir / "trial_0002" / "checkpoint.weights.h5"
    state = made.project_dir / "trial_0002" / "state-0.weights.h5"
    assert state.samefile(weights)
    assert not (made.project_dir / "trial_0004" / "state-0.weights.h5").exists()
