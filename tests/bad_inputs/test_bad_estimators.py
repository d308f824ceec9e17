"""Bad estimators and applications: what ``SklearnTuner`` and the ready-made hypermodels refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.applications import (
    HyperEfficientNet,
    HyperImageAugment,
    HyperResNet,
    HyperXception,
)
from aiotune.errors import ConfigurationError, FatalTypeError, FatalValueError
from aiotune.oracles import RandomSearchOracle
from aiotune.testing import BadInput, check_refusal

ONLY_THEN = "scikit-learn is imported where trials run, and not before"
X, Y = np.zeros((10, 3)), np.zeros(10)


class Mean:
    """An estimator that is one, without scikit-learn."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def fit(self, x: Any, y: Any) -> Mean:
        self.mean = float(np.mean(y)) + self.shift
        return self

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.mean)

    def score(self, x: Any, y: Any) -> float:
        return -float(np.mean((self.predict(x) - y) ** 2))


def a_mean(hp: aiotune.HyperParameters) -> Mean:
    return Mean(hp.Float("shift", -1.0, 1.0))


def a_number(hp: aiotune.HyperParameters) -> float:
    return hp.Float("shift", -1.0, 1.0)  # type: ignore[no-any-return]


def sklearn(folder: Path, **arguments: Any) -> aiotune.SklearnTuner:
    """A tuner of two trials that run here."""
    given = {"oracle": RandomSearchOracle(max_trials=2), "hypermodel": a_mean, **arguments}
    return aiotune.SklearnTuner(**given, directory=folder, project_name="p", executor="inline")


def fitted(
    name: str, data: tuple[Any, ...], error: type[Exception], *words: str, **arguments: Any
) -> BadInput:
    """A search over data; the last word is the remedy."""
    *says, remedy = words
    cause = arguments.pop("cause", None)

    async def provoke(folder: Path) -> None:
        await sklearn(folder, **arguments).search(*data, verbose=0)

    where = aiotune.SklearnTuner.search
    return BadInput(
        f"fitted: {name}", where, provoke, error, tuple(says), remedy, None, cause, ONLY_THEN
    )


def made(where: Callable[..., Any], name: str, arguments: dict[str, Any], *words: str) -> BadInput:
    """A ready-made hypermodel; the last word is the remedy."""
    *says, remedy = words
    full = f"{getattr(where, '__name__', where)}: {name}"
    return BadInput(
        full, where, lambda _: where(**arguments), ConfigurationError, tuple(says), remedy
    )


SHAPE = {"input_shape": (32, 32, 3)}
CLASSES = {**SHAPE, "classes": 10}

ROWS = [
    # ── scikit-learn ──
    fitted("a scorer that is none", (X, Y), FatalValueError, "'goodness'", "get_scorer_names()", scoring="goodness"),
    fitted("targets of another length", (X, Y[:9]), FatalValueError, "[10, 9]", "one entry a row"),
    fitted("groups of another length", (X, Y, None, Y[:3]), FatalValueError, "[10, 10, 3]", "one entry a row"),
    fitted("weights of another length", (X, Y, Y[:4]), FatalValueError, "[10, 10, 4]", "one entry a row"),
    fitted("what is no estimator", (X, Y), FatalTypeError, "of type float", "Return the estimator", hypermodel=a_number),
    fitted("more folds than rows", (X[:3], Y[:3]), FatalValueError, "=5", "=3", "cv=", cv=5),
    fitted("no rows", (X[:0], Y[:0]), FatalValueError, "0", "cv="),
    fitted("folds that leave no rows out", (X, Y), FatalValueError, "no rows", "cv", cv=[(np.arange(10), np.arange(0))]),
    BadInput("SklearnTuner.refit: no trial", aiotune.SklearnTuner.refit, lambda folder: sklearn(folder).refit(X, Y), ConfigurationError, ("nothing to refit",), "Search first"),
    BadInput("SklearnTuner.load_model: no data", aiotune.SklearnTuner.load_model, lambda folder: sklearn(folder).load_model(aiotune.Trial(aiotune.HyperParameters(), trial_id="0")), ConfigurationError, ("trial 0", "without data"), "tuner.refit(X, y)"),
    # ── images ──
    made(HyperResNet, "no input", {}, "neither", "`input_shape` or `input_tensor`"),
    made(HyperResNet, "two inputs", {**CLASSES, "input_tensor": object()}, "both", "either `input_shape`"),
    made(HyperResNet, "no classes", SHAPE, "HyperResNet", "specify `classes`"),
    made(HyperResNet, "classes in words", {**SHAPE, "classes": "ten"}, "classes", "'ten'", "whole number"),
    made(HyperResNet, "half a class", {**SHAPE, "classes": 2.5}, "classes", "2.5", "whole number"),
    made(HyperResNet, "fewer than no classes", {**SHAPE, "classes": -1}, "classes", "-1", ">= 1"),
    made(HyperResNet, "a shape in words", {"input_shape": "32x32x3", "classes": 10}, "input_shape", "'32x32x3'", "(32, 32, 3)"),
    made(HyperResNet, "a shape without channels", {"input_shape": (32, 32), "classes": 10}, "input_shape", "(32, 32)", "(height, width, channels)"),
    made(HyperResNet, "a single number", {"input_shape": 32, "classes": 10}, "input_shape", "32", "(height, width, channels)"),
    made(HyperResNet, "less than nothing", {"input_shape": (32, -1, 3), "classes": 10}, "input_shape", "(32, -1, 3)", "whole numbers"),
    made(HyperXception, "no input", {"classes": 10}, "neither", "`input_shape` or `input_tensor`"),
    made(HyperXception, "no classes", SHAPE, "HyperXception", "specify `classes`"),
    made(HyperXception, "a batch of images", {"input_shape": (None, 32, 32, 3), "classes": 10}, "input_shape", "(None, 32, 32, 3)", "(height, width, channels)"),
    made(HyperEfficientNet, "no classes", SHAPE, "HyperEfficientNet", "specify `classes`"),
    made(HyperEfficientNet, "an augmentation that is none", {**CLASSES, "augmentation_model": "flip"}, "augmentation_model", "'flip'", "HyperImageAugment(input_shape=...)"),
    made(HyperImageAugment, "no input", {}, "neither", "`input_shape` or `input_tensor`"),
    made(HyperImageAugment, "a turn in words", {**SHAPE, "rotate": "half"}, "rotate", "'half'", "[least, most]"),
    made(HyperImageAugment, "a turn of three", {**SHAPE, "rotate": [0.1, 0.2, 0.3]}, "rotate", "[0.1, 0.2, 0.3]", "[least, most]"),
    made(HyperImageAugment, "a turn of one", {**SHAPE, "rotate": [0.5]}, "rotate", "[0.5]", "[least, most]"),
    made(HyperImageAugment, "a turn of less than nothing", {**SHAPE, "rotate": -0.5}, "rotate", "-0.5", "[least, most]"),
    made(HyperImageAugment, "a turn exchanged", {**SHAPE, "rotate": [0.5, 0.1]}, "rotate", "[0.5, 0.1]", "smaller first"),
    made(HyperImageAugment, "a turn that is no number", {**SHAPE, "rotate": math.nan}, "rotate", "nan", "[least, most]"),
    made(HyperImageAugment, "an object for contrast", {**SHAPE, "contrast": object()}, "contrast", "object", "[least, most]"),
    made(HyperImageAugment, "half a layer", {**SHAPE, "augment_layers": 2.5}, "augment_layers", "2.5", "must be int"),
    made(HyperImageAugment, "fewer than no layers", {**SHAPE, "augment_layers": -1}, "augment_layers", "-1", "[least, most]"),
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_estimator_is_refused_in_a_sentence(bad: BadInput, tmp_path: Path) -> None:
    """The error names the argument or the data, and says what to pass."""
    check_refusal(bad, tmp_path)
