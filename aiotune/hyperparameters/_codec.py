"""Hyperparameters as data, in the form that KerasTuner writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiotune.errors import ConfigurationError
from aiotune.hyperparameters._kinds import Boolean, Choice, Fixed, HyperParameter
from aiotune.hyperparameters._numeric import Float, Int

__all__ = ("deserialize", "serialize")

_KINDS: dict[str, type[HyperParameter]] = {
    kind.kind: kind for kind in (Int, Float, Choice, Boolean, Fixed)
}


def serialize(obj: HyperParameter) -> dict[str, Any]:
    """Return ``{"class_name": ..., "config": ...}``, which JSON can carry."""
    return {"class_name": obj.kind, "config": obj.get_config()}


def deserialize(config: Mapping[str, Any]) -> HyperParameter:
    """Rebuild a hyperparameter from :func:`serialize`'s form.

    Raises:
        ConfigurationError: The class is not one of Int, Float, Choice, Boolean, Fixed.
    """
    kind = _KINDS.get(config["class_name"])
    if kind is None:
        raise ConfigurationError(
            f"{config['class_name']!r} is not a kind of hyperparameter; there are "
            f"{', '.join(sorted(_KINDS))}."
        )
    return kind.from_config(config["config"])
