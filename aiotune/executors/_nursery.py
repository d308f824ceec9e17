"""The tuner's side of the nursery: start it, ask it for workers, end it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import anyio

from aiotune._asking import ENDS_WORKERS
from aiotune._offload import in_thread
from aiotune._threads import start_in_thread
from aiotune.executors._base import SpawnError
from aiotune.executors._forked import close_in_children
from aiotune.executors._kernel import pidfd_of
from aiotune.executors._nurseries import NurseryLost
from aiotune.executors._sweep import reap_keepers
from aiotune.executors._watch import Watch, has_ended
from aiotune.store._outlast import held
from aiotune.wire import (
    ForkFailed,
    ForkWorker,
    FrameReader,
    FromKeeper,
    NurseryReady,
    WorkerStarted,
    encode,
    surroundings_of,
)
from aiotune.worker._launch import interpreter, worker_environment
from aiotune.worker._linux import adopts_orphans

__all__ = ("Nursery", "Started")

_PACKET = 64 * 1024
_TAIL = 4000  # bytes of output quoted when it dies
_LAST_WAIT = 1.0  # seconds
_PIDFDS = 2
_FULL = "this program has too many open files (ulimit -n)"


@dataclass(frozen=True, slots=True)
class Started:
    """A worker's process and its keeper's, as descriptors of this process.

    Attributes:
        channel: The worker's, a stream of frames.
        keeper: The keeper's, one frame a packet.
        worker_pidfd: Readable when the worker has ended.
        keeper_pidfd: Readable when the keeper has ended.
        worker_pid: For messages and tests; may be another's one day.
        keeper_pid: Likewise.
    """

    channel: socket.socket
    keeper: socket.socket
    worker_pidfd: int
    keeper_pidfd: int
    worker_pid: int
    keeper_pid: int

    def close(self) -> None:
        """Close all descriptors; a keeper that still lives ends its tree then."""
        self.channel.close()
        self.keeper.close()
        os.close(self.worker_pidfd)
        os.close(self.keeper_pidfd)


class Nursery:
    """A process that has imported modules and forks workers.

    It belongs to no event loop: it may be started in one and used in another.

    Args:
        payload_fd: A packed payload; it says where the program looks for modules.
        imports: Modules that the process imports before it is ready.

    Attributes:
        imports: See the arguments.
        trusted: Whether its forks are known to work; ``None``: not known yet.
    """

    def __init__(self, payload_fd: int, imports: Sequence[str] = ()) -> None:
        self.imports = tuple(imports)
        self.trusted: bool | None = None
        self._payload_fd = payload_fd
        self._info: NurseryReady | None = None
        self._pidfd = -1
        self._sending = anyio.Lock()
        self._watches: set[Watch] = set()

    async def begin(self) -> None:
        """Start the process; see :meth:`start`."""
        await held(start_in_thread(self.start))  # aclose() ends it

    def start(self) -> None:
        """Start the process; blocks for some milliseconds.

        Raises:
            SpawnError: It cannot be started.
        """
        owner = pidfd_of(os.getpid())
        self._output = _nameless()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        close_in_children(self._channel)
        words = ["nursery", str(theirs.fileno()), str(owner), str(self._payload_fd), *self.imports]
        argv, environment = interpreter(words, worker_environment(os.environ, self.imports))
        self._began_in = surroundings_of(self._payload_fd), dict(os.environ)
        try:
            with _unasked():
                self._process = subprocess.Popen(  # noqa: S603 - this package's own module
                    argv,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                    pass_fds=(theirs.fileno(), owner, self._payload_fd),
                    start_new_session=True,  # Ctrl-C is for the tuner, which decides
                )
        except OSError as error:
            self._channel.close()
            self._output.close()
            raise SpawnError(
                f"The process that forks workers cannot be started: {error}."
            ) from error
        finally:
            os.close(owner)
            theirs.close()
        self._pidfd = pidfd_of(self._process.pid)
        self._end = weakref.finalize(self, _kill, self._process, os.getpid())

    @property
    def pid(self) -> int:
        """Process id, for messages and tests."""
        return self._process.pid

    def holds(self, modules: Iterable[str], payload_fd: int) -> bool:
        """Whether its forks are what those of a nursery begun now would be.

        Args:
            modules: All of these must be imported, or belong to packages that are.
            payload_fd: A packed payload. Its program may have changed its directory, its path
                or a variable since this process was started, and forks have what that has.
        """
        loaded = set(self._info.loaded) if self._info is not None else set()
        same = self._began_in == (surroundings_of(payload_fd), dict(os.environ))
        return same and all(name.partition(".")[0] in loaded for name in modules)

    @property
    def output_fd(self) -> int:
        """Where its output goes."""
        return self._output.fileno()

    @property
    def info(self) -> NurseryReady | None:
        """What it said when it was ready; ``None`` before."""
        return self._info

    @property
    def alive(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._pidfd >= 0 and not has_ended(self._pidfd)

    async def ready(self) -> NurseryReady:
        """Wait until the modules are imported; not to be called by two tasks at once.

        Raises:
            SpawnError: The process ended instead; its last output is quoted.
        """
        if self._info is None:
            await self._until(self._channel.fileno())
            data = _received(self._channel)
            if not data:
                raise SpawnError(self._epitaph())
            (self._info,) = FrameReader[NurseryReady](NurseryReady).feed(data)
        return self._info

    async def fork(
        self,
        attempt_id: str,
        log_fd: int,
        payload_fd: int,
        *,
        fresh: bool = False,
        imports: Sequence[str] = (),
    ) -> Started:
        """Have a worker forked.

        Args:
            attempt_id: Marks the worker and all that it starts.
            log_fd: stdout and stderr of the worker; still the caller's.
            payload_fd: The packed payload that the worker loads; still the caller's.
            fresh: The worker executes a new interpreter.
            imports: What that interpreter imports.

        Raises:
            NurseryLost: The nursery has ended; start another.
            SpawnError: The system refused to fork.
        """
        worker, worker_end = socket.socketpair()
        keeper, keeper_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        close_in_children(worker, keeper)
        request = encode(ForkWorker(attempt_id=attempt_id, fresh=fresh, imports=list(imports)))
        try:
            worker.setblocking(False)
            keeper.setblocking(False)
            fds = [worker_end.fileno(), keeper_end.fileno(), log_fd, payload_fd]
            await self._send(request, fds)
            worker_end.close()
            keeper_end.close()
            return await self._started(worker, keeper)
        except BaseException:
            worker.close()
            await _given_up(keeper)
            raise
        finally:
            worker_end.close()
            keeper_end.close()

    async def last_words(self, what: str) -> str:
        """Return a sentence about a process that is to be given up, with its output and its stacks.

        Args:
            what: What it did, or did not do.
        """
        if self.alive:
            self._process.send_signal(signal.SIGUSR2)
            with anyio.move_on_after(_LAST_WAIT):
                await self._until()  # a stopped one writes nothing, and a young one ends of it
        return self._epitaph(what)

    async def aclose(self) -> None:
        """End the process and wait for its end, in bounded time; who waits for it is woken."""
        try:
            if self.alive and self._info is not None:
                self._channel.close()  # it listens: let it reap its last keepers
                await self._end_within(_LAST_WAIT)
            if self.alive:
                self._process.kill()
                await self._end_within(_LAST_WAIT)
        finally:
            self.close()
        if adopts_orphans():
            with anyio.CancelScope(shield=True):
                await in_thread(reap_keepers)

    def close(self) -> None:
        """Kill the process at once; running workers go on until their channels are closed."""
        if self._pidfd < 0:
            return
        self._end()
        for watch in list(self._watches):
            watch.close()
        os.close(self._pidfd)
        self._pidfd = -1
        self._channel.close()
        self._output.close()

    async def _until(self, *fds: int, writable: int | None = None) -> None:
        """Wait for one of these descriptors, for the end of the process or for :meth:`close`.

        Each wait has a watch of its own: two tasks cannot wait for the same descriptor.
        """
        if self._pidfd < 0:
            return
        watch = Watch(*fds, self._pidfd, writable=writable)
        self._watches.add(watch)
        try:
            await watch.wait()
        finally:
            self._watches.discard(watch)
            watch.close()

    async def _end_within(self, seconds: float) -> None:
        with anyio.move_on_after(seconds, shield=True):
            await self._until()

    async def _send(self, request: bytes, fds: list[int]) -> None:
        async with self._sending:
            while True:
                try:
                    socket.send_fds(self._channel, [request], fds)
                except BlockingIOError:
                    await self._until(writable=self._channel.fileno())
                except OSError as error:
                    raise NurseryLost(self._epitaph()) from error
                else:
                    return

    async def _started(self, worker: socket.socket, keeper: socket.socket) -> Started:
        await self._until(keeper.fileno())
        try:
            data, fds, _, _ = socket.recv_fds(keeper, _PACKET, _PIDFDS, socket.MSG_CMSG_CLOEXEC)
        except OSError:  # nothing there: the nursery has ended
            data, fds = b"", []
        if not data:
            # A process that exits closes its descriptors a moment before it counts as ended.
            with anyio.move_on_after(_LAST_WAIT):
                await self._until()
            if not self.alive:
                raise NurseryLost(self._epitaph())
            raise SpawnError("The process that should have kept the worker ended before it began.")
        (message,) = FrameReader[WorkerStarted | ForkFailed](FromKeeper).feed(data)
        if isinstance(message, ForkFailed):
            raise SpawnError(f"The system refused to fork a worker: {message.message}.")
        if len(fds) < _PIDFDS:  # the kernel leaves out what finds no place
            for fd in fds:
                os.close(fd)
            raise SpawnError(f"A worker was forked and had to be given up: {_FULL}.")
        return Started(
            channel=worker,
            keeper=keeper,
            worker_pidfd=fds[1],
            keeper_pidfd=fds[0],
            worker_pid=message.worker_pid,
            keeper_pid=message.keeper_pid,
        )

    def _epitaph(self, what: str = "ended") -> str:
        if self._pidfd < 0:
            return "The process that forks workers was closed."
        size = os.fstat(self.output_fd).st_size
        tail = os.pread(self.output_fd, _TAIL, max(0, size - _TAIL)).decode(errors="replace")
        imports = ", ".join(self.imports) or "nothing"
        said = f" Its last output:\n{tail}" if tail.strip() else ""
        return f"The process that forks workers {what}; it had to import {imports}.{said}"


@contextmanager
def _unasked() -> Iterator[None]:
    """Let what is started here, and its keepers, not be ended by a signal that is sent to a whole job.

    Blocked from its first instruction on, which no handler of its own could be. Workers take the signals again.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS_WORKERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nameless() -> IO[bytes]:
    """Return a file of no name: read when the process dies, gone when nobody is left."""
    try:
        return tempfile.TemporaryFile()
    except OSError:  # no folder for it, as in a container that is read-only but for the project
        return os.fdopen(os.memfd_create("aiotune-nursery"), "w+b")


def _received(channel: socket.socket) -> bytes:
    try:
        return channel.recv(_PACKET)
    except OSError:  # nothing there, or closed on either side
        return b""


async def _given_up(keeper: socket.socket) -> None:
    """Let go of a worker that may or may not have been forked, and wait for its end."""
    try:
        keeper.shutdown(socket.SHUT_WR)  # the keeper ends its tree
        with anyio.move_on_after(_LAST_WAIT, shield=True):
            while True:
                await anyio.wait_readable(keeper)
                if not _received(keeper):
                    break
    except OSError:
        pass  # it has ended already
    finally:
        keeper.close()


def _kill(process: subprocess.Popen[bytes], owner: int) -> None:
    # A child that the user's program forked runs this at its exit, too; the
    # nursery is not its own.
    if os.getpid() == owner:
        # Not waited for: one that is stuck in a driver, or in a file system, does not end of it.
        process.send_signal(signal.SIGKILL)
        process.poll()
