"""Gaussian process regression: fitting its hyperparameters, and what it predicts.

Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters
2 and 5. Targets are expected to have a mean of about 0 and a variance of about 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aiotune.searchers._encoding import Floats
from aiotune.searchers._kernel import Metric, Pairs, Placed, matern, matern_slope

__all__ = (
    "LEAST_VARIANCE",
    "Hyper",
    "Posterior",
    "Prior",
    "condition",
    "fit",
    "negative_log_posterior",
)

_JITTER = 1e-10
"""Least variance on the diagonal, without which nearly equal rows make it singular."""
LEAST_VARIANCE = 1e-12
"""What rounding may leave less of is taken for this."""


@dataclass(frozen=True, slots=True, eq=False)
class Hyper:
    """What a fit finds.

    Attributes:
        weights: One over the squared length scale, for each axis.
        trend: Factor of the trend's covariance.
        signal: Variance of what the trend leaves.
        noise: Variance of an observation around it.
    """

    weights: Floats
    trend: float
    signal: float
    noise: float

    @property
    def vector(self) -> Floats:
        """The logarithms, in this order, as an optimiser wants them."""
        vector: Floats = np.log(
            np.concatenate([self.weights, [self.trend, self.signal, self.noise]])
        )
        return vector

    @staticmethod
    def of(vector: Floats) -> Hyper:
        """Return what :attr:`vector` was made of."""
        *weights, trend, signal, noise = np.exp(vector).tolist()
        return Hyper(np.array(weights), trend, signal, noise)


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of the hyperparameters before any data: log-normal, independent.

    Length scales grow with the square root of the number of axes, since the
    distance of two random points does (Hvarfner et al., Vanilla Bayesian
    Optimization Performs Great in High Dimensions, 2024).

    Attributes:
        length: Median length scale of a single axis, in widths of its range.
        length_spread: Standard deviation of its logarithm.
        trend_spread: Likewise of the trend's factor, whose median is 1.
        signal_spread: Likewise of the variance of what it leaves, whose median is 1.
        noise: Median variance of the noise.
        noise_spread: Standard deviation of its logarithm.
        least_noise: What the noise is never less than.
    """

    length: float = 0.5
    length_spread: float = 1.0
    trend_spread: float = 1.5
    signal_spread: float = 0.5
    noise: float = 1e-4
    noise_spread: float = 3.0
    least_noise: float = 1e-8

    def moments(self, axes: int) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of each element of :attr:`Hyper.vector`."""
        # A weight is a length to the power of -2, so its logarithm spreads twice as far.
        length = np.log(self.length * np.sqrt(max(axes, 1)))
        noise = max(self.noise, self.least_noise, _JITTER)
        mean = np.concatenate([np.full(axes, -2.0 * length), [0.0, 0.0, np.log(noise)]])
        others = [self.trend_spread, self.signal_spread, self.noise_spread]
        return mean, np.concatenate([np.full(axes, 2.0 * self.length_spread), others])

    def bounds(self, axes: int) -> list[tuple[float, float]]:
        """Return the least and greatest of each element of :attr:`Hyper.vector`."""
        floor = float(np.log(max(self.least_noise, _JITTER)))
        weight = (float(np.log(1e-6)), float(np.log(1e5)))
        trend = (float(np.log(1e-4)), float(np.log(1e3)))
        signal = (float(np.log(1e-3)), float(np.log(1e3)))
        return [weight] * axes + [trend, signal, (floor, max(floor, 1.0))]


def negative_log_posterior(
    vector: Floats, pairs: Pairs, targets: Floats, prior: Prior
) -> tuple[float, Floats]:
    """Return what a fit minimises, and its gradient.

    Args:
        vector: As of :attr:`Hyper.vector`.
        pairs: Of the rows.
        targets: One for each row.
        prior: Its log density is added to the log marginal likelihood.

    Returns:
        The negative sum, without what is constant, and its derivatives by
        ``vector``. Infinity, and zeros, where the covariance is singular.
    """
    from scipy.linalg import lapack

    hyper, by_axis = Hyper.of(vector), pairs.by_axis
    rows = len(targets)
    squared = np.tensordot(hyper.weights, by_axis, 1) if len(hyper.weights) else 0 * by_axis.sum(0)
    signal = hyper.signal * matern(squared)
    covariance = signal + hyper.trend * pairs.trend
    covariance[np.diag_indices(rows)] += hyper.noise
    factor, failed = lapack.dpotrf(covariance, lower=1)
    if failed:
        return float("inf"), np.zeros_like(vector)
    inverse, _ = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    alpha = inverse @ targets
    mean, spread = prior.moments(len(hyper.weights))
    off = (vector - mean) / spread
    value = 0.5 * targets @ alpha + np.log(np.diag(factor)).sum() + 0.5 * off @ off
    # Half the trace of (inverse - alpha alpha') dK, element by element.
    pull = 0.5 * (inverse - np.outer(alpha, alpha))
    along = (pull * matern_slope(squared)).ravel() * hyper.signal
    gradient = off / spread
    if len(hyper.weights):
        gradient[:-3] += hyper.weights * (by_axis.reshape(len(hyper.weights), -1) @ along)
    gradient[-3] += hyper.trend * (pull * pairs.trend).sum()
    gradient[-2] += (pull * signal).sum()
    gradient[-1] += hyper.noise * np.trace(pull)
    return float(value), gradient


def fit(pairs: Pairs, targets: Floats, prior: Prior, *, steps: int = 60) -> Hyper:
    """Find the most probable hyperparameters.

    Starts from the prior's median and from length scales of a third of it, and
    from nothing else, so that equal data give equal answers.

    Args:
        pairs: Of the rows.
        targets: One for each row.
        prior: What is believed before.
        steps: Iterations of L-BFGS-B from each start, at most.
    """
    from scipy.optimize import minimize

    axes = len(pairs.by_axis)
    mean, _ = prior.moments(axes)
    bounds = prior.bounds(axes)
    low, high = np.array(bounds).T
    shift = np.concatenate([np.full(axes, 2 * np.log(3.0)), [0.0, 0.0, 0.0]])
    best: tuple[float, Floats] = (np.inf, np.clip(mean, low, high))
    for start in (mean, mean + shift):
        found = minimize(
            negative_log_posterior,
            np.clip(start, low, high),
            args=(pairs, targets, prior),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": steps, "ftol": 1e-7},
        )
        if found.fun < best[0]:
            best = (float(found.fun), found.x)
    return Hyper.of(best[1])


def _covariance(metric: Metric, left: Placed, right: Placed, hyper: Hyper) -> Floats:
    """Return the prior covariance of the function, without noise."""
    result: Floats = hyper.signal * matern(metric.between(left, right, hyper.weights))
    return result + hyper.trend * metric.trend(left, right)


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What is believed of the function after observations.

    Attributes:
        metric: Distances.
        rows: Where it was observed.
        hyper: Hyperparameters.
        root: Inverse of the Cholesky factor of the rows' covariance.
        alpha: The inverse covariance times the targets.
        targets: What was observed.
    """

    metric: Metric
    rows: Placed
    hyper: Hyper
    root: Floats
    alpha: Floats
    targets: Floats

    def covariance(self, placed: Placed) -> Floats:
        """Return the prior covariance of configurations and rows."""
        return _covariance(self.metric, placed, self.rows, self.hyper)

    def predict(self, placed: Placed) -> tuple[Floats, Floats]:
        """Return means and variances of the function, without noise."""
        cross = self.covariance(placed)
        own = self.hyper.signal + self.hyper.trend * self.metric.trend_variances(placed)
        explained = ((cross @ self.root.T) ** 2).sum(1)
        return cross @ self.alpha, np.maximum(own - explained, LEAST_VARIANCE)

    @property
    def smoothed(self) -> Floats:
        """The means at the rows themselves."""
        result: Floats = self.targets - self.hyper.noise * self.alpha
        return result


def condition(metric: Metric, rows: Placed, targets: Floats, hyper: Hyper) -> Posterior:
    """Return the posterior after observations.

    Args:
        metric: Distances.
        rows: Where there are observations.
        targets: What was observed, one for each row.
        hyper: Hyperparameters. Noise is added where the covariance is singular
            without: rows that are nearly equal.
    """
    from scipy.linalg import lapack

    prior = _covariance(metric, rows, rows, hyper)
    noise = hyper.noise
    while True:
        covariance = prior.copy()
        covariance[np.diag_indices(len(rows))] += noise
        factor, failed = lapack.dpotrf(covariance, lower=1, clean=1)
        if not failed:
            break
        noise = max(10.0 * noise, _JITTER)
    root, _ = lapack.dtrtri(factor, lower=1)
    alpha = root.T @ (root @ targets)
    used = replace(hyper, noise=noise)
    return Posterior(metric, rows, used, np.ascontiguousarray(root), alpha, targets)
