"""Keeps models off the GPU, in each back end's own words."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from typing import Any

__all__ = ("on_the_cpu",)


def on_the_cpu() -> AbstractContextManager[Any]:
    """Return a context in which models live on the CPU, in a process that must see no GPU.

    Hiding the GPUs is enough for TensorFlow. JAX is told as well, since it read
    its own variable when it was imported. Keras on torch has chosen its device
    when it was imported, before they were hidden. The name is ``"cpu"`` there:
    ``"cpu:0"`` is another device to torch, and tensors moved between the two
    lose their gradients.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "torch":
        scope: AbstractContextManager[Any] = keras.device("cpu")
        return scope
    # In the program's own process, which hides nothing, JAX is left as it is.
    if backend == "jax" and os.environ.get("CUDA_VISIBLE_DEVICES") == "-1":
        import jax

        jax.config.update("jax_platforms", "cpu")
    return contextlib.nullcontext()
