"""The career of a trial's worker: it trains, reports, saves, and comes to its end."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from aiotune._values import Value
from aiotune.errors import FailedTrialError, FatalError, OversizedModelError
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.hyperparameters import HyperParameters, draw, serialize
from aiotune.memory import MemoryPeak, ModelSize
from aiotune.objective import objective_from_dicts
from aiotune.testing.simulator._deeds import (
    Career,
    Compiles,
    Deed,
    Hangs,
    Saves,
    Says,
    ShutsUp,
    Waits,
    WritesDown,
)
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._plan import Plan
from aiotune.wire import Discovered, Done, Failed, Hello, Report, RunAttempt, encode
from aiotune.worker._failures import describe_exception
from aiotune.worker._results import normalize_result
from aiotune_gpu import GIB, MIB

__all__ = (
    "DISCOVERED",
    "HOPELESS_LOSS",
    "NASTY_TEXT",
    "Training",
    "epoch_loss",
    "score_of",
    "size_of",
)

NASTY_TEXT = "\x07" * 70_000 + "no\n\x1b[31mgood\r\u202e\x00\x07"
HOPELESS_LOSS = 50.0
DISCOVERED = "late"
"""What a worker asks for that was not declared."""
_TOLD = 8192
_HOPELESS_EPOCHS = 20
_WEIGHTS = (0.001, 0.005, 0.03, 0.06, 0.2, 0.4, 0.55, 0.9, 1.2)
"""Sizes of models, in sizes of the largest device, or of the host: few are refused, and few fit a smaller one."""
_COMPILING = 40.0
_BATCH = 0.05
"""Seconds of a batch: so long it takes until somebody looks whether to finish early."""


def score_of(plan: Plan, values: Mapping[str, Value], epochs: int) -> float:
    """Return what a training with these values reaches: a function of nothing else."""
    luck = plan.numbers("score", sorted(values.items())).random()
    return round(luck + 1.0 / (1 + epochs), 9)


def epoch_loss(score: float, step: int) -> float:
    """Return the loss of an epoch on the way to a score."""
    return score + 1.0 / (1 + step)


def size_of(plan: Plan, index: int) -> tuple[ModelSize, int]:
    """Return what a trial's model is weighed as, and what its training really takes."""
    numbers = plan.numbers("size", index)
    weights = int(numbers.choice(_WEIGHTS) * plan.setup.largest)
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


class Training:
    """Writes the career of one attempt.

    Args:
        plan: Whose search it is.
        order: What the worker is told.
        pid: Its process.
        fault: What is wrong with it.
        saved: How many epochs an interrupted attempt of the same training has left.

    Attributes:
        career: What it will do.
    """

    def __init__(
        self, plan: Plan, order: RunAttempt, pid: int, fault: Fault | None, saved: int = 0
    ) -> None:
        self._plan, self._order, self._pid, self._fault = plan, order, pid, fault
        self._name = order.objective[0]["name"]
        self._peak = size_of(plan, order.index)[1] // order.batch_divisor
        self._limit = order.memory.bytes if order.memory is not None else None
        takes = min(self._peak, self._limit) if self._limit is not None else 0
        self.career = Career(fault=fault, takes=takes)
        first = int(order.budget.get("initial_epoch", 0))
        usual = _HOPELESS_EPOCHS if fault is Fault.HOPELESS else plan.setup.epochs
        self._steps = range(first, int(order.budget.get("epochs", first + usual)))
        self._saved = min(saved, len(self._steps) - 1)
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
            self._fails(TrialFailure(kind=FailureKind.OUT_OF_MEMORY, memory=self._memory()))
            return
        middle = _ENDINGS.get(fault) if fault is not None else None
        raised = self._raised()
        self._train(half=middle is not None or raised is not None)
        if middle is not None:
            middle(career)
        elif raised is not None:
            self._fails(raised)
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
        hp.Float(DISCOVERED, 0.0, 1.0)
        self._values = dict(hp.values)
        self._entries = [serialize(entry) for entry in hp.space[known:]]
        if self._entries:
            self.career.says(Discovered(entries=self._entries, values=self._values), 0.1)

    # ── memory ─────────────────────────────────────────────────────────────

    def _runs_out(self) -> bool:
        if self._fault in _DEVICE_MEMORY:
            return True
        bounded = self._devices() or self._plan.setup.host
        return self._limit is not None and self._limit < self._peak and bool(bounded)

    def _devices(self) -> str:
        return self._order.environment.get("CUDA_VISIBLE_DEVICES", "-1").replace("-1", "")

    def _memory(self) -> OutOfMemory:
        cause = MemoryCause.DEVICE if self._devices() else MemoryCause.HOST
        if self._fault is not None:
            cause = _DEVICE_MEMORY.get(self._fault, cause)
        return OutOfMemory(cause=cause, asked=GIB, limit=self._limit, in_use=self._limit)

    # ── training ───────────────────────────────────────────────────────────

    def _train(self, *, half: bool) -> None:
        steps = self._steps[: len(self._steps) // 2] if half else self._steps
        seconds = self._plan.seconds_of_an_epoch(self._order)
        if self._fault is Fault.SLOW:
            seconds *= 50
        if self._fault is Fault.COMPILES:
            self.career.does(Compiles())
            self.career.writes(b"", after=_COMPILING)
        if self._fault is Fault.SILENT:
            self.career.deeds.append(Deed(seconds * len(steps), Says(b"")))
            return
        self.career.early, self.career.trains = self._early, len(steps)
        for number, step in enumerate(steps):
            trained_before = number < self._saved
            report = self._report(step)
            self.career.says(report, 0.0 if trained_before else seconds)
            if self._fault is Fault.REPORT_TWICE:
                self.career.says(report)
            if self._plan.setup.saves and not trained_before and step + 1 < self._steps.stop:
                self.career.does(Saves(number + 1), 0.01)

    def _loss(self, step: int) -> float:
        if self._fault is Fault.HOPELESS:
            return HOPELESS_LOSS
        return epoch_loss(self._score, step)

    def _report(self, step: int) -> Report:
        peak = MemoryPeak(allocated=self.career.takes, reserved=self.career.takes)
        return Report(
            step=step,
            metrics={self._name: self._loss(step)},
            batches=10,
            seconds=1.0,
            peak=peak if self._devices() else None,
        )

    def _early(self, reports: int) -> list[Deed]:
        """Return what is done when the training is ended early: the result is what it has reached."""
        step = self._steps[max(0, reports - 1)]
        done = self._done({self._name: self._loss(step)}, step)
        said = [Deed(_BATCH, WritesDown(done)), Deed(0.0, Says(encode(done), done))]
        ending = Career()
        ending.ends()
        return [*said, *ending.deeds]

    def _raised(self) -> TrialFailure | None:
        raises = _RAISED.get(self._fault) if self._fault is not None else None
        if raises is None:
            return None
        try:
            raises(self._order)
        except Exception as error:  # noqa: BLE001 - the worker of a program catches all
            failure = describe_exception(error)
            # The frames would tell where this package is installed.
            told = "".join(traceback.format_exception_only(error))[-_TOLD:]
            return msgspec.structs.replace(failure, traceback=f"(simulated)\n{told}")
        raise AssertionError(self._fault)

    def _fails(self, failure: TrialFailure) -> None:
        self.career.says(Failed(failure=failure, values={}, entries=[]), 0.2)
        self.career.ends(exit_code=1)

    # ── the result ─────────────────────────────────────────────────────────

    def _done(self, metrics: dict[str, float], step: int) -> Done:
        return Done(
            metrics=metrics,
            best_step=step,
            executions=[metrics],
            values=self._values,
            entries=[],
            peak_host_bytes=100 * MIB,
        )

    def _whole(self) -> Done:
        wrong = {
            Fault.NOT_A_NUMBER: float("nan"),
            Fault.INFINITE: float("inf"),
            Fault.HOPELESS: HOPELESS_LOSS,
        }
        score = self._score if self._fault is None else wrong.get(self._fault, self._score)
        metrics = {self._name: score}
        if self._fault is Fault.MANY_METRICS:
            metrics |= {f"metric_{n}": n / 7 for n in range(300)}
        # The step is the last one that was reported.
        return self._done(metrics, 0 if self._fault is Fault.SILENT else self._steps.stop - 1)

    def _result(self) -> None:
        career, done = self.career, self._whole()
        frame = encode(done)
        if self._fault is Fault.CHANNEL_CLOSED:
            career.does(ShutsUp())
        career.does(WritesDown(done), 0.1)
        match self._fault:
            case Fault.RESULT_NOT_SENT:
                career.ends(signal=9)
                return
            case Fault.CHANNEL_CLOSED:
                career.ends()
                return
            case Fault.GARBAGE:
                career.writes(b"\x00\x00\x00\x03abc")
            case Fault.OVERSIZE_FRAME:
                career.writes(b"\x7f\xff\xff\xff")
            case Fault.TORN_FRAME:
                career.writes(frame[: len(frame) // 2])
                career.ends(signal=9)
                return
            case Fault.SPLIT_FRAMES:
                for byte in frame[:-1]:
                    career.writes(bytes([byte]))
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
        self.career.says(self._whole())

    def report_again(self) -> None:
        """Report the last epoch when the result is out."""
        report = self._report(self._steps.stop - 1)
        self.career.says(msgspec.structs.replace(report, metrics={self._name: 99.0}))


def _end_twice(career: Career, training: Training) -> None:
    training.say_again()
    career.ends()


def _end_late(career: Career, training: Training) -> None:
    training.report_again()
    career.ends()


def _stay(career: Career, _: Training) -> None:
    career.obeys = False


_AFTER_RESULT: Mapping[Fault, Callable[[Career, Training], None]] = {
    Fault.RESULT_TWICE: _end_twice,
    Fault.REPORT_AFTER_RESULT: _end_late,
    Fault.HANGS_AFTER_RESULT: _stay,
    Fault.DIES_AFTER_RESULT: lambda career, _: career.ends(signal=11),
    Fault.LEAVES_CHILDREN: lambda career, _: career.ends(exit_code=0, swept=3),
}


_HANGS = Hangs()


def _hang(
    *, obeys: bool, kill_takes: float = 0.01, how: Hangs | Waits | None = _HANGS
) -> Callable[[Career], None]:
    def hang(career: Career) -> None:
        career.obeys, career.kill_takes = obeys, kill_takes
        career.early = None
        if how is not None:  # else it computes
            career.does(how)

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
    Fault.SPINS: _hang(obeys=True, how=None),
    Fault.WAITS_SPINNING: _hang(obeys=True, how=Waits()),
    Fault.STOPPED: _hang(obeys=False),
    Fault.UNINTERRUPTIBLE: _hang(obeys=False, kill_takes=30.0),
}


def _raise(error: Exception) -> Callable[[RunAttempt], None]:
    def do(_: RunAttempt) -> None:
        raise error.with_traceback(None)

    return do


def _return_nonsense(order: RunAttempt) -> None:
    normalize_result("no number", objective_from_dicts(order.objective))


_RAISED: Mapping[Fault, Callable[[RunAttempt], None]] = {
    Fault.RAISES: _raise(ValueError("simulated")),
    Fault.RAISES_NASTY_TEXT: _raise(ValueError(NASTY_TEXT)),
    Fault.FAILED_TRIAL: _raise(FailedTrialError("not this one")),
    Fault.OVERSIZED: _raise(OversizedModelError("far too many parameters")),
    Fault.FATAL: _raise(FatalError("all is lost")),
    Fault.BAD_RESULT: _return_nonsense,
    Fault.MEMORY_ERROR: _raise(MemoryError("no room")),
}

_DEVICE_MEMORY: Mapping[Fault | None, MemoryCause] = {
    Fault.DEVICE_MEMORY: MemoryCause.DEVICE,
    Fault.WORKSPACE_MEMORY: MemoryCause.WORKSPACE,
    Fault.FOREIGN_MEMORY_ERROR: MemoryCause.FOREIGN,
}
