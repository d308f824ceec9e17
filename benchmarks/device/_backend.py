"""What a child does with a device, in the words of each back end. Imported by children only."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

__all__ = (
    "address_bytes",
    "allocate",
    "counters",
    "data_bytes",
    "fit_small",
    "multiply",
    "only_cpu",
    "small_model",
    "touch",
    "visible",
)

MIB = 1 << 20


def _backend() -> str:
    return os.environ["KERAS_BACKEND"]


def only_cpu() -> bool:
    """Whether this process must see no GPU, as in a dry run."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") == "-1"


def touch() -> None:
    """Make the driver's context, and nothing else."""
    if _backend() == "torch":
        import torch

        if not only_cpu():
            torch.cuda.init()
            torch.cuda.synchronize()
        return
    if _backend() == "tensorflow":
        import tensorflow as tf

        tf.config.list_logical_devices("GPU")
        return
    import jax

    if only_cpu():
        jax.config.update("jax_platforms", "cpu")
    jax.devices()


def visible() -> list[str]:
    """Return the names of the GPUs that this process sees."""
    if _backend() == "torch":
        import torch

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if _backend() == "tensorflow":
        import tensorflow as tf

        return [device.name for device in tf.config.list_logical_devices("GPU")]
    import jax

    try:
        return [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    except RuntimeError as error:  # JAX says so where its plugin finds no device
        if "no supported devices" in str(error) or "Unable to initialize backend" in str(error):
            return []
        raise


def allocate(size: int) -> Any:
    """Return a tensor of so many bytes on the device, written to."""
    if _backend() == "torch":
        import torch

        device = "cpu" if only_cpu() else "cuda"
        made = torch.ones(size // 4, dtype=torch.float32, device=device)
        if not only_cpu():
            torch.cuda.synchronize()
        return made
    if _backend() == "tensorflow":
        import tensorflow as tf

        filled = tf.ones(size // 4)
        filled[-1].numpy()  # waits for it
        return filled
    import jax
    import jax.numpy as jnp

    touch()
    return jax.block_until_ready(jnp.ones(size // 4, "float32"))


def multiply(width: int = 1024, seconds: float = 0.0) -> int:
    """Multiply matrices, at least once, for so many seconds; return how often."""
    step = _multiplier(width)
    until = time.monotonic() + seconds
    count = 1
    step()
    while time.monotonic() < until:
        step()
        count += 1
    return count


def _multiplier(width: int) -> Any:
    if _backend() == "torch":
        import torch

        device = "cpu" if only_cpu() else "cuda"
        matrix = torch.ones(width, width, device=device)

        def once() -> None:
            torch.matmul(matrix, matrix)
            if not only_cpu():
                torch.cuda.synchronize()

        return once
    if _backend() == "tensorflow":
        import tensorflow as tf

        ones = tf.ones((width, width))

        def product() -> None:
            tf.matmul(ones, ones)[0, 0].numpy()  # waits for it

        return product
    import jax
    import jax.numpy as jnp

    touch()
    operand = jnp.ones((width, width), "float32")
    return lambda: jax.block_until_ready(operand @ operand)


def counters() -> dict[str, int]:
    """Return what the back end holds of the device, in bytes; in a dry run the process's memory.

    ``now`` and ``peak`` are of tensors, ``reserved`` and ``peak_reserved`` of
    what was taken from the driver for them.
    """
    if only_cpu():
        return {"now": _status("RssAnon"), "peak": _status("VmHWM")} | {
            "reserved": _status("RssAnon"),
            "peak_reserved": _status("VmHWM"),
        }
    if _backend() == "torch":
        import torch

        return {
            "now": torch.cuda.memory_allocated(),
            "peak": torch.cuda.max_memory_allocated(),
            "reserved": torch.cuda.memory_reserved(),
            "peak_reserved": torch.cuda.max_memory_reserved(),
        }
    if _backend() == "tensorflow":
        import tensorflow as tf

        info = tf.config.experimental.get_memory_info("GPU:0")
        now, peak = info["current"], info["peak"]
        return {"now": now, "peak": peak, "reserved": now, "peak_reserved": peak}
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    now, peak = stats.get("bytes_in_use", 0), stats.get("peak_bytes_in_use", 0)
    return {
        "now": now,
        "peak": peak,
        "reserved": stats.get("pool_bytes", now),
        "peak_reserved": stats.get("peak_pool_bytes", peak),
        **{f"jax {key}": int(value) for key, value in stats.items()},
    }


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


def small_model(units: int = 64) -> Any:
    """Return a compiled model that uses the libraries for convolutions and for products."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    return model


def fit_small(epochs: int = 1) -> float:
    """Train the small model, and return its last loss."""
    import contextlib

    import keras
    import numpy as np

    from aiotune.worker._cpu import on_the_cpu

    rng = np.random.default_rng(0)
    x, y = rng.random((64, 16, 16, 3), "float32"), rng.random((64, 1), "float32")
    with on_the_cpu() if only_cpu() else contextlib.nullcontext():
        keras.utils.set_random_seed(0)
        history = small_model().fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return float(history.history["loss"][-1])


def data_bytes() -> int:
    """Return what counts against RLIMIT_DATA in this process."""
    return _status("VmData")


def address_bytes() -> int:
    """Return what counts against RLIMIT_AS in this process."""
    return _status("VmSize")
