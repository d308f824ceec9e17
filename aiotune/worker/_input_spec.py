"""What one batch of the user's data looks like, without reading more than one sample."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import keras  # noqa: TID253 - this module is only imported where a model is weighed
import numpy as np

from aiotune.worker._valueless import itemsize

__all__ = ("BatchSpec", "batch_spec")

_DEFAULT_BATCH = 32  # of keras's fit(), for arrays


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """One batch.

    Attributes:
        x: Inputs: ``keras.KerasTensor``, nested as the data is. A dimension of
            unknown length is ``None``; the first one never is.
        y: Targets, likewise; ``None`` if there are none.
        sample_weight: Likewise.
        batch_size: Samples in it.
    """

    x: Any
    y: Any
    sample_weight: Any
    batch_size: int

    @property
    def nbytes(self) -> int:
        """Bytes of inputs, targets and weights; unknown dimensions count as one."""
        tensors = keras.tree.flatten((self.x, self.y, self.sample_weight))
        return sum(
            math.prod(d or 1 for d in t.shape) * itemsize(t.dtype) for t in tensors if t is not None
        )


def batch_spec(
    x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None
) -> BatchSpec | None:
    """Describe a batch of what ``fit`` is given.

    Args:
        x: Arrays, nested or not, ``keras.utils.PyDataset``, ``tf.data.Dataset``
            or torch ``DataLoader``.
        y: Targets, with arrays.
        sample_weight: Weights, with arrays.
        batch_size: As for ``fit``; default 32, where the data does not know it.

    Returns:
        The batch, or ``None`` where it cannot be known without consuming it
        (a generator), or at all.
    """
    try:
        batch = _batch(x, y, sample_weight, batch_size)
        if batch is None:
            return None
        inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
        size = _first_dimension(inputs)
    except _Unknown:
        return None
    return BatchSpec(inputs, targets, weights, size)


class _Unknown(Exception):
    """This is no array."""


def _batch(x: Any, y: Any, sample_weight: Any, batch_size: int | None) -> Any:
    if x is None:
        return None
    if isinstance(x, keras.utils.PyDataset):
        return keras.tree.map_structure(lambda a: _tensor(a, len(a)), x[0])
    if hasattr(x, "element_spec"):
        return keras.tree.map_structure(
            lambda s: _element(s, batch_size or _DEFAULT_BATCH), x.element_spec
        )
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is not None and isinstance(x, torch_data.DataLoader):
        return _of_loader(x)
    parts = tuple(part for part in (x, y, sample_weight) if part is not None)
    if sample_weight is not None and y is None:
        parts = (x, None, sample_weight)

    def part(array: Any) -> Any:
        return (
            None
            if array is None
            else _tensor(array, min(batch_size or _DEFAULT_BATCH, _len(array)))
        )

    return keras.tree.map_structure(part, parts)


def _len(array: Any) -> int:
    try:
        return len(array)
    except TypeError:
        raise _Unknown from None


def _tensor(array: Any, batch_size: int) -> Any:
    """Describe ``batch_size`` rows of an array, a tensor or a table."""
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    if shape is None or dtype is None or not _is_known(dtype):
        if not hasattr(array, "__array__"):
            raise _Unknown
        head = np.asarray(array[:1])
        shape, dtype = head.shape, head.dtype
    name = _dtype_name(dtype)
    if name == "float64" and isinstance(dtype, np.dtype):
        name = keras.config.floatx()  # fit() converts numpy's default precision
    return keras.KerasTensor((batch_size, *shape[1:]), name)


def _is_known(dtype: Any) -> bool:
    return not isinstance(dtype, np.dtype) or dtype.kind != "O"


def _dtype_name(dtype: Any) -> str:
    if isinstance(dtype, np.dtype) and dtype.kind in "OSU":
        return "string"
    try:
        return str(keras.backend.standardize_dtype(dtype))
    except (ValueError, TypeError):
        raise _Unknown from None


def _element(spec: Any, batch_size: int) -> Any:
    """Describe an element of a tf.data.Dataset, whose batches may differ in size."""
    shape = getattr(spec, "shape", None)
    if shape is None or shape.rank is None or shape.rank == 0:
        raise _Unknown
    first, *rest = shape.as_list()
    return keras.KerasTensor((first or batch_size, *rest), spec.dtype.name)


def _of_loader(loader: Any) -> Any:
    """Describe a batch of a torch DataLoader from one sample, without its worker processes."""
    if loader.batch_size is None:
        raise _Unknown  # a batch sampler of the user's own
    try:
        sample = loader.dataset[0]
    except (NotImplementedError, TypeError):  # it can only be iterated
        sample = next(iter(loader.dataset))
    batch = loader.collate_fn([sample])
    return keras.tree.map_structure(lambda t: _tensor(t, loader.batch_size), _as_tuple(batch))


def _as_tuple(batch: Any) -> Any:
    # torch's own collation returns lists where keras expects (x, y).
    return tuple(batch) if isinstance(batch, list) else batch


def _first_dimension(inputs: Any) -> int:
    tensors = keras.tree.flatten(inputs)
    if not tensors or not tensors[0].shape:
        raise _Unknown
    return int(tensors[0].shape[0])
