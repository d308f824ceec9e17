"""Distances between configurations, of every kind of axis."""

from __future__ import annotations

import numpy as np
import pytest

from aiotune.hyperparameters import HyperParameters
from aiotune.searchers._encoding import Encoding, Points
from aiotune.searchers._kernel import Metric, matern, matern_slope


def conditional() -> Encoding:
    hp = HyperParameters()
    hp.Choice("model", ["a", "b", "c"])
    with hp.conditional_scope("model", ["b", "c"]):
        hp.Float("depth", 0.0, 1.0)
        hp.Boolean("flag")
    hp.Float("rate", 0.0, 1.0)
    return Encoding(hp.space)


def distances(*configurations: dict[str, object]) -> dict[str, float]:
    """Return the squared distance of two configurations, by axis."""
    encoding = conditional()
    metric = Metric(encoding)
    points = encoding.points(list(configurations))  # type: ignore[arg-type]
    by_axis = metric.by_axis(metric.place(points))
    return {axis.hp.name: round(float(by_axis[i, 0, 1]), 6) for i, axis in enumerate(encoding.axes)}


def test_an_unordered_choice_is_equal_or_different() -> None:
    """The first and the last choice are no further apart than neighbours."""
    near = distances({"model": "a", "rate": 0.5}, {"model": "b", "rate": 0.5})["model"]
    far = distances({"model": "a", "rate": 0.5}, {"model": "c", "rate": 0.5})["model"]

    assert (near, far) == (1.0, 1.0)


def test_what_neither_has_does_not_count() -> None:
    """Two configurations of a branch without depth do not differ in depth, whatever it says."""
    found = distances({"model": "a", "rate": 0.0}, {"model": "a", "rate": 1.0, "depth": 0.9})

    assert found == {"model": 0.0, "depth": 0.0, "flag": 0.0, "rate": 1.0}


@pytest.mark.parametrize("depth", [0.0, 0.3, 1.0])
def test_what_one_has_and_the_other_has_not_counts_the_same_whatever_its_value(
    depth: float,
) -> None:
    """The distance to a configuration without depth is 1 for every depth."""
    deep = {"model": "b", "depth": depth, "flag": True, "rate": 0.0}
    found = distances({"model": "a", "rate": 0.0}, deep)

    assert found == {"model": 1.0, "depth": 1.0, "flag": 1.0, "rate": 0.0}


def test_what_both_have_counts_nearly_as_if_all_had_it() -> None:
    """An arc of one radian is hardly longer than its chord."""
    shared = {"model": "b", "flag": True, "rate": 0.0}
    found = distances({**shared, "depth": 0.2}, {**shared, "depth": 0.6})

    assert found["depth"] == pytest.approx(0.4**2, rel=0.02)


def test_the_kernel_is_positive_definite_over_branches() -> None:
    """No combination of mixed and conditional configurations has a negative variance."""
    encoding = conditional()
    metric = Metric(encoding)
    points = encoding.drawn(np.random.default_rng(0).random((60, encoding.width)))
    weights = np.array([0.5, 3.0, 1.0, 8.0])
    placed = metric.place(points)

    kernel = matern(metric.between(placed, placed, weights))

    assert float(np.linalg.eigvalsh(kernel).min()) > -1e-10


def test_distances_at_once_are_those_by_axis() -> None:
    """The fast form for prediction agrees with the form by axis for fitting."""
    encoding = conditional()
    metric = Metric(encoding)
    placed = metric.place(encoding.drawn(np.random.default_rng(3).random((20, encoding.width))))
    weights = np.array([0.5, 3.0, 1.0, 8.0])

    expected = np.tensordot(weights, metric.by_axis(placed), 1)

    assert metric.between(placed, placed, weights) == pytest.approx(expected, abs=1e-12)


def test_the_trend_of_what_is_not_active_is_nothing() -> None:
    """Two configurations without depth share what they have, whatever their depth says."""
    encoding = conditional()
    metric = Metric(encoding)
    shallow = [{"model": "a", "rate": 0.3}, {"model": "a", "rate": 0.3, "depth": 0.9}]
    points = encoding.points(shallow)  # type: ignore[arg-type]

    trend = metric.trend(metric.place(points), metric.place(points))

    assert trend == pytest.approx(np.full((2, 2), trend[0, 0]))


def test_the_variances_of_the_trend_are_its_diagonal() -> None:
    """Without computing the rest."""
    encoding = conditional()
    metric = Metric(encoding)
    placed = metric.place(encoding.drawn(np.random.default_rng(4).random((20, encoding.width))))

    expected = np.diag(metric.trend(placed, placed))

    assert metric.trend_variances(placed) == pytest.approx(expected)


def test_the_slopes_of_the_trend_are_those_of_finite_differences() -> None:
    """By the place of each number; 0 by a category."""
    encoding = conditional()
    metric = Metric(encoding)
    others = metric.place(encoding.drawn(np.random.default_rng(5).random((7, encoding.width))))
    z, active = np.array([[1.0, 0.4, 1.0, 0.7]]), np.ones((1, 4), dtype=bool)
    expected = np.zeros((7, 4))
    for axis in (1, 3):
        step = 1e-6 * np.eye(4)[axis]
        up, down = (metric.place(Points(z + s, active)) for s in (step, -step))
        expected[:, axis] = (metric.trend(up, others) - metric.trend(down, others))[0] / 2e-6

    assert metric.trend_slopes(Points(z, active), others) == pytest.approx(expected, abs=1e-8)


def test_the_slope_of_the_correlation_is_that_of_finite_differences() -> None:
    """It stays finite where two configurations are equal."""
    squared = np.array([0.01, 0.5, 2.0, 9.0])
    expected = (matern(squared + 1e-6) - matern(squared - 1e-6)) / 2e-6

    assert matern_slope(squared) == pytest.approx(expected, rel=1e-6)
    assert matern_slope(np.zeros(1)) == pytest.approx([-5 / 6])
