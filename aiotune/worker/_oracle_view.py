"""What a trial's code sees as ``self.oracle`` in a worker."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiotune.errors import FatalRuntimeError
from aiotune.metrics import checked_report

if TYPE_CHECKING:
    from aiotune.objective import MultiObjective, Objective
    from aiotune.oracles import Oracle
    from aiotune.trial import Trial

__all__ = ("OracleView",)


@dataclass(frozen=True, slots=True)
class OracleView:
    """The oracle's facts, and its ``update_trial``; the oracle itself stays with the tuner.

    Attributes:
        objective: The objective.
        max_trials: The budget.
        seed: The search's seed.
    """

    objective: Objective | MultiObjective
    max_trials: int | None
    seed: int

    @classmethod
    def of(cls, oracle: Oracle | OracleView) -> OracleView:
        """Take the facts of an oracle."""
        return cls(oracle.objective, oracle.max_trials, oracle.seed)

    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Trial:
        """Report metrics from within ``run_trial``, in KerasTuner's old style.

        ``stop_reason`` of the trial that is returned says why it should end now, if
        a pruner has found so meanwhile: the answer to a report comes with a later one.

        If ``run_trial`` then returns ``None``, the best of the reports that hold the
        objective is its result.

        Raises:
            FatalRuntimeError: Called for another trial than the running one.
            ConfigurationError: The step is no whole number >= 0.
            WrongType: The metrics are no dict of numbers; that is a ``TypeError``.
        """
        from aiotune.worker._context import current_attempt

        context = current_attempt.get()
        if context is None or context.order.trial_id != trial_id:
            raise FatalRuntimeError(
                f"oracle.update_trial({trial_id!r}, ...) was called in a worker that does not run "
                "that trial. A trial may only report for itself."
            )
        numbers = checked_report(metrics, step)
        context.report(step, numbers)
        if self._improves(numbers, context.reported):
            context.reported, context.reported_step = numbers, step
        trial = context.trial
        trial.stop_reason = context.asked_to_finish()
        return trial

    def _improves(self, new: Mapping[str, float], best: Mapping[str, float]) -> bool:
        if not self.objective.has_value(new) or not best:
            return self.objective.has_value(new)
        value, least = self.objective.get_value(new), self.objective.get_value(best)
        return math.isnan(least) or self.objective.better_than(value, least)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"oracle.{name} is not available in a trial: trials run in processes of their own, and the "
            "oracle stays with the tuner. Available: objective, max_trials, seed, update_trial()."
        )
