"""A worker's whole life: take the order, load the program, run it, say the result, exit.

It ends with ``os._exit``: a user's thread that does not end, or a driver's
exit handler that hangs, must not hold a GPU.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import NoReturn, assert_never

import msgspec

from aiotune._disk import folder_within
from aiotune.wire import (
    Done,
    Failed,
    Hello,
    Probed,
    RunAttempt,
    RunProbe,
    RunSelfTest,
    RunWeighing,
    ToWorker,
    Weighed,
    load,
    write_result,
)
from aiotune.worker._channel import Adopted, Channel, NoOrder
from aiotune.worker._failures import describe_exception
from aiotune.worker._limits import limit_memory
from aiotune.worker._linux import mark, set_name
from aiotune.worker._peaks import device_peak, memory_counters
from aiotune.worker._pools import limit_threads
from aiotune.worker._room import complain

__all__ = ("RESULT_FILE", "run_session")

RESULT_FILE = "result.json"
"""Name of the spooled result in the attempt's directory."""

_INTERRUPTED = 128 + signal.SIGINT


def run_session(channel_fd: int, payload_fd: int) -> NoReturn:
    """Serve one order and end the process.

    The exit code is 0 after a result, 1 after a failure that was reported,
    and the user's own after ``sys.exit()``.
    """
    code = 70  # EX_SOFTWARE: only seen if this module itself is broken
    try:
        code = _Session(Channel(channel_fd), payload_fd).run()
    except NoOrder:
        code = 0
    except BaseException:  # noqa: BLE001 - a bug of ours still belongs in the log
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            # The user's code may have closed or replaced it, by anything.
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(code)


class _Session:
    """One order, from its arrival to the exit code."""

    def __init__(self, channel: Channel, payload_fd: int) -> None:
        self._channel, self._payload_fd = channel, payload_fd
        self._process = os.getpid()

    def run(self) -> int:
        order, adopted = self._channel.receive()
        if adopted is not None:
            _move_to(adopted)
        try:
            os.environ.update(order.environment)
            self._channel.say(Hello(pid=self._process))
            return self._finish(order)
        except SystemExit as leaving:
            return _exit_code(leaving)
        except KeyboardInterrupt:
            return _INTERRUPTED
        except BaseException as error:  # noqa: BLE001 - whatever the user raised is data
            self._channel.say(_failed(error, order))
            return 1

    def _finish(self, order: ToWorker) -> int:
        answer = self._answer(order)
        if os.getpid() != self._process:
            return 0  # a child that the user's code forked came back up here
        if isinstance(answer, Done) and isinstance(order, RunAttempt):
            answer = _with_peak(answer)
            _spool(order, answer)
        self._channel.say(answer)
        return 1 if isinstance(answer, Failed) else 0

    def _answer(self, order: ToWorker) -> Done | Probed | Weighed | Failed:
        # Imported by the nursery beforehand; here for workers that have none.
        match order:
            case RunAttempt():
                limit_threads(order.threads, order.environment)
                limit_memory(order.memory, order.cpus)
                from aiotune.worker._attempt import run_attempt

                return run_attempt(
                    order,
                    load(self._payload_fd),
                    self._channel.say,
                    self._channel.asked_to_finish,
                )
            case RunWeighing():
                limit_threads(order.threads, order.environment)
                from aiotune.worker._weighing import run_weighing

                return run_weighing(order, load(self._payload_fd))
            case RunProbe():
                limit_threads(order.threads, order.environment)
                from aiotune.worker._probe import run_probe

                return run_probe(order, load(self._payload_fd), self._channel.say)
            case RunSelfTest():
                from aiotune.worker._selftest import run_self_test

                return run_self_test()
            case _:
                assert_never(order)


def _move_to(adopted: Adopted) -> None:
    """Become the attempt's: its log, its marker, its name."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(adopted.log_fd, 1)
    os.dup2(adopted.log_fd, 2)
    os.close(adopted.log_fd)
    mark(adopted.attempt_id)
    set_name(f"aio {adopted.attempt_id}")


def _failed(error: BaseException, order: ToWorker) -> Failed:
    limit = order.memory if isinstance(order, RunAttempt) else None
    failure = describe_exception(error, partial(memory_counters, limit))
    return Failed(failure=failure, values={}, entries=[], peak=device_peak())


def _with_peak(done: Done) -> Done:
    if done.peak is None:
        done = msgspec.structs.replace(done, peak=device_peak())
    if done.peak_host_bytes is not None:
        return done
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return msgspec.structs.replace(done, peak_host_bytes=peak)


def _spool(order: RunAttempt, done: Done) -> None:
    folder = Path(order.attempt_dir)
    try:
        with folder_within(Path(order.project_dir), folder, make=True) as fd:
            write_result(Path(f"/proc/self/fd/{fd}") / RESULT_FILE, done)
    except OSError as error:
        # The message may still arrive; a full disk must not cost a result.
        complain(f"the result could not be written to {folder / RESULT_FILE}: {error}")


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code & 0xFF
    sys.stderr.write(f"{leaving.code}\n")
    return 1
