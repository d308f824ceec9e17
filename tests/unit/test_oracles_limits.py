"""When going on is pointless, and what to say then."""

from __future__ import annotations

import pytest

from aiotune import events
from aiotune.errors import SearchAborted
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters, serialize
from aiotune.memory import ModelSize
from aiotune.objective import Objective
from aiotune.oracles._core import RetryPolicy
from aiotune.oracles._limits import check_consecutive, narrow
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState

TOO_LARGE = TrialFailure(kind=FailureKind.OVERSIZED, message="30 GiB are too much")


def rejected(count: int, *, after: TrialStatus | None = None) -> ProjectState:
    """A project in which models grow with ``units``, shrink with ``stride``, and ignore ``lr``."""
    hp = HyperParameters()
    hp.Int("units", 1, 1000)
    hp.Int("stride", 1, 1000)
    hp.Float("lr", 0.0, 1.0)
    state = ProjectState(seed=0, objective=Objective("loss", "min"))
    state.apply(events.SpaceGrew(entries=[serialize(entry) for entry in hp.space]))
    for index in range(count):
        trial_id = str(index)
        units = 1 + index * 7 % 100
        values = {"units": units, "stride": 1000 - units, "lr": (index * 37 % 10) / 10}
        size = ModelSize(
            backend="jax",
            parameters=units,
            trainable_parameters=units,
            weight_bytes=units << 20,
            gradient_bytes=0,
            slot_bytes=0,
        )
        last = index == count - 1 and after is not None
        state.apply(events.TrialCreated(trial_id=trial_id, index=index, values=dict(values)))
        state.apply(events.TrialWeighed(trial_id=trial_id, size=size))
        state.apply(
            events.TrialEnded(
                trial_id=trial_id,
                status=after if last and after is not None else TrialStatus.REJECTED,
                values=dict(values),
                score=1.0 if last else None,
                failure=None if last else TOO_LARGE,
            )
        )
    return state


def test_what_makes_models_large_is_named() -> None:
    """The hyperparameter that models grow with, and neither of the others."""
    sentence = narrow(rejected(60))

    assert "'units'" in sentence
    assert "'stride'" not in sentence
    assert "'lr'" not in sentence


def test_without_a_suspect_the_sentence_is_general() -> None:
    """With nothing weighed there is nobody to name."""
    assert narrow(rejected(0)).startswith("Narrow the search space")


def test_rejections_in_a_row_end_a_search_at_their_limit() -> None:
    """One fewer does not; the message has the last trial's numbers."""
    policy = RetryPolicy(max_rejected=20)
    almost, enough = rejected(19), rejected(20)
    check_consecutive(almost, policy, almost.trials["18"])

    with pytest.raises(SearchAborted, match=r"last 20 configurations was rejected.*30 GiB"):
        check_consecutive(enough, policy, enough.trials["19"])


def test_anything_else_starts_the_count_again() -> None:
    """A trial that completes says that there is something to find."""
    state = rejected(20, after=TrialStatus.COMPLETED)

    check_consecutive(state, RetryPolicy(max_rejected=5), state.trials["19"])
    assert state.consecutive_rejections == 0
