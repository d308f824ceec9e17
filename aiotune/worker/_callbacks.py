"""The two Keras callbacks of a trial: one reports each epoch, one keeps the best weights."""

from __future__ import annotations

import math
import time
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras  # noqa: TID253 - only imported where a model is trained

from aiotune.errors import FatalValueError, OversizedModelError
from aiotune.wire import Report
from aiotune.worker._checkpoints import save_weights
from aiotune.worker._peaks import device_peak, settle_variables
from aiotune.worker._results import as_number

if TYPE_CHECKING:
    from aiotune.objective import MultiObjective, Objective
    from aiotune.trial import Trial
    from aiotune.tuner import Tuner
    from aiotune.worker._context import AttemptContext
    from aiotune.worker._resume import Resumption

__all__ = ("BestEpoch", "ReportEpochs")


def _numbers(logs: dict[str, Any] | None) -> dict[str, float]:
    numbers = {}
    for name, value in (logs or {}).items():
        try:
            numbers[name] = as_number(value)
        except (TypeError, ValueError):
            continue  # a metric that is not a scalar (a confusion matrix) cannot be compared
    return numbers


class ReportEpochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Calls the tuner's hooks and sends each epoch's metrics, times and memory to the parent."""

    def __init__(
        self,
        tuner: Tuner,
        trial: Trial,
        context: AttemptContext,
        execution: int,
        *,
        check_objective: bool,
        max_model_size: int | None,
        resumption: Resumption | None = None,
        validation_freq: Any = 1,
    ) -> None:
        super().__init__()
        self._validation_freq = validation_freq
        self._resumption = resumption
        self._tuner, self._trial, self._context = tuner, trial, context
        self._execution = execution
        self._check_objective = check_objective
        self._max_model_size = max_model_size
        self._began = math.nan
        self._trained: float | None = None
        # Keras calls batch hooks only where a callback overrides them: a tuner
        # without such hooks must not pay two Python calls a batch.
        if tuner.overrides("on_batch_begin"):
            self.on_train_batch_begin = self._batch_begin
        self._hears_batches = tuner.overrides("on_batch_end")
        if self._hears_batches or context.order.prunable:
            self.on_train_batch_end = self._batch_end

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check the size of a model that only fit() could build, and that its variables exist."""
        if self._max_model_size is not None and self.model.built:
            parameters = int(self.model.count_params())
            if parameters > self._max_model_size:
                raise OversizedModelError(
                    f"The model has {parameters:,} parameters; max_model_size is "
                    f"{self._max_model_size:,}."
                )
        settle_variables(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Call the tuner's hook and begin to measure."""
        self._tuner.on_epoch_begin(self._trial, self.model, epoch, logs=logs)
        self._began, self._trained = time.perf_counter(), None

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """End the measurement: validation begins where the epoch's last batch has ended."""
        if self._trained is None:
            self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Call the tuner's hook and report."""
        seconds = (self._trained or time.perf_counter()) - self._began
        self._tuner.on_epoch_end(self._trial, self.model, epoch, logs=logs)
        metrics = _numbers(logs)
        if self._check_objective and self._validates(epoch):
            self._refuse_missing_objective(metrics, logs or {})
        # Nothing can be said of a single batch where Keras knows no length, or
        # where a training loop of the user's own does not say when it begins.
        measured = not math.isnan(seconds)
        batches = ((self.params or {}).get("steps") or 0) if measured else 0
        self._context.say(
            Report(
                step=epoch,
                metrics=metrics,
                execution=self._execution,
                batches=int(batches),
                seconds=seconds if batches else 0.0,
                peak=device_peak(),
            )
        )
        if self._resumption is not None:
            self._resumption.add(epoch, metrics)
        self._heed()

    def _validates(self, epoch: int) -> bool:
        """Whether Keras validates after an epoch; no earlier one needs to have the objective."""
        freq = self._validation_freq
        return epoch + 1 in freq if isinstance(freq, Container) else (epoch + 1) % freq == 0

    def _refuse_missing_objective(self, metrics: dict[str, float], logs: dict[str, Any]) -> None:
        self._check_objective = False
        missing = [name for name in self._context.objective.names if name not in metrics]
        if missing and missing[0] in logs:
            shape = tuple(getattr(logs[missing[0]], "shape", ()))
            raise FatalValueError(
                f"The objective {missing[0]!r} is no number but an array of shape {shape}: one value for "
                f"each of {math.prod(shape)} classes or outputs. Compile the model with a metric that "
                "averages them, such as keras.metrics.F1Score(average='macro'), or choose another objective."
            )
        if missing:
            raise FatalValueError(
                f"The objective {', '.join(map(repr, missing))} is not among the metrics of the first "
                f"epoch, {sorted(metrics)}. Pass validation_data=... for a val_ metric, add the metric "
                "to compile(metrics=...), or choose another objective."
            )

    def _batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._tuner.on_batch_begin(self._trial, self.model, batch, logs)

    def _batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._hears_batches:
            self._tuner.on_batch_end(self._trial, self.model, batch, logs=logs)
        self._heed()

    def _heed(self) -> None:
        """End the training if the tuner has asked for it."""
        if self._context.asked_to_finish() is not None:
            self.model.stop_training = True


class BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch over all executions of a trial.

    Where no epoch's logs hold the objective (a ``fit`` that computes it
    afterwards), the last epoch's weights are kept.
    """

    def __init__(
        self, objective: Objective | MultiObjective, trial_dir: Path, best: float = math.nan
    ) -> None:
        super().__init__()
        self._objective = objective
        self._trial_dir = trial_dir
        self.best = best

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the weights if this epoch is the best so far."""
        metrics = _numbers(logs)
        if not self._objective.has_value(metrics):
            # With validation_freq only some epochs have it, and one of them may be the best so far.
            if math.isnan(self.best):
                save_weights(self.model, self._trial_dir)
            return
        value = self._objective.get_value(metrics)
        if math.isnan(self.best) or self._objective.better_than(value, self.best):
            self.best = value
            save_weights(self.model, self._trial_dir)
