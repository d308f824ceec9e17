"""What pickle refuses and a worker can make again: locks, caches, weak dictionaries, flags."""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ("reduced_python",)

_LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
}
_CACHED = type(functools.lru_cache(lambda: None))
_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)


def reduced_python(obj: Any, *, is_by_value: Callable[[str], bool]) -> Any:
    """Return what an object becomes in a pickle, as ``__reduce__`` does.

    Args:
        obj: Any object.
        is_by_value: Whether what a module defines travels in whole.

    Returns:
        ``None`` if it is left to pickle.
    """
    cls = type(obj)
    if cls in _LOCKS:
        return _LOCKS[cls], ()  # whoever holds it here does not there
    if cls in _WEAK:
        return cls, (), None, None, iter(list(obj.items()))
    if cls is weakref.WeakSet:
        return cls, (list(obj),)
    if cls is _CACHED and is_by_value(obj.__module__):
        parameters = obj.cache_parameters()
        state = (obj.__wrapped__, vars(obj))
        return _cache, (parameters["maxsize"], parameters["typed"]), state, None, None, _set_cached
    return _reduced_of_packages(obj, cls)


def _reduced_of_packages(obj: Any, cls: type) -> Any:
    name = f"{cls.__module__}.{cls.__qualname__}"
    if name == "tensorflow.python.eager.polymorphic_function.polymorphic_function.Function":
        # Without what it has traced: that is of this process, and traced again when it is called.
        clone = obj._clone(None)  # noqa: SLF001 - the one way to have it before its first call
        return object.__new__, (cls,), clone.__getstate__(), None, None, _set_function
    if name == "tensorflow.python.ops.lookup_ops.MutableHashTable":
        counted = [part.numpy() for part in (*obj.export(), obj._default_value)]  # noqa: SLF001 - no other way to it
        return _table, (cls, obj.key_dtype.name, obj.value_dtype.name, *counted)
    if name == "absl.flags._flagvalues.FlagValues" and obj is sys.modules["absl.flags"].FLAGS:
        return _flags_there, (obj._flags(), obj.is_parsed())  # noqa: SLF001 - no other way to them
    if any(
        f"{base.__module__}.{base.__qualname__}" == "absl.flags._flag.Flag" for base in cls.__mro__
    ):
        return object.__new__, (cls,), vars(obj)
    return None


class _Late:
    """A function that is known only after what calls it has been made."""

    def __init__(self) -> None:
        self.function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def _cache(maxsize: int | None, typed: bool) -> Any:
    # Made before the function, which may refer to it: one that calls itself does.
    late = _Late()
    made = functools.lru_cache(maxsize, typed)(late)
    made.__wrapped__ = late
    return made


def _set_cached(cached: Any, state: tuple[Callable[..., Any], dict[str, Any]]) -> None:
    function, attributes = state
    cached.__wrapped__.function = function
    vars(cached).update(attributes)


def _set_function(function: Any, state: dict[str, Any]) -> None:
    function.__setstate__(state)


def _table(cls: Any, key: str, value: str, keys: Any, values: Any, default: Any) -> Any:
    table = cls(key, value, default)
    if len(keys):
        table.insert(keys, values)
    return table


def _flags_there(flags: dict[str, Any], parsed: bool) -> Any:
    """Give this process's flags those of the program, with their values."""
    here = sys.modules["absl.flags"].FLAGS if "absl.flags" in sys.modules else _imported_flags()
    for name, flag in flags.items():
        if name in here:
            here[name].value = flag.value
        else:
            here[name] = flag
    if parsed:
        here.mark_as_parsed()
    return here


def _imported_flags() -> Any:
    from importlib import import_module

    return import_module("absl.flags").FLAGS
