"""The expected improvement: its logarithm, its gradient, where it is greatest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aiotune.hyperparameters import HyperParameters
from aiotune.searchers._acquisition import Beliefs, log_improvement, maximise
from aiotune.searchers._encoding import Encoding, Points
from aiotune.searchers._gp import Hyper, condition
from aiotune.searchers._kernel import Metric


def beliefs_of(encoding: Encoding, *, is_refusing: bool) -> Beliefs:
    random = np.random.default_rng(0)
    metric = Metric(encoding)
    rows = metric.place(encoding.drawn(random.random((25, encoding.width))))
    hyper = Hyper(np.full(encoding.width, 3.0), 0.8, 1.2, 1e-3)
    loss = condition(metric, rows, random.standard_normal(25), hyper)
    burden = condition(metric, rows, random.standard_normal(25), hyper)
    best = float(loss.smoothed.min())
    return Beliefs(encoding, loss, best, 1.0, burden if is_refusing else None)


def branched() -> Encoding:
    hp = HyperParameters()
    hp.Float("rate", 0.0, 1.0)
    hp.Choice("model", ["a", "b"])
    with hp.conditional_scope("model", ["b"]):
        hp.Float("depth", 0.0, 1.0)
    hp.Float("scale", 0.0, 1.0)
    return Encoding(hp.space)


def textbook(mean: float, spread: float, best: float) -> float:
    z = (best - mean) / spread
    pdf = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return spread * (pdf + z * 0.5 * math.erfc(-z / math.sqrt(2)))


def test_the_logarithm_is_that_of_the_textbook() -> None:
    """It agrees with the formula where that does not underflow."""
    mean, spread = np.array([0.3, 2.0, -1.0]), np.array([0.5, 0.4, 1.5])

    value, _, _ = log_improvement(mean, spread, 0.1)

    expected = [math.log(textbook(m, s, 0.1)) for m, s in zip(mean, spread, strict=True)]
    assert value == pytest.approx(expected, rel=1e-7)


def test_hopeless_configurations_still_differ() -> None:
    """Thousands of standard deviations away the logarithm is finite, and falls on."""
    mean = np.array([1.0, 2.0, 199.0, 201.0, 5000.0, 1e12])

    value, by_mean, _ = log_improvement(mean, np.ones(6), 0.0)

    assert np.isfinite(value).all()
    assert np.isfinite(by_mean).all()
    assert (np.diff(value) < 0).all()
    assert (by_mean < 0).all()


def test_nothing_jumps_where_one_formula_takes_over_from_another() -> None:
    """Both sides of each border agree."""
    for border in (-1.0, -200.0):
        sides = np.array([-border - 1e-9, -border + 1e-9])
        value, by_mean, _ = log_improvement(sides, np.ones(2), 0.0)
        assert value[0] == pytest.approx(value[1], abs=1e-5)
        assert by_mean[0] == pytest.approx(by_mean[1], rel=1e-5)


@pytest.mark.parametrize("is_refusing", [False, True])
def test_the_gradient_is_that_of_finite_differences(is_refusing: bool) -> None:
    """By every place that counts, in both branches, with and without refusals."""
    encoding = branched()
    beliefs = beliefs_of(encoding, is_refusing=is_refusing)
    drawn = encoding.drawn(np.random.default_rng(4).random((8, encoding.width)))
    for row in range(len(drawn)):
        point = drawn.take([row])
        value, gradient = beliefs.value_and_gradient(point)
        assert value == pytest.approx(float(beliefs.values(point)[0]), rel=1e-9)
        for column in (0, 2, 3):
            step = np.zeros(point.z.shape)
            step[0, column] = 1e-5
            up, down = (Points(point.z + s, point.active) for s in (step, -step))
            slope = float(beliefs.values(up)[0] - beliefs.values(down)[0]) / 2e-5
            assert gradient[column] == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_climbing_finds_at_least_what_a_grid_finds() -> None:
    """The best of 64 candidates, improved, is no worse than 30,000 random ones."""
    encoding = branched()
    beliefs = beliefs_of(encoding, is_refusing=False)
    random = np.random.default_rng(1)
    candidates = encoding.drawn(random.random((64, encoding.width)))

    points, values = maximise(beliefs, candidates, random)

    everywhere = beliefs.values(encoding.drawn(random.random((30_000, encoding.width))))
    assert values[0] >= float(everywhere.max()) - 1e-6
    assert values[0] == pytest.approx(float(beliefs.values(points.take([0]))[0]))
    assert (np.diff(values) <= 0).all()


def test_lists_are_climbed_by_single_steps() -> None:
    """Where nothing is continuous the result is as good as all its neighbours."""
    hp = HyperParameters()
    for name in ("a", "b", "c"):
        hp.Choice(name, [f"{name}{i}" for i in range(20)])
    hp.Int("d", 1, 5)
    encoding = Encoding(hp.space)
    beliefs = beliefs_of(encoding, is_refusing=False)
    random = np.random.default_rng(2)

    points, values = maximise(beliefs, encoding.drawn(random.random((16, 4))), random)

    around = np.repeat(points.z[:1], 4, axis=0)
    around[:, 3] = [0.0, 0.25, 0.5, 1.0]
    assert values[0] >= float(beliefs.values(encoding.completed(around)).max()) - 1e-9
