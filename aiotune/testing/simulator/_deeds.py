"""What a process does, step by step, if nobody stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiotune.executors import WorkerExit
from aiotune.testing.simulator._faults import Fault
from aiotune.wire import Done, FromWorker, encode

__all__ = (
    "Career",
    "Compiles",
    "Deed",
    "Ends",
    "Hangs",
    "Saves",
    "Says",
    "ShutsUp",
    "Waits",
    "WritesDown",
)

_CLEAN = WorkerExit(exit_code=0)


@dataclass(frozen=True, slots=True)
class Says:
    """Bytes are written to the channel."""

    data: bytes
    message: FromWorker | None = None


@dataclass(frozen=True, slots=True)
class Saves:
    """The state of the training reaches the disk: it can be gone on with after so many epochs."""

    epochs: int


@dataclass(frozen=True, slots=True)
class WritesDown:
    """The result reaches the disk."""

    done: Done


@dataclass(frozen=True, slots=True)
class ShutsUp:
    """The channel is closed, and the process goes on."""


@dataclass(frozen=True, slots=True)
class Hangs:
    """From here on nothing is computed and nothing is said."""


@dataclass(frozen=True, slots=True)
class Compiles:
    """Until it says something more it computes on the CPU, and its devices do not work."""


@dataclass(frozen=True, slots=True)
class Waits:
    """From here on it does nothing but ask, on the CPU, whether something has happened."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The process ends by itself."""

    ending: WorkerExit


@dataclass(frozen=True, slots=True)
class Deed:
    """One step of a career, some seconds after the one before."""

    after: float
    what: Says | Saves | WritesDown | ShutsUp | Hangs | Compiles | Waits | Ends


@dataclass(slots=True)
class Career:
    """All that a process will do if nobody stops it; it lives on after the last deed if that is no end.

    Attributes:
        deeds: In order.
        obeys: Whether SIGTERM ends it.
        kill_takes: Seconds that SIGKILL takes.
        takes: Bytes that it takes of its devices.
        fault: What is wrong with it, if anything.
        early: What it does instead of the rest when it was asked to finish early, after so many
            reports; ``None``: it does not listen.
        trains: How many reports its training makes; who is asked after the last finishes anyhow.
    """

    deeds: list[Deed] = field(default_factory=list)
    obeys: bool = True
    kill_takes: float = 0.01
    takes: int = 0
    fault: Fault | None = None
    early: Callable[[int], list[Deed]] | None = None
    trains: int = 0

    def does(
        self, what: Saves | WritesDown | ShutsUp | Hangs | Compiles | Waits, after: float = 0.0
    ) -> None:
        """Add a deed."""
        self.deeds.append(Deed(after, what))

    def writes(self, data: bytes, after: float = 0.0) -> None:
        """Add bytes that are no message."""
        self.deeds.append(Deed(after, Says(data)))

    def says(self, message: FromWorker, after: float = 0.0) -> None:
        """Add a message."""
        self.deeds.append(Deed(after, Says(encode(message), message)))

    def ends(self, after: float = 0.05, **how: Any) -> None:
        """Add the end; with ``signal``, ``exit_code`` and so on of a ``WorkerExit``."""
        ending = WorkerExit(**({"exit_code": None} | how)) if how else _CLEAN
        self.deeds.append(Deed(after, Ends(ending)))
