"""The modules of KerasTuner's ``engine``, under their familiar names."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = (
    "base_tuner",
    "hypermodel",
    "hyperparameters",
    "metrics_tracking",
    "oracle",
    "trial",
    "tuner",
)


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"aiotune.engine.{name}")
    raise AttributeError(f"module 'aiotune.engine' has no attribute {name!r}")
