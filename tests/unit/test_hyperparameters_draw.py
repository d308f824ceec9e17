"""Draws that depend on nothing but what they are for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aiotune.hyperparameters import (
    Boolean,
    Choice,
    Fixed,
    Float,
    HyperParameter,
    Int,
    Parent,
    draw,
    draw_values,
)

ENTRIES: list[HyperParameter] = [
    Int("layers", 1, 3),
    Choice("optimizer", ["adam", "sgd"]),
    Float("momentum", 0, 1, conditions=[Parent("optimizer", "sgd")]),
    Float("lr", 1e-4, 1e-2, sampling="log"),
    Boolean("dropout"),
    Fixed("epochs", 5),
]

GOLDEN = {
    "layers": 3,
    "optimizer": "sgd",
    "momentum": 0.5543721787230401,
    "lr": 0.006448202640140835,
    "dropout": True,
    "epochs": 5,
}


def test_draws_never_change() -> None:
    """The values of a seed are a promise to all journals: these were drawn by the first version."""
    drawn = draw_values(ENTRIES, seed=42, index=7, stream=1)

    # Platforms may round the last digit of a power differently.
    assert {**drawn, "lr": pytest.approx(drawn["lr"], rel=1e-12)} == GOLDEN


def test_each_draw_is_independent_of_the_others() -> None:
    """A hyperparameter that is discovered alone gets what it gets within the whole space."""
    for index in range(20):
        together = draw_values(ENTRIES, seed=1, index=index, stream=0)
        alone = {
            hp.name: draw(hp, seed=1, index=index, stream=0)
            for hp in reversed(ENTRIES)
            if hp.name in together
        }

        assert together == alone


def test_inactive_hyperparameters_are_not_drawn() -> None:
    """Only what is active given the values before it has a value, in the order of the space."""
    names = {tuple(draw_values(ENTRIES, seed=0, index=index, stream=0)) for index in range(50)}

    every = tuple(hp.name for hp in ENTRIES)
    assert names == {every, tuple(name for name in every if name != "momentum")}


def test_a_name_is_valued_once() -> None:
    """Of two active hyperparameters with one name, the first gives the value."""
    namesakes = [Int("a", 1, 3), Int("a", 100, 300, conditions=[Parent("a", [1, 2, 3])])]

    assert draw_values(namesakes, seed=0, index=0, stream=0)["a"] in (1, 2, 3)


@pytest.mark.parametrize("other", [{"seed": 1}, {"index": 1}, {"stream": 1}])
def test_seed_index_and_stream_all_matter(other: dict[str, int]) -> None:
    """Changing any of the three numbers gives another value."""
    hp = Float("x", 0, 1)
    numbers = {"seed": 0, "index": 0, "stream": 0}

    assert draw(hp, **numbers) != draw(hp, **{**numbers, **other})


def test_conditions_tell_namesakes_apart() -> None:
    """The same name under other conditions is another hyperparameter with its own draws."""
    one = Float("x", 0, 1, conditions=[Parent("a", 1)])
    other = Float("x", 0, 1, conditions=[Parent("a", 2)])

    assert draw(one, seed=0, index=0, stream=0) != draw(other, seed=0, index=0, stream=0)


def test_draws_are_uniform() -> None:
    """Over many trials, a tenth of the draws falls into each tenth of the range."""
    hp = Float("x", 0, 10)

    drawn = [draw(hp, seed=3, index=index, stream=0) for index in range(2000)]

    for tenth in range(10):
        share = sum(tenth <= float(value) < tenth + 1 for value in drawn)
        assert share == pytest.approx(200, abs=60)


def test_another_process_draws_the_same() -> None:
    """Draws do not depend on the process, whose hashes of strings are salted."""
    program = (
        "from aiotune.hyperparameters import Float, draw;"
        "print(repr(draw(Float('x', 0, 1), seed=2**70, index=3, stream=0)))"
    )

    printed = subprocess.check_output([sys.executable, "-c", program], text=True)

    assert repr(draw(Float("x", 0, 1), seed=2**70, index=3, stream=0)) == printed.strip()
