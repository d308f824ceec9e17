"""Compiles a training step of JAX from shapes alone, and asks XLA for its buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax  # noqa: TID253 - this module is only imported where a step of JAX is traced
import keras  # noqa: TID253 - as above

from aiotune.worker._cpu import on_the_cpu

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
    made: list[tuple[Any, Any]] = []

    def state() -> tuple[list[Any], ...]:
        made.append(ready())
        return _state(made[0][0])

    with on_the_cpu():
        # Variables keep what they held when the trace ended, tracers, and no other
        # part of the process may read them; the step gets its state as arguments.
        shapes = jax.eval_shape(state)
        model, batch = made[0]
        if model.run_eagerly or not model.jit_compile:
            raise RuntimeError(
                "The model runs its step operation by operation (run_eagerly, or jit_compile is "
                "off), so what XLA assigns to a whole step does not describe it."
            )
        data = keras.tree.map_structure(_shape, batch)
        step = jax.jit(model.train_step, donate_argnums=0)
        sizes = step.lower(shapes, data).compile().memory_analysis()
    if sizes is None:
        raise RuntimeError("XLA has no memory analysis for this platform.")
    return int(
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        - sizes.alias_size_in_bytes
        + sizes.temp_size_in_bytes
    )


def _state(model: Any) -> tuple[list[Any], ...]:
    """Return the values of all variables in the order in which a step of Keras wants them."""
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    return tuple([variable.value for variable in group] for group in groups)


def _shape(spec: Any) -> Any:
    """Return the spec in JAX's words; it has no 64 bits unless it was told to."""
    return jax.ShapeDtypeStruct(spec.shape, jax.dtypes.canonicalize_dtype(spec.dtype))
