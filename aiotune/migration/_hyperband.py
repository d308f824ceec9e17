"""KerasTuner's Hyperband: control data that it kept among the values, as budgets of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from aiotune._values import Value
from aiotune.migration._read import OldProject, OldTrial
from aiotune.searchers._brackets import Bracket, brackets_of

__all__ = ("CONTROL", "Budgets")

CONTROL = "tuner/"
"""What the names begin with that are no hyperparameters."""


class Budgets:
    """Gives each trial of a project the budget that our searcher would have given it.

    KerasTuner writes in ``tuner/bracket`` the bracket that was being filled when
    a trial was made, which need not be the trial's own, and forgets brackets
    that are full. What cannot be wrong is the number of epochs of a first round,
    which differs between brackets, and the parent of a later round.

    Args:
        max_epochs: Epochs of the last round.
        factor: One in this many trials goes on to the next round.
    """

    def __init__(self, max_epochs: int, factor: int) -> None:
        self.max_epochs, self.factor = max_epochs, factor
        self._by_epochs = {b.epochs[0]: b for b in brackets_of(max_epochs, factor)}
        self._entered: Counter[int] = Counter()
        self._given: dict[str, tuple[int, dict[str, Value]]] = {}

    @classmethod
    def of(cls, project: OldProject) -> Budgets | None:
        """Return those of a project; ``None`` if it was not searched by Hyperband."""
        state = project.state
        if state.get("brackets") is None:
            return None
        return cls(state.get("max_epochs") or 100, state.get("factor") or 3)

    def give(self, trial: OldTrial, index: int) -> dict[str, Value] | None:
        """Return the budget of the next trial, in order of their start.

        Args:
            trial: The trial.
            index: The index that it gets.

        Returns:
            ``None`` if it goes on with a trial that is not there.
        """
        budget: dict[str, Value] = {
            "epochs": _whole(trial, "epochs", self.max_epochs),
            "initial_epoch": _whole(trial, "initial_epoch", 0),
            "round": _whole(trial, "round", 0),
        }
        parent = trial.values.get(f"{CONTROL}trial_id")
        if parent is None:
            budget |= self._first_round(budget)
        elif str(parent) in self._given:
            above, its = self._given[str(parent)]
            budget["parent"] = above
            budget.update((key, its[key]) for key in ("bracket", "iteration") if key in its)
        else:
            return None
        self._given[trial.trial_id] = index, budget
        return budget

    def _first_round(self, budget: Mapping[str, Value]) -> dict[str, Value]:
        """Return the bracket of a trial of a first round, and the iteration: brackets fill in turn."""
        bracket: Bracket | None = self._by_epochs.get(int(budget["epochs"]))
        if bracket is None or budget["round"] != 0:
            return {}  # of no bracket, as our searcher sees it
        number = self._entered[bracket.number]
        self._entered[bracket.number] += 1
        return {"bracket": bracket.number, "iteration": number // bracket.sizes[0]}


def _whole(trial: OldTrial, name: str, default: int) -> int:
    value = trial.values.get(f"{CONTROL}{name}", default)
    return value if isinstance(value, int) and not isinstance(value, bool) else default
