"""The objective of an old project: found from scores, or checked against them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aiotune.errors import ConfigurationError
from aiotune.migration._objective import check_objective, find_objective, objective_notes
from aiotune.migration._read import OldProject, OldTrial, read_project
from aiotune.objective import DefaultObjective, MultiObjective, Objective

DATA = Path(__file__).parent.parent / "data"


def project(*trials: OldTrial) -> OldProject:
    return OldProject(Path("old"), trials, (), (), {}, {})


def completed(
    score: float, best_step: int = 0, **metrics: dict[int, tuple[float, ...]]
) -> OldTrial:
    return OldTrial("0", "COMPLETED", {}, (), metrics, score, best_step, None, Path("old"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("random", Objective("val_loss", "min")),
        ("hyperband", Objective("val_loss", "min")),
        ("failures", Objective("loss", "min")),
        ("grid", DefaultObjective()),
        ("bayesian", DefaultObjective()),
    ],
)
def test_the_scores_tell_the_objective(name: str, expected: Objective) -> None:
    """It is the metric whose value each score is."""
    assert find_objective(read_project(DATA / f"kerastuner_{name}")) == expected


def test_the_direction_is_the_right_one_where_kerastuner_had_the_wrong_one() -> None:
    """A metric that KerasTuner would have minimised."""
    found = find_objective(project(completed(0.5, val_f1_score={0: (0.5,)}, loss={0: (2.0,)})))

    assert found == Objective("val_f1_score", "max")


def test_a_name_that_says_nothing_has_the_direction_that_was_written_down() -> None:
    """KerasTuner keeps it with the metric."""
    trial = replace(completed(1.0, charm={0: (1.0,)}), directions={"charm": "max"})

    assert find_objective(project(trial)) == Objective("charm", "max")


def test_a_direction_that_changes_is_told() -> None:
    """F1 was minimised unless the program said otherwise; what stays is not spoken of."""
    trial = replace(completed(0.5, val_f1_score={0: (0.5,)}), directions={"val_f1_score": "min"})
    old = project(trial)

    (note,) = objective_notes(old, find_objective(old))
    assert "'val_f1_score' is to be small; from now on it is to be large" in note
    assert "--objective val_f1_score:min" in note
    assert objective_notes(old, Objective("val_f1_score", "min")) == []


def test_several_executions_are_compared_by_their_mean_at_the_best_step() -> None:
    """As their score was computed."""
    trial = completed(0.5, 3, loss={2: (9.0,), 3: (0.25, 0.75)}, mae={2: (0.5,), 3: (0.1,)})

    assert find_objective(project(trial)) == Objective("loss", "min")


@pytest.mark.parametrize(
    ("trials", "why"),
    [
        ([], "what its 0 completed trials were scored by"),
        ([completed(1.0, loss={0: (2.0,)})], "what its 1 completed trials were scored by"),
        (
            [completed(1.0, loss={0: (1.0,)}, val_loss={0: (1.0,)})],
            "by which of 'loss', 'val_loss' its trials were scored",
        ),
        ([completed(1.0, charm={0: (1.0,)})], "whether 'charm'"),
        (
            [completed(1.0, multi_objective={0: (1.0,)})],
            "of which objectives its scores are the sum",
        ),
    ],
)
def test_what_the_scores_do_not_tell_is_asked_for(trials: list[OldTrial], why: str) -> None:
    """The sentence says what is not known, and how to say it."""
    with pytest.raises(ConfigurationError) as caught:
        find_objective(project(*trials))

    assert why in str(caught.value)
    assert "--objective NAME:min" in str(caught.value)


def test_a_sum_of_objectives_is_recognised() -> None:
    """Those to be minimised less those to be maximised."""
    several = MultiObjective([Objective("cost", "min"), Objective("gain", "max")])
    wrong = MultiObjective([Objective("cost", "min"), Objective("gain", "min")])
    old = read_project(DATA / "kerastuner_several")

    check_objective(old, several)
    with pytest.raises(ConfigurationError, match=r"The score of trial 1 .* is"):
        check_objective(old, wrong)


def test_another_objective_than_the_projects_is_refused() -> None:
    """Whether the metric is there with other values, or is not there."""
    old = read_project(DATA / "kerastuner_random")

    with pytest.raises(ConfigurationError, match="The score of trial 0"):
        check_objective(old, Objective("loss", "min"))
    with pytest.raises(ConfigurationError, match=r"Trial 0 of .* has no 'val_accuracy'"):
        check_objective(old, Objective("val_accuracy", "max"))
