"""EfficientNet: Tan and Le 2019, on weights that were trained on ImageNet."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aiotune._printable import shown
from aiotune.applications._images import ImageHyperModel, channel_axis, pooled
from aiotune.errors import ConfigurationError, FatalRuntimeError
from aiotune.hypermodel import HyperModel
from aiotune.hyperparameters import HyperParameters

__all__ = ("HyperEfficientNet",)

_SIDES = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "B4": 380, "B5": 456, "B6": 528, "B7": 600}
"""The size of image that each version was made for, in pixels."""


class HyperEfficientNet(ImageHyperModel):
    """An EfficientNet with a new top, to be fine-tuned.

    After Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks, 2019; the network is that of ``keras.applications``, which takes pixels from
    0 to 255 in three channels. Images of another size than the version's are resized.
    Hyperparameters: ``version`` (B0 to B7), ``pooling``, ``top_dropout_rate``,
    ``learning_rate``, and before these those of the augmentation.

    Args:
        input_shape: Shape of an image: height, width, 3.
        input_tensor: Instead of it, a Keras tensor to build on.
        classes: Number of classes.
        augmentation_model: Changes images while training: a hypermodel such as
            :class:`HyperImageAugment`, a Keras model, or ``None``.
        weights: ``"imagenet"``, which are downloaded when a version is first built; the
            path of a file with weights; or ``None`` for random ones.
        **kwargs: Arguments of :class:`~aiotune.HyperModel`: ``name``, ``tunable``.

    Raises:
        ConfigurationError: Not exactly one input is given, or no ``classes``, or the
            augmentation is something else.
    """

    def __init__(
        self,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        classes: int | None = None,
        augmentation_model: Any = None,
        weights: str | None = "imagenet",
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape, input_tensor, **kwargs)
        self.require_classes(classes)
        if not _is_augmentation(augmentation_model):
            raise ConfigurationError(
                "Keyword augmentation_model should be a `HyperModel`, a Keras `Model` or empty. "
                f"Received {shown(augmentation_model)}; write HyperImageAugment(input_shape=...), or leave it out."
            )
        self.classes = classes
        self.augmentation_model = augmentation_model
        self.weights = weights

    def build(self, hp: HyperParameters) -> Any:
        """Return the model.

        Raises:
            FatalRuntimeError: The weights could not be downloaded.
        """
        from keras import layers

        image = self.image_input()
        x = self._augmented(image, hp)
        version = hp.Choice("version", list(_SIDES), default="B0")
        pooling = hp.Choice("pooling", ["avg", "max"], default="avg")
        rate = hp.Float("top_dropout_rate", 0.2, 0.8, step=0.2, default=0.2)
        side = _SIDES[version]
        if (x.shape[1:3] if channel_axis() == -1 else x.shape[2:4]) != (side, side):
            x = layers.Resizing(side, side)(x)
        x = pooled(self._base(x, version), pooling)
        x = layers.Dropout(rate, name="top_dropout")(x)
        x = layers.Dense(self.classes, activation="softmax", name="probs")(x)
        model = self.model_of(image, x, "EfficientNet")
        self._compile(model, hp)
        return model

    def _augmented(self, x: Any, hp: HyperParameters) -> Any:
        augmentation = self.augmentation_model
        if isinstance(augmentation, HyperModel):
            augmentation = augmentation.build(hp)
        return x if augmentation is None else augmentation(x)

    def _base(self, x: Any, version: str) -> Any:
        import keras

        make = getattr(keras.applications, f"EfficientNet{version}")
        with _one_download_at_a_time() if self.weights == "imagenet" else contextlib.nullcontext():
            try:
                return make(include_top=False, input_tensor=x, weights=self.weights).output
            except Exception as error:
                if "URL fetch failure" not in str(error):
                    raise
                raise _no_download(version, error) from error

    def _compile(self, model: Any, hp: HyperParameters) -> None:
        """Compile the model; override it for another optimizer, loss or metrics."""
        import keras

        rate = hp.Choice("learning_rate", [0.1, 0.01, 0.001], default=0.01)
        model.compile(
            optimizer=keras.optimizers.SGD(momentum=0.1, learning_rate=rate),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )


def _is_augmentation(model: Any) -> bool:
    if model is None or isinstance(model, HyperModel):
        return True
    keras = sys.modules.get("keras")  # nobody has a model of it before it was imported
    return keras is not None and isinstance(model, keras.Model)


def _no_download(version: str, error: Exception) -> FatalRuntimeError:
    return FatalRuntimeError(
        f"The weights of EfficientNet{version} that were trained on ImageNet could not be downloaded "
        f"({error}). Build it once where there is a network and copy ~/.keras/models from there; or "
        "pass weights=None to HyperEfficientNet for random weights, or the path of a file."
    )


@contextlib.contextmanager
def _one_download_at_a_time() -> Iterator[None]:
    # Keras writes a download in place: of two workers at once, the second would
    # read the first one's half of a file, find its hash wrong and begin again.
    path = Path(tempfile.gettempdir()) / f"aiotune-{os.getuid()}-downloads.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
