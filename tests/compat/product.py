"""KerasTuner and aiotune behind one face, so that both can be asked the same questions."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import enum
import importlib
import inspect
import io
import math
import numbers
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ("QUESTIONS", "Product", "answer", "question", "text")

Ask = Callable[["Product"], Any]

QUESTIONS: dict[str, Ask] = {}
"""Every question by its name, which is unique; filled by the modules that ask."""

_ERRORS = frozenset(
    "FailedTrialError FatalError FatalValueError FatalTypeError FatalRuntimeError".split()
)


class Product:
    """One of the two, by the names that KerasTuner gave things.

    Args:
        name: ``"keras_tuner"`` or ``"aiotune"``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_reference = name == "keras_tuner"
        self.top = importlib.import_module(name)
        inner = (
            "keras_tuner.engine.hyperparameters" if self.is_reference else "aiotune.hyperparameters"
        )
        self.kinds = importlib.import_module(inner)
        self.oracles = importlib.import_module(f"{name}.oracles")
        self.errors = importlib.import_module(f"{name}.errors")
        where = "keras_tuner.engine.metrics_tracking" if self.is_reference else "aiotune.objective"
        self.infer_metric_direction = importlib.import_module(where).infer_metric_direction
        self._runner = asyncio.Runner()

    def names(self) -> dict[str, Any]:
        """Return what an expression may use; ``hp`` is a new container."""
        kinds = {kind: getattr(self.kinds, kind) for kind in _KINDS}
        return {
            **kinds,
            "hp": self.top.HyperParameters(),
            "HyperParameters": self.top.HyperParameters,
            "Objective": self.top.Objective,
            "HyperModel": self.top.HyperModel,
            "oracles": self.oracles,
            "direction": self.infer_metric_direction,
            "kt": self.top,
        }

    def settle(self, value: Any) -> Any:
        """Return a value, or what it is once awaited: aiotune's oracles and ``search`` are async."""
        if inspect.isawaitable(value):
            return self._runner.run(_awaited(value))
        return value

    def opened(self, oracle: Any) -> Any:
        """Return an oracle that has a project: KerasTuner's writes files at once."""
        if self.is_reference:
            self.tuner_of(oracle, lambda hp: 0.0)
        return oracle

    def tuner_of(
        self, oracle: Any, function: Callable[[Any], Any], directory: str | None = None
    ) -> Any:
        """Return a tuner whose trials are calls of a function of the hyperparameters."""

        class Black(self.top.Tuner):  # type: ignore[misc, name-defined]
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
                return function(trial.hyperparameters)

        return self.made(Black, oracle, directory)

    def made(self, kind: Any, oracle: Any, directory: str | None = None, **settings: Any) -> Any:
        """Return a tuner of a class; its trials run in this process, one after the other."""
        own = {} if self.is_reference else {"executor": "inline", "max_parallel_trials": 1}
        where = directory or tempfile.mkdtemp()
        return kind(oracle=oracle, directory=where, project_name="p", **own, **settings)

    def search(self, tuner: Any) -> None:
        """Run a search to its end, silently."""
        self.settle(tuner.search(verbose=0))


_KINDS = ("Int", "Float", "Choice", "Boolean", "Fixed")


async def _awaited(value: Any) -> Any:
    return await value


def question(name: str) -> Callable[[Ask], Ask]:
    """Register a question under a name."""

    def register(ask: Ask) -> Ask:
        assert name not in QUESTIONS, f"two questions are called {name}"
        QUESTIONS[name] = ask
        return ask

    return register


def answer(product: Product, ask: Ask) -> str:
    """Ask, and return the answer, or what was raised, as text that can be compared."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return text(ask(product))
    except Exception as error:  # noqa: BLE001 - which one it is, is the answer
        return f"raises {_known(error)}"


def _known(error: BaseException) -> str:
    """Return the nearest class that both products have: Python's own, or a familiar error."""
    for kind in type(error).__mro__:
        if kind.__name__ in _ERRORS or hasattr(builtins, kind.__name__):
            return kind.__name__
    raise AssertionError(error)


def text(value: Any) -> str:  # noqa: PLR0911 - one line a kind of value
    """Write a value down; floats to 12 digits, since the last ones depend on the order of sums."""
    match value:
        case enum.Enum():
            return repr(value.value)
        case None | str() | bool():
            return repr(value)
        case numbers.Integral():
            return repr(int(value))
        case numbers.Real():
            number = float(value)
            return repr(float(f"{number:.12g}")) if math.isfinite(number) else repr(number)
        case Mapping():
            pairs = sorted((text(key), text(item)) for key, item in value.items())
            return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
        case tuple() | list():
            return "[" + ", ".join(map(text, value)) + "]"
        case set() | frozenset():
            return "[" + ", ".join(sorted(map(text, value))) + "]"
        case _:
            return str(value)
