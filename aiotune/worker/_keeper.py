"""The keeper: one small process per attempt that owns the attempt's whole tree.

::

    tuner ◄─── channel: WorkerStarted, TreeGone ─── keeper (subreaper)
      │ ───────────── terminate, kill, dump ─────────► │
      └ pidfd: "the owner is gone" ──────────────────► │
                                                       └─ worker ─ children, daemons, …

It is forked, forks the worker and then only waits: for the worker's end, for
a command, or for the death of the tuner. Whichever it is, it does not end
before everything below it has ended. The nursery that forked it may die
meanwhile; that is not its business.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import NoReturn

from aiotune._asking import ENDS_WORKERS
from aiotune.wire import ForkFailed, FrameReader, KeeperCommand, TreeGone, WorkerStarted, encode
from aiotune.worker._linux import (
    become_subreaper,
    die_with_parent,
    fork_quietly,
    mark,
    punch_hole,
    set_name,
    spare_the_host,
)
from aiotune.worker._oom_kills import OomKills
from aiotune.worker._tree import Reaper

__all__ = ("Charge", "keep")

_BLOCKED = {*ENDS_WORKERS, signal.SIGCHLD}
_PACKET = 64 * 1024
_LOOK_AT_LOG = 1.0  # seconds
_LOG_LIMIT, _LOG_HEAD, _LOG_TAIL = 64 << 20, 1 << 20, 8 << 20  # bytes on disk
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Charge:
    """What a keeper is given.

    Attributes:
        attempt_id: Marks the tree.
        worker_fd: The worker's channel; only the worker keeps it.
        keeper_fd: The keeper's channel, a SEQPACKET socket.
        log_fd: stdout and stderr of the worker.
        owner_fd: A pidfd of the tuner.
        payload_fd: The packed payload; only the worker keeps it.
        fresh: Execute a new interpreter instead of going on in the forked one.
        imports: What a fresh interpreter imports.
    """

    attempt_id: str
    worker_fd: int
    keeper_fd: int
    log_fd: int
    owner_fd: int
    payload_fd: int
    fresh: bool = False
    imports: tuple[str, ...] = ()


def keep(charge: Charge) -> NoReturn:
    """Fork a worker, see to its end and exit; to be called in a process of its own."""
    os.setsid()
    set_name("aiotune-keeper")
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    become_subreaper()
    channel = socket.socket(fileno=charge.keeper_fd)
    kills = OomKills()
    keeper = os.getpid()
    try:
        pid = fork_quietly()
    except OSError as error:
        channel.send(encode(ForkFailed(attempt_id=charge.attempt_id, message=str(error))))
        os._exit(1)
    if pid == 0:
        _become_worker(charge, keeper)
    worker_fd = os.pidfd_open(pid)
    os.close(charge.worker_fd)
    os.close(charge.payload_fd)
    watch = _Watch(charge, channel, pid, worker_fd, kills)
    if watch.announce():
        watch.run()
    watch.finish()
    os._exit(0)


@dataclass(slots=True)
class _Watch:
    """A keeper's view of its worker."""

    charge: Charge
    channel: socket.socket
    worker: int
    worker_fd: int
    kills: OomKills
    log_fd: int = field(init=False)
    deadline: float | None = None
    forced: bool = False
    log_was_cut: bool = False
    reader: FrameReader[KeeperCommand] = field(default_factory=lambda: FrameReader(KeeperCommand))

    def __post_init__(self) -> None:
        self.log_fd = self.charge.log_fd

    def announce(self) -> bool:
        """Tell the tuner of the worker; return whether the tuner is there to hear it."""
        message = encode(WorkerStarted(keeper_pid=os.getpid(), worker_pid=self.worker))
        own = os.pidfd_open(os.getpid())
        try:
            socket.send_fds(self.channel, [message], [own, self.worker_fd])
        except OSError:
            self.forced = True
            return False
        finally:
            os.close(own)
        return True

    def run(self) -> None:
        """Wait until the worker has ended or has to."""
        poll = select.poll()
        for fd in (self.channel.fileno(), self.worker_fd, self.charge.owner_fd):
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(self._milliseconds())}
            if self.worker_fd in ready:
                return
            if self.charge.owner_fd in ready or self._is_over():
                self.forced = True
                return
            if self.channel.fileno() in ready and not self._obey():
                self.forced = True
                return
            self._bound_log()
            self.kills.look()

    def finish(self) -> None:
        """End what is left of the tree and report."""
        reaper = Reaper(self.worker)
        reaper.end_all()
        self._bound_log()
        status = reaper.status or 0
        died_of_kill = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        message = TreeGone(
            status=status,
            # Whoever was killed together with the worker did not outlive it.
            swept=0 if self.forced else len(reaper.killed),
            cpu_seconds=reaper.cpu_seconds,
            peak_host_bytes=reaper.peak_host_bytes,
            oom_kills=self.kills.so_far() if died_of_kill else 0,
            forced=self.forced,
        )
        try:
            self.channel.send(encode(message))
        except OSError:
            return  # nobody is left who would want to know

    def _milliseconds(self) -> int:
        if self.deadline is None:
            return int(_LOOK_AT_LOG * 1000)
        left = max(0.0, self.deadline - time.monotonic())
        return int(min(_LOOK_AT_LOG, left) * 1000) + 1

    def _is_over(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _obey(self) -> bool:
        """Perform a command; return whether the worker may go on living for now."""
        try:
            data, fds, _, _ = socket.recv_fds(self.channel, _PACKET, 1, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        if not data:
            return False
        for command in self.reader.feed(data):
            match command.action:
                case "terminate":
                    self._terminate(command.grace)
                case "dump":
                    os.kill(self.worker, signal.SIGUSR2)
                case "log":
                    self.log_fd = fds[0]
                case _:
                    return False
        return True

    def _terminate(self, grace: float) -> None:
        over = time.monotonic() + grace
        self.deadline = over if self.deadline is None else min(self.deadline, over)
        for number in (signal.SIGTERM, signal.SIGCONT):
            try:
                os.killpg(self.worker, number)
            except ProcessLookupError:
                # It has not yet made its own session. Its pid is still its
                # own: it is our child and not reaped.
                os.kill(self.worker, number)

    def _bound_log(self) -> None:
        """Drop the middle of a log that has grown too large; the writer goes on appending."""
        status = os.fstat(self.log_fd)
        if status.st_blocks * 512 <= _LOG_LIMIT:
            return
        end = (status.st_size - _LOG_TAIL) // _BLOCK * _BLOCK
        if punch_hole(self.log_fd, _LOG_HEAD, end - _LOG_HEAD) and not self.log_was_cut:
            self.log_was_cut = True
            text = f"\n[aiotune: over {_LOG_LIMIT >> 20} MiB of output; its middle is dropped]\n"
            os.write(self.log_fd, text.encode())


def _become_worker(charge: Charge, keeper: int) -> NoReturn:
    """Cut all ties to the keeper and run the session; never returns."""
    try:
        die_with_parent(keeper, signal.SIGKILL)
        os.setsid()
        os.close(charge.keeper_fd)
        os.close(charge.owner_fd)
        set_name(f"aio {charge.attempt_id}")
        spare_the_host()
        os.dup2(charge.log_fd, 1)
        os.dup2(charge.log_fd, 2)
        os.close(charge.log_fd)
        mark(charge.attempt_id)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if charge.fresh:
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until the new program can dump stacks
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
        if charge.fresh:
            _execute(charge)
        from aiotune.worker._session import run_session  # imported by the nursery, for all

        run_session(charge.worker_fd, charge.payload_fd)
    finally:
        os._exit(70)


def _execute(charge: Charge) -> NoReturn:
    from aiotune.worker._launch import interpreter

    for fd in (charge.worker_fd, charge.payload_fd):
        os.set_inheritable(fd, True)
    words = ["standby", str(charge.worker_fd), str(charge.payload_fd), *charge.imports]
    argv, environment = interpreter(words, dict(os.environ))
    os.execve(argv[0], argv, environment)  # noqa: S606 - no shell is the point
