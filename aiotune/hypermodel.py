"""A model with holes: how to build it and how to train it, given hyperparameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from aiotune._printable import printable, shown
from aiotune.errors import FatalTypeError, FatalValueError

if TYPE_CHECKING:
    from aiotune.hyperparameters import HyperParameters

__all__ = ("HyperModel", "as_hypermodel")


_detached: ContextVar[HyperParameters | None] = ContextVar("detached", default=None)
"""The copy that an untunable hypermodel is building with."""


def _respecting_tunable(build: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(build)
    def wrapper(self: HyperModel, hp: HyperParameters, *args: Any, **kwargs: Any) -> Any:
        # A class of __main__ travels to workers by value, and this function
        # with it; it must name nothing but what can be imported there.
        return _call_build(build, self, hp, *args, **kwargs)

    return wrapper


def _call_build(
    build: Callable[..., Any], model: HyperModel, hp: HyperParameters, *args: Any, **kwargs: Any
) -> Any:
    # build() may call super().build(hp): one copy serves both, so that each
    # sees what the other asked for.
    if model.tunable or hp is _detached.get():
        return build(model, hp, *args, **kwargs)
    copy = hp.copy()
    token = _detached.set(copy)
    try:
        return build(model, copy, *args, **kwargs)
    finally:
        _detached.reset(token)


class HyperModel:
    """Builds and trains models; subclass it and override :meth:`build`, perhaps :meth:`fit`.

    A subclass need not call ``super().__init__()``.

    Args:
        name: A name for people.
        tunable: Whether ``build`` may add hyperparameters to the search space.
            If not, it gets a copy: it sees the values that are already there,
            and defaults for the rest.
    """

    name: str | None = None
    tunable: bool = True

    def __init__(self, name: str | None = None, tunable: bool = True) -> None:
        self.name = name
        self.tunable = tunable

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Wrapping the class's function, not the instance's method as KerasTuner
        # does: nothing to lose in a subclass without super().__init__(), and no
        # instance that refers to itself when it is pickled.
        if "build" in vars(cls):
            cls.build = _respecting_tunable(vars(cls)["build"])  # type: ignore[method-assign]

    def build(self, hp: HyperParameters) -> Any:
        """Return a compiled Keras model.

        Args:
            hp: Ask it for hyperparameters: ``hp.Int("units", 32, 512, step=32)``.

        Raises:
            NotImplementedError: The subclass does not override it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must override build(hp) and return a compiled Keras model."
        )

    def declare_hyperparameters(self, hp: HyperParameters) -> None:
        """Ask for hyperparameters once, before the first build; by default for none."""

    def fit(self, hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train the model, by default with ``model.fit(*args, **kwargs)``.

        Args:
            hp: The trial's hyperparameters; more may be asked for.
            model: What :meth:`build` returned.
            *args: What ``search()`` was given.
            **kwargs: What ``search()`` was given. An override passes its
                ``callbacks`` on to ``model.fit``: they report each epoch and
                keep the best weights.

        Returns:
            A ``History``, a number to minimise, or a dict of metrics.
        """
        return model.fit(*args, **kwargs)


class _FunctionHyperModel(HyperModel):
    """A plain ``build(hp)`` function as a hypermodel."""

    def __init__(self, function: Callable[[HyperParameters], Any]) -> None:
        super().__init__(name=getattr(function, "__name__", None))
        self.function = function

    def build(self, hp: HyperParameters) -> Any:
        return self.function(hp)


def as_hypermodel(hypermodel: Any) -> HyperModel | None:
    """Return a :class:`HyperModel` for what a user passed; ``None`` stays ``None``.

    Raises:
        FatalValueError: It is neither a HyperModel nor a function, it is a class of
            hypermodels, or it does not override ``build``.
        FatalTypeError: It cannot be called with hyperparameters, or is a coroutine function.
    """
    if hypermodel is None:
        return None
    if isinstance(hypermodel, HyperModel):
        if getattr(hypermodel.build, "__func__", None) is HyperModel.build:
            raise FatalValueError(
                f"The `hypermodel` argument is a {type(hypermodel).__name__}, which does not override "
                "build(hp), so it builds nothing. Define build(self, hp) there."
            )
        return hypermodel
    if isinstance(hypermodel, type) and issubclass(hypermodel, HyperModel):
        raise FatalValueError(
            f"The `hypermodel` argument is the class {hypermodel.__name__}, but should be one of its "
            f"instances. Write {hypermodel.__name__}()."
        )
    if not callable(hypermodel):
        raise FatalValueError(
            "The `hypermodel` argument should be either an instance of aiotune.HyperModel or a function "
            f"that takes hyperparameters and returns a model, but it is {shown(hypermodel)} of type "
            f"{type(hypermodel).__name__}."
        )
    _check_signature(hypermodel)
    return _FunctionHyperModel(hypermodel)


def _check_signature(function: Callable[..., Any]) -> None:
    """Refuse what cannot be called as ``build(hp)``, or answers with a coroutine."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a function of an extension, which does not tell
    name = getattr(function, "__name__", type(function).__name__)
    said = printable(f"{name}{signature}", 100)
    if inspect.iscoroutinefunction(function):
        raise FatalTypeError(
            f"The `hypermodel` argument is the coroutine function {said}, but a worker calls it without "
            "a loop. Define it with def, without async."
        )
    try:
        signature.bind(None)
    except TypeError:
        raise FatalTypeError(
            f"The `hypermodel` argument is {said}, which cannot be called with hyperparameters alone. "
            "Define it as build(hp); bind more arguments with functools.partial."
        ) from None
