"""Observations over steps and executions."""

from __future__ import annotations

import math

import pytest

from aiotune.metrics import MetricHistory, MetricObservation, MetricsTracker


def history_of(direction: str, *values: float) -> MetricHistory:
    history = MetricHistory(direction)
    for step, value in enumerate(values):
        history.update(value, step)
    return history


def test_executions_at_one_step_are_averaged() -> None:
    """Two values at a step count as their mean."""
    history = MetricHistory("max")
    history.update(1.0, 5)
    history.update(2.0, 5)

    assert history.get_history() == [MetricObservation([1.0, 2.0], 5)]
    assert history.get_best_value() == 1.5
    assert history.get_value(5) == 1.5
    assert history.get_value(6) is None


@pytest.mark.parametrize(("direction", "best", "step"), [("min", 1.0, 1), ("max", 3.0, 2)])
def test_best_is_the_first_best_step(direction: str, best: float, step: int) -> None:
    """A tie goes to the earlier step, whatever the order of arrival."""
    history = history_of(direction, 2.0, 1.0, 3.0, 1.0, 3.0)

    assert history.get_best_value() == best
    assert history.get_best_step() == step


def test_nan_is_best_only_where_there_is_nothing_else() -> None:
    """One diverged epoch does not hide a good one; nothing but NaN is told as NaN."""
    mixed, only, empty = (
        history_of("min", math.nan, 2.0),
        history_of("min", math.nan),
        MetricHistory("min"),
    )

    assert (mixed.get_best_value(), mixed.get_best_step()) == (2.0, 1)
    assert math.isnan(only.get_best_value() or 0.0)
    assert only.get_best_step() == 0
    assert (empty.get_best_value(), empty.get_best_step(), empty.get_last_value()) == (None,) * 3


def test_statistics_leave_nan_out() -> None:
    """They are those of the population of steps."""
    stats = history_of("min", 1.0, math.nan, 3.0).get_statistics()

    assert stats == {"min": 1.0, "max": 3.0, "mean": 2.0, "median": 2.0, "var": 1.0, "std": 1.0}
    assert history_of("min", math.nan).get_statistics() == {}


def test_steps_are_told_in_order() -> None:
    """Also if a late step arrived first."""
    history = MetricHistory()
    history.update(1.0, 3)
    history.update(2.0, 1)

    assert [o.step for o in history.get_history()] == [1, 3]
    assert history.get_last_value() == 1.0


def test_a_direction_is_min_or_max() -> None:
    """The name of the argument is in the message, as in KerasTuner's."""
    with pytest.raises(ValueError, match="`direction` should be one of"):
        MetricHistory("up")


@pytest.mark.parametrize(
    ("name", "direction", "expected"),
    [("val_acc", None, "max"), ("quality", None, "min"), ("quality", "max", "max")],
)
def test_direction_is_given_or_inferred_or_min(
    name: str, direction: str | None, expected: str
) -> None:
    """What is said wins over what the name says."""
    tracker = MetricsTracker()
    tracker.register(name, direction)

    assert tracker.get_direction(name) == expected


def test_update_tells_an_improvement() -> None:
    """The first number improves, NaN and equals do not."""
    tracker = MetricsTracker()

    improved = [tracker.update("loss", v, step) for step, v in enumerate([math.nan, 2.0, 2.0, 1.0])]

    assert improved == [False, True, False, True]


def test_update_compares_means_over_executions() -> None:
    """A second execution's lucky value does not improve if the mean at its step does not."""
    tracker = MetricsTracker()
    tracker.update("loss", 1.0, 0)
    tracker.update("loss", 5.0, 1)

    assert not tracker.update("loss", 0.5, 1)


def test_metrics_at_a_step_fall_back_to_the_last_value() -> None:
    """A metric that was not measured at the best step is still part of the result."""
    tracker = MetricsTracker()
    for step, value in enumerate([0.5, 0.2, 0.9]):
        tracker.update("loss", value, step)
    tracker.update("seconds", 7.0, 0)

    assert tracker.at(1) == {"loss": 0.2, "seconds": 7.0}
    assert tracker.latest() == {"loss": 0.9, "seconds": 7.0}


def test_unknown_and_repeated_names_are_refused() -> None:
    """The messages name the metric."""
    tracker = MetricsTracker()
    tracker.register("loss")

    with pytest.raises(ValueError, match="'loss' already exists"):
        tracker.register("loss")
    with pytest.raises(ValueError, match=r"Unknown metric 'acc'; known: \['loss'\]"):
        tracker.get_best_value("acc")


def test_history_can_be_replaced() -> None:
    """The direction stays; every getter answers from the new observations."""
    tracker = MetricsTracker()
    tracker.register("acc", "max")
    tracker.set_history("acc", [MetricObservation([0.1, 0.3], 0), MetricObservation(0.4, 1)])

    assert tracker.exists("acc")
    assert tracker.get_history("acc")[0].value == [0.1, 0.3]
    assert (tracker.get_best_value("acc"), tracker.get_best_step("acc")) == (0.4, 1)
    assert tracker.get_last_value("acc") == 0.4
    assert tracker.get_statistics("acc")["max"] == 0.4


def test_metrics_survive_as_data() -> None:
    """What is rebuilt has the same directions and observations."""
    tracker = MetricsTracker()
    tracker.update("acc", 0.5, 2)
    tracker.update("acc", 0.7, 2)

    rebuilt = MetricsTracker.from_config(tracker.get_config())

    assert rebuilt.get_config() == tracker.get_config()
    assert rebuilt.get_direction("acc") == "max"
    assert repr(rebuilt.get_history("acc")) == "[MetricObservation(value=[0.5, 0.7], step=2)]"
