"""Every model of ``keras.applications`` is weighed to the parameter.

``applications.json`` holds what real builds of them count (keras 3.15).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiotune.wire import Weighed

pytestmark = pytest.mark.keras

COUNTED: dict[str, Any] = json.loads(
    Path(__file__).with_name("applications.json").read_text(encoding="utf-8")
)
OFTEN = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionV3",
    "MobileNetV2",
    "MobileNetV3Small",
    "ResNet50",
    "VGG16",
    "Xception",
)
NOT_ON_TORCH = {"NASNetMobile"}  # Keras refuses to build it there


def compiled(name: str) -> Any:
    import keras

    model = getattr(keras.applications, name)(weights=None)
    model.compile("adam", "categorical_crossentropy")
    return model


def names() -> list[Any]:
    slow = pytest.mark.slow
    return [pytest.param(n, marks=() if n in OFTEN else slow) for n in COUNTED]


@pytest.mark.parametrize("name", names())
def test_an_application_has_the_parameters_of_its_real_build(name: str, weigh: Any) -> None:
    """All of them and the trainable ones; Adam's slots; an output for every layer."""
    import keras

    if keras.backend.backend() == "torch" and name in NOT_ON_TORCH:
        pytest.skip("Keras does not build it on torch")
    expected = COUNTED[name]
    x = np.broadcast_to(np.float32(0), (64, *expected["input"]))
    y = np.broadcast_to(np.float32(0), (64, 1000))

    answer = weigh(lambda hp: compiled(name), x, y, batch_size=16)

    assert isinstance(answer, Weighed)
    size = answer.size
    assert size is not None, answer.why
    assert size.method == "weighed"
    assert (size.parameters, size.trainable_parameters) == (
        expected["parameters"],
        expected["trainable"],
    )
    assert size.weight_bytes - 4 * size.parameters < 4096  # seeds of dropout
    assert size.slot_bytes - 2 * size.gradient_bytes < 16  # two scalars
    assert size.has_activations, answer.why
    assert size.activation_bytes > 16 * 4 * np.prod(expected["input"])
    assert {row.shape[0] for row in size.layers} == {16}


@pytest.mark.timeout(600)  # JAX compiles an initializer for each shape of weights
@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0"])
def test_the_record_is_what_a_real_build_counts(name: str) -> None:
    """The recorded counts are still those of the Keras that is installed."""
    import keras

    model = getattr(keras.applications, name)(weights=None)

    assert model.count_params() == COUNTED[name]["parameters"]
    assert sum(int(np.prod(v.shape)) for v in model.trainable_weights) == COUNTED[name]["trainable"]


def test_every_application_is_on_record() -> None:
    """None of the models that Keras offers is left out."""
    import keras

    offered = {name for name in vars(keras.applications) if name[0].isupper()}

    assert offered == set(COUNTED)
