"""What the hypermodels of images have in common: their input and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiotune._arguments import check_whole
from aiotune._printable import shown
from aiotune.errors import ConfigurationError
from aiotune.hypermodel import HyperModel

__all__ = ("ImageHyperModel", "channel_axis", "pooled")

_DIMENSIONS = 3


class ImageHyperModel(HyperModel):
    """Builds models of images.

    Args:
        input_shape: Shape of an image: height, width, channels.
        input_tensor: Instead of it, a Keras tensor to build on.
        **kwargs: Arguments of :class:`HyperModel`.

    Raises:
        ConfigurationError: Neither is given, or both are, or the shape is none of an image.
    """

    def __init__(
        self, input_shape: Sequence[int | None] | None, input_tensor: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if (input_shape is None) is (input_tensor is None):
            found = "neither" if input_shape is None else "both"
            raise ConfigurationError(
                "You must specify either `input_shape` or `input_tensor`. "
                f"{type(self).__name__} was given {found}."
            )
        if input_shape is not None:
            _check_shape(type(self).__name__, input_shape)
        self.input_shape = input_shape
        self.input_tensor = input_tensor

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to travel with: a model in place of a tensor, which alone has no past."""
        state = dict(vars(self))
        if self.input_tensor is not None:
            state["input_tensor"] = self.model_of(self.input_tensor, self.input_tensor, "input")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state back."""
        vars(self).update(state)
        if self.input_tensor is not None:
            self.input_tensor = self.input_tensor.outputs[0]

    def image_input(self) -> Any:
        """Return the tensor to build on."""
        import keras

        if self.input_tensor is not None:
            return self.input_tensor
        return keras.Input(shape=tuple(self.input_shape or ()))

    def model_of(self, image: Any, outputs: Any, name: str) -> Any:
        """Return the model from the input that ``image`` came from to ``outputs``."""
        import keras

        if self.input_tensor is None:
            return keras.Model(image, outputs, name=name)
        # Not of the outputs: its walk takes each way through a residual network by itself.
        inputs = keras.utils.get_source_inputs(image)
        return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs, name=name)

    def require_classes(self, classes: int | None, condition: str = "") -> None:
        """Refuse a classifier of nobody knows how many classes.

        Raises:
            ConfigurationError: ``classes`` is not given, or no whole number >= 1.
        """
        if not classes:
            raise ConfigurationError(
                f"You must specify `classes`{condition}: {type(self).__name__} cannot know how many "
                "the data has."
            )
        check_whole("classes", classes, 1, whose=type(self).__name__)


def _check_shape(whose: str, shape: Any) -> None:
    sizes = list(shape) if isinstance(shape, (list, tuple)) else []
    wrong = [n for n in sizes if n is not None and (not isinstance(n, int) or n < 1)]
    if len(sizes) != _DIMENSIONS or wrong:
        raise ConfigurationError(
            f"`input_shape` of {whose} must be the shape of an image, but is {shown(shape)}. Write (height, "
            "width, channels) in whole numbers, as in (32, 32, 3); None for a size that varies."
        )


def channel_axis() -> int:
    """Return the axis of an image batch that holds the channels."""
    import keras

    return -1 if keras.config.image_data_format() == "channels_last" else 1


def pooled(x: Any, kind: str) -> Any:
    """Return a vector an image: the mean or maximum of each channel, or all of it."""
    from keras import layers

    by_kind = {
        "avg": layers.GlobalAveragePooling2D,
        "max": layers.GlobalMaxPooling2D,
        "flatten": layers.Flatten,
    }
    return by_kind[kind]()(x)
