"""Augmentation of images whose strength is tuned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiotune._printable import shown
from aiotune.applications._images import ImageHyperModel
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import HyperParameters

__all__ = ("HyperImageAugment",)

Range = float | Sequence[float] | None


class HyperImageAugment(ImageHyperModel):
    """A model that changes images at random while training, and passes them on otherwise.

    By default it is RandAugment (Cubuk et al., RandAugment: Practical Automated Data
    Augmentation with a Reduced Search Space, 2020): each of ``augment_layers`` layers
    changes each image by one of the transforms, chosen at random, and the hyperparameters
    are the number of layers and each transform's largest strength, ``factor_<transform>``.
    With ``augment_layers=0`` all transforms are applied, one after the other, and a
    factor of 0 leaves one out.

    A transform's strength is a number x for a factor tuned from 0 to x, a pair for one
    from the first to the second, ``None`` or 0 for a transform that is not used.

    Args:
        input_shape: Shape of an image: height, width, channels.
        input_tensor: Instead of it, a Keras tensor to build on.
        rotate: Turning to either side, in turns: 0.5 is half a turn.
        translate_x: Moving to the left or right, as a part of the width.
        translate_y: Moving up or down, as a part of the height.
        contrast: More or less contrast; 0.3 is by three tenths.
        augment_layers: The largest number of layers (the least is 1), a pair of the least and
            the largest, or 0.
        **kwargs: Arguments of :class:`~aiotune.HyperModel`: ``name``, ``tunable``.

    Raises:
        ConfigurationError: Not exactly one input is given, or a strength is wrong.
    """

    def __init__(
        self,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        rotate: Range = 0.5,
        translate_x: Range = 0.4,
        translate_y: Range = 0.4,
        contrast: Range = 0.3,
        augment_layers: int | Sequence[int] | None = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape, input_tensor, **kwargs)
        given = {
            "rotate": rotate,
            "translate_x": translate_x,
            "translate_y": translate_y,
            "contrast": contrast,
        }
        ranges = {name: _range(name, value, (int, float)) for name, value in given.items()}
        self.transforms = {name: found for name, found in ranges.items() if found is not None}
        self.layers = _range("augment_layers", augment_layers, (int,), least=1)

    def build(self, hp: HyperParameters) -> Any:
        """Return the model, not compiled."""
        if self.layers is None:
            return self._one_after_the_other(hp)
        return self._one_of_all(hp, *map(int, self.layers))

    def _one_after_the_other(self, hp: HyperParameters) -> Any:
        from aiotune.applications._transforms import RandomImageTransform

        x = image = self.image_input()
        for name, (low, high) in self.transforms.items():
            factor = hp.Float(f"factor_{name}", low, high, step=0.05, default=low)
            if factor:
                x = RandomImageTransform({name: factor})(x)
        return self.model_of(image, x, "image_augment")

    def _one_of_all(self, hp: HyperParameters, least: int, most: int) -> Any:
        from aiotune.applications._transforms import RandomImageTransform

        x = image = self.image_input()
        count = hp.Int("augment_layers", least, most, default=least)
        if least == 0:
            # Without a layer no factor means anything.
            with hp.conditional_scope("augment_layers", list(range(1, most + 1))):
                factors = self._factors(hp)
        else:
            factors = self._factors(hp)
        for _ in range(count if factors else 0):
            x = RandomImageTransform(factors)(x)
        return self.model_of(image, x, "image_rand_augment")

    def _factors(self, hp: HyperParameters) -> dict[str, float]:
        return {
            name: hp.Float(f"factor_{name}", low, high, default=low)
            for name, (low, high) in self.transforms.items()
        }


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Iterable) else [value]


def _range(
    name: str, value: Any, types: tuple[type, ...], least: float = 0
) -> tuple[float, float] | None:
    """Return the bounds that an argument stands for; ``None`` if it turns the thing off."""
    if value is None:
        return None
    pair: list[Any] = [least, value] if isinstance(value, (int, float, str)) else _listed(value)
    numbers = pair[1:] if isinstance(value, (int, float, str)) else pair
    if len(pair) > 2:  # noqa: PLR2004 - a pair
        raise ConfigurationError(
            f"Length of keyword argument {name} must not exceed 2, but {shown(value)} has {len(pair)} items. "
            "Write a number, or [least, most]."
        )
    wrong = [n for n in numbers if not isinstance(n, types) or isinstance(n, bool)]
    if wrong or len(pair) != 2:  # noqa: PLR2004 - as above
        kinds = " or ".join(kind.__name__ for kind in types)
        raise ConfigurationError(
            f"Keyword argument `{name}` must be {kinds}, or a pair of these, but received {shown(value)}. "
            "Write a number, or [least, most]; 0 turns it off."
        )
    low, high = pair
    if value in (0, 0.0):
        return None
    if not 0 <= low <= high:
        raise ConfigurationError(
            f"Keyword argument `{name}` must be a range of numbers that are not negative, the "
            f"smaller first, but received {shown(value)}. Write a number, or [least, most]."
        )
    return low, high
