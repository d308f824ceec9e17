"""What is worth trying: the logarithm of the expected improvement, and where it is greatest.

The expected improvement below the best value so far (Mockus 1978; Jones et al.
1998), on a logarithmic scale that does not underflow where hardly any is
expected (Ament et al., Unexpected Improvements to Expected Improvement for
Bayesian Optimization, 2023). Where configurations have been refused, it is multiplied by
the probability of not being refused (Gardner et al., Bayesian Optimization with
Inequality Constraints, 2014). What is likely to be refused comes after
everything else, however much it promises: towards the end of a search hardly
any improvement is expected of what is known to be let run, and a product would
send one trial after the other over the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiotune.searchers._encoding import Encoding, Floats, Indices, Points
from aiotune.searchers._gp import LEAST_VARIANCE, Posterior
from aiotune.searchers._kernel import matern, matern_slope

__all__ = ("Beliefs", "log_improvement", "maximise")

_LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))
_FAR = -200.0
"""Standard deviations from which rounding leaves nothing of the near formula."""
_CAUTION = 1.0
"""Standard deviations by which what is believed of a burden is taken for more."""
_REFUSED = 1e9
"""What being refused costs: more than a promise can differ."""
_RELAXED = 8
"""Values from which a list of numbers is searched like a range, and rounded."""
_STARTS = 5
_ROUNDS = 3


def _log_h(z: Floats) -> tuple[Floats, Floats]:
    """Return the logarithm of ``pdf(z) + z cdf(z)``, and its derivative ``cdf(z) / (...)``."""
    from scipy.special import erfcx, log_ndtr

    value = np.empty_like(z)
    near, far = z > -1.0, z < _FAR
    between = ~near & ~far
    pdf = np.exp(-0.5 * z[near] ** 2 - _LOG_SQRT_2PI)
    value[near] = np.log(pdf + z[near] * np.exp(log_ndtr(z[near])))
    t = z[between]
    share = -t * np.sqrt(np.pi / 2.0) * erfcx(-t / np.sqrt(2.0))
    value[between] = -0.5 * t * t - _LOG_SQRT_2PI + np.log1p(-share)
    # Further out the two cancel to all digits; what is left is the asymptotic series.
    t = z[far]
    value[far] = -0.5 * t * t - _LOG_SQRT_2PI - 2.0 * np.log(-t) + np.log1p(-3.0 / (t * t))
    ratio = np.empty_like(z)
    ratio[~far] = np.exp(log_ndtr(z[~far]) - value[~far])
    ratio[far] = -t - 2.0 / t
    return value, ratio


def log_improvement(mean: Floats, spread: Floats, best: float) -> tuple[Floats, Floats, Floats]:
    """Return the logarithm of the expected improvement.

    Args:
        mean: Of each configuration.
        spread: Standard deviation of each configuration.
        best: What is to be improved on.

    Returns:
        The logarithms, and their derivatives by ``mean`` and by ``spread``.
    """
    z = (best - mean) / spread
    log_h, ratio = _log_h(z)
    return np.log(spread) + log_h, -ratio / spread, (1.0 - ratio * z) / spread


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """All that an acquisition is computed from.

    Attributes:
        encoding: The space.
        loss: Of the targets.
        best: The least of them.
        width: Factor of the standard deviation: how much uncertainty attracts.
        burden: Of what makes configurations be refused; they are where it is
            above 0. ``None``: none was.
    """

    encoding: Encoding
    loss: Posterior
    best: float
    width: float
    burden: Posterior | None

    def values(self, points: Points) -> Floats:
        """Return the acquisition of many configurations."""
        placed = self.loss.metric.place(points)
        mean, variance = self.loss.predict(placed)
        value, _, _ = log_improvement(mean, self.width * np.sqrt(variance), self.best)
        return value + self.log_feasible(points)

    def log_feasible(self, points: Points) -> Floats:
        """Return the logarithm of the probability of not being refused, seen with caution."""
        from scipy.special import log_ndtr

        if self.burden is None:
            return np.zeros(len(points))
        mean, variance = self.burden.predict(self.burden.metric.place(points))
        result: Floats = log_ndtr(-_certain_burden(mean, variance))
        return result

    def scores(self, points: Points) -> Floats:
        """Return :meth:`values`, with what is likely to be refused below everything else."""
        values = self.values(points)
        if self.burden is None:
            return values
        odds = -_certain_burden(*self.burden.predict(self.burden.metric.place(points)))
        return np.where(odds < 0.0, values - _REFUSED, values)

    def value_and_gradient(self, point: Points) -> tuple[float, Floats]:
        """Return the acquisition of one configuration, and its derivatives by the places.

        A category's derivative is 0, and so is that of what is not active.
        """
        mean, variance, mean_slopes, variance_slopes = _with_slopes(self.loss, point)
        spread = self.width * np.sqrt(variance)
        value, by_mean, by_spread = log_improvement(mean, spread, self.best)
        by_variance = by_spread * spread / (2.0 * variance)
        gradient = by_mean * mean_slopes + by_variance * variance_slopes
        if self.burden is None:
            return float(value[0]), gradient
        log_feasible, slopes = self._feasible_with_slopes(self.burden, point)
        return float(value[0]) + log_feasible, gradient + slopes

    @staticmethod
    def _feasible_with_slopes(burden: Posterior, point: Points) -> tuple[float, Floats]:
        from scipy.special import log_ndtr

        mean, variance, mean_slopes, variance_slopes = _with_slopes(burden, point)
        spread = float(np.sqrt(variance[0]))
        t = -float(_certain_burden(mean, variance)[0])
        log_feasible = float(log_ndtr(t))
        by_t = np.exp(-0.5 * t * t - _LOG_SQRT_2PI - log_feasible)
        by_variance = float(mean[0]) / (2.0 * spread**3)
        slopes = by_t * (by_variance * variance_slopes - mean_slopes / spread)
        return log_feasible, slopes


def _certain_burden(mean: Floats, variance: Floats) -> Floats:
    """Return the burden that is exceeded with a probability of a sixth, in standard deviations."""
    result: Floats = mean / np.sqrt(variance) + _CAUTION
    return result


def _with_slopes(posterior: Posterior, point: Points) -> tuple[Floats, Floats, Floats, Floats]:
    """Predict one configuration: mean, variance, and their slopes by its places."""
    metric, hyper, rows = posterior.metric, posterior.hyper, posterior.rows
    placed = metric.place(point)
    squared = metric.between(placed, rows, hyper.weights)[0]
    cross = hyper.signal * matern(squared) + hyper.trend * metric.trend(placed, rows)[0]
    part = posterior.root @ cross
    own = hyper.signal + hyper.trend * metric.trend_variances(placed)
    variance = np.maximum(own - part @ part, LEAST_VARIANCE)
    by_squared = hyper.signal * matern_slope(squared)
    slopes = metric.slopes(point, placed, rows, hyper.weights) * by_squared[:, None]
    slopes += hyper.trend * metric.trend_slopes(point, rows)
    own_slopes = 2.0 * hyper.trend * metric.trend_slopes(point, placed)[0]
    by_variance = own_slopes - 2.0 * slopes.T @ (posterior.root.T @ part)
    mean = (cross @ posterior.alpha)[None]
    return mean, variance, slopes.T @ posterior.alpha, by_variance


def maximise(
    beliefs: Beliefs, candidates: Points, random: np.random.Generator
) -> tuple[Points, Floats]:
    """Improve the best of some candidates.

    Args:
        beliefs: Gives the acquisition.
        candidates: Where to look first.
        random: Picks categories to try where there are many.

    Returns:
        The improved ones, and the candidates, best first; and their acquisition.
    """
    values = beliefs.scores(candidates)
    order = np.argsort(-values, kind="stable")
    improved = [
        _improved(beliefs, candidates.take([row]), float(values[row]), random)
        for row in _apart(candidates, order)
    ]
    points = Points.join(*[point for point, _ in improved], candidates)
    scores = np.concatenate([[value for _, value in improved], values])
    best_first = np.argsort(-scores, kind="stable")
    return points.take(best_first), scores[best_first]


def _apart(candidates: Points, order: Indices) -> list[int]:
    """Return the best candidates that do not crowd in one place."""
    chosen: list[int] = []
    for row in order[: 50 * _STARTS]:
        distances = [np.abs(candidates.z[row] - candidates.z[other]).max() for other in chosen]
        if all(distance > 0.05 for distance in distances):  # noqa: PLR2004 - of a range's width
            chosen.append(int(row))
        if len(chosen) == _STARTS:
            break
    return chosen


def _improved(
    beliefs: Beliefs, point: Points, value: float, random: np.random.Generator
) -> tuple[Points, float]:
    """Climb: smoothly along the ranges, then by single steps along the lists, in turn."""
    for _ in range(_ROUNDS):
        climbed = _climbed(beliefs, point)
        around = Points.join(climbed, _neighbours(beliefs.encoding, climbed, random))
        values = beliefs.scores(around)
        best = int(np.argmax(values))
        if values[best] <= value + 1e-6:  # less than that is no reason to go on
            break
        point, value = around.take([best]), float(values[best])
        if best == 0 and len(around) == 1:
            break
    return point, value


def _climbed(beliefs: Beliefs, point: Points) -> Points:
    from scipy.optimize import minimize

    free = [
        column
        for column, axis in enumerate(beliefs.encoding.axes)
        if not axis.is_category and (axis.is_free or len(axis.places) >= _RELAXED)
    ]
    columns = [column for column in free if point.active[0, column]]
    if not columns:
        return point

    def downhill(places: Floats) -> tuple[float, Floats]:
        z = point.z.copy()
        z[0, columns] = places
        value, gradient = beliefs.value_and_gradient(Points(z, point.active))
        return -value, -gradient[columns]

    found = minimize(
        downhill,
        point.z[0, columns],
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(columns),
        options={"maxiter": 40, "ftol": 1e-6, "gtol": 1e-4},
    )
    z = point.z.copy()
    z[0, columns] = found.x
    return beliefs.encoding.completed(z)


_MOST_VALUES = 12
"""Values of a category that are tried in one step."""


def _neighbours(encoding: Encoding, point: Points, random: np.random.Generator) -> Points:
    """Return the configurations that differ in one listed value, and by little if it is a number."""
    rows: list[Floats] = []
    for column, axis in enumerate(encoding.axes):
        if axis.is_free or not point.active[0, column]:
            continue
        now = int(np.argmin(np.abs(axis.places - point.z[0, column])))
        for number in _steps(axis.is_category, now, len(axis.places), random):
            row = point.z[0].copy()
            row[column] = axis.places[number]
            rows.append(row)
    return encoding.completed(np.array(rows).reshape(len(rows), encoding.width))


def _steps(is_category: bool, now: int, count: int, random: np.random.Generator) -> Sequence[int]:
    if not is_category:
        return [n for n in (now - 2, now - 1, now + 1, now + 2) if 0 <= n < count]
    others = [n for n in range(count) if n != now]
    if len(others) <= _MOST_VALUES:
        return others
    return [int(n) for n in random.choice(others, _MOST_VALUES, replace=False)]
