"""A trial: one configuration and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiotune._printable import printable
from aiotune._settled import Details, history_of, packed, unpacked
from aiotune._trial_state import StatefulTrial
from aiotune._values import FrozenValues, Value
from aiotune.errors import InternalError
from aiotune.events import TrialWeighed
from aiotune.failures import TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import MemoryPeak, Rung
from aiotune.status import TRANSITIONS, TrialStatus

__all__ = ("Trial", "shown_control", "without_control")

_MADE_WHEN_ASKED = frozenset(
    {"devices", "executions", "files", "history", "hyperparameters", "metrics"}
)
_SHOWN_CONTROL = ("epochs", "initial_epoch", "bracket", "round")


class Trial(StatefulTrial):
    """One configuration and what became of it.

    When its end is recorded, its hyperparameters, metrics, executions, history, files and
    devices are put away in a small form, and made anew each time that they are asked for: to
    change what they give changes nothing.

    Args:
        hyperparameters: The space and this trial's values.
        trial_id: Default made from the time and random digits.
        status: Where the trial stands.
        message: Why it failed, if it did.

    Attributes:
        index: Position in order of creation, from 0.
        metrics: The result's metrics.
        score: The objective, once completed.
        best_step: Epoch (from 0) that the result belongs to.
        failure: The last failed attempt, as data.
        attempts: How many attempts were started.
        failures: How many failed in a way that uses up a retry.
        lost: How many were lost because the tuner itself died.
        weighed: What is known of its memory; ``None`` before it was weighed.
        rung: What memory it is given next, after it ran out of memory.
        peak: Device memory that its last attempt took, if it ran on a GPU.
        memory_tries: How often it was given more memory.
        batch_divisor: How many times smaller than asked for its batch is, so that it fits.
        foreign: How often others had left it too little memory.
        devices: Where the last attempt ran; empty on the CPU.
        executions: Metrics of each execution.
        files: SHA-256, by name, of what it left in its directory for others to load.
        history: One ``(execution, step, metrics)`` for each reported epoch of the last attempt.
        stream: Random stream of its values; see ``Proposal``.
        budget: Control data of the searcher.
        parent_id: The trial whose weights it goes on with, if any.
        stop_reason: Why it was ended early, if a pruner did so.
    """

    __slots__ = (
        "_packed",
        "_space",
        "_values",
        "attempts",
        "batch_divisor",
        "budget",
        "devices",
        "executions",
        "failure",
        "failures",
        "files",
        "foreign",
        "history",
        "index",
        "lost",
        "memory_tries",
        "parent_id",
        "peak",
        "rung",
        "stop_reason",
        "stream",
        "weighed",
    )

    def __init__(
        self,
        hyperparameters: HyperParameters,
        trial_id: str | None = None,
        status: TrialStatus | str = TrialStatus.RUNNING,
        message: str | None = None,
    ) -> None:
        super().__init__(hyperparameters, trial_id, status, message)
        self.index = 0
        self.failure: TrialFailure | None = None
        self.attempts = 0
        self.failures = 0
        self.lost = 0
        self.weighed: TrialWeighed | None = None
        self.rung: Rung | None = None
        self.peak: MemoryPeak | None = None
        self.memory_tries = 0
        self.batch_divisor = 1
        self.foreign = 0
        self.devices: list[str] = []
        self.executions: list[dict[str, float]] = []
        self.files: Mapping[str, str] = {}
        self.history: list[tuple[int, int, dict[str, float]]] = []
        self.stream: int | None = None
        self.budget: Mapping[str, Value] = {}
        self.parent_id: str | None = None
        self.stop_reason: str | None = None
        self._values: FrozenValues | None = None
        self._space: HyperParameters | None = None
        self._packed: bytes | None = None

    # ── once it has ended ──────────────────────────────────────────────────

    @property
    def is_settled(self) -> bool:
        """Whether its end is recorded, and nothing of it changes any more."""
        return self._packed is not None

    def settle(self, values: FrozenValues, space: HyperParameters) -> None:
        """Take the final values, and keep what was measured in a small form.

        Args:
            values: The values.
            space: The search space, which may go on growing.
        """
        self._packed = packed(
            Details(self.metrics, self.executions, self.history, self.files, self.devices)
        )
        if self._packed is None:
            self.hyperparameters = space.with_values(values)
            return
        self._values, self._space = values, space
        for name in _MADE_WHEN_ASKED:
            delattr(self, name)

    if not TYPE_CHECKING:  # it would hide every misspelt attribute

        def __getattr__(self, name: str) -> Any:
            """Make what :meth:`settle` has put away."""
            if name not in _MADE_WHEN_ASKED or self._packed is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            if name == "hyperparameters":
                return self._space.with_values(self._values)
            if name == "history":  # which is asked of all trials where there is a pruner
                return history_of(self._packed)
            return getattr(unpacked(self._packed), name)

    # ── where it stands ────────────────────────────────────────────────────

    @property
    def status(self) -> TrialStatus:
        """Where the trial stands; only legal moves can be assigned.

        Raises:
            InternalError: The table of legal moves does not have this one.
        """
        return self._status

    @status.setter
    def status(self, status: TrialStatus | str) -> None:
        new = TrialStatus(status)
        if new is not self._status and new not in TRANSITIONS[self._status]:
            raise InternalError(
                f"Trial {self.trial_id} cannot go from {self._status} to {new}; from there it can go to "
                f"{sorted(TRANSITIONS[self._status]) or 'nowhere'}."
            )
        self._status = new

    def reopen(self) -> None:
        """Take back a final status that was set and never recorded, so that another can follow."""
        if self._status.is_final:
            self._status = TrialStatus.RUNNING

    @property
    def values(self) -> Mapping[str, Value]:
        """The values of its active hyperparameters."""
        return self.hyperparameters.values

    @property
    def shown_values(self) -> dict[str, Value]:
        """The values, with what KerasTuner's users read of a budget: ``tuner/epochs`` and so on."""
        return {**self.values, **shown_control(self.budget, self.parent_id)}

    @property
    def shown_hyperparameters(self) -> HyperParameters:
        """The hyperparameters with :attr:`shown_values`."""
        return self.hyperparameters.with_values(self.shown_values)

    def display_hyperparameters(self) -> None:
        """Print its values."""
        print(self._hyperparameters_text())  # noqa: T201 - printing is its purpose

    def summary(self) -> None:
        """Print what it was and what became of it."""
        from aiotune._summaries import trial_summary

        print(trial_summary(self))  # noqa: T201 - printing is its purpose

    def _hyperparameters_text(self) -> str:
        if not self.values:
            return "default configuration"
        return "\n".join(f"{printable(name)}: {printable(v)}" for name, v in self.values.items())

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score={self.score:.6g}"
        return f"Trial({printable(self.trial_id, 64)}, {self._status}{score})"


def shown_control(budget: Mapping[str, Value], parent_id: str | None) -> dict[str, Value]:
    """Return a budget under the names by which KerasTuner's users read it among the values."""
    shown = {f"tuner/{name}": budget[name] for name in _SHOWN_CONTROL if name in budget}
    if parent_id:
        shown["tuner/trial_id"] = parent_id
    return shown


def without_control(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return values without what :func:`shown_control` adds."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}
