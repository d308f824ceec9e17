"""Bayesian search in a program that has told NumPy how to treat floating point errors."""

from __future__ import annotations

import numpy as np
import pytest

from aiotune.searchers import BayesianSearcher
from aiotune.testing import Rehearsal
from aiotune.testing._searchers import continuous_space


@pytest.mark.parametrize("largest", [1.0, 1e308])
def test_a_program_that_lets_numpy_raise_gets_the_same_proposals(largest: float) -> None:
    """What is far away in the model underflows to 0, and huge scores overflow: both are meant."""

    def proposals() -> list[dict[str, int | float | str | bool]]:
        rehearsal = Rehearsal(BayesianSearcher(), continuous_space(), seed=4)
        for index in range(14):
            rehearsal.ask()
            rehearsal.tell(index, largest if index % 2 else -largest / 2)
        return rehearsal.configurations

    with np.errstate(all="ignore"):
        expected = proposals()

    with np.errstate(all="raise"):
        actual = proposals()

    assert expected == actual
