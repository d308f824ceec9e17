"""Arguments of the hypermodels for images; nothing is built, so keras is not imported."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from aiotune.applications import HyperEfficientNet, HyperImageAugment, HyperResNet, HyperXception
from aiotune.errors import ConfigurationError

SHAPE = (32, 32, 3)
TENSOR = object()


@pytest.mark.parametrize("kind", [HyperResNet, HyperXception, HyperEfficientNet])
def test_a_classifier_must_know_its_classes(kind: Any) -> None:
    """Nothing else tells how many there are."""
    with pytest.raises(ConfigurationError, match=r"^You must specify `classes`"):
        kind(input_shape=SHAPE)


@pytest.mark.parametrize("kind", [HyperResNet, HyperXception])
def test_without_a_top_classes_are_not_needed(kind: Any) -> None:
    """Features have no classes."""
    assert kind(include_top=False, input_shape=SHAPE).classes is None


@pytest.mark.parametrize("kind", [HyperResNet, HyperXception, HyperEfficientNet, HyperImageAugment])
@pytest.mark.parametrize(
    ("given", "found"),
    [({}, "neither"), ({"input_shape": SHAPE, "input_tensor": TENSOR}, "both")],
)
def test_exactly_one_input_is_given(kind: Any, given: dict[str, Any], found: str) -> None:
    """A shape or a tensor."""
    more = {} if kind is HyperImageAugment else {"classes": 3}
    with pytest.raises(ConfigurationError, match=f"^You must specify either .*given {found}"):
        kind(**given, **more)


@pytest.mark.parametrize("wrong", [3, "RandAugment", lambda hp: None, HyperImageAugment])
def test_an_augmentation_is_a_hypermodel_or_a_model(wrong: Any) -> None:
    """A function of hyperparameters is refused as in KerasTuner, and so is a class."""
    with pytest.raises(ConfigurationError, match=r"^Keyword augmentation_model should be"):
        HyperEfficientNet(input_shape=SHAPE, classes=3, augmentation_model=wrong)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {},
            {
                "rotate": (0, 0.5),
                "translate_x": (0, 0.4),
                "translate_y": (0, 0.4),
                "contrast": (0, 0.3),
            },
        ),
        (
            {"rotate": None, "translate_x": 0, "translate_y": 0.0, "contrast": 1},
            {"contrast": (0, 1)},
        ),
        (
            {"rotate": [0.1, 0.3], "translate_x": None, "translate_y": None, "contrast": (0, 0.2)},
            {"rotate": (0.1, 0.3), "contrast": (0, 0.2)},
        ),
    ],
    ids=["defaults", "off", "pairs"],
)
def test_a_strength_is_a_number_or_a_pair(
    arguments: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A number is the largest; None and 0 turn a transform off."""
    assert expected == HyperImageAugment(input_shape=SHAPE, **arguments).transforms


@pytest.mark.parametrize(
    ("layers", "expected"), [(3, (1, 3)), ((0, 4), (0, 4)), ([2, 2], (2, 2)), (0, None)]
)
def test_a_single_number_of_layers_begins_at_one(layers: Any, expected: Any) -> None:
    """A pair says itself where it begins; 0 is the other mode."""
    assert expected == HyperImageAugment(input_shape=SHAPE, augment_layers=layers).layers


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rotate": [1, 2, 3]}, "Length of keyword argument rotate must not exceed 2"),
        ({"contrast": "much"}, "`contrast` must be int or float"),
        ({"rotate": True}, "`rotate` must be int or float"),
        ({"translate_x": (0.2,)}, "`translate_x` must be int or float"),
        ({"translate_y": -0.1}, "not negative"),
        ({"rotate": (0.3, 0.1)}, "the smaller first"),
        ({"augment_layers": 2.5}, "`augment_layers` must be int"),
        ({"augment_layers": [1, 2, 3]}, "must not exceed 2"),
        ({"augment_layers": [5, 2]}, "the smaller first"),
        ({"augment_layers": -1}, "the smaller first"),
    ],
)
def test_a_wrong_strength_is_refused_in_a_sentence(arguments: dict[str, Any], words: str) -> None:
    """At construction, with the value."""
    with pytest.raises(ConfigurationError, match=words):
        HyperImageAugment(input_shape=SHAPE, **arguments)


def test_constructing_them_imports_no_back_end() -> None:
    """The program that holds a hypermodel never pays for keras."""
    code = (
        "import sys; from aiotune.applications import *;"
        "HyperEfficientNet((32, 32, 3), classes=3, augmentation_model=HyperImageAugment((32, 32, 3)));"
        "sys.exit(any(name in sys.modules for name in ('keras', 'numpy', 'tensorflow')))"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0


def test_a_name_and_tunable_are_a_hypermodels_own() -> None:
    """Further keywords go to HyperModel, and to nothing else."""
    model = HyperXception(input_shape=SHAPE, classes=3, name="x", tunable=False)

    assert (model.name, model.tunable) == ("x", False)
    with pytest.raises(TypeError, match="filters"):
        HyperXception(input_shape=SHAPE, classes=3, filters=3)
