"""One worker process, seen from the tuner."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import assert_never

import anyio

from aiotune._offload import Overdue, in_thread
from aiotune.executors._base import WorkerExit, WorkerMessage
from aiotune.executors._kernel import reap
from aiotune.executors._nursery import Started
from aiotune.executors._pace import Pace
from aiotune.executors._sweep import sweep
from aiotune.executors._watch import Watch, has_ended
from aiotune.failures import FailureKind, TrialFailure
from aiotune.wire import (
    Adopt,
    Done,
    Failed,
    FinishEarly,
    ForkFailed,
    FrameError,
    FrameReader,
    FromKeeper,
    FromWorker,
    KeeperCommand,
    Probed,
    ToWorker,
    TreeGone,
    Weighed,
    WorkerStarted,
    encode,
)

__all__ = ("ProcessWorker", "unreadable")

_CHUNK = 64 * 1024
_MOST_LEFT_OVER = 64  # chunks; more than any socket holds
_LINGER = 5.0  # seconds between the last word and the end
_KILLED = 9
_SWEEPING = 30.0  # seconds; what does not die of SIGKILL by then hangs in a driver


class ProcessWorker:
    """A worker process and its keeper.

    Args:
        started: Its descriptors; owned from now on.
        markers: The attempt ids that its processes are marked with.
        on_end: Called once, when all processes are gone.
        review: Says what a failure that it reports is to be taken for.
    """

    def __init__(
        self,
        started: Started,
        markers: tuple[str, ...],
        on_end: Callable[[ProcessWorker], None],
        review: Callable[[Failed], Failed] = lambda failed: failed,
    ) -> None:
        self._started, self._markers, self._on_end = started, markers, on_end
        self._review = review
        self._reader = FrameReader[FromWorker](FromWorker)
        self._speech = Watch(started.channel.fileno(), started.worker_pidfd)
        self._life = Watch(started.keeper.fileno(), started.keeper_pidfd)
        self._inbox: deque[WorkerMessage] = deque()
        self._pace, self._read_lately = Pace(), 0
        self._silent = False  # nothing more will be read
        self._concluded = False  # a final message was returned
        self._stopped = False
        self._gone: TreeGone | None = None
        self._exit: WorkerExit | None = None
        self._waiting = anyio.Lock()

    @property
    def pid(self) -> int:
        """The worker's process id, for messages and tests."""
        return self._started.worker_pid

    @property
    def keeper_pid(self) -> int:
        """The keeper's process id, for messages and tests."""
        return self._started.keeper_pid

    @property
    def has_ended(self) -> bool:
        """Whether the worker's own process is gone."""
        return self._exit is not None or has_ended(self._started.worker_pidfd)

    async def give(self, order: ToWorker) -> None:
        """Send the order."""
        await self._send(encode(order))

    def adopt(self, attempt_id: str, log_fd: int) -> None:
        """Tell a worker that was started ahead of need which attempt it runs; before its order."""
        self._markers = (*self._markers, attempt_id)
        self._command(KeeperCommand(action="log"), log_fd)
        message = encode(Adopt(attempt_id=attempt_id))
        try:
            socket.send_fds(self._started.channel, [message], [log_fd])
        except OSError:
            return  # it has ended; wait() will tell how

    async def messages(self) -> AsyncIterator[WorkerMessage]:
        """Yield what the worker says, up to its final message or its end."""
        while (message := await self.receive()) is not None:
            yield message

    async def receive(self) -> WorkerMessage | None:
        """Return the next message, or ``None`` when there will be no more."""
        while not self._inbox or self._concluded:
            if self._silent or self._concluded:
                return None
            await self._keep_pace()
            ready = await self._speech.wait()
            if ready:  # otherwise wait() has read the rest and closed the descriptors
                self._read(dead=self._started.worker_pidfd in ready)
        message = self._inbox.popleft()
        self._concluded = isinstance(message, (Done, Failed, Probed, Weighed))
        return self._review(message) if isinstance(message, Failed) else message

    async def _keep_pace(self) -> None:
        """Leave a worker unheard for a while that says more than anybody needs; not one that has ended."""
        pause = self._pace.delay(self._read_lately)
        self._read_lately = 0
        if pause and not self.has_ended:
            with anyio.move_on_after(pause):
                await anyio.wait_readable(self._started.worker_pidfd)

    async def finish_early(self, reason: str) -> None:
        """Ask the training to end soon; it looks at its channel after each batch."""
        if self._exit is None and not self._concluded:
            await self._send(encode(FinishEarly(reason=reason)))

    async def stop(self, *, grace: float) -> None:
        """Ask the worker to end; after ``grace`` seconds the keeper kills its whole tree."""
        if self._exit is not None:
            return
        self._stopped = True
        action = "terminate" if grace > 0 else "kill"
        self._command(KeeperCommand(action=action, grace=grace))

    def dump(self) -> None:
        """Have the stacks of all threads written to the log."""
        self._command(KeeperCommand(action="dump"))

    async def wait(self) -> WorkerExit:
        """Return when the worker, what it started, and the keeper are gone."""
        async with self._waiting:
            if self._exit is None:
                with anyio.move_on_after(_LINGER if self._concluded else None):
                    await self._until_gone()
                if self._gone is None and self._concluded:
                    # It has said all it had to say; a stream that does not
                    # flush must not hold the device.
                    self._command(KeeperCommand(action="kill"))
                await self._until_gone()
                self._exit = await self._ending()
                self._close()
        return self._exit

    # ── the channel ────────────────────────────────────────────────────────

    async def _send(self, frame: bytes) -> None:
        while frame:
            try:
                frame = frame[self._started.channel.send(frame) :]
            except BlockingIOError:
                await anyio.wait_writable(self._started.channel)
            except OSError:
                return  # it has ended; wait() will tell how

    def _read(self, *, dead: bool) -> None:
        # A process that the worker forked may hold the channel open, so its
        # end is not awaited: when the worker is dead, what it had sent is
        # there, and is read before the silence is declared.
        for _ in range(_MOST_LEFT_OVER if dead else 1):
            try:
                data = self._started.channel.recv(_CHUNK)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not self._take(data):
                self._silent = True
                return
        self._silent = dead

    def _take(self, data: bytes) -> bool:
        """Decode what was read; return whether more may come."""
        try:
            messages = self._reader.feed(data)
            self._read_lately += len(messages)
            self._inbox.extend(messages)
            # Messages and garbage may come in one piece, and nothing after it:
            # the error must not wait for the next read.
            if self._reader.error is not None:
                raise self._reader.error
        except FrameError as error:
            self._inbox.append(unreadable(error))
            self._command(KeeperCommand(action="kill"))
            return False
        return bool(data)

    # ── the keeper ─────────────────────────────────────────────────────────

    def _command(self, command: KeeperCommand, *fds: int) -> None:
        try:
            socket.send_fds(self._started.keeper, [encode(command)], list(fds))
        except BlockingIOError:
            # It has not yet read what it was told before. A dump is not missed;
            # an end must not be lost, and the end of the channel is one.
            if command.action in {"terminate", "kill"}:
                self._started.keeper.shutdown(socket.SHUT_WR)
        except OSError:
            # The keeper has ended, and with it its tree; or it was killed,
            # and wait() sweeps.
            return

    async def _until_gone(self) -> None:
        """Wait for the keeper's report and its end; can be cancelled and called again."""
        while True:
            ready = await self._life.wait()
            self._hear_keeper()
            if self._started.keeper_pidfd in ready:
                return

    def _hear_keeper(self) -> None:
        try:
            data = self._started.keeper.recv(_CHUNK)
        except (BlockingIOError, ConnectionError):
            return
        if not data:
            return
        for message in FrameReader[WorkerStarted | ForkFailed | TreeGone](FromKeeper).feed(data):
            match message:
                case TreeGone():
                    self._gone = message
                case WorkerStarted() | ForkFailed():
                    pass  # said before this worker was made
                case _:
                    assert_never(message)

    async def _ending(self) -> WorkerExit:
        gone = self._gone
        if gone is None:
            # The keeper was killed. The kernel killed the worker for that,
            # but not what the worker had started.
            swept = 0
            with anyio.CancelScope(shield=True), contextlib.suppress(Overdue):
                swept = await in_thread(sweep, self._markers, deadline=_SWEEPING)
            return WorkerExit(exit_code=None, signal=_KILLED, stopped=self._stopped, swept=swept)
        code = os.waitstatus_to_exitcode(gone.status)
        return WorkerExit(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            stopped=self._stopped,
            oom_kills=gone.oom_kills,
            peak_host_bytes=gone.peak_host_bytes or None,
            swept=gone.swept,
        )

    def _close(self) -> None:
        # messages() may come after wait(), or be waiting at this moment.
        if not self._silent:
            self._read(dead=True)
        self._speech.close()
        self._life.close()
        for pidfd in (self._started.worker_pidfd, self._started.keeper_pidfd):
            reap(pidfd)
        self._started.close()
        self._on_end(self)


def unreadable(error: FrameError) -> Failed:
    """Return what a worker is taken to have said whose channel cannot be read."""
    failure = TrialFailure(
        kind=FailureKind.ERROR,
        type="FrameError",
        message=f"The worker's channel cannot be read: {error} Code that writes to "
        "descriptors it did not open is the usual cause.",
    )
    return Failed(failure=failure, values={}, entries=[])
