"""What ``search()`` refuses of the arguments for trials, since every trial would stumble over it.

Only what is certain: a ``run_trial`` or ``HyperModel.fit`` of the user's own may take anything
that its signature takes.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiotune._printable import printable, shown
from aiotune.errors import ConfigurationError, WrongType
from aiotune.hypermodel import HyperModel

if TYPE_CHECKING:
    from aiotune.base_tuner import BaseTuner

__all__ = ("arguments_for_trials", "check_arguments")

_POSITIONAL = ("x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split")
"""The first parameters of keras.Model.fit."""


def check_arguments(tuner: BaseTuner, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments of ``search()`` that no trial could take.

    Args:
        tuner: Runs the trials.
        args: Positional arguments for ``run_trial``.
        kwargs: Keyword arguments for ``run_trial``.

    Raises:
        ConfigurationError: ``run_trial`` does not take them; or Keras would train for no
            epochs, in batches of nothing, or on data of several lengths.
        WrongType: One of them is of a wrong type.
    """
    _check_signature(tuner, args, kwargs)
    hypermodel = tuner.hypermodel
    by_keras = tuner.builds_keras_models and not tuner.overrides("run_trial")
    if not by_keras or hypermodel is None or type(hypermodel).fit is not HyperModel.fit:
        return
    given = {**dict(zip(_POSITIONAL, args, strict=False)), **kwargs}
    for name, check in _CHECKS.items():
        if given.get(name) is not None:
            check(name, given[name])
    _check_lengths(given.get("x"), given.get("y"))


def _check_signature(tuner: BaseTuner, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    signature = inspect.signature(tuner.run_trial)
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as error:
        said = f"{len(args)} positional arguments and {shown(sorted(kwargs))}"
        raise ConfigurationError(
            f"search() was given {said}, which run_trial{printable(signature, 200)} of "
            f"{type(tuner).__name__} does not take beside the trial: {printable(error, 200)}. Pass what it takes, or write "
            "run_trial(self, trial, *args, **kwargs)."
        ) from None


def _check_whole(name: str, value: Any) -> None:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(
            f"{name} must be a whole number >= 1, but search() was given {shown(value)}."
        )


def _check_split(name: str, value: Any) -> None:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or math.isnan(value) or not 0 <= value < 1:
        raise ConfigurationError(
            f"{name} must be a number from 0 to less than 1, but search() was given {shown(value)}. It is "
            "the part of the data that is kept for validation."
        )


def _check_callbacks(name: str, value: Any) -> None:
    listed = value if isinstance(value, (list, tuple)) else [value]
    for callback in listed:
        # By what it can do: this process must not import keras to find out.
        if isinstance(callback, type) or not hasattr(callback, "set_model"):
            raise WrongType(
                f"{name} has {shown(callback)} of type {type(callback).__name__}, which is no "
                "keras.callbacks.Callback. Pass a list of instances, not classes or functions."
            )


def _check_validation(name: str, value: Any) -> None:
    if not isinstance(value, (tuple, list)):
        return  # a function that returns it, or an object that gives batches
    if len(value) not in {2, 3}:
        raise ConfigurationError(
            f"{name} must be (x, y) or (x, y, sample_weight), but search() was given {len(value)} parts."
        )
    _check_lengths(value[0], value[1], f" of {name}")


_CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "epochs": _check_whole,
    "batch_size": _check_whole,
    "steps_per_epoch": _check_whole,
    "validation_split": _check_split,
    "callbacks": _check_callbacks,
    "validation_data": _check_validation,
}


def _check_lengths(x: Any, y: Any, whose: str = "") -> None:
    lengths = [_rows(x), _rows(y)]
    if lengths[0] == 0:
        raise ConfigurationError(f"x{whose} is empty, so there is nothing to train on. Pass data.")
    if None not in lengths and lengths[0] != lengths[1]:
        raise ConfigurationError(
            f"x{whose} has {lengths[0]:,} samples, and y{whose} has {lengths[1]:,}. Pass one target for each "
            "sample."
        )


def _rows(data: Any) -> int | None:
    """Return how many samples an array has; ``None`` for anything else, as lists of several inputs."""
    shape = getattr(data, "shape", None)
    if not isinstance(shape, tuple) or not shape or not isinstance(shape[0], int):
        return None
    return shape[0]


def arguments_for_trials(tuner: BaseTuner, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Leave out ``verbose``, which is search()'s own as well, for a ``run_trial`` that takes none."""
    parameters = inspect.signature(tuner.run_trial).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if takes_all or "verbose" in parameters:
        return kwargs
    return {name: value for name, value in kwargs.items() if name != "verbose"}
