"""Pickles the user's program and says in a sentence what cannot travel."""

from __future__ import annotations

import io
import pickle
import queue
import sys
import threading
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import Any

import cloudpickle

from aiotune._printable import printable
from aiotune.errors import PayloadError
from aiotune.wire._keras_objects import Repair, reduced_keras
from aiotune.wire._mapped import reduced
from aiotune.wire._modules import imports_in_code, is_importable
from aiotune.wire._paths import path_to
from aiotune.wire._rebuilt import reduced_python

__all__ = ("ProgramPickler", "dump_program")

_MAKE_IT_THERE = "Pass a function that makes it, or make it inside build() or run_trial()."


class _Refused(Exception):
    """An object that pickle would take, to the user's later surprise."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


class ProgramPickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no annotations
    """cloudpickle, with refusals and a record of the modules that it referred to.

    Attributes:
        modules: Full names of modules that the receiver will import.
        by_value: Modules that travelled in whole, since the receiver could not find them.
        last: The object looked at last; after an error, the culprit.
        of_main: Functions and classes of ``__main__`` by their names there, which travel by value.
        later: What is to be done with what was loaded, when all is.
    """

    def __init__(self, file: io.BytesIO, buffer_callback: Callable[[Any], Any]) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self.modules: set[str] = set()
        self.by_value: set[str] = set()
        self.last: Any = None
        self.of_main: dict[str, Any] = {}
        self.later: list[Repair] = []

    def reducer_override(self, obj: Any) -> Any:
        """Look at every object that is not a plain value or container."""
        self.last = obj
        _refuse_what_breaks_later(obj)
        if isinstance(obj, ModuleType):
            self.modules.add(obj.__name__)
        elif isinstance(obj, (type, FunctionType)):
            self._refer_to(obj)
        elif _is_mapped(type(obj)):
            return reduced(obj)
        else:
            apart = reduced_keras(obj, self.later)
            if apart is None:
                apart = reduced_python(obj, is_by_value=self._is_by_value)
            if apart is not None:
                return apart
        return super().reducer_override(obj)

    def _is_by_value(self, module: str) -> bool:
        return module == "__main__" or module in cloudpickle.list_registry_pickle_by_value()

    def _refer_to(self, obj: Any) -> None:
        name = getattr(obj, "__module__", None)
        if not isinstance(name, str) or name == "builtins":
            return
        own = obj.__name__
        if name == "__main__" and vars(sys.modules[name]).get(own) is obj:
            self.of_main[own] = obj
        chosen = self._is_by_value(name)
        if not chosen and is_importable(name):
            self.modules.add(name)
        elif not chosen and name in sys.modules:
            # Registered before cloudpickle decides about this very object.
            self.by_value.add(name)
            cloudpickle.register_pickle_by_value(sys.modules[name])
        if isinstance(obj, FunctionType):
            self.modules.update(imports_in_code(obj.__code__))

    def unregister(self) -> None:
        """Leave cloudpickle's registry as it was found."""
        for name in self.by_value:
            cloudpickle.unregister_pickle_by_value(sys.modules[name])


def dump_program(
    program: tuple[Any, tuple[Any, ...], dict[str, Any]], keep_apart: Callable[[Any], Any]
) -> tuple[bytes, ProgramPickler]:
    """Pickle (target, args, kwargs), and with them what is theirs in ``__main__``.

    Args:
        program: What to pickle.
        keep_apart: Called with each ``pickle.PickleBuffer``; falsy: its bytes stay out of the pickle.

    Raises:
        PayloadError: Something cannot travel; the message says what and where it is.
    """
    file = io.BytesIO()
    pickler = ProgramPickler(file, keep_apart)
    try:
        # Last: all that is in it has been pickled by then, so that nothing comes to it any more.
        pickler.dump((*program, pickler.of_main, pickler.later))
    except Exception as error:  # noqa: BLE001 - a class of the user may raise anything
        # What raised it in the user's own code is worth its frames; our own refusals are said.
        own = isinstance(error, (_Refused, pickle.PicklingError))
        raise _sentence(error, pickler.last, program) from (None if own else error)
    finally:
        pickler.unregister()
    return file.getvalue(), pickler


def _sentence(
    error: Exception, culprit: Any, program: tuple[Any, tuple[Any, ...], dict[str, Any]]
) -> PayloadError:
    if isinstance(error, pickle.PicklingError) and "recursion" in str(error):
        return PayloadError(
            "What is given to search() is nested too deeply to be sent to a worker process.",
            hint=_MAKE_IT_THERE,
        )
    roots = _roots(program)
    path = path_to(culprit, roots) or f"Something in {_failing_root(roots)}"
    if isinstance(error, _Refused):
        what, remedy = error.what, error.remedy
    else:
        cls = type(culprit)
        module = "" if cls.__module__ == "builtins" else f"{cls.__module__}."
        name = f"{module}{cls.__qualname__}"
        article = "an" if name[0] in "aeiouAEIOU" else "a"
        what, remedy = f"{article} {name} ({printable(error, 200)})", _MAKE_IT_THERE
    return PayloadError(
        f"{path} is {what}, and that cannot be sent to a worker process.", hint=remedy, path=path
    )


def _roots(
    program: tuple[Any, tuple[Any, ...], dict[str, Any]],
) -> list[tuple[str, Any]]:
    target, args, kwargs = program
    named = [(f'kwargs["{name}"]', value) for name, value in kwargs.items()]
    return [*((f"args[{i}]", value) for i, value in enumerate(args)), *named, ("tuner", target)]


def _failing_root(roots: list[tuple[str, Any]]) -> str:
    for name, value in roots:
        try:
            ProgramPickler(io.BytesIO(), _out_of_band).dump(value)
        except Exception:  # noqa: BLE001 - that it fails is the answer
            return name
    return "the arguments of search()"


def _out_of_band(_buffer: Any) -> bool:
    return False


def _refuse_what_breaks_later(obj: Any) -> None:
    if isinstance(obj, io.IOBase) and not isinstance(obj, (io.BytesIO, io.StringIO)):
        if obj in (sys.stdout, sys.stderr):
            return
        name = getattr(obj, "name", None)
        # cloudpickle would send a copy of its content, without a word.
        raise _Refused(
            f"an open file ({name!r})", "Pass its path and open it inside build() or run_trial()."
        )
    if isinstance(obj, (GeneratorType, AsyncGeneratorType)):
        raise _Refused(
            "a generator, which gives its values only once", "Pass a function that returns it."
        )
    if isinstance(obj, queue.Queue):
        raise _Refused(
            "a queue, whose other end stays in this process",
            "Make it inside build() or run_trial(); what it should carry, return from run_trial().",
        )
    if isinstance(obj, threading.Thread):
        raise _Refused("a thread, which runs in this process alone", _MAKE_IT_THERE)
    if isinstance(obj, CoroutineType):
        raise _Refused("a coroutine", "Pass the coroutine function, without calling it.")
    if _is_dataset(type(obj)):
        raise _Refused("a tf.data.Dataset", "Pass a function that returns it.")


def _is_mapped(cls: type) -> bool:
    # A subclass may hold more than its content.
    return cls is getattr(sys.modules.get("numpy"), "memmap", None)


def _is_dataset(cls: type) -> bool:
    # By name: this process must not import tensorflow to find out.
    return any(
        base.__name__ in {"DatasetV2", "DatasetV1"} and base.__module__.startswith("tensorflow.")
        for base in cls.__mro__
    )
