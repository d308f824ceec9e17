"""Threads on virtual time: one runs at a time, and where it waits, the loop's clock goes on.

The product's own code runs in real threads that are handed a baton. The loop
gives it away and waits until the thread waits for something itself: for a
lock, for an item of a queue, for a disk. So nothing ever happens at the same time,
and two runs of a seed switch at the same places.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from aiotune.testing._loop import VirtualTimeLoop
from aiotune.testing.simulator._world import World

__all__ = ("Killed", "SimLoop", "Threads")

T = TypeVar("T")
_FUNERAL = 100


class Killed(BaseException):
    """Unwinds a thread of a process that is gone; no ``except Exception`` sees it."""


class SimThread:
    """A thread of the simulated tuner; has the face of ``threading.Thread`` as far as it is used.

    Args:
        threads: Its process's.
        target: What it runs.
    """

    def __init__(self, threads: Threads, target: Callable[[], object]) -> None:
        self._threads, self._target = threads, target
        self._turn, self._back = threading.Lock(), threading.Lock()
        self._turn.acquire()
        self._back.acquire()
        self._real: threading.Thread | None = None
        self._waits = 0
        self._joining: list[Callable[[], None]] = []
        self.when_killed: Callable[[], object] = lambda: None
        self.killed = self.ended = False
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin when the loop comes to it."""
        self._threads.alive[self] = None
        self._threads.world.running.call_soon(self.go_on)

    def join(self) -> None:
        """Wait for its end, in another thread."""
        while not self.ended:
            self._joining.append(self._threads.current.waker())
            self._threads.current.wait()

    # ── on the loop ────────────────────────────────────────────────────────

    def go_on(self) -> None:
        """Hand it the baton; return when it waits again, or has ended."""
        if self.ended:
            return
        before, self._threads.running = self._threads.running, self
        if self._real is None:
            self._real = threading.Thread(target=self._run, daemon=True)
            self._real.start()
        else:
            self._turn.release()
        self._back.acquire()
        self._threads.running = before

    def kill(self) -> None:
        """Unwind it: its process is gone."""
        self.killed = True
        if self._real is None:
            self._end()
        while not self.ended:
            self.go_on()
        self.when_killed()

    def _end(self) -> None:
        self.ended = True
        self._threads.alive.pop(self, None)
        for wake in self._joining:
            wake()

    # ── in the thread ──────────────────────────────────────────────────────

    def waker(self) -> Callable[[], None]:
        """Return what ends its next wait, and no other one."""
        return partial(self._wake, self._waits + 1)

    def _wake(self, number: int) -> None:
        if not self.ended and self._waits <= number:
            self._threads.world.running.call_soon(self._resume, number)

    def _resume(self, number: int) -> None:
        if self._waits == number:
            self._waits += 1  # whoever else would wake it from this wait comes too late
            self.go_on()

    def wait(self, seconds: float | None = None) -> None:
        """Give the baton back until it is woken, or some time has passed."""
        if self.killed:
            raise Killed
        self._waits += 1
        timer = None
        if seconds is not None:
            timer = self._threads.world.running.call_later(seconds, self._resume, self._waits)
        self._back.release()
        self._turn.acquire()
        if timer is not None:
            timer.cancel()
        if self.killed:
            raise Killed

    def _run(self) -> None:
        try:
            self._target()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told by whoever looks
            self.error = error
            self._threads.world.wrong("I0", f"a thread of the tuner ended with {error!r}")
        finally:
            self._end()
            self._back.release()


class SimQueue(Generic[T]):
    """A ``queue.SimpleQueue`` between the loop and one thread."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._items: deque[T] = deque()
        self._wake: Callable[[], None] | None = None

    def put(self, item: T) -> None:
        """Add an item."""
        self._items.append(item)
        if self._wake is not None:
            self._wake()

    def get(self) -> T:
        """Take the oldest item; wait for one."""
        while not self._items:
            self._wake = self._threads.current.waker()
            self._threads.current.wait()
        self._wake = None
        return self._items.popleft()

    def get_nowait(self) -> T:
        """Take the oldest item.

        Raises:
            queue.Empty: There is none.
        """
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


class SimEvent:
    """A ``threading.Event`` that one thread waits for."""

    def __init__(self, threads: Threads) -> None:
        self._threads, self._set = threads, False
        self._wakers: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._set

    def set(self) -> None:
        """Let it happen."""
        self._set = True
        for wake in self._wakers:
            wake()
        self._wakers.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it happens, or for so long."""
        if not self._set:
            self._wakers.append(self._threads.current.waker())
            self._threads.current.wait(timeout)
        return self._set


class Threads:
    """All threads of one life of the tuner.

    Args:
        world: Where it lives.

    Attributes:
        alive: Those that have begun and not ended.
        running: The one that has the baton, if the loop has not.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.alive: dict[SimThread, None] = {}
        self.running: SimThread | None = None

    @property
    def current(self) -> SimThread:
        """The one that has the baton."""
        assert self.running is not None, "the loop itself would block"
        return self.running

    def sleep(self, seconds: float) -> None:
        """Let time pass for the thread that calls."""
        self.current.wait(seconds)

    def start(self, target: Callable[[], object]) -> SimThread:
        """Start a thread."""
        thread = SimThread(self, target)
        thread.start()
        return thread

    def kill_all(self) -> None:
        """End them: their process is gone."""
        for thread in list(self.alive):
            thread.kill()

    def module(self) -> Any:
        """Return what stands for ``threading``."""

        def thread(*, target: Callable[[], object], **_: object) -> SimThread:
            return SimThread(self, target)

        return SimpleNamespace(Thread=thread, Event=lambda: SimEvent(self))

    def queue_module(self) -> Any:
        """Return what stands for ``queue``."""

        def simple() -> SimQueue[Any]:
            return SimQueue(self)

        # The product writes queue.SimpleQueue[...] in an annotation only.
        return SimpleNamespace(SimpleQueue=simple, Empty=queue.Empty)


class SimLoop(VirtualTimeLoop):
    """A loop on virtual time whose ``run_in_executor`` has threads on virtual time.

    Args:
        max_steps: As for its base.
    """

    def __init__(self, max_steps: int) -> None:
        super().__init__(max_steps)
        self.threads: Threads | None = None

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run a function in a thread of its own."""
        future: asyncio.Future[T] = self.create_future()
        assert self.threads is not None

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - raised where the future is awaited
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        thread = self.threads.start(work)
        thread.when_killed = future.cancel  # or who waits for it, shielded, would wait for ever
        return future

    def bury(self) -> None:
        """End the tasks of a tuner that was killed: what they do has no effect any more.

        One cancellation is not enough: what is shielded waits on for processes that are gone.
        """
        # A task that is cancelled before its first step leaves a coroutine that Python warns
        # of, and the first step of one task may start another.
        for _ in range(3):
            self.run_until_complete(asyncio.sleep(0))
        for _ in range(_FUNERAL):
            tasks = asyncio.all_tasks(self)
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            for _ in range(10):
                self.run_until_complete(asyncio.sleep(0))

    def _write_to_self(self) -> None:
        """Do nothing: whoever calls from a thread has the baton, and nobody has to be woken."""
