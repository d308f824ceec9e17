"""Whether forks of the nursery can be trusted on this machine, found out by one."""

from __future__ import annotations

import anyio

from aiotune._asking import ENDS_WORKERS
from aiotune.executors._process import ProcessWorker
from aiotune.wire import Failed, Probed, RunSelfTest

__all__ = ("SelfTest", "end")

_DEADLINE = 60.0  # seconds
_END_DEADLINE = 10.0  # seconds
_NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}


class SelfTest:
    """One forked worker that trains a tiny model.

    It needs no task of its own: the process runs by itself, and who must know
    reads its answer.

    Args:
        worker: A forked worker without an order.

    Attributes:
        interrupted: Whether the worker was ended by a signal that others sent, which says nothing of forks.
    """

    def __init__(self, worker: ProcessWorker) -> None:
        self._worker = worker
        self.interrupted = False
        self._deadline = anyio.current_time() + _DEADLINE

    async def begin(self) -> None:
        """Give the order."""
        await self._worker.give(RunSelfTest(environment=_NO_GPU))

    async def verdict(self) -> str | None:
        """Wait for the result, until the deadline; the worker is gone on return.

        Returns:
            ``None`` if forks work; otherwise why not.
        """
        verdict: str | None = f"it did not end within {_DEADLINE:.0f} s"
        with anyio.CancelScope(deadline=self._deadline):
            verdict = await self._answer()
        await end(self._worker)
        return verdict

    async def _answer(self) -> str | None:
        async for message in self._worker.messages():
            if isinstance(message, Probed):
                return None
            if isinstance(message, Failed):
                return message.failure.summary()
        ending = await self._worker.wait()
        self.interrupted = ending.signal in ENDS_WORKERS
        return f"its process ended with code {ending.exit_code}, signal {ending.signal}"


async def end(worker: ProcessWorker) -> None:
    """Kill a worker and wait for its end, also when the caller is cancelled."""
    with anyio.move_on_after(_END_DEADLINE, shield=True):
        await worker.stop(grace=0.0)
        await worker.wait()
