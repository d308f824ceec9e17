"""A model with holes: how to build it and how to train it, given hyperparameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiotune.errors import FatalValueError

if TYPE_CHECKING:
    from aiotune.hyperparameters import HyperParameters

__all__ = ("HyperModel", "as_hypermodel")


class HyperModel:
    """Builds and trains models; subclass it and override :meth:`build`, perhaps :meth:`fit`.

    Args:
        name: A name for people.
        tunable: Whether ``build`` may add hyperparameters to the search space;
            if not, it sees values that are already there, and defaults.
    """

    def __init__(self, name: str | None = None, tunable: bool = True) -> None:
        self.name = name
        self.tunable = tunable
        self._build = self.build
        self.build = self._build_wrapper  # type: ignore[method-assign]

    def build(self, hp: HyperParameters) -> Any:
        """Return a compiled Keras model."""
        raise NotImplementedError(  # an abstract method that KerasTuner's subclasses override
            f"{type(self).__name__} must override build(hp) and return a Keras model."
        )

    def _build_wrapper(self, hp: HyperParameters, *args: Any, **kwargs: Any) -> Any:
        return self._build(hp if self.tunable else hp.copy(), *args, **kwargs)

    def declare_hyperparameters(self, hp: HyperParameters) -> None:
        """Ask for hyperparameters before the first build; optional."""

    def fit(self, hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train the model and return its ``History``, a number or a dict of metrics.

        An override passes ``callbacks`` of ``kwargs`` on to ``model.fit``: they
        report each epoch and keep the best weights.
        """
        return model.fit(*args, **kwargs)


class _FunctionHyperModel(HyperModel):
    """A plain ``build(hp)`` function."""

    def __init__(self, function: Callable[[HyperParameters], Any]) -> None:
        self.function = function
        super().__init__(name=getattr(function, "__name__", None))

    def build(self, hp: HyperParameters) -> Any:
        """Call the function."""
        return self.function(hp)


def as_hypermodel(hypermodel: Any) -> HyperModel | None:
    """Return a :class:`HyperModel` for what a user passed; ``None`` stays ``None``.

    Raises:
        FatalValueError: It is neither a HyperModel nor callable.
    """
    if hypermodel is None or isinstance(hypermodel, HyperModel):
        return hypermodel
    if not callable(hypermodel):
        raise FatalValueError(
            "The `hypermodel` argument should be either a HyperModel or a function that takes "
            f"hyperparameters and returns a model, but is {hypermodel!r} of type "
            f"{type(hypermodel).__name__}."
        )
    return _FunctionHyperModel(hypermodel)
