"""From what a model consists of to what training it takes."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune.memory import (
    COLD_RATIO,
    FLOOR,
    Estimate,
    ModelSize,
    activation_bytes,
    estimate,
    explain,
    host_bytes,
    state_bytes,
    training_bytes,
    transient_factor,
)

MIB = 1 << 20
GIB = 1 << 30

# Peaks of first training steps with Adam, in MiB, recorded on a CPU: the growth of the
# process, and for JAX also what its compiler says. Rows: weights, outputs, peaks.
RECORDED = {
    "MLP, batch 256": (84, 12, {"torch": 597, "jax": 334, "tensorflow": 370, "xla": 305}),
    "MLP, batch 4096": (84, 192, {"torch": 643, "jax": 727, "tensorflow": 543, "xla": 693}),
    "CNN": (1, 350, {"torch": 635, "jax": 727, "tensorflow": 407, "xla": 467}),
    "LSTM": (3, 112, {"torch": 296, "jax": 315, "tensorflow": 200, "xla": 234}),
    "Transformer": (17, 184, {"torch": 471, "jax": 729, "tensorflow": 568, "xla": 551}),
    "ResNet50": (90, 737, {"torch": 1663, "jax": 1644, "tensorflow": 1077, "xla": 1001}),
}
ROUNDING = 4 * MIB  # the rows are whole MiB, and the formula adds up seven of their numbers


def model(backend: str = "tensorflow", **changes: Any) -> ModelSize:
    """Return a model of 100 MiB of weights that is trained with Adam."""
    defaults: dict[str, Any] = {
        "parameters": 25 * MIB,
        "trainable_parameters": 25 * MIB,
        "weight_bytes": 100 * MIB,
        "gradient_bytes": 100 * MIB,
        "slot_bytes": 200 * MIB,
        "optimizer": "Adam",
    }
    return ModelSize(backend=backend, **defaults | changes)


def recorded(name: str, measured: str) -> tuple[ModelSize, int]:
    """Return a recorded model and its peak."""
    weights, outputs, peaks = RECORDED[name]
    backend = "jax" if measured == "xla" else measured
    size = model(
        backend,
        weight_bytes=weights * MIB,
        gradient_bytes=weights * MIB,
        slot_bytes=2 * weights * MIB,
        activation_bytes=outputs * MIB,
    )
    return size, peaks[measured] * MIB


ALL_RECORDED = [(name, how) for name, (_, _, peaks) in RECORDED.items() for how in peaks]

sizes = st.builds(
    ModelSize,
    backend=st.sampled_from(["tensorflow", "jax", "torch"]),
    parameters=st.integers(0, 10**11),
    trainable_parameters=st.integers(0, 10**11),
    weight_bytes=st.integers(0, 1 << 42),
    gradient_bytes=st.integers(0, 1 << 42),
    slot_bytes=st.integers(0, 1 << 43),
    activation_bytes=st.integers(0, 1 << 43),
    has_activations=st.booleans(),
    input_bytes=st.integers(0, 1 << 34),
    optimizer=st.sampled_from([None, "SGD", "Adam", "Nadam", "Mine"]),
    compute_dtype=st.sampled_from(["float32", "bfloat16", "float16"]),
    accumulation_steps=st.integers(1, 8),
    bytes_by_dtype=st.fixed_dictionaries({"float32": st.integers(0, 1 << 42)}),
)


# ── the formula ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("backend", "outputs", "expected"),
    [
        ("tensorflow", 0, 400),
        ("tensorflow", 70, 540),
        ("jax", 70, 540),
        ("torch", 70, 700),  # three temporary models are more than the outputs
        ("torch", 200, 800),  # and less
    ],
)
def test_a_step_takes_weights_slots_gradients_and_the_larger_moment(
    backend: str, outputs: int, expected: int
) -> None:
    """On torch the optimizer's temporaries and the outputs are not there at the same time."""
    size = model(backend, activation_bytes=outputs * MIB)

    assert expected * MIB == training_bytes(size)


def test_a_batch_of_inputs_is_on_the_device_too() -> None:
    """Inputs and targets add what they take, once."""
    assert training_bytes(model(input_bytes=7 * MIB)) - training_bytes(model()) == 7 * MIB


@pytest.mark.parametrize(
    ("weights", "compute", "copies"),
    [
        ({"float32": 100 * MIB}, "float32", 0),
        ({"float32": 100 * MIB}, "bfloat16", 50 * MIB),
        ({"float32": 100 * MIB}, "float16", 50 * MIB),
        ({"float32": 90 * MIB, "int64": 10 * MIB}, "float16", 45 * MIB),
        ({"bfloat16": 100 * MIB}, "float32", 200 * MIB),
        ({"float16": 100 * MIB}, "bfloat16", 100 * MIB),
        ({"int8": 100 * MIB}, "bfloat16", 0),
        ({"float8_e4m3fn": 100 * MIB}, "bfloat16", 200 * MIB),
        ({"float32": 100 * MIB}, "strange", 0),
        ({}, "float16", 0),
    ],
)
def test_mixed_precision_keeps_a_copy_of_the_floating_weights(
    weights: dict[str, int], compute: str, copies: int
) -> None:
    """Weights in another dtype than layers compute in are cast, integers are not."""
    size = model(bytes_by_dtype=weights, compute_dtype=compute)

    assert copies == training_bytes(size) - training_bytes(model())


def test_accumulated_gradients_are_counted_once_as_slots() -> None:
    """The accumulators are slots; only torch makes one more copy, to average them."""
    slots = {"slot_bytes": 300 * MIB, "accumulation_steps": 4}

    assert training_bytes(model("jax", **slots)) == 500 * MIB
    assert training_bytes(model("torch", **slots)) == 900 * MIB


@pytest.mark.parametrize("compiled", [True, False, None])
def test_compilation_earns_no_discount(compiled: bool | None) -> None:
    """What XLA saves in some models it takes in others, so sizes alone promise nothing."""
    size = model(activation_bytes=70 * MIB, jit_compile=compiled)

    assert training_bytes(size) == 540 * MIB


@pytest.mark.parametrize(
    ("backend", "optimizer", "expected"),
    [
        ("torch", "SGD", 0.0),
        ("torch", "Adam", 3.0),
        ("torch", "Nadam", 5.0),
        ("torch", "LossScaleOptimizer", 4.0),
        ("torch", "MyOwn", 3.0),
        ("torch", None, 0.0),
        ("jax", "Adam", 0.0),
        ("tensorflow", "MyOwn", 0.0),
    ],
)
def test_an_update_takes_temporaries_on_torch_only(
    backend: str, optimizer: str | None, expected: float
) -> None:
    """The others update weight by weight, or inside the backward pass."""
    assert expected == transient_factor(backend, optimizer)


# ── outputs that nobody took ───────────────────────────────────────────────


def test_outputs_that_were_taken_are_believed() -> None:
    """A model that has no outputs to speak of is not guessed at."""
    assert activation_bytes(model(activation_bytes=0, input_bytes=MIB)) == 0


@pytest.mark.parametrize(
    ("weights", "inputs", "expected"),
    [(0, 0, GIB), (100 * MIB, 0, GIB), (GIB, 0, 2 * GIB), (GIB, MIB, 2 * GIB + 256 * MIB)],
)
def test_outputs_that_were_not_taken_are_guessed_high(
    weights: int, inputs: int, expected: int
) -> None:
    """Unknown outputs are 1 GiB or two weights, and 256 inputs."""
    size = model(has_activations=False, weight_bytes=weights, input_bytes=inputs)

    assert expected == activation_bytes(size)


@pytest.mark.parametrize("name", RECORDED)
def test_the_guess_covers_every_recorded_model(name: str) -> None:
    """Had its outputs not been taken, none of them would have run out of memory."""
    size, peak = recorded(name, "torch")
    unknown = msgspec.structs.replace(size, has_activations=False, activation_bytes=0)

    assert training_bytes(unknown) >= peak


# ── the lower bound ────────────────────────────────────────────────────────


def test_the_lower_bound_has_gradients_only_where_all_are_held() -> None:
    """Torch keeps every gradient until the update; XLA frees one after the other."""
    assert state_bytes(model("torch")) == 400 * MIB
    assert state_bytes(model("jax")) == 300 * MIB
    assert state_bytes(model("tensorflow")) == 300 * MIB


def test_a_model_without_an_optimizer_needs_its_weights() -> None:
    """Whether anything trains it is not known, so it is not refused for gradients."""
    assert state_bytes(model("torch", optimizer=None, slot_bytes=0)) == 100 * MIB


@pytest.mark.parametrize(("name", "how"), ALL_RECORDED)
def test_no_recorded_model_took_less_than_the_lower_bound(name: str, how: str) -> None:
    """It would have been refused for good, and yet it ran."""
    size, peak = recorded(name, how)

    assert state_bytes(size) <= peak


# ── the estimate ───────────────────────────────────────────────────────────


def test_an_estimate_adds_context_floor_and_the_scaled_prediction() -> None:
    """The numbers of the sum are all there, for whoever explains or learns."""
    expected = Estimate(
        bytes=1620 * MIB,
        least=900 * MIB,
        predicted=510 * MIB,
        ratio=2.0,
        context=500 * MIB,
        floor=100 * MIB,
    )
    size = model("torch", optimizer="SGD", activation_bytes=55 * MIB)

    assert expected == estimate(size, ratio=2.0, context=500 * MIB, floor=100 * MIB)


def test_a_low_ratio_does_not_undercut_the_lower_bound() -> None:
    """State that is surely there is reserved, whatever was learned."""
    got = estimate(model("torch", optimizer="SGD"), ratio=0.5, context=0, floor=0)

    assert got.least == got.bytes == 400 * MIB


def test_an_estimate_is_explained_in_one_line() -> None:
    """Who is refused sees each number of the sum."""
    got = estimate(model("torch", activation_bytes=2 * GIB), ratio=1.3, context=600 * MIB)

    assert (
        explain(got) == "6.5 GiB (1.30 x 4.4 GiB predicted + 600.0 MiB context + 256.0 MiB floor; "
        "at least 1000.0 MiB)"
    )


@given(sizes, st.floats(0.5, 4.0), st.integers(0, 1 << 32), st.integers(0, 1 << 32))
def test_an_estimate_is_never_below_its_lower_bound(
    size: ModelSize, ratio: float, context: int, floor: int
) -> None:
    """It holds for every model and every learned ratio."""
    got = estimate(size, ratio=ratio, context=context, floor=floor)

    assert got.bytes >= got.least >= context + size.weight_bytes
    assert got.bytes >= context + floor + math.floor(ratio * got.predicted)


@given(
    sizes,
    st.sampled_from(
        ["weight_bytes", "gradient_bytes", "slot_bytes", "activation_bytes", "input_bytes"]
    ),
    st.integers(1, 1 << 40),
)
def test_more_of_anything_never_takes_less(size: ModelSize, part: str, more: int) -> None:
    """Prediction, lower bound and host memory rise with each part of a model."""
    larger = msgspec.structs.replace(size, **{part: getattr(size, part) + more})

    assert training_bytes(larger) >= training_bytes(size)
    assert state_bytes(larger) >= state_bytes(size)
    assert (
        estimate(larger, ratio=1.0, context=0).bytes >= estimate(size, ratio=1.0, context=0).bytes
    )
    for on_device in (True, False):
        before = host_bytes(size, size.backend, on_device=on_device)
        assert host_bytes(larger, size.backend, on_device=on_device) >= before


# ── against what was recorded ──────────────────────────────────────────────


@pytest.mark.parametrize(("name", "how"), ALL_RECORDED)
def test_the_first_estimate_covers_every_recorded_peak(name: str, how: str) -> None:
    """With the ratio of the beginning and the floor, none of them had run out of memory."""
    size, peak = recorded(name, how)

    assert estimate(size, ratio=COLD_RATIO, context=0).bytes >= peak


def test_without_the_floor_the_first_ratio_misses_two_of_the_recorded_peaks() -> None:
    """Both are growths of a process in which JAX compiled, which a device does not see."""
    missed = set()
    for name, how in ALL_RECORDED:
        size, peak = recorded(name, how)
        if peak > COLD_RATIO * training_bytes(size) + ROUNDING:
            missed.add((name, how))

    assert {("LSTM", "jax"), ("Transformer", "jax")} == missed


@pytest.mark.parametrize("name", RECORDED)
def test_on_torch_the_prediction_is_within_a_fifth_of_the_peak(name: str) -> None:
    """Where nothing is fused the formula describes what happens: 20 % below to 13 % above."""
    size, peak = recorded(name, "torch")

    assert 0.79 <= training_bytes(size) / peak <= 1.13


# ── the host ───────────────────────────────────────────────────────────────


def test_on_the_cpu_a_worker_takes_its_own_pages_and_the_training_step() -> None:
    """The floor and the ratio of the beginning apply there, too."""
    size = model("jax")

    assert host_bytes(size, "jax", on_device=False) == 136 * MIB + FLOOR + 520 * MIB


def test_on_a_device_a_worker_takes_the_drivers_part_and_the_weights_once() -> None:
    """The step is elsewhere, but saving moves the weights through the host."""
    size = model("torch")

    assert host_bytes(size, "torch", on_device=True) == 23 * MIB + FLOOR + GIB + 100 * MIB


def test_an_unknown_model_is_taken_for_a_gigabyte_of_the_largest_back_end() -> None:
    """Nothing known is not nothing needed."""
    assert host_bytes(None, None, on_device=False) == 136 * MIB + FLOOR + GIB
    assert host_bytes(None, None, on_device=True) == 136 * MIB + FLOOR + GIB
    assert host_bytes(None, "tensorflow", on_device=False) == 65 * MIB + FLOOR + GIB


def test_a_size_names_the_back_end_where_nobody_else_does() -> None:
    """The model knows what it was built with."""
    size = model("torch")

    assert host_bytes(size, "torch", on_device=False) == host_bytes(size, None, on_device=False)


@pytest.mark.parametrize(("name", "how"), [c for c in ALL_RECORDED if c[1] != "xla"])
def test_every_recorded_peak_fits_into_the_hosts_share(name: str, how: str) -> None:
    """They were recorded on the host, with all that the process took besides."""
    size, peak = recorded(name, how)

    assert host_bytes(size, how, on_device=False) >= peak
