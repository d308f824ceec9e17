"""What a model consists of, taken from a model whose variables have no values."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from typing import Any

import keras  # noqa: TID253 - this module is only imported where a model is weighed

from aiotune.memory import LayerSize, ModelSize
from aiotune.worker._activations import Outputs, call_symbolically, outputs_of
from aiotune.worker._input_spec import BatchSpec
from aiotune.worker._valueless import Unweighable, nbytes

__all__ = ("measure",)

_ROWS = 500  # of outputs; with their paths they stay far below one frame


def measure(
    model: Any,
    spec: BatchSpec | None,
    batch_size: int | None,
    jit_compile: bool | None,
    method: str,
) -> tuple[ModelSize, str]:
    """Measure a model, inside a :class:`Valueless` context.

    What is missing is made there: the weights of a model that builds itself
    when it first sees data, and the optimizer's slots.

    Args:
        model: A keras model.
        spec: A batch of its data, if known.
        batch_size: If known without the data.
        jit_compile: What ``compile`` was given; ``None`` for ``"auto"``.
        method: How the model was made; see ``ModelSize``.

    Returns:
        The size, and a sentence on what could not be found; empty if all was.

    Raises:
        Unweighable: The model is not built, and its data does not build it.
    """
    _build(model, spec)
    batch = spec.batch_size if spec is not None else batch_size
    outputs, note = _outputs(model, spec, batch)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    by_dtype: Counter[str] = Counter()
    for variable in model.variables:
        by_dtype[variable._dtype] += nbytes(variable)  # noqa: SLF001 - dtype follows autocasts
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    size = ModelSize(
        backend=keras.backend.backend(),
        parameters=_count(model.weights),
        trainable_parameters=_count(model.trainable_weights),
        weight_bytes=sum(by_dtype.values()),
        gradient_bytes=sum(map(nbytes, model.trainable_variables)),
        slot_bytes=sum(map(nbytes, optimizer.variables)) if optimizer is not None else 0,
        activation_bytes=sum(outputs.row_bytes) if outputs.complete else 0,
        has_activations=outputs.complete,
        bytes_by_dtype=dict(by_dtype),
        batch_size=batch,
        input_bytes=spec.nbytes if spec is not None else 0,
        optimizer=type(inner).__name__ if inner is not None else None,
        compute_dtype=str(model.compute_dtype),
        jit_compile=False if getattr(model, "run_eagerly", False) else jit_compile,
        accumulation_steps=getattr(inner, "gradient_accumulation_steps", None) or 1,
        layers=_largest(outputs),
        method=method,
    )
    return size, note


def _count(variables: list[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def _build(model: Any, spec: BatchSpec | None) -> None:
    # "built" says little: a subclass's inherited build() sets it and makes no weight.
    layers = model._flatten_layers()  # noqa: SLF001 - it has no public name
    if model.weights and all(layer.built for layer in layers):
        return
    if spec is None:
        if model.built and all(layer.built for layer in layers):
            return  # of layers that have no weights
        raise Unweighable(
            f"{type(model).__name__} {model.name!r} gets its weights when it first sees data, and "
            "what its data looks like is not known before it is read."
        )
    try:
        call_symbolically(model, spec.x, training=False)
    except Unweighable:
        raise
    except Exception as error:
        raise Unweighable(
            f"{type(model).__name__} {model.name!r} is not built, and calling it on a batch of "
            f"shapes failed: {type(error).__name__}: {_first_line(error)}"
        ) from error


def _outputs(model: Any, spec: BatchSpec | None, batch: int | None) -> tuple[Outputs, str]:
    try:
        outputs = outputs_of(model, spec.x if spec is not None else None, batch)
    except Unweighable as error:
        return Outputs(complete=False), f"The layers' outputs are not known: {error}"
    except Exception as error:  # noqa: BLE001 - the weights are known; outputs are a bonus
        return Outputs(complete=False), (
            f"The layers' outputs are not known: calling {model.name!r} on a batch of shapes failed "
            f"with {type(error).__name__}: {_first_line(error)}"
        )
    if outputs.complete:
        return outputs, ""
    return outputs, (
        "The layers' outputs are not known: the data does not tell the shape of a batch."
    )


def _largest(outputs: Outputs) -> tuple[LayerSize, ...]:
    if len(outputs.rows) <= _ROWS:
        return tuple(outputs.rows)
    kept = heapq.nlargest(_ROWS, range(len(outputs.rows)), key=outputs.row_bytes.__getitem__)
    return tuple(outputs.rows[index] for index in sorted(kept))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
