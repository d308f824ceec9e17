"""Keeps a nursery ready for whoever needs a process: one that is lost has a successor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import anyio

from aiotune.errors import SpawnError
from aiotune.wire import NurseryReady

__all__ = ("Nurseries", "NurseryLost", "Parent")

_PER_LAUNCH = 3
_ANSWER = 30.0
"""Seconds in which a nursery must have forked: milliseconds as a rule, some seconds where memory is short."""
_IMPORT = 600.0
"""Seconds that its imports may take: keras from a busy network file system needs minutes."""


class NurseryLost(Exception):
    """The nursery's process has ended, or does not answer."""


class Parent(Protocol):
    """A nursery, as far as it is kept ready."""

    @property
    def pid(self) -> int:
        """Process id, for messages."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the process was started and has not ended."""
        ...

    @property
    def info(self) -> NurseryReady | None:
        """What it said when it was ready; ``None`` before."""
        ...

    async def begin(self) -> None:
        """Start the process."""
        ...

    async def ready(self) -> NurseryReady:
        """Wait until it has imported its modules."""
        ...

    async def last_words(self, what: str) -> str:
        """Return a sentence about a process that did not do what it should, with its stacks."""
        ...

    async def aclose(self) -> None:
        """End the process; who waits for it is refused with :class:`NurseryLost`."""
        ...


P = TypeVar("P", bound=Parent)
T = TypeVar("T")


class Nurseries(Generic[P]):
    """The nursery of the moment, and those that follow it.

    Args:
        make: Makes one that is not started yet.
        say: Called with a level, an event and its fields.

    Attributes:
        current: The last one, whether it lives or not.
    """

    def __init__(self, make: Callable[[], P], say: Callable[..., None]) -> None:
        self._make, self._say = make, say
        self.current: P | None = None
        self._retired: P | None = None
        self._changing = anyio.Lock()
        self._closed = False

    async def begin(self) -> None:
        """Start one, unless one lives.

        Raises:
            SpawnError: It cannot be started.
        """
        async with self._changing:
            await self._living()

    async def ask(self, fork: Callable[[P], Awaitable[T]]) -> T:
        """Return what a nursery answers; many may ask at once.

        One that dies while it is asked, or does not answer, is replaced for all who wait for it.

        Args:
            fork: Asks a nursery; may be called several times.

        Raises:
            SpawnError: None could be started, or one after the other was lost.
        """
        lost: NurseryLost | None = None
        for _ in range(_PER_LAUNCH):
            nursery = await self.ready()
            try:
                with anyio.move_on_after(_ANSWER):
                    return await fork(nursery)
            except NurseryLost as error:
                lost = error
                continue
            lost = NurseryLost(f"The last one did not answer within {_ANSWER:g} s.")
            await self._end_silent(nursery)
        raise SpawnError(
            f"No worker could be forked: {_PER_LAUNCH} processes that fork workers ended one after the "
            f"other, or did not answer. {lost}"
        ) from lost

    def retire(self) -> None:
        """Let no more be forked by the one of now; workers that run go on."""
        self._retired = self.current

    async def aclose(self) -> None:
        """End it, and start no more."""
        self._closed = True
        if self.current is not None:
            await self.current.aclose()

    async def ready(self) -> P:
        """Return one that has imported its modules.

        Raises:
            SpawnError: It could not be started, or was not ready in time.
        """
        async with self._changing:
            nursery = await self._living()
            if nursery.info is None:
                await self._until_ready(nursery)
            return nursery

    async def _living(self) -> P:
        self._refuse_if_closed()
        nursery = self.current
        if nursery is not None and nursery.alive and nursery is not self._retired:
            return nursery
        if nursery is not None:
            if nursery is not self._retired:
                self._say("warning", "nursery_lost", pid=nursery.pid)
            await nursery.aclose()
        self.current = nursery = self._make()
        await nursery.begin()
        if self._closed:  # meanwhile, when there was nothing to end yet
            await nursery.aclose()
            self._refuse_if_closed()
        return nursery

    async def _until_ready(self, nursery: P) -> None:
        info: NurseryReady | None = None
        with anyio.move_on_after(_IMPORT):
            info = await nursery.ready()
        if info is None:
            words = await nursery.last_words(f"was not ready within {_IMPORT:g} s")
            await nursery.aclose()
            self.current = None
            raise SpawnError(words)
        self._say(
            "info",
            "nursery_ready",
            imported=info.imported,
            seconds=round(info.import_seconds, 3),
            threads=info.threads,
        )
        for module, reason in info.left_out.items():
            self._say("warning", "nursery_left_out", module=module, reason=reason)

    async def _end_silent(self, nursery: P) -> None:
        async with self._changing:
            if nursery is self.current and nursery.alive:
                self._say("warning", "nursery_silent", pid=nursery.pid, seconds=_ANSWER)
                await nursery.aclose()
                self.current = None

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SpawnError("The executor is closed.")
