"""From what ``run_trial`` or ``HyperModel.fit`` returned to the metrics of the trial.

Accepted: a number, a dict of metrics, a Keras ``History``, or a list of these
(one for each execution). Anything else is a bug in the user's program that
every trial would repeat, so it ends the search with a ``FatalError``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiotune._printable import shown
from aiotune.errors import FatalTypeError, FatalValueError
from aiotune.objective import DEFAULT_OBJECTIVE_NAME, MultiObjective, Objective

__all__ = ("TrialResult", "as_number", "best_epoch", "normalize_result")

_MOST, _LONGEST = 10_000, 1_000
"""Metrics of a trial, and characters of the name of one: what a frame and a record hold."""

AnyObjective = Objective | MultiObjective


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The metrics of a trial.

    Attributes:
        metrics: Mean of each metric over the executions.
        best_step: Epoch (from 0) that the metrics belong to; the mean over executions, rounded down.
        executions: Metrics of each execution.
    """

    metrics: dict[str, float]
    best_step: int
    executions: list[dict[str, float]]


def normalize_result(result: Any, objective: AnyObjective) -> TrialResult:
    """Turn a returned value into metrics.

    Args:
        result: What the user's code returned.
        objective: The objective; its members must be among the metrics.

    Raises:
        FatalTypeError: ``result``, or a metric in it, is of a type that cannot be a result.
        FatalValueError: A dict or ``History`` lacks the objective, there are too many
            metrics, or one is too large for a float or has a name that cannot be written down.
    """
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    if not results:
        raise FatalTypeError(
            "The trial returned an empty list of results. Return one result for each execution."
        )
    parsed = [_one(r, objective) for r in results]
    return TrialResult(
        metrics=_means([metrics for metrics, _ in parsed]),
        best_step=int(sum(step for _, step in parsed) / len(parsed)),
        executions=[metrics for metrics, _ in parsed],
    )


def best_epoch(history: Mapping[str, Sequence[Any]], objective: AnyObjective) -> int:
    """Return the epoch (from 0) with the best objective; NaN loses to any number, ties go to the first."""
    best, best_value = 0, math.nan
    for epoch in range(min(len(history[name]) for name in objective.names)):
        value = objective.get_value(
            {name: as_number(history[name][epoch]) for name in objective.names}
        )
        if math.isnan(best_value) or objective.better_than(value, best_value):
            if math.isnan(value):
                continue
            best, best_value = epoch, value
    return best


def _one(result: Any, objective: AnyObjective) -> tuple[dict[str, float], int]:
    if result is None:
        raise FatalTypeError(
            "The trial returned None. Did you forget to return the metrics? Return a number, "
            "a dict of metrics, or the History that model.fit() returns."
        )
    if _is_number(result):
        return _from_number(result, objective), 0
    if isinstance(result, (list, tuple)):
        raise FatalTypeError(
            f"The trial returned a list within a list: {shown(result)}. Return one result for each "
            "execution: a number, a dict of metrics or a History."
        )
    if isinstance(result, Mapping):
        return _from_mapping(result, objective), 0
    if _is_history(result):
        metrics, position = _from_history(result.history, objective)
        # A training that was continued counts its epochs from where it went on.
        return metrics, int(result.epoch[position]) if position < len(result.epoch) else position
    raise FatalTypeError(
        f"The trial returned {shown(result)} of type {type(result).__name__}, which cannot be a result. "
        "Return a number, a dict of metrics, the History that model.fit() returns, or a list of these."
    )


def _is_number(result: Any) -> bool:
    if isinstance(result, numbers.Real):
        return True
    # A 0-d array or a scalar tensor: what np.mean(), float32 arithmetic or a
    # back end's loss function returns. Or one element: F1Score gives one for each output.
    shape = getattr(result, "shape", None)
    is_scalar = shape is not None and all(n == 1 for n in shape) and hasattr(result, "__float__")
    return is_scalar and getattr(getattr(result, "dtype", None), "kind", "f") in "biufV"


def as_number(value: Any) -> float:
    """Return a number, or the only element of an array, as a float.

    Raises:
        TypeError: It is neither.
        ValueError: It is text.
        OverflowError: It is too large.
    """
    if getattr(value, "shape", ()) == ():
        return float(value)
    # numpy has stopped to make numbers of arrays with dimensions.
    import numpy as np

    return float(value.item() if hasattr(value, "item") else np.asarray(value).item())


def _is_history(result: Any) -> bool:
    # By shape, since the class lives in a package that this job may not have imported.
    return isinstance(getattr(result, "history", None), Mapping) and hasattr(result, "epoch")


def _from_number(result: Any, objective: AnyObjective) -> dict[str, float]:
    if isinstance(objective, MultiObjective):
        raise FatalTypeError(
            f"The trial returned the single number {shown(result)}, but the objective has "
            f"{len(objective.names)} members ({', '.join(objective.names)}). Return a dict with all of them."
        )
    return {objective.name: _as_float(objective.name, result)}


def _from_mapping(result: Mapping[str, Any], objective: AnyObjective) -> dict[str, float]:
    missing = [name for name in objective.names if name not in result]
    if missing:
        raise FatalValueError(
            f"The trial returned a dict without the objective {', '.join(map(repr, missing))}; "
            f"it has {shown(sorted(map(str, result)), 200)}. {_remedy(objective)}"
        )
    _check_names(result)
    return {str(name): _as_float(name, value) for name, value in result.items()}


def _as_float(name: Any, value: Any) -> float:
    if not _is_number(value):
        raise FatalTypeError(
            f"The trial returned a dict whose {shown(name)} is {shown(value)} of type "
            f"{type(value).__name__}, not a number. Return numbers only; of an array, its mean()."
        )
    try:
        return as_number(value)
    except OverflowError:
        raise FatalValueError(
            f"The trial returned {shown(value, 40)} as {shown(name)}, which is too large for a float. Return "
            "its logarithm."
        ) from None


def _check_names(metrics: Mapping[Any, Any]) -> None:
    if len(metrics) > _MOST:
        raise FatalValueError(
            f"The trial returned {len(metrics):,} metrics, and {_MOST:,} are allowed. Return those that "
            "tell trials apart, and write the others to a file."
        )
    for name in metrics:
        text = str(name)
        if len(text) > _LONGEST or not text.isprintable():
            raise FatalValueError(
                f"The trial returned a metric named {shown(text)}, of {len(text):,} characters. Name it with "
                f"at most {_LONGEST:,} printable characters."
            )


def _from_history(
    history: Mapping[str, Sequence[Any]], objective: AnyObjective
) -> tuple[dict[str, float], int]:
    missing = [name for name in objective.names if not history.get(name)]
    if missing and missing[0] in history:
        raise FatalValueError(
            f"The training history holds no epoch of the objective {missing[0]!r}: nothing was trained. "
            "Pass epochs=... of at least 1 to search(), and more data than one batch of it drops."
        )
    if missing:
        raise FatalValueError(
            f"The training history does not hold the objective {', '.join(map(repr, missing))}; "
            f"it holds {shown(sorted(map(str, history)), 200)}. {_remedy(objective)}"
        )
    _check_names(history)
    for name in objective.names:
        for value in history[name]:
            _as_float(name, value)
    epoch = best_epoch(history, objective)
    metrics = {
        name: as_number(series[epoch])
        for name, series in history.items()
        if len(series) > epoch and _is_number(series[epoch])
    }
    return metrics, epoch


def _remedy(objective: AnyObjective) -> str:
    if objective.names == (DEFAULT_OBJECTIVE_NAME,):
        return (
            "Without an objective a trial must return a single number; or pass objective=... "
            "naming one of these metrics."
        )
    if any(name.startswith("val_") for name in objective.names):
        return "Pass validation_data=... (or validation_split=...) to search(), or choose another objective."
    return "Add it to the metrics that the model is compiled with, or choose another objective."


def _means(results: list[dict[str, float]]) -> dict[str, float]:
    if len(results) == 1:
        return dict(results[0])
    common = [name for name in results[0] if all(name in r for r in results)]
    return {name: sum(r[name] for r in results) / len(results) for name in common}
