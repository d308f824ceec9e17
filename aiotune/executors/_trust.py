"""Whether forks of the nursery can be trusted on this machine, found out by one."""

from __future__ import annotations

import re

import anyio
import msgspec

from aiotune._asking import ENDS_WORKERS
from aiotune.executors._process import ProcessWorker
from aiotune.failures import FailureKind, TrialFailure
from aiotune.wire import Failed, Probed, RunSelfTest

__all__ = ("SelfTest", "end", "not_its_fault", "refuses_forks")

_REFUSALS = re.compile(
    # torch; the driver's own words in JAX, TensorFlow, CuPy and others; CUDA's runtime
    r"re-initialize CUDA in forked subprocess|CUDA_ERROR_NOT_INITIALIZED|cudaErrorInitializationError"
    r"|CUDA error: initialization error|(cuInit|on GPU:\d+) failed\W.{0,20}initialization error",
    re.DOTALL,
)

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


def refuses_forks(failure: TrialFailure) -> bool:
    """Whether a back end says that it does not work in a forked process: something was started before the fork."""
    return failure.kind is FailureKind.ERROR and _REFUSALS.search(failure.message) is not None


def not_its_fault(failed: Failed) -> Failed:
    """Return what to make of such a failure: an attempt that is made again, and costs no retry."""
    failure = msgspec.structs.replace(failed.failure, kind=FailureKind.FORK_REFUSED)
    return msgspec.structs.replace(failed, failure=failure)


async def end(worker: ProcessWorker) -> None:
    """Kill a worker and wait for its end, also when the caller is cancelled."""
    with anyio.move_on_after(_END_DEADLINE, shield=True):
        await worker.stop(grace=0.0)
        await worker.wait()
