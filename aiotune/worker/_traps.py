"""Runs the program up to the point where it would train, and no further."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any, Self

import keras  # noqa: TID253 - this module is only imported where a model is weighed

from aiotune.hypermodel import HyperModel
from aiotune.worker._patching import owners, replaced

__all__ = ("Captured", "Traps", "Unwound", "leads_to")

# What computes with a whole model. Training, above all, but a program may also
# ask for predictions before it trains.
_CONSUMERS = (
    "fit",
    "train_on_batch",
    "evaluate",
    "test_on_batch",
    "predict",
    "predict_on_batch",
)
_UPDATES = ("apply", "apply_gradients", "stateless_apply")


class Unwound(BaseException):
    """A trap was reached. Not an ``Exception``, so that the program's ``except`` lets it pass."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What the program was about to train.

    Attributes:
        model: The model; ``None`` if it was an optimizer's step of a loop of its own.
        x: Its data, as ``fit`` was given it.
        y: Targets.
        sample_weight: Weights.
        batch_size: If it was given, or follows from a batch.
        jit_compile: What ``compile`` was given; ``None`` for ``"auto"``.
    """

    model: Any
    x: Any = None
    y: Any = None
    sample_weight: Any = None
    batch_size: int | None = None
    jit_compile: bool | None = None


class Traps(contextlib.ExitStack):
    """A context in which no model is trained.

    Attributes:
        captured: What the first trap was given. Whoever swallows :class:`Unwound`
            runs into the next one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.captured: Captured | None = None
        self._compiled: dict[int, bool | None] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        # Where it is defined: keras compares the two to know a compile() of the user's own.
        trainer = owners(keras.Model, "compile")[0]
        self.enter_context(replaced(trainer, "compile", self._noting(vars(trainer)["compile"])))
        for name in _CONSUMERS:
            self._set(keras.Model, name)
        optimizer = keras.optimizers.Optimizer
        for name in _UPDATES:
            if hasattr(optimizer, name):
                self.enter_context(replaced(optimizer, name, self._no_update))
        return self

    def fit(self, hypermodel: HyperModel, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Stand for ``hypermodel.fit``: run it if it comes to ``model.fit``, else do as if it did."""
        for cls in type(model).__mro__:
            if issubclass(cls, keras.Model) and cls is not keras.Model:
                for name in set(_CONSUMERS) & set(vars(cls)):
                    self._set(cls, name)
        if leads_to(hypermodel, "fit", "fit"):
            return hypermodel.fit(hp, model, *args, **kwargs)
        return HyperModel.fit(hypermodel, hp, model, *args, **kwargs)

    def jit_of(self, model: Any) -> bool | None:
        """Return what a model's ``compile`` was given; ``None`` for ``"auto"``."""
        return self._compiled.get(id(model))

    def _set(self, cls: Any, name: str) -> None:
        self.enter_context(replaced(cls, name, self._trap(getattr(cls, name))))

    def _trap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)

        @functools.wraps(original)
        def trap(model: Any, *args: Any, **kwargs: Any) -> Any:
            given = signature.bind(model, *args, **kwargs).arguments
            for name, parameter in signature.parameters.items():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    given = {**given.pop(name, {}), **given}
            self._capture(
                Captured(
                    model,
                    given.get("x"),
                    given.get("y"),
                    given.get("sample_weight"),
                    self._batch_size(original.__name__, given),
                    self.jit_of(model),
                )
            )
            raise Unwound

        return trap

    def _batch_size(self, method: str, given: dict[str, Any]) -> int | None:
        if method.endswith("_on_batch"):
            first = keras.tree.flatten(given.get("x"))[0]
            return len(first) if hasattr(first, "__len__") else None
        size = given.get("batch_size")
        return None if size is None else int(size)

    def _no_update(self, *_: Any, **__: Any) -> Any:
        self._capture(Captured(model=None))
        raise Unwound

    def _capture(self, captured: Captured) -> None:
        self.captured = self.captured or captured

    def _noting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)

        @functools.wraps(original)
        def compiled(model: Any, *args: Any, **kwargs: Any) -> Any:
            jit = signature.bind(model, *args, **kwargs).arguments.get("jit_compile", "auto")
            self._compiled[id(model)] = None if jit == "auto" else bool(jit)
            return original(model, *args, **kwargs)

        return compiled


_OURS = "aiotune."


def leads_to(thing: Any, method: str, name: str) -> bool:
    """Whether all overrides of a method speak of ``name``: ``super().fit``, ``model.fit``.

    One that does not has a way of its own, and only running it would tell which.
    """
    theirs = (cls for cls in owners(type(thing), method) if not cls.__module__.startswith(_OURS))
    overrides = [vars(cls)[method] for cls in theirs]
    if method in vars(thing):
        overrides.append(vars(thing)[method])
    return all(_speaks_of(override, name) for override in overrides)


def _speaks_of(function: Any, name: str) -> bool:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return isinstance(code, CodeType) and _names(code, name)


def _names(code: CodeType, name: str) -> bool:
    return name in code.co_names or any(
        _names(constant, name) for constant in code.co_consts if isinstance(constant, CodeType)
    )
