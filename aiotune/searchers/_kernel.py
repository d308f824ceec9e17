r"""How alike two configurations are: a Matérn kernel over axes of every kind, and a trend.

The kernel is Matérn 5/2 with one length scale an axis,

.. math:: k = s (1 + \sqrt5 r + \tfrac53 r^2) e^{-\sqrt5 r}, \qquad r^2 = \sum_j w_j D_j

(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq.
4.17). What differs by the kind of an axis is its squared distance ``D_j``:

* a number: the squared difference of two places in [0, 1];
* a category: 1 if the two differ, which is the squared distance of corners of a
  simplex;
* a number that only some configurations have: such a configuration lies on an
  arc of radius 1, one radian long, and all others at its centre. So two that
  lack it do not differ, one that lacks it is as far from every one that has it,
  and two that have it differ nearly as above (the arc kernel of Swersky et al.,
  Raiders of the Lost Architecture, 2013, with a fixed angle);
* a category that only some have: lacking it is one more category.

Each is a squared distance in a Euclidean space, so any sum is, and the kernel
is positive definite.

To it a trend is added: what each hyperparameter does whatever the others are, a
parabola for a number and a constant for each category. It is the quadratic prior
mean of Snoek et al. (Scalable Bayesian Optimization Using Deep Neural Networks,
2015, section 3.2) with normal coefficients, which makes it a kernel (Rasmussen and
Williams, section 2.7). From a few trials in many dimensions little but such a bowl
can be learned, and losses of trainings are mostly of that shape (Pushak and Hoos,
Algorithm Configuration Landscapes: More Benign Than Expected?, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiotune.searchers._encoding import Encoding, Floats, Points

__all__ = ("Metric", "Pairs", "Placed", "matern", "matern_slope")

_SQRT5 = 5.0**0.5
_SLOPE, _BEND = 3.0**0.5, 2.5**0.5
"""Factors of the first two Legendre polynomials, which make variances of 1 and 1/2 over a range."""


def matern(squared: Floats) -> Floats:
    """Return the Matérn 5/2 correlation at squared distances."""
    r = _SQRT5 * np.sqrt(squared)
    value: Floats = (1.0 + r + r * r / 3.0) * np.exp(-r)
    return value


def matern_slope(squared: Floats) -> Floats:
    """Return the derivative of :func:`matern` by the squared distance; finite at 0."""
    r = _SQRT5 * np.sqrt(squared)
    slope: Floats = -5.0 / 6.0 * (1.0 + r) * np.exp(-r)
    return slope


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Configurations in the space in which distances are Euclidean.

    Attributes:
        at: One row each: coordinates of numbers.
        codes: One row each: numbers of categories; -1 where not active.
        shape: One row each: the trend's linear and quadratic terms of numbers; 0
            where not active.
    """

    at: Floats
    codes: NDArray[np.int64]
    shape: Floats

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What a fit has to know of all pairs of rows.

    Attributes:
        by_axis: Squared distances by axis: (axes, rows, rows).
        trend: The trend's covariance: (rows, rows).
    """

    by_axis: Floats
    trend: Floats


class Metric:
    """Distances, and the trend, in the space of an encoding.

    Args:
        encoding: The axes.

    Attributes:
        width: The number of axes.
        numbers: Of each axis of numbers, its index.
        categories: Of each axis of categories, its index.
    """

    def __init__(self, encoding: Encoding) -> None:
        kinds = np.array([axis.is_category for axis in encoding.axes], dtype=bool)
        self.width = encoding.width
        self.numbers = np.flatnonzero(~kinds)
        self.categories = np.flatnonzero(kinds)
        bent = encoding.conditional[self.numbers]
        self._straight = self.numbers[~bent]
        self._bent = self.numbers[bent]
        # Of each coordinate, the axis it belongs to: a bent one has two.
        self._owner = np.concatenate([self._straight, self._bent, self._bent])
        # However many axes share the trend, its variance is about that of one.
        self._share = max(self.width, 1) ** -0.5

    def place(self, points: Points) -> Placed:
        """Place configurations."""
        angle, on = points.z[:, self._bent], points.active[:, self._bent]
        arc = (np.where(on, np.cos(angle), 0.0), np.where(on, np.sin(angle), 0.0))
        at = np.concatenate([points.z[:, self._straight], *arc], axis=1)
        codes = points.z[:, self.categories].astype(np.int64)
        codes = np.where(points.active[:, self.categories], codes, -1)
        u, is_on = 2.0 * points.z[:, self.numbers] - 1.0, points.active[:, self.numbers]
        terms = (_SLOPE * u * is_on, _BEND * (1.5 * u * u - 0.5) * is_on)
        return Placed(at, codes, np.concatenate(terms, axis=1) * self._share)

    def pairs(self, placed: Placed) -> Pairs:
        """Return what a fit has to know of all pairs."""
        return Pairs(self.by_axis(placed), self.trend(placed, placed))

    def by_axis(self, placed: Placed) -> Floats:
        """Return the squared distances of all pairs, by axis: (axes, rows, rows)."""
        rows = len(placed)
        squared = np.zeros((self.width, rows, rows))
        for column, axis in enumerate(self._owner):
            line = placed.at[:, column]
            squared[axis] += (line[:, None] - line[None, :]) ** 2
        for column, axis in enumerate(self.categories):
            codes = placed.codes[:, column]
            squared[axis] = codes[:, None] != codes[None, :]
        return squared

    def between(self, left: Placed, right: Placed, weights: Floats) -> Floats:
        """Return weighted squared distances.

        Args:
            left: Rows of the answer.
            right: Columns of the answer.
            weights: One over the squared length scale, for each axis.
        """
        scale = np.sqrt(weights[self._owner])
        a, b = left.at * scale, right.at * scale
        # Twenty times faster than differences; what rounding leaves of the
        # distance of two equal points is 1e-16 of a length scale squared.
        squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * (a @ b.T)
        for column, axis in enumerate(self.categories):
            differ = left.codes[:, column][:, None] != right.codes[:, column][None, :]
            squared += weights[axis] * differ
        result: Floats = np.maximum(squared, 0.0)
        return result

    def slopes(self, point: Points, placed: Placed, others: Placed, weights: Floats) -> Floats:
        """Return the derivatives of the weighted squared distances from one configuration.

        Args:
            point: The configuration, one row.
            placed: The same, placed.
            others: The configurations to which the distances are.
            weights: As for :meth:`between`.

        Returns:
            (others, axes), by the place of each axis; 0 for a category, and for
            what is not active.
        """
        result = np.zeros((len(others), self.width))
        away = 2.0 * (placed.at[0] - others.at) * weights[self._owner]
        straight, bent = len(self._straight), len(self._bent)
        result[:, self._straight] = away[:, :straight]
        angle, on = point.z[0, self._bent], point.active[0, self._bent]
        cosine, sine = away[:, straight : straight + bent], away[:, straight + bent :]
        result[:, self._bent] = (sine * np.cos(angle) - cosine * np.sin(angle)) * on
        return result

    def trend(self, left: Placed, right: Placed) -> Floats:
        """Return the covariance of the trend, up to a factor, at rows and at columns."""
        result: Floats = left.shape @ right.shape.T
        for column in range(len(self.categories)):
            codes = np.where(left.codes[:, column] < 0, -2, left.codes[:, column])
            result += self._share**2 * (codes[:, None] == right.codes[:, column][None, :])
        return result

    def trend_variances(self, placed: Placed) -> Floats:
        """Return the diagonal of :meth:`trend`."""
        result: Floats = (placed.shape**2).sum(1) + self._share**2 * (placed.codes >= 0).sum(1)
        return result

    def trend_slopes(self, point: Points, others: Placed) -> Floats:
        """Return the derivatives of the trend's covariance: (others, axes), as :meth:`slopes`."""
        u, is_on = 2.0 * point.z[0, self.numbers] - 1.0, point.active[0, self.numbers]
        count = len(self.numbers)
        linear = 2.0 * _SLOPE * self._share * is_on * others.shape[:, :count]
        bend = 6.0 * _BEND * self._share * u * is_on * others.shape[:, count:]
        result = np.zeros((len(others), self.width))
        result[:, self.numbers] = linear + bend
        return result
