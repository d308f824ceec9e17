"""Which modules the nursery imports, so that no worker has to."""

from __future__ import annotations

from typing import Any

from aiotune.wire import Packed
from aiotune.wire._modules import is_installed

__all__ = ("imports_for", "is_harmless")

_OWN = "aiotune."
_KERAS_SIDE = "aiotune.worker._keras"


def imports_for(target: Any, packed: Packed) -> tuple[str, ...]:
    """Choose what is imported ahead of the workers.

    Installed packages that the program refers to, keras if a model is to be
    built, and what the tuner's class names in ``preloads``. The user's own
    modules are left to the workers: importing one may run an operation of the
    back end, after which no fork works.

    Args:
        target: The payload's target.
        packed: The payload as it travels.
    """
    names = {name for name in packed.modules if is_installed(name)}
    builds_keras = getattr(target, "builds_keras_models", True)
    if builds_keras and getattr(target, "hypermodel", None) is not None:
        names.add("keras")
    ahead = getattr(target, "preloads", ())
    # Of these packages also the modules in them: a package of its own may import none of them.
    inner = (_OWN, *(f"{name.partition('.')[0]}." for name in ahead))
    own = sorted({name for name in packed.references if name.startswith(inner)} | set(ahead))
    # keras first: it decides which back end is imported, and how.
    ordered = sorted(names, key=lambda name: (name != "keras", name))
    return (*ordered, *([_KERAS_SIDE] if "keras" in names else []), *own)


def is_harmless(name: str) -> bool:
    """Whether a module is known to start no back end when it is imported."""
    return name == "keras" or name.startswith(_OWN)
