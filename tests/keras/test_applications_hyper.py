"""The hypermodels for images: what they ask for, what they build, that it trains and can be weighed.

``applications_hyper.json`` holds the search spaces and the parameter counts of KerasTuner
1.4.8's models of the same names, as it reports them (keras 3.15).
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

import aiotune
from aiotune.applications import HyperEfficientNet, HyperImageAugment, HyperResNet, HyperXception
from aiotune.errors import FatalRuntimeError
from aiotune.hyperparameters import discover
from aiotune.wire import Weighed

pytestmark = [pytest.mark.keras, pytest.mark.timeout(600)]  # JAX compiles for minutes

SHAPE = (32, 32, 3)
RECORDS: dict[str, Any] = json.loads(
    Path(__file__).with_name("applications_hyper.json").read_text(encoding="utf-8")
)
KINDS: dict[str, Any] = {"HyperResNet": HyperResNet, "HyperXception": HyperXception}
SMALL = {"conv2d_num_filters": 32, "sep_num_filters": 128, "num_residual_blocks": 2}


def hyperparameters(**values: Any) -> aiotune.HyperParameters:
    return aiotune.HyperParameters().with_values(values)


def images(count: int = 4) -> Any:
    return np.random.default_rng(0).uniform(0, 255, (count, *SHAPE)).astype("float32")


def records() -> list[Any]:
    often = {"v1": (4, 6), "v2": (8, 6), "next": (4, 6), None: None}
    found = []
    for name, record in RECORDS.items():
        for row in record["models"]:
            values = row["values"]
            depths = values.get("conv3_depth"), values.get("conv4_depth")
            rare = often[values.get("version")] not in (depths, None)
            words = "-".join(f"{v}" for v in [*values.values(), *row["input"], row["classes"]])
            marks = [pytest.mark.slow] if rare else []
            found.append(pytest.param(name, row, id=f"{name}-{words}", marks=marks))
    return found


@pytest.mark.parametrize(("name", "row"), records())
def test_a_model_has_the_size_that_kerastuner_reports(name: str, row: Any, weigh: Any) -> None:
    """To the parameter, for real weights and statistics; weighed without allocating any."""
    kind = KINDS[name](
        include_top=row["include_top"], input_shape=row["input"], classes=row["classes"]
    )
    shape: list[Any] = []

    def build(hp: aiotune.HyperParameters) -> Any:
        model = kind.build(hp.with_values(row["values"]))
        shape[:] = [*model.output.shape]
        assert model.compiled is row["include_top"]
        if not model.compiled:
            model.compile("sgd", "mse")
        return model

    x = np.broadcast_to(np.float32(0), (8, *row["input"]))
    answer = weigh(build, x, np.zeros((8, row["output"][-1]), "float32"), batch_size=8)

    assert isinstance(answer, Weighed)
    assert answer.size is not None, answer.why
    assert answer.size.method == "weighed"
    assert answer.size.has_activations, answer.why
    assert row["output"] == shape
    assert row["parameters"] == answer.size.parameters
    assert row["trainable"] == answer.size.trainable_parameters


@pytest.mark.parametrize("name", list(KINDS))
def test_the_search_space_is_kerastuners(name: str) -> None:
    """Names, kinds, ranges, defaults and order; but booleans are booleans."""
    hp = aiotune.HyperParameters()

    KINDS[name](input_shape=SHAPE, classes=3).build(hp)

    expected = [(e["class_name"], _told(e["config"])) for e in RECORDS[name]["space"]]
    found = [(e["class_name"], _told(e["config"])) for e in hp.get_config()["space"]]
    assert expected == found


def _told(config: dict[str, Any]) -> dict[str, Any]:
    told = {key: config.get(key) for key in ("name", "values", "min_value", "max_value", "step")}
    default = config["default"]
    told["default"] = default if default is not None else config["min_value"]
    return told


@pytest.mark.parametrize(
    ("hypermodel", "values"),
    [
        pytest.param(HyperResNet, {"version": "v1"}, marks=pytest.mark.slow),
        (HyperResNet, {"version": "v2", "optimizer": "sgd"}),
        pytest.param(HyperResNet, {"version": "next"}, marks=pytest.mark.slow),
        (HyperXception, {**SMALL, "activation": "relu", "pooling": "flatten"}),
        (HyperXception, {**SMALL, "activation": "selu", "pooling": "max"}),
    ],
)
def test_a_step_of_training_changes_it(hypermodel: Any, values: dict[str, Any]) -> None:
    """The model learns from a batch of tiny images, and answers with probabilities."""
    import keras

    model = hypermodel(input_shape=SHAPE, classes=3).build(hyperparameters(**values))
    # Compiling the graph would take most of a minute.
    model.compile(model.optimizer, model.loss, run_eagerly=keras.backend.backend() != "jax")
    probabilities = keras.ops.convert_to_numpy(model(images(2) / 255))
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_weights]

    loss = model.train_on_batch(images(2) / 255, np.eye(3, dtype="float32")[:2])

    after = [keras.ops.convert_to_numpy(v) for v in model.trainable_weights]
    assert np.isfinite(loss).all()
    # A bias right before a normalisation may stay: it changes nothing.
    assert sum(not np.array_equal(a, b) for a, b in zip(after, before, strict=True)) > 0.7 * len(
        before
    )
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_an_untunable_model_adds_nothing_to_the_space() -> None:
    """It is built with defaults, and with what the program has declared."""
    hp = aiotune.HyperParameters()
    hp.Choice("conv2d_num_filters", [32, 64, 128], default=128)

    model = HyperXception(input_shape=SHAPE, classes=3, tunable=False).build(hp)

    assert [entry.name for entry in hp.space] == ["conv2d_num_filters"]
    assert model.layers[1].filters == 128


def test_an_input_tensor_travels_with_what_is_before_it() -> None:
    """A worker builds on the same layers as the program, with their weights."""
    import keras

    image = keras.Input(SHAPE)
    kind = HyperXception(input_tensor=keras.layers.Rescaling(1 / 255)(image), classes=3)

    model = pickle.loads(pickle.dumps(kind)).build(hyperparameters(**SMALL))

    assert [type(layer).__name__ for layer in model.layers[:3]] == [
        "InputLayer",
        "Rescaling",
        "Conv2D",
    ]
    assert (None, *SHAPE) == model.input_shape


# ── EfficientNet ───────────────────────────────────────────────────────────


def test_an_efficientnet_resizes_and_augments_what_it_is_given(weigh: Any) -> None:
    """Its own hyperparameters after those of the augmentation; weighed to the parameter."""
    kind = HyperEfficientNet(
        input_shape=SHAPE,
        classes=3,
        weights=None,
        augmentation_model=HyperImageAugment(input_shape=SHAPE, rotate=0.1),
    )
    built: list[Any] = []

    def build(hp: aiotune.HyperParameters) -> Any:
        built[:] = [kind.build(hp), hp]
        return built[0]

    values = {"augment_layers": 1, "version": "B0"}
    order = {"space": {"space": [], "values": values}}
    answer = weigh(build, images(), np.zeros((4, 3), "float32"), batch_size=4, order=order)

    model, hp = built
    assert [entry.name for entry in hp.space] == [
        "augment_layers", "factor_rotate", "factor_translate_x", "factor_translate_y",
        "factor_contrast", "version", "pooling", "top_dropout_rate", "learning_rate",
    ]  # fmt: skip
    assert model.layers[1].name == "image_rand_augment"
    assert model.layers[2].output.shape == (None, 224, 224, 3)
    assert answer.size is not None, answer.why
    assert (answer.size.method, answer.size.parameters) == ("weighed", 4053414)
    assert answer.size.has_activations, answer.why


class Binary(HyperEfficientNet):
    def _compile(self, model: Any, hp: aiotune.HyperParameters) -> None:
        model.compile("adam", "binary_crossentropy")


@pytest.mark.parametrize(
    ("version", "side"), [("B0", 224), pytest.param("B1", 240, marks=pytest.mark.slow)]
)
def test_an_image_of_a_versions_own_size_is_not_resized(version: str, side: int) -> None:
    """Each version was made for a size. A subclass compiles the model as it likes."""
    kind = Binary(input_shape=(side, side, 3), classes=3, weights=None)

    model = kind.build(hyperparameters(version=version))

    assert "Resizing" not in [type(layer).__name__ for layer in model.layers]
    assert model.count_params() == {"B0": 4053414, "B1": 6579082}[version]
    assert model.loss == "binary_crossentropy"


@pytest.mark.slow
def test_weights_may_come_from_a_file(tmp_path: Path) -> None:
    """A file of weights in place of the download."""
    import keras

    trained = keras.applications.EfficientNetB0(include_top=False, weights=None)
    trained.save_weights(tmp_path / "b0.weights.h5")
    kind = HyperEfficientNet(
        input_shape=(224, 224, 3), classes=3, weights=str(tmp_path / "b0.weights.h5")
    )

    model = kind.build(hyperparameters())

    expected, found = trained.get_layer("stem_conv"), model.get_layer("stem_conv")
    assert np.array_equal(expected.get_weights()[0], found.get_weights()[0])


def test_without_a_network_the_missing_weights_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the search, and says what to do."""

    def offline(*args: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", offline)
    kind = HyperEfficientNet(input_shape=(224, 224, 3), classes=3)

    with pytest.raises(FatalRuntimeError, match=r"EfficientNetB0.*no network.*weights=None"):
        kind.build(hyperparameters())


# ── augmentation ───────────────────────────────────────────────────────────


def changed(model: Any, *, training: bool = True) -> Any:
    import keras

    given = images(16)
    result = keras.ops.convert_to_numpy(model(given, training=training))
    return np.abs(result - given).reshape(16, -1).max(axis=1) > 1e-3


def test_rand_augment_changes_images_in_training_alone() -> None:
    """One hyperparameter for the layers, one for each transform that is used."""
    hp = hyperparameters(augment_layers=2, factor_rotate=0.2, factor_contrast=0.3)

    model = HyperImageAugment(input_shape=SHAPE, translate_x=None, translate_y=0).build(hp)

    assert [(e.name, type(e).__name__) for e in hp.space] == [
        ("augment_layers", "Int"),
        ("factor_rotate", "Float"),
        ("factor_contrast", "Float"),
    ]
    assert (model.name, len(model.layers), model.compiled) == ("image_rand_augment", 3, False)
    assert changed(model).all()
    assert not changed(model, training=False).any()


def test_fixed_augmentation_leaves_out_what_has_a_factor_of_zero() -> None:
    """Transforms in their order; by default, with every factor at 0, none at all."""
    kind = HyperImageAugment(input_shape=SHAPE, augment_layers=0)
    hp = hyperparameters(factor_contrast=0.2, factor_translate_y=0.1)

    model, nothing = kind.build(hp), kind.build(hyperparameters())

    assert model.name == nothing.name == "image_augment"
    assert [list(layer.factors) for layer in model.layers[1:]] == [["translate_y"], ["contrast"]]
    assert len(nothing.layers) == 1
    steps = {entry.name: entry.get_config().get("step") for entry in hp.space}
    assert steps == dict.fromkeys(steps, 0.05)
    assert changed(model).all()
    assert not changed(nothing).any()


def test_no_layers_at_all_is_a_configuration_of_its_own() -> None:
    """Where augment_layers may be 0, factors exist only if it is not."""
    kind = HyperImageAugment(input_shape=SHAPE, augment_layers=[0, 2])
    hp = aiotune.HyperParameters()

    first = discover(kind.build, hp)

    assert len(first.layers) == 1
    assert hp.values == {"augment_layers": 0}
    assert len(hp.space) == 5
    assert len(kind.build(hyperparameters(augment_layers=2, factor_rotate=0.1)).layers) == 3


@pytest.mark.parametrize(
    ("transform", "axis"), [("translate_x", 2), ("translate_y", 1), ("rotate", None)]
)
def test_a_transform_moves_a_point_as_far_as_it_says(transform: str, axis: int | None) -> None:
    """Left and right along the width, up and down along the height, around the middle."""
    import keras

    from aiotune.applications._transforms import RandomImageTransform

    given = np.zeros((64, 41, 41, 1), "float32")
    given[:, 20, 30] = 1  # ten to the right of the middle
    layer = RandomImageTransform({transform: 0.2}, seed=1)

    moved = keras.ops.convert_to_numpy(layer(given, training=True))[..., 0]

    total = moved.sum(axis=(1, 2))
    rows = (moved * np.arange(41)[None, :, None]).sum(axis=(1, 2)) / total
    columns = (moved * np.arange(41)[None, None, :]).sum(axis=(1, 2)) / total
    if axis is None:
        angles = np.arctan2(rows - 20, columns - 20) / (2 * np.pi)
        assert np.allclose(np.hypot(rows - 20, columns - 20), 10, atol=0.3)
        assert 0.15 < np.abs(angles).max() <= 0.21
        assert angles.min() < -0.05 < 0.05 < angles.max()
        return
    along, across = (columns - 30, rows - 20) if axis == 2 else (rows - 20, columns - 30)
    assert np.allclose(across, 0, atol=1e-3)
    assert 6 < np.abs(along).max() <= 0.2 * 41 + 0.5
    assert along.min() < -2 < 2 < along.max()


def test_contrast_keeps_the_mean_and_changes_the_spread() -> None:
    """By at most its factor, more and less."""
    import keras

    from aiotune.applications._transforms import RandomImageTransform

    given = images(64)
    layer = RandomImageTransform({"contrast": 0.3}, seed=1)

    result = keras.ops.convert_to_numpy(layer(given, training=True))

    ratio = result.std(axis=(1, 2)) / given.std(axis=(1, 2))
    assert np.allclose(result.mean(axis=(1, 2)), given.mean(axis=(1, 2)), rtol=1e-3)
    assert 0.69 < ratio.min() < 0.8
    assert 1.2 < ratio.max() < 1.31


def test_an_augmentation_can_be_saved_and_loaded(tmp_path: Path) -> None:
    """Its layer is one that Keras finds again."""
    import keras

    model = HyperImageAugment(input_shape=SHAPE).build(hyperparameters(factor_rotate=0.25))
    model.save(tmp_path / "augment.keras")

    loaded = keras.models.load_model(tmp_path / "augment.keras")

    assert loaded.layers[1].factors == model.layers[1].factors
