"""What a program has set for all its models, so that its workers build them as it would.

``keras.config.set_dtype_policy("mixed_float16")`` at the top of a program concerns its process
alone, and its models are built in others. So do the classes that it has registered with Keras:
one of ``__main__`` travels by value, without the decorator that registered it.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any

from aiotune.errors import PayloadError
from aiotune.wire._keras_objects import put_right

__all__ = ("Settings", "settings_here")

_ACCESSORS = (
    ("keras", "config.floatx", "config.set_floatx"),
    ("keras", "config.epsilon", "config.set_epsilon"),
    ("keras", "config.image_data_format", "config.set_image_data_format"),
    ("tensorflow", "config.functions_run_eagerly", "config.run_functions_eagerly"),
    ("torch", "get_default_dtype", "set_default_dtype"),
    ("torch", "get_float32_matmul_precision", "set_float32_matmul_precision"),
)
"""A module, what reads a setting of it, and what makes it; floatx before the policy, which it changes."""
_JAX = ("jax_enable_x64", "jax_default_matmul_precision", "jax_debug_nans", "jax_disable_jit")


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process has set; of modules that it has imported, and only these.

    Attributes:
        modules: Values by the name of what reads them, pickled, by module: torch's types
            could not be loaded where there is no torch.
        custom_objects: What is registered with Keras, by its name there, pickled one by one.
    """

    modules: dict[str, bytes] = field(default_factory=dict)
    custom_objects: dict[str, bytes] = field(default_factory=dict)

    def apply(self, load: Callable[[bytes], Any]) -> None:
        """Make them those of this process, of modules that it has imported.

        Args:
            load: Unpickles what :func:`settings_here` has pickled.
        """
        for name, pickled in self.modules.items():
            if name in sys.modules:
                _set(sys.modules[name], name, load(pickled))
        keras = sys.modules.get("keras")
        for name, pickled in self.custom_objects.items() if hasattr(keras, "saving") else ():
            _register(keras, name, partial(load, pickled))


def settings_here(*, custom_objects: bool = True) -> Settings:
    """Return those of this process, and of this thread: Keras keeps its policy for each apart.

    Args:
        custom_objects: Whether to look for what is registered, too.
    """
    names = [n for n in ("keras", "tensorflow", "torch", "jax") if n in sys.modules]
    found = {name: _values(sys.modules[name], name) for name in names}
    return Settings(
        {name: pickle.dumps(values) for name, values in found.items() if values},
        _registered(sys.modules["keras"]) if custom_objects and "keras" in sys.modules else {},
    )


def _values(module: Any, name: str) -> dict[str, Any]:
    values = {}
    for owner, getter, _ in _ACCESSORS:
        try:
            if owner == name:
                values[getter] = attrgetter(getter)(module)()
        except AttributeError:
            continue  # half imported, or another version's
    if name == "jax":
        values = {key: getattr(module.config, key) for key in _JAX if hasattr(module.config, key)}
    if name == "keras" and values:
        values["policy"] = module.dtype_policies.serialize(module.config.dtype_policy())
    return values


def _set(module: Any, name: str, values: dict[str, Any]) -> None:
    for owner, getter, setter in _ACCESSORS:
        # Only what differs: some of these warn, or throw compiled functions away.
        if owner != name or getter not in values:
            continue
        with contextlib.suppress(AttributeError):  # another version's
            if values[getter] != attrgetter(getter)(module)():
                attrgetter(setter)(module)(values[getter])
    if name == "jax":
        for key, value in values.items():
            if getattr(module.config, key, value) != value:
                module.config.update(key, value)
    if "policy" in values and hasattr(module, "dtype_policies"):
        module.config.set_dtype_policy(module.dtype_policies.deserialize(values["policy"]))


def _registered(keras: Any) -> dict[str, bytes]:
    pickled = {}
    for name, value in getattr(keras.saving, "get_custom_objects", dict)().items():
        # Only here: it brings cloudpickle, and hardly a program registers anything.
        from aiotune.wire._pickler import dump_program

        try:
            pickled[name] = dump_program((value, (), {}), lambda _: True)[0]
        except PayloadError:
            continue  # Keras says so by name where it is needed, if it ever is
    return pickled


def _register(keras: Any, name: str, load: Callable[[], Any]) -> None:
    try:
        value, *_, later = load()
        put_right(later)
    except Exception as error:  # noqa: BLE001 - of a module that a worker cannot import, say
        sys.stderr.write(f"aiotune: {name!r}, registered with Keras, cannot be loaded: {error}\n")
        return
    package, _, inner = name.partition(">")
    if inner and isinstance(value, type):
        # As its decorator did, so that it is saved under the same name, too.
        value = keras.saving.register_keras_serializable(package, inner)(value)
    keras.saving.get_custom_objects()[name] = value
