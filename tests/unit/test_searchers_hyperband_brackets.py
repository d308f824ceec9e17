"""The brackets of Hyperband: sizes and epochs."""

from __future__ import annotations

import pytest

from aiotune.searchers._brackets import brackets_of

Table = list[list[tuple[int, int]]]

GOLDEN: dict[tuple[int, int], Table] = {
    (27, 3): [
        [(27, 1), (9, 3), (3, 9), (1, 27)],
        [(12, 3), (4, 9), (2, 27)],
        [(6, 9), (2, 27)],
        [(4, 27)],
    ],
    (100, 3): [
        [(98, 2), (33, 4), (11, 12), (4, 34), (2, 100)],
        [(41, 4), (14, 12), (5, 34), (2, 100)],
        [(18, 12), (6, 34), (2, 100)],
        [(9, 34), (3, 100)],
        [(6, 100)],
    ],
    (10, 3): [[(12, 2), (4, 4), (2, 10)], [(6, 4), (2, 10)], [(4, 10)]],
    (8, 2): [
        [(8, 1), (4, 2), (2, 4), (1, 8)],
        [(6, 2), (3, 4), (2, 8)],
        [(4, 4), (2, 8)],
        [(4, 8)],
    ],
}
"""(trials, last epoch) of each round, for each bracket, as KerasTuner 1.4.8 runs them."""


@pytest.mark.parametrize(("shape", "expected"), GOLDEN.items(), ids=str)
def test_sizes_and_epochs_are_those_of_kerastuner(shape: tuple[int, int], expected: Table) -> None:
    """Trials and epochs of each round, brackets in the order in which they are opened."""
    brackets = brackets_of(*shape)

    assert expected == [list(zip(b.sizes, b.epochs, strict=True)) for b in brackets]
    assert [b.number for b in brackets] == list(reversed(range(len(expected))))


@pytest.mark.parametrize(
    ("max_epochs", "factor"), [(243, 3), (125, 5), (1000, 10), (2**20, 2), (3**13, 3)]
)
def test_powers_of_the_factor_are_met_exactly(max_epochs: int, factor: int) -> None:
    """Where a logarithm of floats may land on either side, the first bracket ends with exactly one trial."""
    first = brackets_of(max_epochs, factor)[0]

    expected = tuple(factor**k for k in range(len(first.sizes)))
    assert expected == first.epochs
    assert tuple(reversed(expected)) == first.sizes
    assert first.sizes[0] == max_epochs


def test_each_round_goes_on_where_the_one_before_ended() -> None:
    """The first round begins at epoch 0."""
    first = brackets_of(100, 3)[0]

    assert [first.initial_epoch(number) for number in range(5)] == [0, 2, 4, 12, 34]


@pytest.mark.parametrize("max_epochs", [1, 2])
def test_fewer_epochs_than_the_factor_leave_one_bracket(max_epochs: int) -> None:
    """There is nothing to share out: each trial is trained in full."""
    (only,) = brackets_of(max_epochs, 3)

    assert (only.number, only.epochs) == (0, (max_epochs,))
    assert only.sizes == (max_epochs,)
