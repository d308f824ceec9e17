"""What a model was compiled with, which a state that is loaded into it does not decide.

An optimizer's learning rate is one of its variables, so Keras saves it and loads it with
the slots. A trial that goes on from another one with other values would train with that
one's rate, under its own name. So a state says what its model had been compiled with:
a number that is another one now was asked for, and holds; one that is the same goes on as
the training had changed it, as ReduceLROnPlateau does.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py  # Keras writes weights with it
import keras  # noqa: TID253 - only imported where a model is trained
import msgspec

from aiotune.worker._room import complain

__all__ = ("Compiled", "compiled", "load_state", "save_whole")

_NOTE = "aiotune_compiled"
"""The attribute of a state's file that holds it; Keras reads none."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """An optimizer, with those that it wraps, as it was before any training.

    Attributes:
        classes: The class of each, the outermost first.
        numbers: The numbers in their configurations, by position and name, as ``0.learning_rate``.
            A schedule is none: it has nothing to be set, and the iterations go on.
    """

    classes: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


def compiled(model: Any) -> Compiled:
    """Return what a model that was just built is compiled with; nothing if it is not compiled."""
    optimizers = list(_optimizers(getattr(model, "optimizer", None)))
    return Compiled(
        tuple(f"{type(each).__module__}.{type(each).__qualname__}" for each in optimizers),
        {
            f"{position}.{name}": value
            for position, each in enumerate(optimizers)
            for name, value in _numbers(each).items()
        },
    )


def save_whole(model: Any, path: Path, asked: Compiled | None) -> None:
    """Write weights and optimizer to a file, and what the model had been compiled with."""
    model.save_weights(path)
    if asked is not None:
        with h5py.File(path, "r+") as file:
            file.attrs[_NOTE] = msgspec.json.encode(asked).decode()


def load_state(model: Any, path: Path) -> None:
    """Load what :func:`save_whole` wrote into a model that was just compiled, and is built.

    An optimizer of another class keeps none of the state: slots of one are no slots of another,
    even where there are as many.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is of another model.
    """
    asked, before = compiled(model), _noted(path)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    if optimizer is None or before is None or before.classes == asked.classes:
        model.load_weights(path)
    else:
        complain(
            f"{path} is of a training with {' in '.join(before.classes[::-1]) or 'no optimizer'}, and this "
            f"one has {' in '.join(asked.classes[::-1])}: the weights go on, the optimizer begins anew."
        )
        model.optimizer = None
        try:
            model.load_weights(path)
        finally:
            model.optimizer = optimizer
    _put_back(optimizer, asked, before or Compiled())


def _put_back(optimizer: Any, asked: Compiled, before: Compiled) -> None:
    """Give an optimizer each number that it was compiled with, and the training before was not."""
    for position, each in enumerate(_optimizers(optimizer)):
        for name, value in _numbers(each).items():
            key = f"{position}.{name}"
            wanted = asked.numbers.get(key, value)
            if wanted == value or wanted == before.numbers.get(key):
                continue
            held = getattr(each, name, None)
            if isinstance(held, keras.Variable):
                held.assign(wanted)
            else:
                setattr(each, name, wanted)


def _noted(path: Path) -> Compiled | None:
    """Return what a state says of its model; ``None`` of one that was written before states did."""
    with h5py.File(path, "r") as file:
        text = file.attrs.get(_NOTE)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Compiled)
    except ValueError as error:
        complain(f"{path} does not say what its model was compiled with: {error}")
        return None


def _numbers(optimizer: Any) -> dict[str, float]:
    """Return the numbers among an optimizer's arguments."""
    try:
        config = optimizer.get_config()
    except Exception as error:  # noqa: BLE001 - the user's own code
        complain(f"get_config() of {type(optimizer).__name__} failed: {error!r}")
        rate = optimizer.learning_rate
        config = {"learning_rate": float(rate)} if isinstance(rate, keras.Variable) else {}
    return {
        str(name): float(value)
        for name, value in config.items()
        if isinstance(value, numbers.Real) and not isinstance(value, bool)
    }


def _optimizers(optimizer: Any) -> Iterator[Any]:
    """Yield an optimizer and those that it holds, as LossScaleOptimizer does, each once."""
    seen: set[int] = set()
    waiting = [optimizer]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, keras.optimizers.Optimizer) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting.extend(_held(vars(each).values()))


def _held(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Mapping):
            yield from value.values()
        elif isinstance(value, (list, tuple)):
            yield from value
        else:
            yield value
