"""Processes that do one piece of work on a device and answer in lines of JSON.

A device belongs to the process that first touches it, so each measurement has
a process of its own. As a rule it is forked from this one, which has imported
Keras and touched nothing: that costs milliseconds, and it is how trials are
started. Where forks do not work it is a fresh interpreter.

The work is a function. If it is a generator, each value that it yields is
answered at once, and it goes on when it is told to: so the caller can look at
the device from outside while the process holds something.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn, Self

import _paths  # noqa: F401 - leads to the package where it is not installed
import msgspec

from aiotune.memory import MemoryLimit

__all__ = ("Answer", "Child", "Job", "run_job", "run_jobs")

FRESH = "AIOTUNE_DEVICE_FRESH"
"""Environment variable: if set, every child is a fresh interpreter."""

_TAIL = 3000


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work for a process of its own.

    Attributes:
        work: A function at the top of a module, or a generator function.
        args: Its arguments, as JSON has them.
        environment: Variables of the process, set before anything is touched.
        seconds: How long it may take.
        label: For people and for the caller.
    """

    work: Callable[..., Any]
    args: Sequence[Any] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 120.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a piece of work ended.

    Attributes:
        value: What it returned.
        failure: What it raised, as ``TrialFailure`` tells it; how the process
            died, if it did; ``None`` after a value.
        seconds: From the start of the process to this answer.
    """

    value: Any = None
    failure: Mapping[str, Any] | None = None
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The failure in one line; empty if there is none."""
        if self.failure is None:
            return ""
        return f"{self.failure.get('type', '')}: {self.failure.get('message', '')}"[:500]


class Child:
    """A process at work. Leaving its context kills and reaps it.

    Args:
        job: The work.
        fresh: Whether to start an interpreter instead of forking this one.
    """

    def __init__(self, job: Job, *, fresh: bool = False) -> None:
        self._job = job
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._buffer = b""
        self._ended = False
        answers, their_answers = os.pipe()
        their_orders, orders = os.pipe()
        self.started = time.monotonic()
        start = _fresh if fresh or os.environ.get(FRESH) else _fork
        self.pid = start(job, their_answers, their_orders, self._log)
        os.close(their_answers)
        os.close(their_orders)
        self._answers, self._orders = answers, orders

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def fileno(self) -> int:
        """Readable when there is an answer."""
        return self._answers

    @property
    def overdue(self) -> bool:
        """Whether it has taken longer than its job allows."""
        return time.monotonic() - self.started > self._job.seconds

    def readable(self, seconds: float = 0.0) -> bool:
        """Whether there is an answer, or no more time for one."""
        ready, _, _ = select.select([self._answers], [], [], seconds)
        return bool(ready) or self.overdue

    def said(self) -> Any:
        """Wait for the next value that the work yields.

        Raises:
            RuntimeError: It ended instead.
        """
        message = self._message()
        if "said" not in message:
            raise RuntimeError(f"{self._job.label or 'The work'}: {_answer(message, 0.0).text}")
        return message["said"]

    def go_on(self) -> None:
        """Let the work go on after a value."""
        os.write(self._orders, b"\n")

    def answer(self) -> Answer:
        """Wait for the end of the work; values on the way are passed over."""
        while "said" in (message := self._message()):
            self.go_on()
        return _answer(message, time.monotonic() - self.started)

    def kill(self) -> None:
        """Send SIGKILL."""
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Wait until the process is gone, and return its wait status; 0 from the second call on."""
        if self._ended:
            return 0
        self._ended = True
        return os.waitpid(self.pid, 0)[1]

    def end(self) -> None:
        """Kill it if it lives, and let go of it."""
        self.kill()
        self.reap()
        for fd in (self._answers, self._orders):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._log.close()

    def _message(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            left = self._job.seconds - (time.monotonic() - self.started)
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                return self._dead(f"It took more than {self._job.seconds:.0f} s.")
            data = os.read(self._answers, 1 << 16)
            if not data:
                return self._dead("")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _dead(self, why: str) -> dict[str, Any]:
        if why:
            self.kill()
        status = self.reap()
        code = os.waitstatus_to_exitcode(status)
        self._log.seek(0)
        log = self._log.read().decode(errors="replace")[-_TAIL:]
        text = why or f"The process ended with {code} and no answer."
        return {"failed": {"type": "Died", "message": text, "exit": code, "log": log}}


def run_job(job: Job) -> Answer:
    """Do one piece of work and wait for its end."""
    with Child(job) as child:
        return child.answer()


def run_jobs(
    jobs: Iterable[Job], at_once: int, until: float = float("inf")
) -> Iterator[tuple[Job, Answer]]:
    """Do pieces of work, several at once, and yield each with its answer.

    Args:
        jobs: Taken in order.
        at_once: How many processes.
        until: When to start no more, in seconds of ``time.monotonic()``.
    """
    waiting = iter(jobs)
    running: dict[Child, Job] = {}
    try:
        while True:
            while len(running) < at_once and time.monotonic() < until:
                job = next(waiting, None)
                if job is None:
                    break
                running[Child(job)] = job
            if not running:
                return
            ready, _, _ = select.select(list(running), [], [], 1.0)
            for child in [c for c in running if c in ready or c.overdue]:
                job = running.pop(child)
                with child:
                    answer = child.answer()
                yield job, answer
    finally:
        for child in running:
            child.end()


def _answer(message: Mapping[str, Any], seconds: float) -> Answer:
    return Answer(message.get("done"), message.get("failed"), seconds)


# ── how a process begins ───────────────────────────────────────────────────


def _fork(job: Job, answers: int, orders: int, log: IO[bytes]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.environ.update(job.environment)
        _serve(job.work, job.args, answers, orders, log.fileno())
    return pid


def _fresh(job: Job, answers: int, orders: int, log: IO[bytes]) -> int:
    module = inspect.getmodule(job.work)
    path = Path(module.__file__ if module is not None and module.__file__ else "").stem
    words = [path, job.work.__name__, json.dumps(list(job.args)), str(answers), str(orders)]
    process = subprocess.Popen(
        [sys.executable, __file__, *words, str(log.fileno())],
        env={**os.environ, **job.environment},
        pass_fds=(answers, orders, log.fileno()),
    )
    process.returncode = 0  # reaped by its pid, like a fork
    return process.pid


def _serve(
    work: Callable[..., Any], args: Sequence[Any], answers: int, orders: int, log: int
) -> NoReturn:
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        message = {"done": _worked(work, args, answers, orders)}
    except BaseException as error:  # noqa: BLE001 - whatever it raised is the answer
        message = {"failed": described(error)}
    _say(answers, message)
    os._exit(0)  # without exit handlers: a driver's may hang


def _worked(work: Callable[..., Any], args: Sequence[Any], answers: int, orders: int) -> Any:
    if not inspect.isgeneratorfunction(work):
        return work(*args)
    steps = work(*args)
    while True:
        try:
            value = next(steps)
        except StopIteration as stop:
            return stop.value
        _say(answers, {"said": value})
        os.read(orders, 1)


def described(error: BaseException, limit: MemoryLimit | None = None) -> dict[str, Any]:
    """Return an exception as a worker of aiotune would tell it to its parent.

    Args:
        error: What was raised.
        limit: What the process was held to, if anything.
    """
    from aiotune.worker._failures import describe_exception
    from aiotune.worker._peaks import memory_counters

    counters = functools.partial(memory_counters, limit)
    failure: dict[str, Any] = msgspec.to_builtins(describe_exception(error, counters))
    failure["traceback"] = failure.get("traceback", "")[-_TAIL:]
    return failure


def _say(answers: int, message: Mapping[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(answers, data) :]


if __name__ == "__main__":
    import _lab

    module_name, function, arguments, to, of, where = sys.argv[1:]
    _lab.preload()
    _serve(
        getattr(importlib.import_module(module_name), function),
        json.loads(arguments),
        int(to),
        int(of),
        int(where),
    )
