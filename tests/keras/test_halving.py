"""Half the batch and twice the accumulation train the same."""

from __future__ import annotations

from typing import Any

import keras  # noqa: TID253 - a test of keras
import numpy as np
import pytest

from aiotune.errors import OversizedModelError
from aiotune.worker._halving import with_smaller_batches

pytestmark = pytest.mark.keras

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def model() -> Any:
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    made.compile(keras.optimizers.SGD(0.1), "mse")
    return made


@pytest.mark.parametrize("divisor", [2, 4])
def test_accumulated_small_batches_train_like_large_ones(divisor: int) -> None:
    """Weights after two epochs are those of the batch that was asked for."""
    large, small = model(), model()
    large.fit(X, Y, batch_size=32, epochs=2, shuffle=False, verbose=0)

    kwargs = with_smaller_batches(small, (X, Y), {"batch_size": 32, "epochs": 2}, divisor)
    small.fit(X, Y, shuffle=False, verbose=0, **kwargs)

    assert kwargs["batch_size"] == 32 // divisor
    for expected, actual in zip(large.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_nothing_changes_without_need() -> None:
    """A divisor of 1 returns the very same arguments."""
    kwargs = {"batch_size": 8}

    assert with_smaller_batches(model(), (X, Y), kwargs, 1) is kwargs


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((iter([(X, Y)]),), {}, "list_iterator, come in batches of their own"),
        ((X, Y), {"batch_size": 3}, "batch of 3 cannot be made 4 times smaller"),
    ],
)
def test_what_cannot_be_divided_is_rejected(
    args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    """Data with batches of their own, and batches that are too small, say so."""
    with pytest.raises(OversizedModelError, match=text):
        with_smaller_batches(model(), args, kwargs, 4)
