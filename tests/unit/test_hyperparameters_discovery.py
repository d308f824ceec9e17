"""Learning a search space by building."""

from __future__ import annotations

from typing import Any

import pytest

from aiotune._values import Value
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import HyperParameters, discover


class Builder:
    """A build function that remembers what it was called with."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.seen: list[dict[str, Value]] = []

    def __call__(self, hp: HyperParameters) -> int:
        """Run the body, then return the number of this build, from 1."""
        number = len(self.seen) + 1
        self.seen.append({})
        self.body(hp)
        self.seen[-1] = dict(hp.values)
        return number


def names(hp: HyperParameters) -> list[str]:
    """Return the names of the space, in order."""
    return [entry.name for entry in hp.space]


def test_a_plain_space_needs_one_build() -> None:
    """Without conditional scopes there is nothing to look for."""
    build, hp = Builder(lambda hp: hp.Int("a", 1, 5)), HyperParameters()

    assert discover(build, hp) == 1
    assert build.seen == [{"a": 1}]


def test_every_scope_is_entered_once() -> None:
    """Code that runs only inside an active scope is discovered, and the defaults are restored."""

    def body(hp: HyperParameters) -> None:
        hp.Choice("kind", ["dense", "conv", "rnn"])
        for kind in ("dense", "conv", "rnn"):
            with hp.conditional_scope("kind", kind):
                if hp.values["kind"] == kind:
                    hp.Int(f"{kind}_units", 1, 9)

    build, hp = Builder(body), HyperParameters()

    assert discover(build, hp) == 1
    assert names(hp) == ["kind", "dense_units", "conv_units", "rnn_units"]
    assert [values["kind"] for values in build.seen] == ["dense", "conv", "rnn"]
    assert hp.values == {"kind": "dense", "dense_units": 1}


def test_nested_scopes_are_opened_together() -> None:
    """The conditions of a whole stack are set at once."""

    def body(hp: HyperParameters) -> None:
        hp.Boolean("outer")
        with hp.conditional_scope("outer", True):
            hp.Choice("inner", [1, 2, 3])
            with hp.conditional_scope("inner", [3, 2]):
                if hp.is_active("inner") and hp.get("inner") == 3:
                    hp.Int("deep", 1, 2)

    hp = HyperParameters()
    discover(Builder(body), hp)

    assert names(hp) == ["outer", "inner", "deep"]
    assert hp.values == {"outer": False}


def test_a_scope_is_opened_under_the_values_that_showed_it() -> None:
    """A scope within plain branching is entered in that branch, not in the default's."""

    def body(hp: HyperParameters) -> None:
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", "b"):
            hp.Boolean("extra")
        if hp.get("kind") == "b":
            mode = hp.Choice("mode", [1, 2])
            with hp.conditional_scope("mode", 2):
                if mode == 2:
                    hp.Int("hidden", 1, 2)

    hp = HyperParameters()
    discover(Builder(body), hp)

    assert "hidden" in names(hp)
    assert hp.values == {"kind": "a", "mode": 1}


@pytest.mark.parametrize("values", ["never", ["neither", "nor"]])
def test_a_scope_that_no_value_opens_is_left_alone(values: Any) -> None:
    """A condition on a value that the parent cannot take ends the search for it, without a build."""

    def body(hp: HyperParameters) -> None:
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", values):
            hp.Int("x", 1, 2)
        with hp.conditional_scope("kind", "b"):
            hp.Int("y", 1, 2)

    build, hp = Builder(body), HyperParameters()

    assert discover(build, hp) == 1
    assert [seen["kind"] for seen in build.seen] == ["a", "b"]


def test_conditions_that_exclude_one_another_are_left_alone() -> None:
    """A stack that wants two values of one parent cannot open, and the search for it ends."""

    def body(hp: HyperParameters) -> None:
        hp.Choice("kind", ["a", "b", "c"])
        with hp.conditional_scope("kind", ["a", "b"]), hp.conditional_scope("kind", "c"):
            hp.Int("x", 1, 2)

    build, hp = Builder(body), HyperParameters()
    discover(build, hp)

    assert build.seen == [{"kind": "a"}]


def test_a_scope_that_stays_closed_is_tried_once() -> None:
    """A build function that does not obey the values cannot hold the discovery for ever."""

    def body(hp: HyperParameters) -> None:
        hp.Choice("kind", ["a", "b"])
        hp.values["kind"] = "a"
        with hp.conditional_scope("kind", "b"):
            hp.Int("x", 1, 2)

    build, hp = Builder(body), HyperParameters()
    discover(build, hp)

    assert len(build.seen) == 2


def test_a_growing_space_stops_at_the_bound() -> None:
    """A build function that shows a new scope each time is built no more than max_builds times."""

    def body(hp: HyperParameters) -> None:
        hp.Choice("kind", list(range(100)))
        for number in range(1, 100):
            with hp.conditional_scope("kind", number):
                hp.Int(f"x{number}", 1, 2)

    build = Builder(body)
    discover(build, HyperParameters(), max_builds=7)

    assert len(build.seen) == 7


def test_values_of_the_caller_are_kept() -> None:
    """What the caller has set is what the first build sees, and what is left at the end."""

    def body(hp: HyperParameters) -> None:
        hp.Boolean("a")
        hp.Int("b", 1, 9, parent_name="a", parent_values=False)

    hp = HyperParameters()
    hp.values["a"] = True
    build = Builder(body)
    discover(build, hp)

    assert build.seen == [{"a": True}, {"a": False, "b": 1}]
    assert hp.values == {"a": True}


@pytest.mark.parametrize("failing", [1, 2])
def test_what_was_asked_for_before_an_error_is_known(failing: int) -> None:
    """When a build raises, the space until then and the default values are there."""

    def body(hp: HyperParameters) -> None:
        kind = hp.Choice("kind", ["a", "b"])
        hp.Int("x", 1, 2, parent_name="kind", parent_values="b")
        if kind == "ab"[failing - 1]:
            raise ZeroDivisionError

    build, hp = Builder(body), HyperParameters()

    with pytest.raises(ZeroDivisionError):
        discover(build, hp)

    assert failing == len(build.seen)
    assert names(hp) == ["kind", "x"]
    assert hp.values == {"kind": "a"}


def test_at_least_one_build_is_needed() -> None:
    """A bound of no builds is refused with its number."""
    with pytest.raises(ConfigurationError, match="max_builds is 0"):
        discover(Builder(lambda _: None), HyperParameters(), max_builds=0)
