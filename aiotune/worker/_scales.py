"""Puts a trial's model on the scales: the cheap way, then the dear one, then not at all."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from aiotune.errors import FailedTrialError, FatalError, OversizedModelError
from aiotune.failures import FailureKind
from aiotune.memory import ModelSize, state_bytes
from aiotune.wire import RunWeighing
from aiotune.worker._attempt import Attempt, completed
from aiotune.worker._bounds import TooSlow, memory_bound, time_bound
from aiotune.worker._cpu import on_the_cpu
from aiotune.worker._failures import describe_exception
from aiotune.worker._input_spec import BatchSpec, batch_spec
from aiotune.worker._keras import build_model, made
from aiotune.worker._model_size import measure
from aiotune.worker._traps import Captured, Traps, Unwound, leads_to
from aiotune.worker._valueless import Meter, Valueless

__all__ = ("Verdict", "weigh")

_SECONDS = 20.0
_TRACING_SECONDS = 60.0
_HOST_BYTES = 8 << 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the scales say.

    Attributes:
        size: The model; ``None`` if it could not be weighed.
        why: A sentence on what could not be found, for the log; empty if all was.
        builds: ``False`` if the program's own code failed.
        precise_bytes: The peak of a traced training step.
    """

    size: ModelSize | None
    why: str = ""
    builds: bool = True
    precise_bytes: int | None = None


def weigh(attempt: Attempt, order: RunWeighing) -> Verdict:
    """Weigh the model of a trial, within bounds of time and memory.

    Raises:
        OversizedModelError: It has more parameters or bytes than the order allows.
    """
    scales = _Scales(attempt, order)
    # A layer of another library allocates as it likes; then this is what stops it.
    with memory_bound(order.host_bytes or _HOST_BYTES), on_the_cpu():
        try:
            with time_bound(_SECONDS):
                verdict = scales.weigh()
        except TooSlow:
            return Verdict(None, f"Weighing the model took more than {_SECONDS:.0f} s.")
        if verdict.size is None or not order.precise or scales.spec is None:
            return verdict
        peak = scales.traced_peak(scales.spec, verdict.size.backend)
        return Verdict(verdict.size, verdict.why, precise_bytes=peak)


class _Scales:
    def __init__(self, attempt: Attempt, order: RunWeighing) -> None:
        self._attempt = attempt
        self._limits = (order.max_parameters, order.max_bytes)
        self.spec: BatchSpec | None = None

    def weigh(self) -> Verdict:
        meter = Meter(*self._limits)
        try:
            with Valueless(meter), Traps() as traps:
                return self._measured(self._captured(traps), meter, "weighed")
        except (FatalError, FailedTrialError, SystemExit) as error:
            return _own_failure(meter, error)
        except Exception as error:
            if meter.excess is not None:
                raise meter.excess from error
            reason = _sentence(error)
            if describe_exception(error).kind is FailureKind.OUT_OF_MEMORY:
                return Verdict(None, f"The host's memory did not suffice to weigh it: {reason}")
            return self._build_for_real(reason)

    def _build_for_real(self, reason: str) -> Verdict:
        meter = Meter(*self._limits)
        try:
            with Traps() as traps:
                captured = self._captured(traps)
        except (FatalError, FailedTrialError, SystemExit) as error:
            return _own_failure(meter, error)
        except Exception as error:  # noqa: BLE001 - as above
            if describe_exception(error).kind is FailureKind.OUT_OF_MEMORY:
                return Verdict(
                    None, f"{reason} Building it took more of the host's memory than was allowed."
                )
            return Verdict(None, _sentence(error), builds=False)
        try:
            with Valueless(meter):
                verdict = self._measured(captured, meter, "built")
        except OversizedModelError:
            raise
        except Exception as error:  # noqa: BLE001 - the attempt will show whether it trains
            return Verdict(None, _sentence(error))
        return Verdict(verdict.size, f"{reason} {verdict.why}".strip())

    def _captured(self, traps: Traps) -> Captured:
        """Run the program until it would train."""
        tuner = self._attempt.payload.target
        if leads_to(tuner, "run_trial", "run_trial"):
            self._attempt.context.fit = traps.fit
            try:
                completed(self._attempt.call())
            except Unwound:
                pass  # as planned
            except Exception:
                if traps.captured is None:
                    raise
            if traps.captured is not None and traps.captured.model is not None:
                return traps.captured
        model = build_model(tuner, self._attempt.trial.hyperparameters)
        given = self._attempt.payload.kwargs
        size = given.get("batch_size")
        return Captured(
            model=model,
            x=made(given.get("x")),
            y=made(given.get("y")),
            sample_weight=made(given.get("sample_weight")),
            batch_size=size if isinstance(size, int) else None,
            jit_compile=traps.jit_of(model),
        )

    def _measured(self, captured: Captured, meter: Meter, method: str) -> Verdict:
        self.spec, note = _spec(captured)
        size, missing = measure(
            captured.model, self.spec, captured.batch_size, captured.jit_compile, method
        )
        meter.check(size.parameters, state_bytes(size))
        return Verdict(size, " ".join(filter(None, (note, missing))))

    def traced_peak(self, spec: BatchSpec, backend: str) -> int | None:
        from aiotune.worker._tracing import traced_peak

        tuner, hp = self._attempt.payload.target, self._attempt.trial.hyperparameters
        try:
            with time_bound(_TRACING_SECONDS):
                return traced_peak(lambda: build_model(tuner, hp), (spec.x, spec.y), backend)
        except TooSlow:
            sys.stderr.write(f"aiotune: tracing took more than {_TRACING_SECONDS:.0f} s\n")
            return None


def _own_failure(meter: Meter, error: BaseException) -> Verdict:
    if isinstance(error, OversizedModelError):
        raise error
    if meter.excess is not None:
        raise meter.excess from error
    return Verdict(None, _sentence(error), builds=False)


def _spec(captured: Captured) -> tuple[BatchSpec | None, str]:
    try:
        spec = batch_spec(
            captured.x, captured.y, captured.sample_weight, batch_size=captured.batch_size
        )
    except Exception as error:  # noqa: BLE001 - a user's dataset may raise anything
        return None, f"The first batch of the data could not be read: {_sentence(error)}"
    return spec, ""


def _sentence(error: BaseException) -> str:
    summary = describe_exception(error).summary()
    return summary if summary.endswith((".", "!", "?")) else f"{summary}."
