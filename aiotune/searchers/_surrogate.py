"""A model of one search space: what it believes after a history, and what it would try.

Everything here is a function of the history and the trial's index. What is kept
from one proposal to the next saves time and changes no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np

from aiotune._values import Value
from aiotune.hyperparameters import HyperParameter, Space
from aiotune.searchers._acquisition import Beliefs, maximise
from aiotune.searchers._base import History
from aiotune.searchers._encoding import Encoding, Floats, Points
from aiotune.searchers._gp import Hyper, Posterior, Prior, condition, fit
from aiotune.searchers._kernel import Metric
from aiotune.searchers._targets import (
    MOST_ROWS,
    Evidence,
    burdens,
    representative,
    standardised,
)

__all__ = ("Surrogate", "refit_size")

_ENUMERATED = 2048
"""Finite spaces up to this size are looked through completely."""
_GREED = 0.6
"""Factor of the standard deviation while nothing else runs. Within tens of trials a model is
better trusted more than it says (De Ath et al., Greed Is Good, 2021); trials side by side
would all go to the same place, so the others are there to look elsewhere."""
_RANDOM, _LOCAL = 512, 512
_FIT_ROWS = 160
"""Rows from which hyperparameters are fitted, at most; all rows give the prediction."""
_FIT_CELLS = 4_000_000
"""Squared distances that a fit keeps, at most."""
_MOST_SOBOL = 21_201
"""Dimensions for which SciPy has Sobol numbers."""


def refit_size(rows: int) -> int:
    """Return from how many of the oldest rows hyperparameters are fitted.

    So a fit holds for several proposals: the more rows, the more proposals.
    """
    if rows <= 64:  # noqa: PLR2004 - fits of so few take milliseconds
        return rows
    unit = 1 << (rows.bit_length() - 5)
    return rows // unit * unit


def _generator(history: History, index: int, what: bytes) -> np.random.Generator:
    digest = blake2b(b"%d/%d/%s" % (history.seed, index, what), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


class Surrogate:
    """A Gaussian process over a space.

    Args:
        entries: The hyperparameters.
        alpha: The variance of noise that is expected, where the targets' variance is 1;
            the fit may find another, but none below a ten-thousandth of it.
        width: Factor of the standard deviation in the acquisition.
    """

    def __init__(self, entries: Sequence[HyperParameter], *, alpha: float, width: float) -> None:
        self.entries = tuple(entries)
        self.encoding = Encoding(entries)
        self.metric = Metric(self.encoding)
        self._width = width
        self._prior = Prior(noise=alpha, least_noise=alpha * 1e-4)
        self._fitted: dict[bytes, Hyper] = {}
        space = Space.of(entries)
        count = space.combinations
        self._all = (
            list(space.configurations()) if count is not None and count <= _ENUMERATED else None
        )
        self._all_points = self.encoding.points(self._all) if self._all is not None else None

    # ── before there is anything to learn from ─────────────────────────────

    def initial(self, history: History, index: int, evidence: Evidence) -> dict[str, Value] | None:
        """Return a configuration of a design that fills the space; ``None`` if all were taken.

        The points of a Sobol sequence, shifted by the seed (Cranley and
        Patterson, 1976), by index; then random ones.
        """
        random = _generator(history, index, b"initial")
        uniform = random.random((64, self.encoding.width))
        if self.encoding.width <= _MOST_SOBOL:
            uniform[0] = self._sobol(history, index)
        points = self.encoding.drawn(uniform)
        burden = self._burden(evidence)
        if burden is None:
            return self._first_new(history, points, range(len(points)))
        mean, variance = burden.predict(self.metric.place(points))
        # The first that is more likely let run than not; if there is none, the likeliest.
        risk = np.maximum(mean, 0.0) / np.sqrt(variance)
        return self._first_new(history, points, np.argsort(risk, kind="stable").tolist())

    def _sobol(self, history: History, index: int) -> Floats:
        from scipy.stats import qmc

        engine = qmc.Sobol(self.encoding.width, scramble=False)
        shift = _generator(history, 0, b"shift").random(self.encoding.width)
        point: Floats = (engine.fast_forward(index + 1).random(1)[0] + shift) % 1.0
        return point

    def _first_new(
        self, history: History, points: Points, order: Sequence[int]
    ) -> dict[str, Value] | None:
        decoded = (self.encoding.values(points.z[row]) for row in order)
        return next((values for values in decoded if not history.contains(values)), None)

    # ── once there is ──────────────────────────────────────────────────────

    def best(self, history: History, index: int, evidence: Evidence) -> dict[str, Value] | None:
        """Return the untried configuration that promises most; ``None`` if none was found."""
        beliefs, incumbents = self._beliefs(evidence)
        if self._all is not None and self._all_points is not None:
            left = [row for row, values in enumerate(self._all) if not history.contains(values)]
            if not left:
                return None
            values = beliefs.scores(self._all_points.take(left))
            return dict(self._all[left[int(np.argmax(values))]])
        random = _generator(history, index, b"candidates")
        points, _ = maximise(beliefs, self._candidates(incumbents, random), random)
        return self._first_new(history, points, range(len(points)))

    def _beliefs(self, evidence: Evidence) -> tuple[Beliefs, Points]:
        kept = representative(evidence.losses, MOST_ROWS)
        points = self.encoding.points([evidence.known[row].values for row in kept])
        targets = standardised(evidence.losses[kept])
        hyper = self._hyper(points, evidence.losses[kept])
        posterior = condition(self.metric, self.metric.place(points), targets, hyper)
        order = np.argsort(posterior.smoothed, kind="stable")
        incumbents = points.take(order[:5])
        posterior = self._imagined(posterior, points, evidence)
        best, burden = float(posterior.smoothed.min()), self._burden(evidence)
        width = self._width * (1.0 if evidence.pending else _GREED)
        return Beliefs(self.encoding, posterior, best, width, burden), incumbents

    def _imagined(self, posterior: Posterior, points: Points, evidence: Evidence) -> Posterior:
        """Take what runs to end as is believed: the mean stays, and what is unknown shrinks.

        The "kriging believer" (Ginsbourger et al., Kriging Is Well-Suited to Parallelize
        Optimization, 2010, section 4).
        """
        if not evidence.pending:
            return posterior
        pending = self.encoding.points([tried.values for tried in evidence.pending])
        mean, _ = posterior.predict(self.metric.place(pending))
        rows = self.metric.place(Points.join(points, pending))
        targets = np.concatenate([posterior.targets, mean])
        return condition(self.metric, rows, targets, posterior.hyper)

    def _hyper(self, points: Points, losses: Floats) -> Hyper:
        size = refit_size(len(points))
        most = min(_FIT_ROWS, max(16, int((_FIT_CELLS / max(self.metric.width, 1)) ** 0.5)))
        kept = representative(losses[:size], most)
        return self._fit(points.take(kept), standardised(losses[kept]), self._prior)

    def _fit(self, points: Points, targets: Floats, prior: Prior) -> Hyper:
        """Fit, or find the same fit again: its data decide it."""
        data = points.z.tobytes() + points.active.tobytes() + targets.tobytes()
        key = blake2b(data, digest_size=16).digest()
        if key not in self._fitted:
            if len(self._fitted) > 64:  # noqa: PLR2004 - a few are in use at a time
                self._fitted.clear()
            pairs = self.metric.pairs(self.metric.place(points))
            self._fitted[key] = fit(pairs, targets, prior)
        return self._fitted[key]

    def _burden(self, evidence: Evidence) -> Posterior | None:
        found = burdens(evidence)
        if found is None:
            return None
        configurations, numbers = found
        kept = representative(-numbers, _FIT_ROWS)
        points = self.encoding.points([configurations[row] for row in kept])
        scale = float(np.sqrt((numbers**2).mean())) or 1.0
        targets = numbers[kept] / scale
        hyper = self._fit(points, targets, Prior(noise=1e-3, least_noise=1e-6))
        return condition(self.metric, self.metric.place(points), targets, hyper)

    def _candidates(self, incumbents: Points, random: np.random.Generator) -> Points:
        """Return random configurations, and changed forms of the best ones."""
        everywhere = self.encoding.drawn(random.random((_RANDOM, self.encoding.width)))
        around = np.concatenate(list(self._changed(incumbents, random)))
        return Points.join(everywhere, self.encoding.completed(around))

    def _changed(self, incumbents: Points, random: np.random.Generator) -> Iterator[Floats]:
        width = self.encoding.width
        for number in range(len(incumbents)):
            rows = _LOCAL // len(incumbents)
            anew = self.encoding.drawn(random.random((rows, width)))
            sizes = 10.0 ** random.uniform(-3.0, -0.5, (rows, 1))
            moved = incumbents.z[number] + sizes * random.standard_normal((rows, width))
            is_category = np.array([axis.is_category for axis in self.encoding.axes])
            moved = np.where(is_category, anew.z, moved)
            share = np.where(is_category, min(0.5, 1.0 / width), max(0.3, min(1.0, 3.0 / width)))
            chosen = random.random((rows, width)) < share
            yield np.where(chosen, moved, incumbents.z[number])
