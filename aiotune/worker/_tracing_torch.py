"""Follows a training step of torch on tensors without storage, and counts what would be alive."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras  # noqa: TID253 - this module is only imported where a step of torch is traced
import torch  # noqa: TID253 - as above
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: TID253 - as above
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: TID253 - as above
from torch.utils._pytree import tree_leaves  # noqa: TID253 - as above

from aiotune.worker._cpu import on_the_cpu

__all__ = ("LiveBytes", "step_peak")

# torch's allocator for CUDA hands out multiples of it.
_GRAIN = 512


class LiveBytes(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes of all storages that operations made and something still holds.

    Attributes:
        now: Bytes alive.
        peak: The most that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def hold(self, tensors: Iterable[Any]) -> None:
        """Count tensors that were there before; views of one storage count once."""
        for tensor in tensors:
            self._hold(tensor.untyped_storage())

    def _hold(self, storage: Any) -> None:
        key = storage._cdata  # noqa: SLF001 - what torch itself tells storages apart by
        if key in self._alive:
            return
        size = -(-storage.nbytes() // _GRAIN) * _GRAIN

        def freed(_: object) -> None:
            del self._alive[key]
            self.now -= size

        self._alive[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.hold(leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
        return out


def step_peak(ready: Callable[[], tuple[Any, Any]]) -> int:
    """Return the peak of two training steps, in bytes.

    Two, since the gradients of a step are held until the next one's forward pass is over.

    Args:
        ready: Builds the model with its optimizer, and returns it with the spec of a batch.
    """
    with _without_values(), on_the_cpu(), FakeTensorMode(allow_non_fake_inputs=True):
        model, spec = ready()
        batch = keras.tree.map_structure(_empty, spec)
        variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
        live = LiveBytes()
        live.hold([*(v.value for v in variables), *keras.tree.flatten(batch)])
        with live:
            for _ in range(2):
                model.train_step(batch)
    return live.peak


def _empty(spec: Any) -> Any:
    return keras.ops.zeros(spec.shape, spec.dtype)


@contextlib.contextmanager
def _without_values() -> Iterator[None]:
    """Teach Keras to do without the values that it reads while a step runs.

    A random number's seed is read as an int, so numbers are drawn without a seed.
    Of a condition (are the scaled gradients finite, is this the batch that updates
    the weights, ...) both branches are run, one after the other, so the peak
    is that of the larger one.
    """
    from keras.src.backend.torch import core, random

    one_branch = core.cond

    def both_branches(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        if not isinstance(pred, torch.Tensor) or pred.is_meta:
            return one_branch(pred, true_fn, false_fn)
        false_fn()
        return true_fn()

    patches = (
        (random, "torch_seed_generator", lambda _seed: None),
        (random, "draw_seed", lambda _seed: (0, 0)),
        (core, "cond", both_branches),
    )
    with contextlib.ExitStack() as undo:
        for module, name, function in patches:
            undo.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, function)
        yield
