"""The outputs of a model's layers at a given batch size, found without computing one.

A functional model's graph holds them, with the batch left open. Any other
model is called once on tensors that have a shape and no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras  # noqa: TID253 - this module is only imported where a model is weighed
from keras.src.backend import compute_output_spec  # noqa: TID253 - it has no public name
from keras.src.models.functional import Functional  # noqa: TID253 - as above

from aiotune.memory import LayerSize
from aiotune.worker._patching import replaced
from aiotune.worker._valueless import itemsize

__all__ = ("Outputs", "call_symbolically", "outputs_of")

# Numbers kept for the backward pass, for each unit of a cell and each time step:
# an LSTM's four gates, its state, the state's tanh and the output; a GRU's three
# gates, the recurrent part of the candidate, the state and the output. Any other
# cell: its state and its output.
_KEPT = {"LSTMCell": 7, "ConvLSTMCell": 7, "GRUCell": 6}
_KEPT_OTHERWISE = 2


@dataclass(slots=True)
class Outputs:
    """What was found.

    Attributes:
        rows: The outputs of leaf layers, in the order of the calls.
        row_bytes: What each row stands for; more than its size where a layer
            keeps more than its output.
        complete: Whether every shape was known.
    """

    rows: list[LayerSize] = field(default_factory=list)
    row_bytes: list[int] = field(default_factory=list)
    complete: bool = True

    def add(self, layer: Any, inputs: Any, outputs: Any, batch: int | None) -> None:
        """Note the outputs of one call of a layer."""
        keeps = _kept_per_output(layer, inputs) if _is_recurrent(layer) else 1.0
        for position, tensor in enumerate(_tensors(outputs)):
            shape = _sized(tensor.shape, batch)
            dtype = keras.backend.standardize_dtype(tensor.dtype)
            if None in shape or keeps is None:
                self.complete = False
                continue
            size = math.prod(d or 0 for d in shape) * itemsize(dtype)
            path = str(getattr(layer, "path", None) or layer.name)
            self.rows.append(LayerSize(path, type(layer).__name__, shape, dtype))
            # The further outputs of a recurrent layer are its last states, kept anyway.
            self.row_bytes.append(size if position else math.ceil(size * keeps))


def outputs_of(model: Any, x: Any, batch: int | None) -> Outputs:
    """Find the outputs of all leaf layers.

    Args:
        model: Built.
        x: A batch of inputs, nested ``keras.KerasTensor``; ``None`` if unknown.
        batch: The batch size, if known.

    Returns:
        The outputs; none of them, and incomplete, where neither graph nor inputs tell.

    Raises:
        Exception: The model's code cannot be called on tensors without numbers.
    """
    found = Outputs()
    if batch is not None and _follow(model, batch, found) and found.complete:
        return found
    if x is None:
        return Outputs(complete=False)
    traced = Outputs()
    with _recording(traced):
        call_symbolically(model, x, training=True)
    return traced


def call_symbolically(model: Any, x: Any, *, training: bool) -> Any:
    """Call a model on tensors without numbers; a model that is not built is built by it."""
    takes = getattr(model, "_call_has_training_arg", False)
    return compute_output_spec(model, x, **({"training": training} if takes else {}))


# ── the graph ──────────────────────────────────────────────────────────────


def _follow(model: Any, batch: int, found: Outputs) -> bool:
    """Collect from a functional model's graph; ``False`` where it does not show everything."""
    graph = _graph(model)
    if graph is None:
        return False
    for depth in sorted(graph._nodes_by_depth, reverse=True):  # noqa: SLF001 - it has no public name
        for node in graph._nodes_by_depth[depth]:  # noqa: SLF001 - as above
            layer = node.operation
            if node.is_input:
                continue
            if _graph(layer) is not None:
                if not _follow(layer, batch, found):
                    return False
            elif isinstance(layer, keras.Layer) and (_is_leaf(layer) or _is_recurrent(layer)):
                found.add(layer, node.arguments.keras_tensors, node.outputs, batch)
            else:
                # Within a composite layer there is more to see; and after an
                # operation such as reshape an open dimension need not be the batch.
                return False
    return True


def _graph(model: Any) -> Any:
    """Return the functional model whose graph is what a model's call does."""
    if isinstance(model, keras.Sequential):
        same = type(model).call is keras.Sequential.call
        return getattr(model, "_functional", None) if same else None
    same = isinstance(model, Functional) and type(model).call is Functional.call
    return model if same else None


# ── the call ───────────────────────────────────────────────────────────────


class _Recorder:
    """Stands for ``Layer.__call__`` while a model is called once."""

    def __init__(self, found: Outputs, original: Any) -> None:
        self._found, self._original = found, original
        self._depth = self._muted = 0

    def call(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._depth == 0:
            # On torch a call that the meta device cannot serve begins again on the CPU.
            self._found.rows.clear()
            self._found.row_bytes.clear()
            self._found.complete = True
        seen, recurrent = len(self._found.rows), _is_recurrent(layer)
        self._depth += 1
        self._muted += recurrent
        try:
            outputs = self._original(layer, *args, **kwargs)
        finally:
            self._depth -= 1
            self._muted -= recurrent
        # A wrapper may go past the __call__ of what it wraps (TimeDistributed).
        is_silent = len(self._found.rows) == seen and self._found.complete
        if not self._muted and (is_silent or recurrent) and not isinstance(layer, _INPUT):
            self._found.add(layer, (args, kwargs), outputs, None)
        return outputs


def _recording(found: Outputs) -> Any:
    original = keras.Layer.__call__
    recorder = _Recorder(found, original)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return recorder.call(layer, args, kwargs)

    return replaced(keras.Layer, "__call__", call)


# ── layers ─────────────────────────────────────────────────────────────────

_INPUT = keras.layers.InputLayer


def _is_leaf(layer: Any) -> bool:
    return not layer._flatten_layers(include_self=False)  # noqa: SLF001 - it has no public name


def _is_recurrent(layer: Any) -> bool:
    return isinstance(layer, keras.layers.RNN)


def _kept_per_output(layer: Any, inputs: Any) -> float | None:
    """Return the numbers kept over all steps for each number of the output; ``None``: unknown."""
    cells = getattr(layer.cell, "cells", [layer.cell])
    units = [keras.tree.flatten(cell.state_size)[0] for cell in cells]
    kept = sum(_kept(cell) * n for cell, n in zip(cells, units, strict=True)) / units[-1]
    if layer.return_sequences:
        return float(kept)
    sequence = next(iter(_tensors(inputs)), None)
    steps = None if sequence is None else sequence.shape[1]
    return None if steps is None else float(kept * steps)


def _kept(cell: Any) -> int:
    return next(
        (_KEPT[c.__name__] for c in type(cell).__mro__ if c.__name__ in _KEPT), _KEPT_OTHERWISE
    )


def _tensors(nested: Any) -> Iterator[Any]:
    for leaf in keras.tree.flatten(nested):
        if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
            yield leaf


def _sized(shape: Any, batch: int | None) -> tuple[int | None, ...]:
    known = tuple(d if isinstance(d, int) else None for d in shape)
    return (batch, *known[1:]) if known and known[0] is None else known
