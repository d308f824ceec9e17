"""Hyperparameters as data, in the form that KerasTuner writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiotune._printable import printable, shown
from aiotune._values import Value
from aiotune.errors import ConfigurationError, WrongType
from aiotune.hyperparameters._kinds import Boolean, Choice, Fixed, HyperParameter
from aiotune.hyperparameters._numeric import Float, Int

__all__ = ("checked_entries", "deserialize", "read_space", "serialize")

_KINDS: dict[str, type[HyperParameter]] = {
    kind.kind: kind for kind in (Int, Float, Choice, Boolean, Fixed)
}


def serialize(obj: HyperParameter) -> dict[str, Any]:
    """Return ``{"class_name": ..., "config": ...}``, which JSON can carry.

    Raises:
        WrongType: It is no hyperparameter; that is a ``TypeError``.
    """
    if not isinstance(obj, HyperParameter):
        raise WrongType(
            f"{shown(obj)} of type {type(obj).__name__} is no hyperparameter. Take one from hp.space."
        )
    return {"class_name": obj.kind, "config": obj.get_config()}


def deserialize(config: Mapping[str, Any]) -> HyperParameter:
    """Rebuild a hyperparameter from :func:`serialize`'s form.

    Raises:
        ConfigurationError: The class is not one of Int, Float, Choice, Boolean, Fixed, or the
            form is another.
    """
    match config:
        case {"class_name": str(name), "config": Mapping() as arguments}:
            pass
        case _:
            raise ConfigurationError(
                f"{shown(config)} is not a hyperparameter in the form that serialize() returns. Take it "
                "from there."
            )
    kind = _KINDS.get(name)
    if kind is None:
        raise ConfigurationError(
            f"{shown(name)} is not a kind of hyperparameter; there are {', '.join(sorted(_KINDS))}. Use "
            "one of these."
        )
    try:
        return kind.from_config(dict(arguments))
    except TypeError as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"{shown(dict(arguments))} are not the arguments of a hyperparameter of kind {name}: "
            f"{printable(error, 200)}. Take them from get_config()."
        ) from None


def read_space(config: Mapping[str, Any]) -> tuple[list[HyperParameter], dict[str, Value]]:
    """Return the entries and the values of a container's ``get_config()``.

    Raises:
        ConfigurationError: It is in another form.
    """
    match config:
        case {"space": list() | tuple() as space, "values": Mapping() as values}:
            return [deserialize(entry) for entry in space], dict(values)
        case _:
            raise ConfigurationError(
                f"{shown(config)} is not a search space in the form that get_config() returns. Take it "
                "from there."
            )


def checked_entries(hps: Any) -> list[HyperParameter]:
    """Return the entries of a container, or of a list.

    Raises:
        WrongType: There is something else among them.
    """
    entries = getattr(hps, "space", hps)
    for hp in entries if isinstance(entries, Iterable) else [entries]:
        if not isinstance(hp, HyperParameter):
            raise WrongType(
                f"A search space consists of hyperparameters, but {shown(hp)} of type {type(hp).__name__} "
                "is none. Pass a HyperParameters object, or a list as in its attribute space."
            )
    return list(entries)
