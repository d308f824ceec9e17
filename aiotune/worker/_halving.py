"""Smaller batches, and as many of them for each update, for a model that did not fit otherwise."""

from __future__ import annotations

from typing import Any

from aiotune.errors import OversizedModelError

__all__ = ("with_smaller_batches",)

_KERAS_DEFAULT = 32


def with_smaller_batches(
    model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], divisor: int
) -> dict[str, Any]:
    """Return arguments of ``fit`` with a batch ``divisor`` times smaller.

    The model's optimizer then updates the weights once for ``divisor`` of
    these batches, with the mean of their gradients. That is the same training
    but for what depends on a batch as a whole, such as batch normalization.

    Args:
        model: Compiled; nothing was trained yet.
        args: Positional arguments of ``fit``.
        kwargs: Its keyword arguments.
        divisor: A power of 2; 1 changes nothing.

    Raises:
        OversizedModelError: The data come in batches of their own, or the batch
            is that small already.
    """
    if divisor == 1:
        return kwargs
    x = args[0] if args else kwargs.get("x")
    batch = kwargs.get("batch_size") or _KERAS_DEFAULT
    if not _is_array_like(x):
        raise OversizedModelError(
            f"It ran out of memory, and its batch cannot be made {divisor} times smaller: the data, "
            f"{type(x).__name__}, come in batches of their own. Pass arrays, or smaller batches."
        )
    if batch < divisor:
        raise OversizedModelError(
            f"It ran out of memory, and its batch of {batch} cannot be made {divisor} times smaller."
        )
    _accumulate(model, divisor)
    return {**kwargs, "batch_size": batch // divisor}


def _is_array_like(x: Any) -> bool:
    import keras

    leaves = keras.tree.flatten(x)
    # A tf.data.Dataset and a generator have no shape; a DataLoader has no dtype.
    return bool(leaves) and all(hasattr(v, "shape") and hasattr(v, "dtype") for v in leaves)


def _accumulate(model: Any, divisor: int) -> None:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return  # compiled inside fit(): its update stays one a batch
    config = optimizer.get_config()
    config["gradient_accumulation_steps"] = divisor * (
        config.get("gradient_accumulation_steps") or 1
    )
    # Made anew: its slots, the accumulators among them, are made when it is built.
    model.optimizer = type(optimizer).from_config(config)
