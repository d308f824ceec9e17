"""aiotune: asyncio-based hyperparameter tuning for Keras 3 on one host.

Everything is imported on first use, so that ``import aiotune`` costs next to
nothing and never imports a back end.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiotune import applications as applications
    from aiotune import engine as engine
    from aiotune import errors as errors
    from aiotune import migration as migration
    from aiotune import oracles as oracles
    from aiotune import pruners as pruners
    from aiotune import tuners as tuners
    from aiotune.base_tuner import BaseTuner as BaseTuner
    from aiotune.errors import AiotuneError as AiotuneError
    from aiotune.errors import FailedTrialError as FailedTrialError
    from aiotune.errors import FatalError as FatalError
    from aiotune.hypermodel import HyperModel as HyperModel
    from aiotune.hyperparameters import HyperParameters as HyperParameters
    from aiotune.objective import Objective as Objective
    from aiotune.oracles import Oracle as Oracle
    from aiotune.oracles import synchronized as synchronized
    from aiotune.result import SearchResult as SearchResult
    from aiotune.sklearn_tuner import SklearnTuner as SklearnTuner
    from aiotune.status import TrialStatus as TrialStatus
    from aiotune.trial import Trial as Trial
    from aiotune.tuner import Tuner as Tuner
    from aiotune.tuners import BayesianOptimization as BayesianOptimization
    from aiotune.tuners import GridSearch as GridSearch
    from aiotune.tuners import Hyperband as Hyperband
    from aiotune.tuners import RandomSearch as RandomSearch

__version__ = "0.1.0"

_HOMES = {
    "AiotuneError": "aiotune.errors",
    "BaseTuner": "aiotune.base_tuner",
    "BayesianOptimization": "aiotune.tuners",
    "FailedTrialError": "aiotune.errors",
    "FatalError": "aiotune.errors",
    "GridSearch": "aiotune.tuners",
    "HyperModel": "aiotune.hypermodel",
    "HyperParameters": "aiotune.hyperparameters",
    "Hyperband": "aiotune.tuners",
    "Objective": "aiotune.objective",
    "Oracle": "aiotune.oracles",
    "RandomSearch": "aiotune.tuners",
    "SearchResult": "aiotune.result",
    "SklearnTuner": "aiotune.sklearn_tuner",
    "Trial": "aiotune.trial",
    "TrialStatus": "aiotune.status",
    "Tuner": "aiotune.tuner",
    "synchronized": "aiotune.oracles",
}
_MODULES = frozenset(
    {"applications", "engine", "errors", "migration", "oracles", "pruners", "tuners"}
)

__all__ = (  # noqa: PLE0604 - names from the two tables, checked by a test
    "__version__",
    *sorted(_HOMES),
    *sorted(_MODULES),
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"aiotune.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aiotune' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
