"""Hyperparameters that depend on conditional ones."""

from __future__ import annotations

from aiotune.hyperparameters import HyperParameters, Parent


def test_a_parent_may_be_conditional_itself() -> None:
    """What depends on a conditional hyperparameter depends on that one's conditions, too."""
    hp = HyperParameters()
    hp.Choice("pool", ["no", "yes"])
    hp.Choice("kind", ["max", "mean"], parent_name="pool", parent_values="yes")
    assert hp.Int("size", 2, 4, parent_name="kind", parent_values="max") is None
    size = hp.space[-1]
    assert size.conditions == (Parent("pool", "yes"), Parent("kind", "max"))
    assert hp.with_values({"pool": "yes", "kind": "max"}).is_active(size)
    assert not hp.with_values({"pool": "no", "kind": "max"}).is_active(size)


def test_a_conditional_parent_opens_with_its_own() -> None:
    """Asking anew within the parent's own scope gives the same hyperparameter as without it."""
    hp = HyperParameters()
    hp.Choice("pool", ["yes", "no"])
    with hp.conditional_scope("pool", "yes"):
        hp.Choice("kind", ["max", "mean"])
        assert hp.Int("size", 2, 4, parent_name="kind", parent_values="max") == 2
    assert hp.Int("size", 2, 4, parent_name="kind", parent_values="max") == 2
    assert len(hp.space) == 3
    assert hp.Int("next", 1, 2) == 1, "the scopes are closed again"
