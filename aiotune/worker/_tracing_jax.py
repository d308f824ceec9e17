"""Compiles a training step of JAX from shapes alone, and asks XLA for its buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax  # noqa: TID253 - this module is only imported where a step of JAX is traced
import keras  # noqa: TID253 - as above

from aiotune.worker._cpu import on_the_cpu
from aiotune.worker._valueless import Meter, Valueless

__all__ = ("step_peak",)


def step_peak(ready: Callable[[], tuple[Any, Any]]) -> int:
    """Return what XLA assigns to the compiled step for the CPU, in bytes.

    Its arguments (variables and data), its outputs and its temporaries; an output
    that takes over the memory of a donated argument counts once, as Keras
    donates all state. ``peak_memory_in_bytes`` of the same analysis is of no use:
    on the CPU it holds the arguments only.

    Args:
        ready: Builds the model with its optimizer, and returns it with the spec of a batch.

    Raises:
        RuntimeError: The step is not compiled as a whole, or XLA tells nothing of it.
    """
    with on_the_cpu():
        with Valueless(Meter(None, None)):
            model, batch = ready()
        if model.run_eagerly or not model.jit_compile:
            raise RuntimeError(
                "The model runs its step operation by operation (run_eagerly, or jit_compile is "
                "off), so what XLA assigns to a whole step does not describe it."
            )
        step = jax.jit(model.train_step, donate_argnums=0)
        data = keras.tree.map_structure(_of_spec, batch)
        sizes = step.lower(_state(model), data).compile().memory_analysis()
    if sizes is None:
        raise RuntimeError("XLA has no memory analysis for this platform.")
    return int(
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        - sizes.alias_size_in_bytes
        + sizes.temp_size_in_bytes
    )


def _state(model: Any) -> tuple[list[Any], ...]:
    """Return the shapes of all variables in the order in which a step of Keras wants them."""
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    return tuple([_shape(v.shape, v._dtype) for v in group] for group in groups)  # noqa: SLF001 - dtype follows autocasts


def _of_spec(spec: Any) -> Any:
    return _shape(spec.shape, spec.dtype)


def _shape(shape: tuple[int, ...], dtype: str) -> Any:
    """Return a shape in JAX's words; it has no 64 bits unless it was told to."""
    return jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(dtype))
