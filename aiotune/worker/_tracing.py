"""Predicts the peak of a training step from the step itself, traced without its numbers.

Weighing knows all variables exactly and guesses what a step needs beside them
from the layers' outputs. A trace follows the real step, with its loss, gradients
and optimizer, so it also sees what lies between layers, what is freed early and
what a compiler fuses. It costs seconds where weighing costs milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import Any

from aiotune._printable import printable

__all__ = ("traced_peak",)

# What targets look like for a loss of Keras; names without case and underscores,
# since a loss is given as a name, as a function or as an object of a class.
_LIKE_THE_OUTPUT = frozenset(
    """binarycrossentropy binaryfocalcrossentropy categoricalcrossentropy
    categoricalfocalcrossentropy categoricalhinge cosinesimilarity dice hinge huber kldivergence
    logcosh meanabsoluteerror meanabsolutepercentageerror meansquarederror
    meansquaredlogarithmicerror poisson squaredhinge tversky""".split()
)
_CLASS_NUMBERS = "sparsecategoricalcrossentropy"
# By name: each imports its back end.
_TRACERS = MappingProxyType(
    {"jax": "aiotune.worker._tracing_jax", "torch": "aiotune.worker._tracing_torch"}
)


class _Untraceable(Exception):
    """This model's step says nothing of its memory when it is traced."""


def traced_peak(build: Callable[[], Any], spec: Any, backend: str) -> int | None:
    """Return the most bytes that a training step holds at once, by tracing it.

    Nothing is allocated for the model. Counted are the model's and the optimizer's
    variables, one batch of data, gradients, what the forward pass keeps for the
    backward pass, and temporaries; not the driver's context, nor workspaces of
    its libraries. The trace describes the step as the CPU would run it: a GPU has
    kernels of its own, so it is a prediction like the weighed one, only closer.

    Args:
        build: Returns a compiled model, built or not. It is called once more here.
        spec: ``(x, y)``, nested ``keras.KerasTensor`` with a concrete batch size.
            ``y`` may be ``None``: targets are then made up, if the model's loss is
            one of Keras whose targets follow from its outputs; a model without
            a loss is given ``x`` alone.
        backend: The name of the one Keras runs on.

    Returns:
        Bytes. ``None`` for all but torch and JAX: for TensorFlow, since the graph that can be traced is
        not what XLA makes of it on a GPU: its liveness was found wrong by up to
        86 %. ``None``, too, where the trace fails, whatever the reason, which is
        written to stderr: numbers that decide what is computed (a step that asks
        for ``float(loss)``), an optimizer that leaves the back end (Nadam on torch).
    """
    tracer = _TRACERS.get(backend)
    if tracer is None:
        return None
    try:
        peak: int = import_module(tracer).step_peak(lambda: _ready(build, spec))
    # Whatever a trace stumbles over, the weighed estimate stands without it.
    except Exception as error:  # noqa: BLE001
        reason = printable(" ".join(str(error).split()), 500)  # errors of traces run to pages
        print(  # noqa: T201 - stderr of this process is the log that is read for the reason
            f"The training step could not be traced on {backend}, so the weighed estimate stands "
            f"alone: {type(error).__name__}: {reason}",
            file=sys.stderr,
        )
        return None
    return peak


def _ready(build: Callable[[], Any], spec: Any) -> tuple[Any, Any]:
    """Return the model with all variables that training uses, and the spec of one batch."""
    x, y = spec
    model = build()
    outputs = model(x)
    if getattr(model, "optimizer", None) is None:
        raise _Untraceable("The model is not compiled with an optimizer, so it has no such step.")
    if y is None:
        y = _targets(getattr(model, "loss", None), outputs)
    batch = (x, y) if y is not None else _alone(x)
    # What fit() does before its first batch: it makes metrics and the optimizer's slots.
    model._symbolic_build(data_batch=batch)  # noqa: SLF001 - there is no public name for it
    return model, batch


def _alone(x: Any) -> Any:
    """Return a batch of inputs as fit() hands it to a step: several inputs are one element."""
    return (x,) if isinstance(x, list | tuple) else x


def _targets(loss: Any, outputs: Any) -> Any:
    """Return specs of targets that fit the outputs; ``None`` if there is no loss to want them."""
    import keras

    if loss is None:
        return None
    if isinstance(loss, dict) and isinstance(outputs, dict) and loss.keys() == outputs.keys():
        return {name: _targets(loss[name], output) for name, output in outputs.items()}
    if isinstance(loss, list | tuple) and isinstance(outputs, list | tuple):
        return [_targets(one, output) for one, output in zip(loss, outputs, strict=True)]
    return keras.tree.map_structure(lambda output: _target(loss, output), outputs)


def _target(loss: Any, output: Any) -> Any:
    import keras

    found = keras.losses.get(loss) if isinstance(loss, str) else loss
    kind = found if hasattr(found, "__name__") else type(found)
    name = kind.__name__.replace("_", "").lower()
    # A user's function of the same name may want something else.
    if kind.__module__.partition(".")[0] == "keras":
        if name in _LIKE_THE_OUTPUT:
            return keras.KerasTensor(output.shape, keras.config.floatx())
        if name == _CLASS_NUMBERS:
            return keras.KerasTensor(output.shape[:-1], "int32")
    raise _Untraceable(f"Nothing says what targets the loss {loss!r} expects.")
