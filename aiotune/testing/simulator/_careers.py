"""What a simulated worker does with its order: the truth that the tuner only hears of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiotune._values import Value
from aiotune.executors import WorkerExit
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.hyperparameters import HyperParameters, draw, serialize
from aiotune.memory import MemoryPeak, ModelSize
from aiotune.testing.simulator._faults import CHANNEL, ENDING, PROGRAM, Fault
from aiotune.testing.simulator._plan import Plan
from aiotune.wire import (
    Discovered,
    Done,
    Failed,
    FromWorker,
    Hello,
    Report,
    RunAttempt,
    RunWeighing,
    Weighed,
    encode,
)
from gpu import GIB, MIB

__all__ = ("Career", "Deed", "Ends", "Says", "ShutsUp", "WritesDown", "career_of", "score_of")

_NASTY = "x" * 70_000 + "no\n\x1b[31mgood\r\u202e\x00\x07"
_CLEAN = WorkerExit(exit_code=0)
_ATTEMPT_FAULTS = (*PROGRAM, *ENDING, *CHANNEL)
_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class Says:
    """Bytes are written to the channel."""

    data: bytes
    message: FromWorker | None = None


@dataclass(frozen=True, slots=True)
class WritesDown:
    """The result reaches the disk."""

    done: Done


@dataclass(frozen=True, slots=True)
class ShutsUp:
    """The channel is closed, and the process goes on."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The process ends by itself."""

    ending: WorkerExit


@dataclass(frozen=True, slots=True)
class Deed:
    """One step of a career, some seconds after the one before."""

    after: float
    what: Says | WritesDown | ShutsUp | Ends


@dataclass(slots=True)
class Career:
    """All that a process will do if nobody stops it; it lives on after the last deed if that is no end.

    Attributes:
        deeds: In order.
        obeys: Whether SIGTERM ends it.
        kill_takes: Seconds that SIGKILL takes.
        takes: Bytes that it takes of its devices.
        fault: What is wrong with it, if anything.
    """

    deeds: list[Deed] = field(default_factory=list)
    obeys: bool = True
    kill_takes: float = 0.01
    takes: int = 0
    fault: Fault | None = None

    def says(self, message: FromWorker, after: float = 0.0) -> None:
        """Add a message."""
        self.deeds.append(Deed(after, Says(encode(message), message)))

    def ends(self, after: float = 0.05, **how: Any) -> None:
        """Add the end; with ``signal``, ``exit_code`` and so on of a ``WorkerExit``."""
        ending = WorkerExit(**({"exit_code": None} | how)) if how else _CLEAN
        self.deeds.append(Deed(after, Ends(ending)))


def score_of(plan: Plan, values: Mapping[str, Value], epochs: int) -> float:
    """Return what a training with these values reaches: a function of nothing else."""
    luck = plan.numbers("score", sorted(values.items())).random()
    return round(luck + 1.0 / (1 + epochs), 9)


def career_of(plan: Plan, order: RunAttempt | RunWeighing, pid: int) -> Career:
    """Decide what the worker of an order does."""
    if isinstance(order, RunWeighing):
        return _weighing(plan, order, pid)
    fault = plan.strikes(_ATTEMPT_FAULTS, "attempt", order.index, order.retry)
    if fault is Fault.FATAL and order.attempt > 1 + plan.numbers("fatal", order.index).randint(
        0, 1
    ):
        fault = None  # the cause was mended, or no search would ever end
    return _Attempt(plan, order, pid, fault).career


def _size_of(plan: Plan, index: int) -> tuple[ModelSize, int]:
    """Return what a trial's model is weighed as, and what its training really takes."""
    numbers = plan.numbers("size", index)
    weights = int(numbers.choice([0.01, 0.1, 0.5, 1.0, 3.0, 6.0]) * GIB)
    size = ModelSize(
        backend="jax",
        parameters=weights // 4,
        trainable_parameters=weights // 4,
        weight_bytes=weights,
        gradient_bytes=weights,
        slot_bytes=0,
        activation_bytes=weights // 10,
    )
    return size, int(weights * numbers.uniform(1.5, 3.5))


def _weighing(plan: Plan, order: RunWeighing, pid: int) -> Career:
    career = Career(fault=plan.strikes((*ENDING, Fault.RAISES), "weighing", order.index))
    career.says(Hello(pid=pid), 0.05)
    size, peak = _size_of(plan, order.index)
    values: dict[str, Value] = dict(order.space["values"])
    if career.fault in ENDING:
        career.ends(0.5, signal=11)
        return career
    why = "the program raises" if career.fault else ""
    career.says(
        Weighed(
            size=None if why else size,
            values=values,
            entries=[],
            why=why,
            builds=not why,
            precise_bytes=peak if order.precise and not why else None,
        ),
        0.5,
    )
    career.ends()
    return career


class _Attempt:
    """Writes the career of one attempt."""

    def __init__(self, plan: Plan, order: RunAttempt, pid: int, fault: Fault | None) -> None:
        self._plan, self._order, self._pid, self._fault = plan, order, pid, fault
        self._name = order.objective[0]["name"]
        self._numbers = plan.numbers("seconds", order.index, order.retry)
        self._peak = _size_of(plan, order.index)[1] // order.batch_divisor
        self._limit = order.memory.bytes if order.memory is not None else None
        takes = min(self._peak, self._limit) if self._limit is not None else 0
        self.career = Career(fault=fault, takes=takes)
        first = int(order.budget.get("initial_epoch", 0))
        self._steps = range(first, int(order.budget.get("epochs", first + _EPOCHS)))
        self._values: dict[str, Value] = dict(order.space["values"])
        self._entries: list[dict[str, Any]] = []
        self._write()

    def _write(self) -> None:
        career, fault = self.career, self._fault
        if fault is Fault.DIES_BEFORE_HELLO:
            career.ends(0.3, signal=11)
            return
        career.says(Hello(pid=self._pid), 0.2)
        self._discover()
        self._score = score_of(self._plan, self._values, self._steps.stop)
        if self._runs_out():
            self._fails(FailureKind.OUT_OF_MEMORY, "no room", memory=self._memory())
            return
        middle = _ENDINGS.get(fault) if fault is not None else None
        raised = _RAISED.get(fault) if fault is not None else None
        self._train(half=middle is not None or raised is not None)
        if middle is not None:
            middle(career)
        elif raised is not None:
            self._fails(*raised)
        else:
            self._result()

    def _discover(self) -> None:
        order = self._order
        if not self._plan.setup.discovers:
            return
        hp = HyperParameters.from_config(order.space)
        known = len(hp.space)
        if order.stream is not None:
            stream = order.stream
            hp.unseen = lambda e: draw(e, seed=order.seed, index=order.index, stream=stream)
        hp.Float("late", 0.0, 1.0)
        self._values = dict(hp.values)
        self._entries = [serialize(entry) for entry in hp.space[known:]]
        if self._entries:
            self.career.says(Discovered(entries=self._entries, values=self._values), 0.1)

    # ── memory ─────────────────────────────────────────────────────────────

    def _runs_out(self) -> bool:
        if self._fault in _MEMORY:
            return True
        return self._limit is not None and self._limit < self._peak and bool(self._devices())

    def _devices(self) -> str:
        return self._order.environment.get("CUDA_VISIBLE_DEVICES", "-1").replace("-1", "")

    def _memory(self) -> OutOfMemory:
        cause = _MEMORY.get(self._fault) if self._fault is not None else MemoryCause.DEVICE
        return OutOfMemory(
            cause=cause or MemoryCause.DEVICE, asked=GIB, limit=self._limit, in_use=self._limit
        )

    # ── training ───────────────────────────────────────────────────────────

    def _train(self, *, half: bool) -> None:
        seconds = self._numbers.uniform(0.5, 4.0) * (50 if self._fault is Fault.SLOW else 1)
        steps = self._steps[: len(self._steps) // 2] if half else self._steps
        if self._fault is Fault.SILENT:
            self.career.deeds.append(Deed(seconds * len(steps), Says(b"")))
            return
        for step in steps:
            report = self._report(step, self._score + 1.0 / (1 + step))
            self.career.says(report, seconds)
            if self._fault is Fault.REPORT_TWICE:
                self.career.says(report)

    def _report(self, step: int, value: float) -> Report:
        peak = MemoryPeak(allocated=self.career.takes, reserved=self.career.takes)
        return Report(
            step=step,
            metrics={self._name: value},
            batches=10,
            seconds=1.0,
            peak=peak if self._devices() else None,
        )

    def _fails(
        self,
        kind: FailureKind,
        message: str = "simulated",
        name: str = "ValueError",
        mro: tuple[str, ...] = (),
        *,
        memory: OutOfMemory | None = None,
    ) -> None:
        failure = TrialFailure(kind=kind, type=name, message=message, mro=mro, memory=memory)
        self.career.says(Failed(failure=failure, values=self._values, entries=self._entries), 0.2)
        self.career.ends(exit_code=1)

    # ── the result ─────────────────────────────────────────────────────────

    def _done(self) -> Done:
        wrong = {Fault.NOT_A_NUMBER: float("nan"), Fault.INFINITE: float("inf")}
        score = self._score if self._fault is None else wrong.get(self._fault, self._score)
        metrics = {self._name: score}
        if self._fault is Fault.MANY_METRICS:
            metrics |= {f"metric_{n}": n / 7 for n in range(300)}
        return Done(
            metrics=metrics,
            best_step=self._steps.stop - 1,
            executions=[metrics],
            values=self._values,
            entries=self._entries,
            peak_host_bytes=100 * MIB,
        )

    def _result(self) -> None:
        career, done = self.career, self._done()
        frame = encode(done)
        if self._fault is Fault.CHANNEL_CLOSED:
            career.deeds.append(Deed(0.0, ShutsUp()))
        career.deeds.append(Deed(0.1, WritesDown(done)))
        match self._fault:
            case Fault.RESULT_NOT_SENT:
                career.ends(signal=9)
                return
            case Fault.CHANNEL_CLOSED:
                career.ends()
                return
            case Fault.GARBAGE:
                career.deeds.append(Deed(0.0, Says(b"\x00\x00\x00\x03abc")))
            case Fault.OVERSIZE_FRAME:
                career.deeds.append(Deed(0.0, Says(b"\x7f\xff\xff\xff")))
            case Fault.TORN_FRAME:
                career.deeds.append(Deed(0.0, Says(frame[: len(frame) // 2])))
                career.ends(signal=9)
                return
            case Fault.SPLIT_FRAMES:
                career.deeds.extend(Deed(0.0, Says(bytes([byte]))) for byte in frame[:-1])
                career.deeds.append(Deed(0.0, Says(frame[-1:], done)))
                career.ends()
                return
            case _:
                pass
        career.says(done)
        goes_on = _AFTER_RESULT.get(self._fault) if self._fault is not None else None
        if goes_on is None:
            career.ends()
        else:
            goes_on(career, self)

    def say_again(self) -> None:
        """Send the result a second time."""
        self.career.says(self._done())

    def report_again(self) -> None:
        """Report the last epoch when the result is out."""
        self.career.says(self._report(self._steps.stop - 1, 99.0))


def _end_twice(career: Career, attempt: _Attempt) -> None:
    attempt.say_again()
    career.ends()


def _end_late(career: Career, attempt: _Attempt) -> None:
    attempt.report_again()
    career.ends()


def _stay(career: Career, _: _Attempt) -> None:
    career.obeys = False


_AFTER_RESULT: Mapping[Fault, Callable[[Career, _Attempt], None]] = {
    Fault.RESULT_TWICE: _end_twice,
    Fault.REPORT_AFTER_RESULT: _end_late,
    Fault.HANGS_AFTER_RESULT: _stay,
    Fault.DIES_AFTER_RESULT: lambda career, _: career.ends(signal=11),
    Fault.LEAVES_CHILDREN: lambda career, _: career.ends(exit_code=0, swept=3),
}


def _hang(*, obeys: bool, kill_takes: float = 0.01) -> Callable[[Career], None]:
    def hang(career: Career) -> None:
        career.obeys, career.kill_takes = obeys, kill_takes

    return hang


def _die(**how: Any) -> Callable[[Career], None]:
    return lambda career: career.ends(0.4, **how)


_ENDINGS: Mapping[Fault, Callable[[Career], None]] = {
    Fault.SEGFAULT: _die(signal=11),
    Fault.ABORT: _die(signal=6),
    Fault.BUS_ERROR: _die(signal=7),
    Fault.OOM_KILLED: _die(signal=9, oom_kills=1),
    Fault.KILLED: _die(signal=9),
    Fault.TERMINATED: _die(signal=15),
    Fault.EXIT_WITHOUT_RESULT: _die(exit_code=0),
    Fault.SYS_EXIT: _die(exit_code=3),
    Fault.DIES_BEFORE_RESULT: _die(signal=11),
    Fault.KEEPER_KILLED: _die(signal=9, swept=2),
    Fault.HANGS: _hang(obeys=True),
    Fault.HANGS_DEAF: _hang(obeys=False),
    Fault.STOPPED: _hang(obeys=False),
    Fault.UNINTERRUPTIBLE: _hang(obeys=False, kill_takes=30.0),
}

_FATAL_MRO = ("aiotune.errors.FatalError", "builtins.Exception")
_RAISED: Mapping[Fault, tuple[Any, ...]] = {
    Fault.RAISES: (FailureKind.ERROR,),
    Fault.RAISES_NASTY_TEXT: (FailureKind.ERROR, _NASTY),
    Fault.FAILED_TRIAL: (FailureKind.FAILED_TRIAL, "not this one", "FailedTrialError"),
    Fault.FATAL: (FailureKind.FATAL, "all is lost", "FatalError", _FATAL_MRO),
}

_MEMORY: Mapping[Fault | None, MemoryCause] = {
    Fault.MEMORY_ERROR: MemoryCause.HOST,
    Fault.DEVICE_MEMORY: MemoryCause.DEVICE,
    Fault.WORKSPACE_MEMORY: MemoryCause.WORKSPACE,
    Fault.FOREIGN_MEMORY_ERROR: MemoryCause.FOREIGN,
}
