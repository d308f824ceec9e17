"""What is optimised, and in which direction."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aiotune.errors import ConfigurationError, UnknownDirection
from aiotune.objective import (
    DefaultObjective,
    MultiObjective,
    Objective,
    create_objective,
    infer_metric_direction,
    objective_from_dicts,
)


@pytest.mark.parametrize(
    "name",
    """loss val_loss mse bce val_weighted_mse root_mean_squared_error log_cosh kl_divergence
    false_positives digit_loss MeanSquaredError SparseCategoricalCrossentropy LogCoshError""".split(),
)
def test_losses_and_errors_are_minimised(name: str) -> None:
    """In snake and camel case, of validation, weighted, and of one output of several."""
    assert infer_metric_direction(name) == "min"


@pytest.mark.parametrize(
    "name",
    """acc val_accuracy top_5_accuracy sparse_top_3_categorical_accuracy auc auc_1 val_auc_2
    precision_at_recall digit_accuracy val_f1_score fbeta_score r2_score cosine_similarity iou
    binary_io_u mean_io_u pearson_correlation concordance_correlation F1Score R2Score BinaryIoU
    FBetaScore SparseTopKCategoricalAccuracy TruePositives""".split(),
)
def test_scores_and_agreements_are_maximised(name: str) -> None:
    """Those too that KerasTuner minimises or refuses, with and without Keras's numbering."""
    assert infer_metric_direction(name) == "max"


@pytest.mark.parametrize("name", ["val_quality", "", "top_accuracies", "mean", "lossless", "auc_x"])
def test_other_names_say_nothing(name: str) -> None:
    """A guess could turn a search round, so there is none."""
    assert infer_metric_direction(name) is None


def test_an_object_is_known_by_its_name_or_by_its_class() -> None:
    """A metric whose name the user chose is known by its class; a function by its own name."""

    class AUC:
        name = "mine"

    def huber() -> None: ...

    assert infer_metric_direction(AUC()) == "max"
    assert infer_metric_direction(AUC) == "max"
    assert infer_metric_direction(huber) == "min"


def test_no_objective_is_a_number_to_minimise() -> None:
    """What a plain run_trial returns needs no name."""
    made = create_objective(None)

    assert isinstance(made, DefaultObjective)
    assert made == Objective("default_objective", "min")


def test_a_name_gets_its_direction() -> None:
    """A metric of Keras needs no more than its name."""
    assert create_objective("val_accuracy") == Objective("val_accuracy", "max")


def test_an_objective_is_taken_as_it_is() -> None:
    """The user's own direction wins, whatever the name says."""
    given = Objective("val_loss", "max")

    assert create_objective(given) is given


def test_a_list_becomes_one_sum_to_minimise() -> None:
    """Members to maximise count negative."""
    made = create_objective([Objective("a", "max"), "val_loss"])

    assert isinstance(made, MultiObjective)
    assert (made.name, made.direction) == ("multi_objective", "min")
    assert made.get_value({"a": 2.0, "val_loss": 0.5}) == -1.5


def test_an_unknown_direction_is_asked_for() -> None:
    """The message says what to write."""
    with pytest.raises(UnknownDirection, match=r"'val_quality'.*Objective\('val_quality', 'max'\)"):
        create_objective("val_quality")


@pytest.mark.parametrize("wrong", [3, {"name": "loss"}, []])
def test_other_objectives_are_refused(wrong: Any) -> None:
    """The message shows what was received."""
    with pytest.raises(ConfigurationError, match="`objective` not understood"):
        create_objective(wrong)


def test_a_direction_is_min_or_max() -> None:
    """A misspelt direction must not be taken for one of the two."""
    with pytest.raises(ConfigurationError, match="must be 'min' or 'max', but is 'maximize'"):
        Objective("loss", "maximize")


@pytest.mark.parametrize(("direction", "better"), [("min", True), ("max", False)])
def test_better_is_strict_and_nan_is_never_better(direction: str, better: bool) -> None:
    """Equal is not better, and no number is worse than NaN."""
    objective = Objective("x", direction)

    assert objective.better_than(1.0, 2.0) is better
    assert objective.better_than(2.0, 1.0) is not better
    assert not objective.better_than(1.0, 1.0)
    assert not objective.better_than(math.nan, 1.0)
    assert not objective.better_than(1.0, math.nan)


def test_several_objectives_need_all_their_metrics() -> None:
    """A sum with a part missing would compare what cannot be compared."""
    objective = MultiObjective([Objective("a", "min"), Objective("b", "max")])

    assert objective.has_value({"a": 1, "b": 2, "c": 3})
    assert not objective.has_value({"a": 1})
    assert objective.names == ("a", "b")


def test_objectives_survive_as_data_and_order_does_not_matter() -> None:
    """What is stored makes an equal objective, for one and for several."""
    a, b = Objective("a", "min"), Objective("b", "max")

    assert objective_from_dicts(a.to_dicts()) == a
    assert objective_from_dicts(MultiObjective([b, a]).to_dicts()) == MultiObjective([a, b])
    assert a != b
    assert MultiObjective([a, b]) != a


def test_text_is_the_one_that_users_of_keras_tuner_know() -> None:
    """Summaries print it."""
    objective = MultiObjective([Objective("a", "min")])

    assert str(Objective("a", "min")) == 'Objective(name="a", direction="min")'
    assert str(objective) == (
        'MultiObjective(name="multi_objective", direction="min"): '
        '[Objective(name="a", direction="min")]'
    )


def test_a_sum_within_a_sum_needs_the_metrics_of_both() -> None:
    """Its own name is no metric that a training measures, and every trial would have failed."""
    objective = create_objective([["val_loss", "val_accuracy"], "val_mae"])

    assert objective.names == ("val_loss", "val_accuracy", "val_mae")
    assert objective_from_dicts(objective.to_dicts()) == objective


def test_a_sum_of_one_is_that_one() -> None:
    """Stored they are the same, so a score of one must not have the sign of the other."""
    only = Objective("acc", "max")

    assert create_objective(MultiObjective([only])) is only


def test_a_sum_of_nothing_is_refused() -> None:
    """Each trial would be as good as all others."""
    with pytest.raises(ConfigurationError, match="given no objectives"):
        MultiObjective([])
