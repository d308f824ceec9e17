"""The peak of a training step, traced without the model: close, growing, and never an error."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiotune.worker._tracing import _alone, _targets, traced_peak

pytestmark = [pytest.mark.keras, pytest.mark.timeout(600)]  # JAX compiles for over a minute

SCRIPT = Path(__file__).with_name("trace_models.py")
MIB = 1 << 20


@pytest.fixture(scope="module", params=["jax", "torch"])
def traced(request: pytest.FixtureRequest) -> tuple[dict[str, Any], str]:
    """What a process on the back end found, and what it said of its failures."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, "KERAS_BACKEND": request.param, "CUDA_VISIBLE_DEVICES": "-1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {"backend": request.param, **json.loads(done.stdout)}, done.stderr


@pytest.mark.parametrize("kind", ["mlp", "cnn", "lstm", "transformer"])
def test_a_traced_peak_lies_near_the_weighed_one(
    traced: tuple[dict[str, Any], str], kind: str
) -> None:
    """It is more than the state that training holds throughout, and within 3 of the formula."""
    found, _ = traced

    for state, peak, formula in found["kinds"][kind]:
        assert state < peak < 3 * formula
        assert peak > formula / 3


@pytest.mark.parametrize("kind", ["mlp", "cnn", "lstm", "transformer"])
def test_a_traced_peak_grows_with_the_batch(traced: tuple[dict[str, Any], str], kind: str) -> None:
    """Eight times the batch takes more, and at most eight times as much."""
    found, _ = traced
    (_, small, _), (_, large, _) = found["kinds"][kind]

    assert small < large <= 8 * small


def test_targets_are_made_up_for_a_loss_of_keras(traced: tuple[dict[str, Any], str]) -> None:
    """Class numbers that are made up weigh what given ones do."""
    found, _ = traced

    assert found["made_up"] == found["told"]


def test_an_added_loss_needs_no_targets(traced: tuple[dict[str, Any], str]) -> None:
    """A subclass without a loss is traced on its inputs alone, at more than their bytes."""
    found, _ = traced

    assert found["two_inputs"] > 2 * 64 * 64 * 4


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("unknown_loss", "Nothing says what targets the loss"),
        ("not_compiled", "not compiled with an optimizer"),
        ("broken", "NameError: units is not defined"),
        ("reads_its_loss", "could not be traced"),
    ],
)
def test_what_cannot_be_traced_has_no_peak_and_a_reason(
    traced: tuple[dict[str, Any], str], case: str, reason: str
) -> None:
    """A failed trace is None, and why is said on stderr in one line for each."""
    found, told = traced

    assert found[case] is None
    assert reason in told


@pytest.mark.parametrize("case", ["nadam", "sets_its_weights"])
def test_what_leaves_torch_has_no_peak(traced: tuple[dict[str, Any], str], case: str) -> None:
    """What computes with numpy, as Nadam does on torch, cannot be traced there; JAX follows it."""
    found, _ = traced

    assert (found[case] is None) == (found["backend"] == "torch")


def test_the_batch_that_updates_is_seen(traced: tuple[dict[str, Any], str]) -> None:
    """Accumulating holds a further gradient of each weight, and the peak is that of the update."""
    found, _ = traced

    # The accumulators come on top of all that an update takes at once.
    assert found["accumulating"] >= found["once"] + found["gradients"]


def test_a_scaled_loss_is_traced(traced: tuple[dict[str, Any], str]) -> None:
    """Whether gradients are finite is unknown to a trace; it follows both branches."""
    found, _ = traced

    assert found["mixed_float16"] > found["once"]


def test_nothing_of_a_huge_model_is_allocated(traced: tuple[dict[str, Any], str]) -> None:
    """Hundreds of gigabytes are traced within 256 MiB of the host's memory."""
    found, _ = traced
    peak, grown = found["huge"]

    assert peak > 3 * 4 * 3 * 100_000**2  # weights and two slots of three layers
    assert grown < 256 * MIB


def test_live_bytes_are_those_of_storages_that_something_holds() -> None:
    """Views count once, what is dropped counts no more, and sizes are multiples of 512."""
    torch = pytest.importorskip("torch")
    from torch._subclasses.fake_tensor import FakeTensorMode

    from aiotune.worker._tracing_torch import LiveBytes

    live = LiveBytes()
    with FakeTensorMode():
        a = torch.empty(1000)  # 4,000 bytes: eight grains of 512
        live.hold([a, a[10:]])
        with live:
            b = (a + 1) * 2  # the sum is alive until the product is there
            c = b.view(10, 100)
        counted = [live.now, live.peak]
        del b
        counted.append(live.now)
        del c
        counted.append(live.now)

    assert counted == [2 * 4096, 3 * 4096, 2 * 4096, 4096]


def test_tensorflow_has_no_trace() -> None:
    """The model is not even built."""
    assert traced_peak(lambda: pytest.fail("built"), (None, None), "tensorflow") is None


def test_targets_follow_from_losses_and_outputs() -> None:
    """Names, functions and objects are understood, for one output and for several."""
    import keras

    wide, flat = keras.KerasTensor((8, 5, 3)), keras.KerasTensor((8, 1))
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    assert _targets("mse", flat).shape == (8, 1)
    assert _targets(keras.losses.KLDivergence(), wide).shape == (8, 5, 3)
    assert _targets(keras.losses.huber, wide).dtype == "float32"
    assert (_targets(sparse, wide).shape, _targets(sparse, wide).dtype) == ((8, 5), "int32")
    assert [t.shape for t in _targets([sparse, "mae"], [wide, flat])] == [(8, 5), (8, 1)]
    assert {k: t.shape for k, t in _targets({"a": "bce"}, {"a": flat}).items()} == {"a": (8, 1)}
    assert [t.shape for t in _targets("mse", [flat, flat])] == [(8, 1), (8, 1)]
    assert _targets(None, flat) is None


def test_a_loss_of_the_users_own_says_nothing_of_targets() -> None:
    """A function that shares its name with one of Keras is not taken for it."""
    import keras

    def huber(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(y_true - y_pred)

    with pytest.raises(Exception, match="Nothing says what targets"):
        _targets(huber, keras.KerasTensor((8, 1)))


def test_inputs_alone_are_handed_on_as_fit_does() -> None:
    """Several inputs are one element of a batch; a single one, or a dict, is the batch."""
    assert (_alone("x"), _alone({"a": 1}), _alone([1, 2])) == ("x", {"a": 1}, ([1, 2],))
