"""What a trial's program sees in its attempt: values, seeds, epochs."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiotune.objective import Objective
from aiotune.testing._processes import attempt_order
from aiotune.trial import shown_control, without_control
from aiotune.wire import Payload, RunAttempt
from aiotune.worker._attempt import Attempt, run_attempt
from aiotune.worker._results import normalize_result


class Target:
    """Returns a random number, and remembers the values it saw."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def run_trial(self, trial: Any) -> float:
        self.seen = dict(trial.hyperparameters.values)
        return random.random()


def order(path: Path, **changes: Any) -> RunAttempt:
    found = attempt_order(path, **changes).order
    assert isinstance(found, RunAttempt)
    return found


def result(path: Path, **changes: Any) -> float:
    done = run_attempt(order(path, **changes), Payload(Target(), (), {}), lambda _: None)
    return done.metrics["score"]


def test_an_interrupted_attempt_repeats_its_random_numbers(tmp_path: Path) -> None:
    """Attempt 2 of a trial that never failed is the same training as attempt 1."""
    assert result(tmp_path, attempt=2) == result(tmp_path, attempt=1)


@pytest.mark.parametrize("change", [{"retry": 1}, {"index": 1}, {"seed": 8}])
def test_what_failed_and_what_is_another_trial_draws_others(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """A retry with the same numbers would fail again."""
    assert result(tmp_path, **change) != result(tmp_path)


def test_a_seed_of_zero_is_a_seed(tmp_path: Path) -> None:
    """0 seeds like any other number."""
    assert result(tmp_path, seed=0) == result(tmp_path, seed=0) != result(tmp_path, seed=1)


def test_control_data_is_read_among_the_values_and_not_sent_back(tmp_path: Path) -> None:
    """A program sees tuner/epochs; the parent hears of real hyperparameters only."""
    target = Target()
    given = order(tmp_path, budget={"epochs": 9, "round": 1, "iteration": 0}, parent_id="0003")

    done = run_attempt(given, Payload(target, (), {}), lambda _: None)

    assert target.seen == {"tuner/epochs": 9, "tuner/round": 1, "tuner/trial_id": "0003"}
    assert done.values == {}


def test_shown_control_is_what_is_taken_away() -> None:
    """The two functions are each other's inverse."""
    values = {"units": 3, "tuned": 1}
    shown = {**values, **shown_control({"epochs": 2, "bracket": 1, "parent": 4}, "7")}

    assert shown == {**values, "tuner/epochs": 2, "tuner/bracket": 1, "tuner/trial_id": "7"}
    assert without_control(shown) == values


def test_an_attempt_listens_only_if_it_may_be_asked(tmp_path: Path) -> None:
    """Without a pruner nobody pays for a look at the channel."""
    asked: list[int] = []

    def listening() -> str | None:
        asked.append(1)
        return "stop"

    class Asks(Target):
        def run_trial(self, trial: Any) -> float:
            from aiotune.worker._context import current_attempt

            context = current_attempt.get()
            assert context is not None
            return float(context.asked_to_finish() is not None)

    def run(*, prunable: bool) -> float:
        given = order(tmp_path, prunable=prunable)
        done = run_attempt(given, Payload(Asks(), (), {}), lambda _: None, listening)
        return done.metrics["score"]

    assert run(prunable=False) == 0.0
    assert asked == []
    assert run(prunable=True) == 1.0


def test_the_best_epoch_of_a_continued_training_is_counted_from_its_beginning() -> None:
    """A history that begins at epoch 3 has its best epoch there, not at 0."""
    history = SimpleNamespace(history={"loss": [0.3, 0.1, 0.2]}, epoch=[3, 4, 5])

    assert normalize_result(history, Objective("loss", "min")).best_step == 4


def test_an_attempt_leaves_no_trace_in_its_process(tmp_path: Path) -> None:
    """The context is reset when the attempt is over."""
    from aiotune.worker._context import current_attempt

    Attempt(order(tmp_path), Payload(Target(), (), {}), lambda _: None).close()

    assert current_attempt.get() is None
