"""Problems with a known optimum, for any tuner: plain data and plain functions.

The module needs nothing but the standard library, since it is imported by
interpreters that have other tuners and not aiotune. The tables are complete
grids of real scikit-learn fits, computed by ``quality_tables.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ("MLP_AXES", "NAMES", "SVM_AXES", "Dimension", "Problem", "load_problem", "table_key")

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter.

    Attributes:
        name: Its name.
        kind: ``"float"``, ``"int"`` or ``"choice"``.
        domain: The bounds, or the choices.
        log: Whether a range is logarithmic.
        parent: Name and values of the choice that it needs; ``None`` for always.
    """

    name: str
    kind: str
    domain: tuple[Any, ...]
    log: bool = False
    parent: tuple[str, tuple[Any, ...]] | None = None


@dataclass(frozen=True)
class Problem:
    """What is searched, and what is minimised there.

    Attributes:
        name: Its name.
        dimensions: Parents before children.
        loss: From values, without those that are not active, to a number.
        optimum: The least loss there is.
    """

    name: str
    dimensions: tuple[Dimension, ...]
    loss: Callable[[Values], float]
    optimum: float


def _box(low: float, high: float, count: int) -> tuple[Dimension, ...]:
    return tuple(Dimension(f"x{i}", "float", (low, high)) for i in range(count))


def _vector(values: Values) -> list[float]:
    return [float(values[f"x{i}"]) for i in range(len(values))]


def _branin(values: Values) -> float:
    x, y = _vector(values)
    bend = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


_HARTMANN_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_HARTMANN_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def _hartmann(values: Values) -> float:
    x = _vector(values)
    return -sum(
        weight * math.exp(-sum(a * (v - p) ** 2 for a, v, p in zip(row, x, centre, strict=True)))
        for weight, row, centre in zip((1, 1.2, 3, 3.2), _HARTMANN_A, _HARTMANN_P, strict=True)
    )


def _ackley(values: Values) -> float:
    x = _vector(values)
    spread = math.sqrt(sum(v * v for v in x) / len(x))
    waves = sum(math.cos(2 * math.pi * v) for v in x) / len(x)
    return -20 * math.exp(-0.2 * spread) - math.exp(waves) + 20 + math.e


def _levy(values: Values) -> float:
    w = [1 + (v - 1) / 4 for v in _vector(values)]
    middle = sum((a - 1) ** 2 * (1 + 10 * math.sin(math.pi * a + 1) ** 2) for a in w[:-1])
    last = (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
    return math.sin(math.pi * w[0]) ** 2 + middle + last


_CONDITIONAL = (
    Dimension("model", "choice", ("linear", "tree", "net")),
    Dimension("scale", "float", (0.0, 1.0)),
    Dimension("penalty", "float", (1e-6, 1e1), log=True, parent=("model", ("linear",))),
    Dimension("depth", "int", (1, 12), parent=("model", ("tree",))),
    Dimension("leaf", "float", (1e-3, 0.5), log=True, parent=("model", ("tree",))),
    Dimension("rate", "float", (1e-5, 1e-1), log=True, parent=("model", ("net",))),
    Dimension("layers", "choice", (1, 2, 3), parent=("model", ("net",))),
    Dimension("units1", "int", (8, 512), log=True, parent=("layers", (1, 2, 3))),
    Dimension("units2", "int", (8, 512), log=True, parent=("layers", (2, 3))),
    Dimension("units3", "int", (8, 512), log=True, parent=("layers", (3,))),
)


def _conditional(values: Values) -> float:
    """Three families; the best is a net of two layers, close to a tree at its best."""
    loss = 0.2 * (values["scale"] - 0.3) ** 2
    if values["model"] == "linear":
        return float(loss + 0.25 + 0.01 * (math.log10(values["penalty"]) + 2) ** 2)
    if values["model"] == "tree":
        depth, leaf = values["depth"] - 7, math.log10(values["leaf"]) + 2
        return float(loss + 0.1 + 0.004 * depth**2 + 0.05 * leaf**2)
    loss += 0.08 * (math.log10(values["rate"]) + 2.7) ** 2
    loss += {1: 0.08, 2: 0.0, 3: 0.03}[values["layers"]]
    for layer, best in enumerate((7.0, 6.0, 5.0)[: values["layers"]], start=1):
        loss += 0.01 * (math.log2(values[f"units{layer}"]) - best) ** 2
    return float(loss)


SVM_AXES: dict[str, tuple[Any, ...]] = {
    "log_c": tuple(range(13)),
    "log_gamma": tuple(range(13)),
    "kernel": ("rbf", "poly2", "poly3", "sigmoid", "linear"),
}
"""C is 10 ** (log_c / 2 - 2), gamma 10 ** (log_gamma / 2 - 6)."""
MLP_AXES: dict[str, tuple[Any, ...]] = {
    "log_rate": tuple(range(8)),
    "log_units": tuple(range(6)),
    "log_alpha": tuple(range(4)),
    "log_batch": tuple(range(3)),
    "activation": ("relu", "tanh"),
}
"""Rate 10 ** (log_rate / 2 - 4.5), units 8 * 2 ** n, alpha 10 ** (n - 5), batch 16 * 4 ** n."""


def table_key(axes: Mapping[str, Any], values: Values) -> str:
    """Return the key under which a configuration's loss is stored."""
    return "|".join(str(values[name]) for name in axes)


def _table(name: str, axes: dict[str, tuple[Any, ...]], folder: Path) -> Problem:
    losses: dict[str, float] = json.loads((folder / f"{name}.json").read_text())
    dimensions = tuple(
        Dimension(axis, "choice", domain)
        if isinstance(domain[0], str)
        else Dimension(axis, "int", (domain[0], domain[-1]))
        for axis, domain in axes.items()
    )
    return Problem(name, dimensions, lambda v: losses[table_key(axes, v)], min(losses.values()))


_BRANIN_BOX = (Dimension("x0", "float", (-5.0, 10.0)), Dimension("x1", "float", (0.0, 15.0)))
_FORMULAS = {
    problem.name: problem
    for problem in (
        Problem("branin", _BRANIN_BOX, _branin, 0.39788735772973816),
        Problem("hartmann6", _box(0.0, 1.0, 6), _hartmann, -3.322368011391339),
        Problem("ackley10", _box(-32.768, 32.768, 10), _ackley, 0.0),
        Problem("levy10", _box(-10.0, 10.0, 10), _levy, 0.0),
        # Whole numbers of units meet the best width exactly: 2 ** 7 and 2 ** 6.
        Problem("conditional", _CONDITIONAL, _conditional, 0.0),
    )
}
NAMES = (*_FORMULAS, "svm_digits", "mlp_digits")


def load_problem(name: str, tables: Path) -> Problem:
    """Return a problem.

    Args:
        name: One of :data:`NAMES`.
        tables: The folder that ``quality_tables.py`` wrote.
    """
    if name in _FORMULAS:
        return _FORMULAS[name]
    axes = {"svm_digits": SVM_AXES, "mlp_digits": MLP_AXES}.get(name)
    if axes is None:
        raise SystemExit(f"There is no problem {name!r}; there are {', '.join(NAMES)}.")
    return _table(name, axes, tables)
