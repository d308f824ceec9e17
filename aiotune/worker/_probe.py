"""Builds the model once, on the CPU, to learn which hyperparameters it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiotune.errors import FatalError
from aiotune.hyperparameters import (
    HyperParameter,
    HyperParameters,
    deserialize,
    discover,
    serialize,
)
from aiotune.wire import Discovered, FromWorker, Payload, Probed, RunProbe
from aiotune.worker._cpu import on_the_cpu

__all__ = ("discover_space", "run_probe")


class _ToldAtOnce(HyperParameters):
    """A space that says each new entry before the build goes on, which may never end."""

    __slots__ = ("say",)

    def __init__(self, say: Callable[[FromWorker], None]) -> None:
        super().__init__()
        self.say = say

    def add(self, entries: Iterable[HyperParameter]) -> list[HyperParameter]:
        new = super().add(entries)
        if new:
            self.say(Discovered(entries=[serialize(entry) for entry in new], values={}))
        return new


def _unheard(message: FromWorker) -> None:
    """Say nothing."""


def run_probe(
    order: RunProbe, payload: Payload, say: Callable[[FromWorker], None] = _unheard
) -> Probed:
    """Discover the search space of the payload's hypermodel.

    Args:
        order: The space known so far, and the environment that hides all GPUs.
        payload: The tuner; a target without a hypermodel has nothing to discover.
        say: Told of each hyperparameter when it is asked for the first time.

    Returns:
        The whole space and the default values.

    Raises:
        FatalError: ``build`` returned no model, or raised a ``FatalError``.
        Exception: ``build`` failed before it had used any hyperparameter.
    """
    hp = _ToldAtOnce(_unheard)
    hp.add(deserialize(entry) for entry in order.space["space"])
    hp.values, hp.say = dict(order.space["values"]), say
    hp.ensure_active_values()
    parameters = discover_space(payload.target, hp)
    return Probed(
        entries=[serialize(entry) for entry in hp.space],
        values=dict(hp.values),
        parameters=parameters,
    )


def discover_space(tuner: Any, hp: HyperParameters) -> int | None:
    """Build with defaults, and again for each conditional scope; return the first model's parameters.

    A build that fails for these values says nothing about others: what it had
    asked for until then is the space that is known, and trials will tell the
    rest. Only a build that fails before its first hyperparameter fails for all.
    """
    hypermodel = getattr(tuner, "hypermodel", None)
    if hypermodel is None:
        return None
    hypermodel.declare_hyperparameters(hp)
    if not getattr(tuner, "builds_keras_models", True):
        discover(hypermodel.build, hp)
        return None
    return _discover_models(tuner, hp)


def _discover_models(tuner: Any, hp: HyperParameters) -> int | None:
    from aiotune.worker._keras import build_model

    known = len(hp.space)
    try:
        with on_the_cpu():
            model = discover(lambda h: build_model(tuner, h), hp)
    except FatalError:
        raise
    except Exception:
        if len(hp.space) == known == 0:
            raise
        return None
    return int(model.count_params()) if model.built else None
