"""The nursery: imports once, runs no operation, and forks for as long as it is asked.

A fork of a process that has imported a back end and done nothing with it
works on all of them and takes milliseconds; a fork after a single operation
hangs. So this process only imports, waits and forks.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import NoReturn

from aiotune.wire import (
    ForkFailed,
    ForkWorker,
    FrameReader,
    NurseryReady,
    encode,
    surroundings_of,
)
from aiotune.worker._beginning import Beginning
from aiotune.worker._keeper import Charge, keep
from aiotune.worker._linux import fork_quietly, set_name
from aiotune.worker._room import tolerate_full_disk

__all__ = ("import_all", "listen_for_dumps", "serve")

_PACKET = 64 * 1024
_EXPECTED_FDS = 4

# What every worker needs, so that no fork has to import it again.
_OWN_MODULES = (
    "aiotune.worker._session",
    "aiotune.worker._failures",
    "aiotune.worker._attempt",
    "aiotune.worker._probe",
    "aiotune.worker._launch",
    "aiotune.worker._weighing",
    "cloudpickle",
    "threadpoolctl",
)
# And what its Keras models need; not before keras was wanted.
_KERAS_MODULES = ("aiotune.worker._keras", "aiotune.worker._scales")


def serve(
    channel_fd: int,
    owner_fd: int,
    payload_fd: int,
    modules: Iterable[str],
    left_out: Mapping[str, str],
) -> NoReturn:
    """Import modules, then fork workers until the tuner closes the channel or is gone.

    Args:
        channel_fd: A SEQPACKET socket to the tuner.
        owner_fd: A pidfd of the tuner.
        payload_fd: A packed payload, for its program's directories and import path; each
            request brings its own for the worker.
        modules: What to import; what fails to import is left to the workers.
        left_out: What this process had to begin anew without, and why.
    """
    began = Beginning(["nursery", str(channel_fd), str(owner_fd), str(payload_fd)], left_out)
    set_name("aiotune-nursery")
    listen_for_dumps()
    channel = socket.socket(fileno=channel_fd)
    surroundings_of(payload_fd).enter()
    started = time.perf_counter()
    with _leaving_with(owner_fd):
        imported = import_all(modules, began)
    os.close(payload_fd)  # a later program's payload may replace it: keep no copy alive
    seconds = time.perf_counter() - started
    # Objects that are never collected are never written to, and their pages stay shared.
    gc.collect()
    gc.freeze()
    sys.stdout.flush()
    sys.stderr.flush()
    ready = NurseryReady(
        pid=os.getpid(),
        imported=imported,
        loaded=[name for name in sys.modules if "." not in name],
        import_seconds=seconds,
        threads=len(os.listdir("/proc/self/task")),  # noqa: PTH208 - a count
        left_out=dict(left_out),
        in_use=sorted(began.in_use),
    )
    try:
        channel.send(encode(ready))
        _Nursery(channel, owner_fd).run()
    except ConnectionError:
        os._exit(0)  # the tuner is gone, or wants no more


@contextmanager
def _leaving_with(owner_fd: int) -> Iterator[None]:
    """End this process if the tuner ends meanwhile: an import takes seconds, and hears nothing.

    The thread is gone when the context is: no fork may see a second one.
    """
    ours, its = os.pipe()

    def watch() -> None:
        poll = select.poll()
        poll.register(owner_fd, select.POLLIN)
        poll.register(ours, select.POLLIN | select.POLLHUP)
        if any(fd == owner_fd for fd, _ in poll.poll()):
            os._exit(0)

    thread = threading.Thread(target=watch, name="aiotune-owner", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(its)
        thread.join()
        os.close(ours)


def listen_for_dumps() -> None:
    """Write stacks to stderr on a fatal signal and on SIGUSR2; output may be lost but never raises.

    Forked children inherit both.
    """
    tolerate_full_disk()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2, all_threads=True, chain=False)


def import_all(modules: Iterable[str], began: Beginning | None = None) -> dict[str, str]:
    """Import modules, and what a session needs; return the versions of what worked.

    What starts a back end when it is imported is left to the workers, each of which has its own
    devices by then: this process begins anew without it, if it is known how it began.
    """
    imported: dict[str, str] = {}
    wanted = tuple(modules)
    for name in (*_OWN_MODULES, *wanted):
        module = _import(name)
        if began is not None and name in wanted:
            began.check(name, wanted)
        if module is not None and name not in _OWN_MODULES:
            imported[name] = str(getattr(module, "__version__", ""))
    for name in _KERAS_MODULES if "keras" in sys.modules else ():
        _import(name)
    return imported


def _import(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - a user's module may raise anything when imported
        # The worker that needs it fails in the same way, and tells its trial.
        traceback.print_exc()
        return None


class _Nursery:
    """The loop of the nursery, and the descriptors that its children must not keep."""

    def __init__(self, channel: socket.socket, owner_fd: int) -> None:
        self._channel, self._owner_fd = channel, owner_fd
        self._keepers: dict[int, int] = {}  # pidfd → pid
        self._reader = FrameReader[ForkWorker](ForkWorker)
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._poll.register(owner_fd, select.POLLIN)

    def run(self) -> NoReturn:
        """Fork on request and reap keepers, until the tuner is gone."""
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._owner_fd:
                    os._exit(0)  # each keeper sees it by itself
                elif fd == self._channel.fileno():
                    self._serve_request()
                else:
                    self._reap(fd)

    def _serve_request(self) -> None:
        data, fds, _, _ = socket.recv_fds(
            self._channel, _PACKET, _EXPECTED_FDS, socket.MSG_CMSG_CLOEXEC
        )
        if not data:
            self._leave()
        for request in self._reader.feed(data):
            self._fork_keeper(request, fds)
        for fd in fds:
            os.close(fd)

    def _leave(self) -> NoReturn:
        # Not every container has an init process that reaps orphans.
        while self._keepers and os.waitpid(-1, os.WNOHANG)[0]:
            pass
        os._exit(0)

    def _fork_keeper(self, request: ForkWorker, fds: list[int]) -> None:
        worker_fd, keeper_fd, log_fd, payload_fd = fds
        try:
            pid = fork_quietly()
        except OSError as error:
            message = ForkFailed(attempt_id=request.attempt_id, message=str(error))
            os.write(keeper_fd, encode(message))
            return
        if pid == 0:
            self._become_keeper(
                Charge(
                    attempt_id=request.attempt_id,
                    worker_fd=worker_fd,
                    keeper_fd=keeper_fd,
                    log_fd=log_fd,
                    owner_fd=self._owner_fd,
                    payload_fd=payload_fd,
                    fresh=request.fresh,
                    imports=tuple(request.imports),
                )
            )
        pidfd = os.pidfd_open(pid)
        self._keepers[pidfd] = pid
        self._poll.register(pidfd, select.POLLIN)

    def _become_keeper(self, charge: Charge) -> NoReturn:
        try:
            # Only what is known to be the nursery's own: an imported module
            # may hold descriptors that its user will need in the worker.
            self._channel.close()
            for pidfd in self._keepers:
                os.close(pidfd)
            keep(charge)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(1)

    def _reap(self, pidfd: int) -> None:
        os.waitpid(self._keepers.pop(pidfd), 0)
        self._poll.unregister(pidfd)
        os.close(pidfd)
