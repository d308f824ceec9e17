"""From what a model consists of to what training it takes. Arithmetic, no back end.

::

    peak  =  context  +  floor  +  ratio x T1
    T1    =  W + S + G  +  max(2 A, k G)  +  input  [+ copy of W]

    W  variables of the model            context  what the driver and its libraries take
    S  variables of the optimizer        floor    what no model explains: workspaces, rounding
    G  one gradient each                 ratio    what was learned, 1.3 before that
    A  outputs of all layers             k        what an update of the optimizer takes, in G

``W``, ``S`` and ``G`` are exact. ``2 A`` is a bound that holds within 30 % for
dense, convolutional, recurrent and attention models on all three back ends:
the outputs that the backward pass needs, and as much again for what is made
within layers and for the gradients of outputs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import MappingProxyType

from aiotune.memory._backends import habits
from aiotune.memory._size import ModelSize

__all__ = (
    "COLD_RATIO",
    "FLOOR",
    "TABLE",
    "Estimate",
    "activation_bytes",
    "estimate",
    "explain",
    "host_bytes",
    "state_bytes",
    "training_bytes",
    "transient_factor",
)

_MIB = 1 << 20
FLOOR = 256 * _MIB
"""Bytes on top of every prediction. Toy models take several times what they
consist of, and libraries want a workspace; neither grows with the model."""
COLD_RATIO = 1.3
"""Of a peak to its prediction, before anything was observed: what attention took,
the most of all kinds of models."""

TABLE = MappingProxyType(
    {
        "SGD": 0.0,
        "Adam": 3.0,
        "AdamW": 3.0,
        "Nadam": 5.0,
        "RMSprop": 3.0,
        "Adagrad": 3.0,
        "Adadelta": 3.0,
        "Adamax": 3.0,
        "Lion": 2.0,
        "Muon": 1.3,
        "Ftrl": 1.1,
        "Adafactor": 1.0,
        "Lamb": 1.0,
        "LossScaleOptimizer": 4.0,
    }
)
"""What an update of the weights takes for a moment on torch, in sizes of all gradients.

Keras on torch updates all weights at once with ``torch._foreach_*`` functions,
so each intermediate value of the rule is as large as the model. Measured by
counting the storages that live during training steps of dense networks. Momentum, weight
decay, AMSGrad and averaged weights (``use_ema``) add nothing. A loss scale adds
one, for the gradients without it; it is taken to be Adam's, the optimizer that it nearly
always wraps. Clipping adds one, too, but is not told: the ratio covers it."""
_UNKNOWN_OPTIMIZER = 3.0
"""As most rules. Were it like Nadam's, the ratio of the beginning would still cover it."""
_ACCUMULATED = 1.0
"""Accumulated gradients are averaged into new tensors before the update."""

_OUTPUTS = 2
"""Sizes of all outputs that forward and backward pass hold together."""
_GUESS_LEAST, _GUESS_WEIGHTS, _GUESS_INPUTS = 1 << 30, 2, 256
_HOST_UNKNOWN = 1 << 30
_HOST_DRIVER = 1 << 30
_BITS = re.compile(r"(?:b?float|int|uint|complex)(\d+)")


def transient_factor(backend: str, optimizer: str | None) -> float:
    """Return what an update of the weights takes for a moment, in sizes of all gradients.

    Args:
        backend: Torch holds intermediate values of all weights at once, and so may one that
            is not known; TensorFlow and JAX update one weight after the other, or
            fuse the update into the backward pass.
        optimizer: Class name. A class that is not in ``TABLE`` counts 3, like
            most that are; without an optimizer there is no update.
    """
    if optimizer is None or not habits(backend).updates_at_once:
        return 0.0
    return TABLE.get(optimizer, _UNKNOWN_OPTIMIZER)


def activation_bytes(size: ModelSize) -> int:
    """Return the outputs of all layers in bytes, guessed if they were not taken.

    The guess is 1 GiB or twice the weights, whichever is more, and 256 times the
    batch of inputs. It is on the safe side on purpose: an image network's
    outputs were seen to be 235 times its input, an attention network's 11
    times its weights, of which it had few. What is learned corrects it.
    """
    if size.has_activations:
        return size.activation_bytes
    of_weights = max(_GUESS_LEAST, _GUESS_WEIGHTS * size.weight_bytes)
    return of_weights + _GUESS_INPUTS * size.input_bytes


def training_bytes(size: ModelSize) -> int:
    """Return the peak of a training step that the formula predicts, in bytes.

    - *Mixed precision*: layers compute with a copy of each floating-point
      weight in the compute dtype, and the backward pass keeps it; the outputs
      are counted in the compute dtype already.
    - *Compilation* changes nothing here. XLA fuses outputs away in some models
      (0.55 of the prediction for an image network) and holds more in others (1.3 for
      attention), and which it is cannot be told from sizes. A discount would be
      wrong for the second kind; the ratio learns it for the first.
    - *Gradient accumulation*: the accumulators are variables of the optimizer,
      and so in ``slot_bytes``; the outputs are those of one batch, not of all
      ``accumulation_steps``. What updates all weights at once averages them into new tensors, which is
      one size of all gradients more.

    Args:
        size: The model, at the batch size that it will be trained with.
    """
    k = transient_factor(size.backend, size.optimizer)
    if habits(size.backend).updates_at_once and size.accumulation_steps > 1:
        k += _ACCUMULATED
    moment = max(_OUTPUTS * activation_bytes(size), math.ceil(k * size.gradient_bytes))
    held = size.weight_bytes + size.slot_bytes + size.gradient_bytes
    return held + moment + _cast_bytes(size) + size.input_bytes


def state_bytes(size: ModelSize) -> int:
    """Return what training cannot do without, whatever the batch, in bytes.

    Weights and optimizer slots; and the gradients on torch, which keeps all of
    them until the update. XLA updates a weight as soon as its gradient is there
    and frees the gradient: dense networks held a fifth to a third of their
    gradients at once on JAX, and peaked below the sum of the three. What is refused for this number
    is refused for good, so it must not be too large.
    """
    holds_gradients = habits(size.backend).holds_gradients and size.optimizer is not None
    return size.weight_bytes + size.slot_bytes + holds_gradients * size.gradient_bytes


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a trial is predicted to take of one device, in bytes.

    Attributes:
        bytes: What to reserve.
        least: What it takes if the prediction is as wrong as it can be.
        predicted: What the formula says, before anything that was learned.
        ratio: Reserved for each predicted byte.
        context: What the driver takes for a process.
        floor: What is added to every prediction.
    """

    bytes: int
    least: int
    predicted: int
    ratio: float
    context: int
    floor: int


def estimate(size: ModelSize, *, ratio: float, context: int, floor: int = FLOOR) -> Estimate:
    """Return what to reserve for a model, and what it takes at the very least.

    Args:
        size: The model.
        ratio: Of peaks to predictions; ``Calibration.ratio``.
        context: Bytes that the driver takes for a process; ``Calibration.context``.
        floor: Bytes on top of every prediction.
    """
    predicted = training_bytes(size)
    least = context + state_bytes(size)
    wanted = context + floor + math.ceil(ratio * predicted)
    return Estimate(max(wanted, least), least, predicted, ratio, context, floor)


def explain(estimate: Estimate) -> str:
    """Return an estimate in one line for people.

    ``9.6 GiB (1.30 x 6.8 GiB predicted + 600.0 MiB context + 256.0 MiB floor; at least 4.1 GiB)``
    """
    return (
        f"{_text(estimate.bytes)} ({estimate.ratio:.2f} x {_text(estimate.predicted)} predicted + "
        f"{_text(estimate.context)} context + {_text(estimate.floor)} floor; at least "
        f"{_text(estimate.least)})"
    )


def host_bytes(size: ModelSize | None, backend: str | None, *, on_device: bool) -> int:
    """Return what a worker is expected to take of the host's memory for itself, in bytes.

    What it shares with other workers (the imported back end, the data) is not
    counted. On a CPU it is what a forked worker was seen to dirty, the floor,
    and the model's training step with the ratio of before any observation. On a
    device it is the same without the training step, but with 1 GiB for the host's side
    of the driver and once the weights, which pass through the host when they
    are saved.

    Args:
        size: The model; ``None`` if it is not known, then 1 GiB stands in for it.
        backend: Of one that is not known, and of ``None``, the largest that was measured counts.
        on_device: Whether the trial trains on a GPU.
    """
    known = backend if backend is not None or size is None else size.backend
    own = habits(known).host_private
    if on_device:
        return own + FLOOR + _HOST_DRIVER + (size.weight_bytes if size is not None else 0)
    model = math.ceil(COLD_RATIO * training_bytes(size)) if size is not None else _HOST_UNKNOWN
    return own + FLOOR + model


def _cast_bytes(size: ModelSize) -> int:
    """Return the copies of the weights in the dtype that layers compute in."""
    to = _itemsize(size.compute_dtype)
    if to is None:
        return 0
    copies = 0
    for dtype, count in size.bytes_by_dtype.items():
        # Integers are not cast: token counts, seeds, quantized kernels.
        itemsize = _itemsize(dtype)
        if dtype != size.compute_dtype and "float" in dtype and itemsize:
            copies += math.ceil(count / itemsize * to)
    return copies


def _itemsize(dtype: str) -> float | None:
    match = _BITS.match(dtype)
    return int(match.group(1)) / 8 if match else None


def _text(count: int) -> str:
    # The package gpu has this, too, but is not to be imported from here.
    if count < 1 << 30:
        return f"{count / _MIB:.1f} MiB"
    return f"{count / (1 << 30):.1f} GiB"
