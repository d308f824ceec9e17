"""Runs attempts in the calling process, on the event loop: for debugging and black-box functions.

A breakpoint in the user's code works, and a function of microseconds costs
microseconds. The price: one synchronous trial runs at a time, it blocks the
loop while it runs, a crash is the program's own, and memory is not returned.
Coroutine trials do run side by side.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import anyio

from aiotune._exit import ProgramExit
from aiotune.executors._base import SpawnError, WorkerExit, WorkerMessage, WorkSpec
from aiotune.wire import Failed, FromWorker, Payload, RunProbe, RunWeighing, Weighed
from aiotune.worker import describe_exception, run_probe
from aiotune.worker._attempt import Attempt

__all__ = ("InlineExecutor",)


class InlineExecutor:
    """An executor without processes.

    Args:
        payload: The tuner and the arguments of ``search()``, used as they are.
    """

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._closed = False

    async def launch(self, work: WorkSpec) -> InlineWorker:
        """Return a worker; it runs when its messages are read.

        Raises:
            SpawnError: The executor is closed.
        """
        if self._closed:
            raise SpawnError("The executor is closed.")
        return InlineWorker(work, self._payload)

    async def aclose(self) -> None:
        """Start nothing more: no process is held."""
        self._closed = True


class InlineWorker:
    """One order, run by whoever iterates over :meth:`messages`."""

    def __init__(self, work: WorkSpec, payload: Payload) -> None:
        self._work, self._payload = work, payload
        self._scope = anyio.CancelScope()
        self._stopped = False
        self._code: int | None = 0

    @property
    def pid(self) -> None:
        """There is no process but the program's own."""
        return

    async def messages(self) -> AsyncIterator[WorkerMessage]:
        """Run the order, then yield all that it said."""
        said: list[FromWorker] = []
        with self._scope:
            if not self._stopped:
                await self._run(said)
        for message in said:
            yield message

    async def _run(self, said: list[FromWorker]) -> None:
        order = self._work.order
        if isinstance(order, RunProbe):
            try:
                said.append(run_probe(order, self._payload))
            except Exception as error:  # noqa: BLE001 - a failure is data
                said.append(self._failed(error))
            except (KeyboardInterrupt, SystemExit) as error:
                raise ProgramExit("model", error) from error
            return
        if isinstance(order, RunWeighing):
            # Weighing patches keras; the program's own process is not ours to patch.
            said.append(Weighed(size=None, values={}, entries=[], why="there is no process for it"))
            return
        attempt = Attempt(order, self._payload, said.append)
        try:
            result = attempt.call()
            if inspect.isawaitable(result):
                result = await _typed(result)
            said.append(attempt.finish(result))
        except Exception as error:  # noqa: BLE001 - a failure is data
            attempt.context.announce()
            said.append(self._failed(error))
        except (KeyboardInterrupt, SystemExit) as error:
            raise ProgramExit("trial", error) from error
        finally:
            attempt.close()

    def _failed(self, error: Exception) -> Failed:
        self._code = 1
        return Failed(failure=describe_exception(error), values={}, entries=[])

    def dump(self) -> None:
        """Do nothing: a debugger looks at this process."""

    async def finish_early(self, reason: str) -> None:
        """Do nothing: what an order says is heard when it has run."""

    async def stop(self, *, grace: float) -> None:
        """Cancel a coroutine trial; a synchronous one cannot be interrupted."""
        self._stopped = True
        self._scope.cancel()

    async def wait(self) -> WorkerExit:
        """Return at once: the order has run when its messages have ended."""
        return WorkerExit(exit_code=self._code, stopped=self._stopped)


async def _typed(result: Awaitable[Any]) -> Any:
    return await result
