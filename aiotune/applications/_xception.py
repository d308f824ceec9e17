"""Xception: Chollet 2017."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiotune.applications._images import ImageHyperModel, channel_axis, pooled
from aiotune.hyperparameters import HyperParameters

__all__ = ("HyperXception",)


class HyperXception(ImageHyperModel):
    """A network of depthwise separable convolutions with residual connections.

    After Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, 2017.
    Hyperparameters: ``activation``, ``conv2d_num_filters``, ``kernel_size`` and
    ``initial_strides`` of the first convolution, ``sep_num_filters`` and
    ``num_residual_blocks`` of the separable ones, ``pooling``, and with a top
    ``num_dense_layers``, ``dropout_rate``, ``dense_use_bn`` and ``learning_rate``. With the
    activation ``selu`` nothing is batch-normalised: keeping its inputs normal is its point
    (Klambauer et al., Self-Normalizing Neural Networks, 2017).

    Args:
        include_top: Whether to classify, and compile with categorical crossentropy and accuracy.
            Otherwise the model ends with the pooled features, and is not compiled.
        input_shape: Shape of an image: height, width, channels.
        input_tensor: Instead of it, a Keras tensor to build on.
        classes: Number of classes; needed with a top.
        **kwargs: Arguments of :class:`~aiotune.HyperModel`: ``name``, ``tunable``.

    Raises:
        ConfigurationError: Not exactly one input is given, or there is a top without ``classes``.
    """

    def __init__(
        self,
        include_top: bool = True,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        classes: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape, input_tensor, **kwargs)
        if include_top:
            self.require_classes(classes, " when `include_top=True`")
        self.include_top = include_top
        self.classes = classes

    def build(self, hp: HyperParameters) -> Any:
        """Return the model."""
        style = _Style(hp.Choice("activation", ["relu", "selu"]))
        image = self.image_input()
        x = style.conv(
            image,
            filters=hp.Choice("conv2d_num_filters", [32, 64, 128], default=64),
            size=hp.Choice("kernel_size", [3, 5]),
            stride=hp.Choice("initial_strides", [2]),
        )
        filters = hp.Int("sep_num_filters", 128, 768, step=128, default=256)
        blocks = hp.Int("num_residual_blocks", 2, 8, default=4)
        x = _entry(x, filters, style)
        for _ in range(blocks - 1):
            x = _sum(x, style.separable(style.separable(x, filters), filters))
        x = _exit(x, 2 * filters, style)
        x = pooled(x, hp.Choice("pooling", ["avg", "flatten", "max"], default="avg"))
        if not self.include_top:
            return self.model_of(image, x, "Xception")
        return self._classifier(image, x, style, hp)

    def _classifier(self, image: Any, x: Any, style: _Style, hp: HyperParameters) -> Any:
        import keras

        count = hp.Int("num_dense_layers", 1, 3)
        rate = hp.Float("dropout_rate", 0.0, 0.6, step=0.1, default=0.5)
        normalised = hp.Choice("dense_use_bn", [True, False])
        for _ in range(count):
            x = style.dense(x, self.classes, normalised=normalised)
            if rate:
                x = keras.layers.Dropout(rate)(x)
        x = keras.layers.Dense(self.classes, activation="softmax")(x)
        model = self.model_of(image, x, "Xception")
        model.compile(
            optimizer=keras.optimizers.Adam(hp.Choice("learning_rate", [1e-3, 1e-4, 1e-5])),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model


@dataclass(frozen=True, slots=True)
class _Style:
    """Layers with what follows them: normalisation and ``relu``, or ``selu``."""

    activation: str

    @property
    def _normalises(self) -> bool:
        return self.activation != "selu"

    def conv(self, x: Any, *, filters: int, size: int, stride: int) -> Any:
        """Return the first convolution."""
        from keras import layers

        convolution = layers.Conv2D(
            filters, size, strides=stride, padding="same", **self._keywords("kernel")
        )
        return self._activated(convolution(x))

    def separable(self, x: Any, filters: int) -> Any:
        """Return a separable convolution."""
        from keras import layers

        keywords = self._keywords("depthwise") | self._keywords("pointwise")
        return self._activated(layers.SeparableConv2D(filters, 3, padding="same", **keywords)(x))

    def dense(self, x: Any, units: int | None, *, normalised: bool) -> Any:
        """Return a hidden layer of the top."""
        from keras import layers

        x = layers.Dense(units, activation=self.activation)(x)
        return layers.BatchNormalization()(x) if normalised and self._normalises else x

    def _keywords(self, kernel: str) -> dict[str, Any]:
        if self._normalises:
            return {"use_bias": False}
        # The variance that selu keeps is that of this initialisation.
        return {f"{kernel}_initializer": "lecun_normal", "activation": self.activation}

    def _activated(self, x: Any) -> Any:
        from keras import layers

        if not self._normalises:
            return x
        x = layers.BatchNormalization(axis=channel_axis())(x)
        return layers.Activation(self.activation)(x)


def _entry(x: Any, filters: int, style: _Style) -> Any:
    from keras import layers

    shortcut = layers.Conv2D(filters, 1, padding="same")(x)
    return _sum(shortcut, style.separable(style.separable(x, filters), filters))


def _exit(x: Any, filters: int, style: _Style) -> Any:
    from keras import layers

    shortcut = layers.Conv2D(filters, 1, strides=2, padding="same")(x)
    x = style.separable(style.separable(x, filters), filters)
    return _sum(shortcut, layers.MaxPooling2D(3, strides=2, padding="same")(x))


def _sum(one: Any, other: Any) -> Any:
    from keras import layers

    return layers.Add()([one, other])
