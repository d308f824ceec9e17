"""A layer that changes images at random; imports keras, so only workers import it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras  # noqa: TID253 - this module is only imported where a model is built

__all__ = ("RandomImageTransform",)

_KINDS = ("rotate", "translate_x", "translate_y", "contrast")


@keras.saving.register_keras_serializable("aiotune")
class RandomImageTransform(keras.layers.Layer):  # type: ignore[misc]
    """Changes each image of a batch by one of several transforms, while training.

    Which one, and by how much to either side, is drawn for each image. Turns and moves are
    one resampling of the batch, whichever image gets which; what comes in from outside is
    the image's own reflection. Values are not clipped, since nobody knows their range.

    Args:
        factors: The largest change by transform: ``rotate`` in turns, ``translate_x`` and
            ``translate_y`` as parts of the image's size, ``contrast`` as a part of itself.
        seed: Makes the changes repeatable; default what seeds the program.
        **kwargs: Arguments of :class:`keras.layers.Layer`.
    """

    def __init__(
        self, factors: Mapping[str, float], seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        unknown = set(factors) - set(_KINDS)
        if unknown or not factors:
            raise ValueError(f"factors must name some of {_KINDS}, but they are {dict(factors)!r}.")
        self.factors = {name: float(factor) for name, factor in factors.items()}
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, images: Any, training: bool = False) -> Any:
        """Return the changed images; ``images`` are (batch, height, width, channels)."""
        if not training:
            return images
        amounts = self._amounts(keras.ops.shape(images)[0])
        dtype = images.dtype
        images = keras.ops.cast(images, "float32")
        if set(self.factors) - {"contrast"}:
            images = self._moved(images, amounts)
        if "contrast" in self.factors:
            images = _contrasted(images, amounts["contrast"])
        return keras.ops.cast(images, dtype)

    def _amounts(self, batch: Any) -> dict[str, Any]:
        """Draw the change of each image by each transform; all but one are 0."""
        draws = keras.random.uniform((batch,), -1.0, 1.0, seed=self.seed_generator)
        chosen = keras.random.uniform((batch,), 0.0, len(self.factors), seed=self.seed_generator)
        chosen = keras.ops.floor(chosen)
        return {
            name: draws * factor * keras.ops.cast(keras.ops.equal(chosen, index), "float32")
            for index, (name, factor) in enumerate(self.factors.items())
        }

    def _moved(self, images: Any, amounts: Mapping[str, Any]) -> Any:
        ops = keras.ops
        rows, columns = (1, 2) if keras.config.image_data_format() == "channels_last" else (2, 3)
        shape = ops.shape(images)
        height, width = ops.cast(shape[rows], "float32"), ops.cast(shape[columns], "float32")
        nothing = ops.zeros_like(next(iter(amounts.values())))
        angle = amounts.get("rotate", nothing) * (2 * math.pi)
        right = amounts.get("translate_x", nothing) * width
        down = amounts.get("translate_y", nothing) * height
        sine, cosine = ops.sin(angle), ops.cos(angle)
        # From where each pixel of the result is taken: turned around the middle, then moved.
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        from_x = middle_x - cosine * middle_x + sine * middle_y - right
        from_y = middle_y - sine * middle_x - cosine * middle_y - down
        rows_of_matrix = [cosine, -sine, from_x, sine, cosine, from_y, nothing, nothing]
        return ops.image.affine_transform(
            images,
            ops.stack(rows_of_matrix, axis=1),
            interpolation="bilinear",
            fill_mode="reflect",
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the images, which does not change."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what the layer can be made from again."""
        return {**super().get_config(), "factors": self.factors, "seed": self.seed}


def _contrasted(images: Any, amounts: Any) -> Any:
    spatial = (1, 2) if keras.config.image_data_format() == "channels_last" else (2, 3)
    mean = keras.ops.mean(images, axis=spatial, keepdims=True)
    return (images - mean) * (1.0 + keras.ops.reshape(amounts, (-1, 1, 1, 1))) + mean
