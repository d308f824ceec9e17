"""What a model consists of, what a worker may take and what it took: numbers that cross processes."""

from __future__ import annotations

import msgspec

__all__ = ("LayerSize", "MemoryLimit", "MemoryPeak", "ModelSize")


class LayerSize(msgspec.Struct, frozen=True, array_like=True):
    """One call of a layer: one output at the trial's batch size.

    Attributes:
        path: The layer's path in the model.
        kind: The layer's class.
        shape: Of the output, the batch first.
        dtype: Of the output.
    """

    path: str
    kind: str
    shape: tuple[int | None, ...]
    dtype: str


class ModelSize(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model in numbers, taken before anything of it was allocated.

    Attributes:
        backend: Keras's name of it, e.g. ``"tensorflow"``, ``"jax"``, ``"torch"``.
        parameters: All weights, trainable or not, as numbers.
        trainable_parameters: Those that training changes.
        weight_bytes: All variables of the model.
        gradient_bytes: One gradient for each trainable variable.
        slot_bytes: Variables of the optimizer; 0 if the model is not compiled.
        activation_bytes: Outputs of all leaf layers, at ``batch_size``, in the
            dtype that they are computed in; 0 if unknown.
        has_activations: Whether ``activation_bytes`` was taken.
        bytes_by_dtype: ``weight_bytes`` by dtype.
        batch_size: Samples in a batch, if known.
        input_bytes: One batch of inputs and targets.
        optimizer: The optimizer's class name; ``None`` if there is none.
        compute_dtype: What layers compute in, e.g. ``"float32"``, ``"bfloat16"``.
        jit_compile: Whether the training step is compiled; ``None``: the back end decides.
        accumulation_steps: Batches per update of the weights.
        layers: Outputs in the order of the calls; the largest ones if there are too many.
        method: ``"weighed"`` without allocation, or ``"built"`` for real on the CPU.
    """

    backend: str
    parameters: int
    trainable_parameters: int
    weight_bytes: int
    gradient_bytes: int
    slot_bytes: int
    activation_bytes: int = 0
    has_activations: bool = True
    bytes_by_dtype: dict[str, int] = {}
    batch_size: int | None = None
    input_bytes: int = 0
    optimizer: str | None = None
    compute_dtype: str = "float32"
    jit_compile: bool | None = None
    accumulation_steps: int = 1
    layers: tuple[LayerSize, ...] = ()
    method: str = "weighed"


class MemoryLimit(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker's back end may allocate.

    Attributes:
        bytes: On each of its devices, without the driver's context.
        device_total: All memory of the smallest of its devices.
        totals: All memory of each device, in the order in which the worker sees them;
            empty: each has ``device_total``.
        alone: Whether no other trial is on them.
    """

    bytes: int
    device_total: int
    totals: tuple[int, ...] = ()
    alone: bool = False

    @property
    def fractions(self) -> tuple[float, ...]:
        """Its part of each device, at most 1."""
        totals = self.totals or (self.device_total,)
        return tuple(min(1.0, self.bytes / total) for total in totals)

    @property
    def fraction_of_all(self) -> float:
        """One part for a back end that has only one for all devices.

        Among other trials it must not exceed the promise anywhere; one that is alone
        harms none by it, and needs what it was promised of the smallest, too.
        """
        return max(self.fractions) if self.alone else min(self.fractions)


class MemoryPeak(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that a worker held of one device so far, by its back end's own counters.

    Attributes:
        allocated: Bytes in use by tensors.
        reserved: Bytes that the back end had taken from the driver; at least ``allocated``.
    """

    allocated: int
    reserved: int
