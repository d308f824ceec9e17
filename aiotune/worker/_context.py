"""What the code of a running attempt can reach: its order and its line to the parent."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiotune._values import Value
from aiotune.errors import FatalTypeError
from aiotune.hyperparameters import HyperParameters, serialize
from aiotune.objective import MultiObjective, Objective
from aiotune.trial import Trial, without_control
from aiotune.wire import Discovered, FromWorker, Report, RunAttempt

__all__ = ("AttemptContext", "current_attempt", "running_attempt")

current_attempt: ContextVar[AttemptContext | None] = ContextVar("current_attempt", default=None)
"""The attempt that runs in this context; set by the worker before any of the user's code."""


def _fit(hypermodel: Any, hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
    return hypermodel.fit(hp, model, *args, **kwargs)


def _never() -> str | None:
    return None


@dataclass(slots=True)
class AttemptContext:
    """One running attempt, seen from inside its process.

    Attributes:
        order: What the parent asked for.
        objective: The order's objective.
        hyperparameters: The trial's; grows while the user's code runs.
        say: Sends a message to the parent.
        known: How many entries of the space the parent knows.
        reported: Metrics given through ``oracle.update_trial`` by the user's code.
        reported_step: The step that they belong to.
        trainings: How often the built-in ``run_trial`` was called.
        fit: Calls a hypermodel's ``fit(hp, model, ...)``. What only looks at the model
            puts a function of its own here.
        trial: The trial, as its program sees it.
        asked_to_finish: Returns why the training is to end early, or ``None``.
    """

    order: RunAttempt
    objective: Objective | MultiObjective
    hyperparameters: HyperParameters
    say: Callable[[FromWorker], None]
    known: int
    reported: dict[str, float] = field(default_factory=dict)
    reported_step: int = 0
    trainings: int = 0
    fit: Callable[..., Any] = _fit
    asked_to_finish: Callable[[], str | None] = _never
    trial: Trial = field(init=False)

    @property
    def trial_dir(self) -> Path:
        """Where the trial's checkpoint belongs."""
        return Path(self.order.trial_dir)

    @property
    def values(self) -> dict[str, Value]:
        """The trial's own values, without the control data that its program can read among them."""
        return without_control(self.hyperparameters.values)

    def announce(self) -> None:
        """Tell the parent of hyperparameters that it does not know yet."""
        entries = self.hyperparameters.space[self.known :]
        if entries:
            self.known += len(entries)
            self.say(
                Discovered(
                    entries=[serialize(hp) for hp in entries],
                    values=self.values,
                )
            )

    def report(self, step: int, metrics: dict[str, float], execution: int = 0) -> None:
        """Send one step's metrics."""
        self.say(Report(step=step, metrics=metrics, execution=execution))

    def seed_for(self, execution: int) -> int:
        """Return a 32-bit seed that depends on the search's seed, the trial and the execution.

        A trial that failed gets another when it is run again, since with the same
        numbers it would fail again; one that was interrupted gets the same.
        """
        from hashlib import blake2b

        o = self.order
        text = f"{o.seed}/{o.index}/{o.retry}/{execution}".encode()
        return int.from_bytes(blake2b(text, digest_size=4).digest(), "little")


def running_attempt() -> AttemptContext:
    """Return the attempt that runs in this context.

    Raises:
        FatalTypeError: There is none.
    """
    context = current_attempt.get()
    if context is None:
        raise FatalTypeError(
            "Tuner.run_trial() was called outside a search. Call search(), or build the model "
            "with tuner.hypermodel.build(hp)."
        )
    return context
