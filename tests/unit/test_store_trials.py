"""The table of trials: a dict that may grow while it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiotune.hyperparameters import HyperParameters
from aiotune.store._trials import Trials
from aiotune.trial import Trial


def table(n: int) -> Trials:
    trials = Trials()
    for i in range(n):
        trials[str(i)] = _trial(i)
    return trials


def _trial(index: int) -> Trial:
    return Trial(HyperParameters(), trial_id=str(index))


@pytest.mark.parametrize("look", [iter, Trials.keys, Trials.values, Trials.items])
def test_a_look_is_at_one_moment(look: Callable[[Any], Any]) -> None:
    """What comes in while it is gone through is not seen, and is no error."""
    trials = table(5)
    seen = 0

    for _ in look(trials):
        seen += 1
        trials[f"new {seen}"] = _trial(100)

    assert seen == 5


def test_it_is_a_dict_otherwise() -> None:
    """In order, equal to a plain one, and copied by ``dict()``."""
    trials = table(3)

    assert list(trials) == list(trials.keys()) == ["0", "1", "2"]
    assert [t.trial_id for t in trials.values()] == ["0", "1", "2"]
    assert dict(trials.items()) == dict(trials) == trials == {**trials}
    assert trials.keys() & {"1", "x"} == {"1"}
    assert isinstance(trials, dict)
