"""The user's program and data on their way into workers.

The parent pickles once, into a sealed region of memory; each worker maps it.
Pickles travel in this direction only, and never touch the disk.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from aiotune.errors import PayloadError
from aiotune.wire._data import map_parts, write_parts
from aiotune.wire._keras_objects import put_right
from aiotune.wire._settings import Settings, settings_here

__all__ = ("Packed", "Payload", "Surroundings", "load", "pack", "surroundings_of")

_APART_FROM = 64 * 1024  # bytes; below, a buffer of its own saves nothing


@dataclass(frozen=True, slots=True)
class Payload:
    """What every attempt runs.

    Attributes:
        target: The tuner, or any object with ``run_trial(trial, *args, **kwargs)``.
        args: Positional arguments of ``search()``.
        kwargs: Keyword arguments of ``search()``.
        settings: What holds for all models of the program; those of the thread that makes this.
    """

    target: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=settings_here)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the user's program runs, so that a worker finds the same modules and files.

    In bytes, as the system has them: a name need not be text in any encoding.

    Attributes:
        path: ``sys.path``, absolute; without what is relative to a working directory that no longer exists.
        argv: ``sys.argv``.
        directory: The working directory; empty if it no longer exists.
    """

    path: list[bytes]
    argv: list[bytes]
    directory: bytes

    @classmethod
    def here(cls) -> Surroundings:
        """Return those of this process."""
        try:
            directory = str(Path.cwd())
        except FileNotFoundError:
            directory = ""
        path = (Path(directory, entry) for entry in sys.path)
        return cls(
            path=[os.fsencode(entry) for entry in path if entry.is_absolute()],
            argv=[os.fsencode(word) for word in sys.argv],
            directory=os.fsencode(directory),
        )

    def enter(self) -> None:
        """Make them those of this process."""
        sys.path[:] = map(os.fsdecode, self.path)
        sys.argv[:] = map(os.fsdecode, self.argv)
        if self.directory:
            os.chdir(self.directory)


@dataclass(frozen=True, slots=True)
class Packed:
    """A payload in a region of memory.

    Attributes:
        fd: The region; closed on exec, and by :meth:`close`.
        size: Bytes in it.
        modules: Top-level modules that loading and running it will import.
        references: Full names of the modules that the pickle itself refers to.
        by_value: Modules that travel in whole because a worker could not import them.
    """

    fd: int
    size: int
    modules: frozenset[str]
    references: frozenset[str]
    by_value: tuple[str, ...]

    def close(self) -> None:
        """Give this process's hold of the memory back."""
        os.close(self.fd)


def pack(payload: Payload) -> Packed:
    """Pickle a payload into a sealed region of memory.

    Arrays are written once, beside the pickle; it takes as long as copying
    them does, so it does not belong on an event loop.

    Raises:
        PayloadError: Something cannot travel, or memory does not suffice.
    """
    # cloudpickle and what it brings are only needed by the sender.
    from aiotune.wire._modules import needed_modules
    from aiotune.wire._pickler import dump_program

    apart: list[memoryview] = []

    def keep_apart(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _APART_FROM:
            return True
        apart.append(raw)
        return False

    program = (payload.target, payload.args, payload.kwargs)
    head, pickler = dump_program(program, keep_apart)
    surroundings = msgspec.msgpack.encode(Surroundings.here())
    size = len(head) + sum(part.nbytes for part in apart)
    fd = _written([surroundings, pickle.dumps(payload.settings), head, *apart], size)
    return Packed(
        fd=fd,
        size=size,
        modules=needed_modules(pickler.modules | pickler.by_value),
        references=frozenset(pickler.modules),
        by_value=tuple(sorted(pickler.by_value)),
    )


def _written(parts: list[bytes | memoryview], size: int) -> int:
    try:
        return write_parts(parts, name="aiotune-payload")
    except OSError as error:
        raise PayloadError(
            f"The program and its data take {size / 2**20:,.0f} MiB, and the memory for a copy "
            f"that all workers share could not be had: {error}.",
            hint="Pass a function that loads the data, or a memory-mapped array.",
        ) from error


def surroundings_of(fd: int) -> Surroundings:
    """Read where the program that packed this region runs."""
    return msgspec.msgpack.decode(map_parts(fd)[0], type=Surroundings)


def unpickled(pickled: bytes | memoryview, buffers: Iterable[Any] = ()) -> Any:
    """Return what the parent has pickled; the program's only place that loads a pickle."""
    return pickle.loads(pickled, buffers=buffers)  # noqa: S301 - from our own parent


def load(fd: int) -> Payload:
    """Load a payload. Its arrays are this process's own, copied page by page when written.

    Raises:
        PayloadError: It cannot be loaded here.
    """
    _, settings, head, *buffers = map_parts(fd)
    try:
        # First: what follows may hold models, whose classes are registered by it.
        held: Settings = unpickled(settings)
        held.apply(unpickled)
        target, args, kwargs, of_main, later = unpickled(head, buffers)
        put_right(later)
    except ModuleNotFoundError as error:
        raise PayloadError(
            f"A worker process cannot import the module {error.name!r}, which the program needs.",
            hint="Install it, or put its directory on PYTHONPATH.",
        ) from error
    except Exception as error:
        raise PayloadError(
            f"A worker process cannot load what was given to search(): "
            f"{type(error).__name__}: {error}.",
            hint="Pass a function that makes the object in question instead of the object.",
        ) from error
    _complete_main(of_main)
    return Payload(target, args, kwargs, held)


def _complete_main(of_main: dict[str, Any]) -> None:
    """Put the program's own functions and classes where pickle looks for them, and so a pool of processes."""
    main = vars(sys.modules["__main__"])
    for name, value in of_main.items():
        main.setdefault(name, value)
