"""The Gaussian process: its fit, its gradients, what it predicts."""

from __future__ import annotations

import numpy as np
import pytest

from aiotune.hyperparameters import HyperParameters
from aiotune.searchers._encoding import Encoding, Floats, Points
from aiotune.searchers._gp import Hyper, Prior, condition, fit, negative_log_posterior
from aiotune.searchers._kernel import Metric, Pairs


def mixed_encoding() -> Encoding:
    """Return a space with every kind of axis, some of them conditional."""
    hp = HyperParameters()
    hp.Float("rate", 1e-5, 1e-1, sampling="log")
    hp.Int("units", 8, 64, step=8)
    hp.Choice("model", ["a", "b", "c"])
    with hp.conditional_scope("model", ["b"]):
        hp.Float("only_b", 0.0, 1.0)
        hp.Boolean("flag_b")
    return Encoding(hp.space)


def some_points(encoding: Encoding, count: int, seed: int = 0) -> Points:
    return encoding.drawn(np.random.default_rng(seed).random((count, encoding.width)))


def some_targets(count: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal(count)


def dense_matern(squared: Floats) -> Floats:
    distance = np.sqrt(5.0 * squared)
    result: Floats = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return result


def dense_trend(points: Points) -> Floats:
    """Return the trend's covariance in :func:`mixed_encoding`: two terms a number, one a name."""
    u, is_on = 2.0 * points.z - 1.0, points.active
    columns = []
    for axis in (0, 1, 3):
        columns += [3**0.5 * u[:, axis], 2.5**0.5 * (3 * u[:, axis] ** 2 - 1) / 2]
        columns = [*columns[:-2], columns[-2] * is_on[:, axis], columns[-1] * is_on[:, axis]]
    for axis, count in ((2, 3), (4, 2)):
        columns += [(points.z[:, axis] == name) * is_on[:, axis] for name in range(count)]
    features = np.column_stack(columns) / 5**0.5
    result: Floats = features @ features.T
    return result


def test_the_gradient_of_the_fit_is_that_of_finite_differences() -> None:
    """Each derivative agrees with a central difference to five digits."""
    encoding = mixed_encoding()
    metric = Metric(encoding)
    pairs = metric.pairs(metric.place(some_points(encoding, 25)))
    targets, prior = some_targets(25), Prior()
    vector = np.random.default_rng(2).normal(0.0, 0.7, encoding.width + 3)
    vector[-1] = np.log(0.05)

    def value(at: Floats) -> float:
        return negative_log_posterior(at, pairs, targets, prior)[0]

    steps = 1e-5 * np.eye(len(vector))
    expected = [(value(vector + step) - value(vector - step)) / 2e-5 for step in steps]
    _, gradient = negative_log_posterior(vector, pairs, targets, prior)

    assert gradient == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_fit_minimises_the_marginal_likelihood_of_the_textbook() -> None:
    """Without the prior's part, the value is Rasmussen and Williams' equation 2.30."""
    encoding = mixed_encoding()
    metric = Metric(encoding)
    points = some_points(encoding, 12)
    pairs, targets = metric.pairs(metric.place(points)), some_targets(12)
    flat = Prior(length_spread=1e9, trend_spread=1e9, signal_spread=1e9, noise_spread=1e9)
    hyper = Hyper(np.linspace(0.5, 2.0, encoding.width), 0.7, 1.3, 0.02)

    value, _ = negative_log_posterior(hyper.vector, pairs, targets, flat)
    squared = np.tensordot(hyper.weights, pairs.by_axis, 1)
    covariance = 1.3 * dense_matern(squared) + 0.7 * dense_trend(points) + 0.02 * np.eye(12)
    expected = 0.5 * targets @ np.linalg.solve(covariance, targets)
    expected += 0.5 * np.linalg.slogdet(covariance)[1]

    assert float(expected) == pytest.approx(value, rel=1e-9)


def test_the_posterior_is_that_of_the_direct_formula() -> None:
    """Means and variances agree with solves of the dense matrices."""
    encoding = mixed_encoding()
    metric = Metric(encoding)
    rows, asked = some_points(encoding, 20), some_points(encoding, 6, seed=9)
    targets = some_targets(20)
    hyper = Hyper(np.linspace(0.5, 2.0, encoding.width), 0.7, 1.3, 0.02)
    posterior = condition(metric, metric.place(rows), targets, hyper)

    everything = Points.join(rows, asked)
    squared = np.tensordot(hyper.weights, metric.by_axis(metric.place(everything)), 1)
    prior = 1.3 * dense_matern(squared) + 0.7 * dense_trend(everything)
    noisy, cross = prior[:20, :20] + 0.02 * np.eye(20), prior[20:, :20]
    expected_mean = cross @ np.linalg.solve(noisy, targets)
    expected_covariance = prior[20:, 20:] - cross @ np.linalg.solve(noisy, cross.T)
    mean, variance = posterior.predict(metric.place(asked))

    assert mean == pytest.approx(expected_mean, abs=1e-9)
    assert variance == pytest.approx(np.diag(expected_covariance), abs=1e-9)


def test_what_is_observed_as_expected_changes_no_expectation() -> None:
    """Means stay everywhere, and what is unknown shrinks: so trials that run are counted."""
    encoding = mixed_encoding()
    metric = Metric(encoding)
    rows, running, asked = (some_points(encoding, n, seed=n) for n in (20, 4, 50))
    hyper = Hyper(np.ones(encoding.width), 0.7, 1.3, 0.02)
    before = condition(metric, metric.place(rows), some_targets(20), hyper)
    expected, _ = before.predict(metric.place(running))

    targets = np.concatenate([some_targets(20), expected])
    after = condition(metric, metric.place(Points.join(rows, running)), targets, hyper)

    (mean, variance), (new_mean, new_variance) = (
        posterior.predict(metric.place(asked)) for posterior in (before, after)
    )
    assert new_mean == pytest.approx(mean, abs=1e-9)
    assert (new_variance <= variance + 1e-9).all()
    assert float(new_variance.sum()) < 0.99 * float(variance.sum())


def test_the_smoothed_targets_are_the_means_at_the_rows() -> None:
    """They cost no prediction, and are the same."""
    encoding = mixed_encoding()
    metric = Metric(encoding)
    rows = metric.place(some_points(encoding, 15))
    hyper = Hyper(np.ones(encoding.width), 1.0, 1.0, 0.1)
    posterior = condition(metric, rows, some_targets(15), hyper)

    mean, _ = posterior.predict(rows)

    assert posterior.smoothed == pytest.approx(mean, abs=1e-9)


def test_a_fit_recovers_which_axis_matters() -> None:
    """A function of one of two axes gets a length scale several times as long on the other."""
    hp = HyperParameters()
    hp.Float("matters", 0.0, 1.0)
    hp.Float("does_not", 0.0, 1.0)
    encoding = Encoding(hp.space)
    metric = Metric(encoding)
    points = some_points(encoding, 40)
    targets = np.sin(12.0 * points.z[:, 0])
    targets = (targets - targets.mean()) / targets.std()

    found = fit(metric.pairs(metric.place(points)), targets, Prior())

    assert found.weights[0] > 16.0 * found.weights[1]


def test_a_bowl_in_ten_dimensions_is_learned_from_thirty_rows() -> None:
    """New places are predicted to a tenth of their standard deviation: the trend is a bowl."""
    hp = HyperParameters()
    for number in range(10):
        hp.Float(f"x{number}", 0.0, 1.0)
    encoding = Encoding(hp.space)
    metric = Metric(encoding)
    rows, asked = some_points(encoding, 30), some_points(encoding, 200, seed=9)
    known, expected = (((p.z - np.linspace(0.2, 0.8, 10)) ** 2).sum(1) for p in (rows, asked))
    middle, unit = known.mean(), known.std()
    targets = (known - middle) / unit

    hyper = fit(metric.pairs(metric.place(rows)), targets, Prior())
    posterior = condition(metric, metric.place(rows), targets, hyper)
    found = middle + unit * posterior.predict(metric.place(asked))[0]

    assert float(np.sqrt(((found - expected) ** 2).mean())) < 0.1 * expected.std()


def test_a_fit_never_takes_less_noise_than_the_least() -> None:
    """Targets without noise still get the floor."""
    encoding = mixed_encoding()
    metric = Metric(encoding)
    points = some_points(encoding, 30)

    found = fit(metric.pairs(metric.place(points)), points.z[:, 0], Prior(least_noise=1e-3))

    assert found.noise >= 1e-3 * (1 - 1e-9)


def test_equal_rows_without_noise_are_made_regular() -> None:
    """The covariance of two equal rows is singular; noise is added until it is not."""
    encoding = mixed_encoding()
    metric = Metric(encoding)
    one = some_points(encoding, 3)
    rows = metric.place(Points.join(one, one))
    hyper = Hyper(np.ones(encoding.width), 1.0, 1.0, 0.0)

    posterior = condition(metric, rows, np.zeros(6), hyper)

    assert posterior.hyper.noise > 0.0
    assert np.isfinite(posterior.alpha).all()


def test_a_singular_covariance_is_infinitely_bad() -> None:
    """An optimiser that steps there steps back."""
    pairs = Pairs(np.zeros((1, 3, 3)), np.zeros((3, 3)))
    vector = Hyper(np.ones(1), 1.0, 1.0, 1e-300).vector

    value, gradient = negative_log_posterior(vector, pairs, np.ones(3), Prior())

    assert value == float("inf")
    assert gradient.tolist() == [0.0] * 4
