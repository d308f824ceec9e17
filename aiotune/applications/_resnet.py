"""Residual networks: He et al. 2016 in both forms, and Xie et al. 2017."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiotune.applications._images import ImageHyperModel, channel_axis, pooled
from aiotune.hyperparameters import HyperParameters

__all__ = ("HyperResNet",)

_EPSILON = 1.001e-5
_FIRST_AND_LAST_DEPTH = 3
_CARDINALITY = 32


class HyperResNet(ImageHyperModel):
    """A residual network for images, 29 to 155 layers deep and more.

    Hyperparameters: ``version`` (``v1``: He et al., Deep Residual Learning for Image
    Recognition, 2016; ``v2``, the default: He et al., Identity Mappings in Deep Residual
    Networks, 2016; ``next``: Xie et al., Aggregated Residual Transformations, 2017),
    ``conv3_depth`` and ``conv4_depth``, the blocks in two of the four stages, ``pooling``,
    and with a top ``optimizer`` and ``learning_rate``.

    Stages are as wide, and halve the image where, as in KerasTuner. For ``next`` that
    is not as in the paper, whose first stage is twice as wide and keeps the image's size.

    Args:
        include_top: Whether to classify, and compile with categorical crossentropy and accuracy.
            Otherwise the model ends with the pooled features, and is not compiled.
        input_shape: Shape of an image: height, width, channels; at least 32 by 32.
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
        from keras import layers

        version = hp.Choice("version", ["v1", "v2", "next"], default="v2")
        depths = (
            _FIRST_AND_LAST_DEPTH,
            hp.Choice("conv3_depth", [4, 8]),
            hp.Choice("conv4_depth", [6, 23, 36]),
            _FIRST_AND_LAST_DEPTH,
        )
        pooling = hp.Choice("pooling", ["avg", "max"], default="avg")
        image = self.image_input()
        x = _features(image, _FORMS[version], depths)
        x = pooled(x, pooling)
        if not self.include_top:
            return self.model_of(image, x, "ResNet")
        x = layers.Dense(self.classes, activation="softmax", name="probs")(x)
        model = self.model_of(image, x, "ResNet")
        _compile(model, hp)
        return model


def _compile(model: Any, hp: HyperParameters) -> None:
    from keras import optimizers

    by_name = {"adam": optimizers.Adam, "rmsprop": optimizers.RMSprop, "sgd": optimizers.SGD}
    chosen = hp.Choice("optimizer", list(by_name), default="adam")
    rate = hp.Choice("learning_rate", [0.1, 0.01, 0.001], default=0.01)
    model.compile(
        optimizer=by_name[chosen](learning_rate=rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )


# ── the network ────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Form:
    """One of the three kinds of networks.

    Attributes:
        widths: Filters of the 3x3 convolutions, by stage.
        strides: By how much each stage shrinks the image.
        block: Builds a block.
        shrinks_first: Whether a stage's first block shrinks the image, or its last.
        preactivated: Whether blocks begin with normalisation and activation.
        bias: Whether the convolution before all stages has a bias.
    """

    widths: tuple[int, ...]
    strides: tuple[int, ...]
    block: Callable[..., Any]
    shrinks_first: bool = True
    preactivated: bool = False
    bias: bool = True


def _features(x: Any, form: _Form, depths: Sequence[int]) -> Any:
    from keras import layers

    x = _conv(x, 64, 7, stride=2, bias=form.bias)
    if not form.preactivated:
        x = _relu(_norm(x))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for width, depth, stride in zip(form.widths, depths, form.strides, strict=True):
        shrinking = 0 if form.shrinks_first else depth - 1
        for index in range(depth):
            here = stride if index == shrinking else 1
            x = form.block(x, width, stride=here, projects=index == 0)
    return _relu(_norm(x)) if form.preactivated else x


def _bottleneck(x: Any, width: int, *, stride: int, projects: bool) -> Any:
    shortcut = _norm(_conv(x, 4 * width, 1, stride=stride)) if projects else x
    x = _relu(_norm(_conv(x, width, 1, stride=stride)))
    x = _relu(_norm(_conv(x, width, 3)))
    return _relu(_sum(shortcut, _norm(_conv(x, 4 * width, 1))))


def _preactivated(x: Any, width: int, *, stride: int, projects: bool) -> Any:
    from keras import layers

    activated = _relu(_norm(x))
    shortcut = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    if projects:
        shortcut = _conv(activated, 4 * width, 1, stride=stride)
    x = _relu(_norm(_conv(activated, width, 1, bias=False)))
    x = _relu(_norm(_conv(x, width, 3, stride=stride, bias=False)))
    return _sum(shortcut, _conv(x, 4 * width, 1))


def _aggregated(x: Any, width: int, *, stride: int, projects: bool) -> Any:
    shortcut = _norm(_conv(x, 2 * width, 1, stride=stride, bias=False)) if projects else x
    x = _relu(_norm(_conv(x, width, 1, bias=False)))
    x = _relu(_norm(_conv(x, width, 3, stride=stride, bias=False, groups=_CARDINALITY)))
    return _relu(_sum(shortcut, _norm(_conv(x, 2 * width, 1, bias=False))))


_FORMS = {
    "v1": _Form((64, 128, 256, 512), (1, 2, 2, 2), _bottleneck),
    "v2": _Form(
        (64, 128, 256, 512), (2, 2, 2, 1), _preactivated, shrinks_first=False, preactivated=True
    ),
    "next": _Form((64, 256, 512, 1024), (2, 2, 2, 1), _aggregated, bias=False),
}


# ── its layers ─────────────────────────────────────────────────────────────


def _conv(
    x: Any, filters: int, size: int, *, stride: int = 1, bias: bool = True, groups: int = 1
) -> Any:
    from keras import layers

    # "same" would pad a strided convolution at one side only, and which pixels
    # it looks at would depend on whether the image's size is even.
    padding = "same"
    if stride > 1 and size > 1:
        x, padding = layers.ZeroPadding2D(size // 2)(x), "valid"
    convolution = layers.Conv2D(
        filters, size, strides=stride, padding=padding, use_bias=bias, groups=groups
    )
    return convolution(x)


def _norm(x: Any) -> Any:
    from keras import layers

    return layers.BatchNormalization(axis=channel_axis(), epsilon=_EPSILON)(x)


def _relu(x: Any) -> Any:
    from keras import layers

    return layers.Activation("relu")(x)


def _sum(one: Any, other: Any) -> Any:
    from keras import layers

    return layers.Add()([one, other])
