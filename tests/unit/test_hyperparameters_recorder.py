"""HyperParameters: what a model-building function asks."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotune._values import Value
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import Choice, Float, HyperParameter, HyperParameters, Int, Parent


def build_cnn(hp: HyperParameters) -> None:
    """Ask for a space with nested scopes."""
    with hp.name_scope("net"):
        kind = hp.Choice("kind", ["dense", "conv"])
        hp.Int("layers", 1, 3)
        with hp.conditional_scope("kind", "conv"):
            pool = hp.Boolean("pool")
            with hp.conditional_scope("pool", True):
                hp.Choice("pooling", ["max", "mean"])
        with hp.conditional_scope("kind", ["dense"]):
            hp.Float("dropout", 0, 0.5, step=0.1)
    hp.Fixed("epochs", 3)
    hp.Float("momentum", 0, 1, parent_name="net/kind", parent_values="conv")
    assert kind in {"dense", "conv"}
    assert pool in {None, False, True}


@pytest.fixture
def hp() -> HyperParameters:
    """Return a container that has seen ``build_cnn``."""
    hp = HyperParameters()
    build_cnn(hp)
    return hp


def test_asking_registers_and_returns_defaults() -> None:
    """Each method returns the default and lists the hyperparameter in order."""
    hp = HyperParameters()

    answers = [
        hp.Choice("a", ["x", "y"], default="y"),
        hp.Int("b", 3, 9),
        hp.Float("c", 0.5, 1, default=0.75),
        hp.Boolean("d", default=True),
        hp.Fixed("e", "constant"),
    ]

    assert answers == ["y", 3, 0.75, True, "constant"]
    assert [entry.name for entry in hp.space] == ["a", "b", "c", "d", "e"]
    assert dict(zip("abcde", answers, strict=True)) == hp.values


def test_values_given_in_advance_win() -> None:
    """A value that is there before its hyperparameter is asked for is the answer."""
    hp = HyperParameters()
    hp.values["units"] = 64

    assert hp.Int("units", 32, 128) == 64


def test_the_first_registration_wins() -> None:
    """Asking again under the same name and conditions ignores the new arguments."""
    hp = HyperParameters()
    hp.Int("a", 1, 5)

    assert hp.Int("a", 100, 200) == 1
    assert [Int("a", 1, 5)] == hp.space


def test_a_space_given_in_advance_narrows_what_is_asked() -> None:
    """What was fixed, or listed, is the value of a range that is asked for under the same name."""
    hp = HyperParameters()
    hp.Fixed("units", 64)
    hp.Choice("rate", [0.1, 0.2])
    hp.Float("momentum", 0.5, 0.9)

    asked = [hp.Int("units", 1, 9), hp.Float("rate", 0.5, 1.0), hp.Choice("momentum", [0.0])]

    assert asked == [64, 0.1, 0.5]


def test_names_are_scoped_and_stringified() -> None:
    """Scopes prefix names, also of parents and of what is read, and numbers become text."""
    hp = HyperParameters()
    with hp.name_scope("a"), hp.name_scope("b"):
        hp.Int(7, 1, 5)  # type: ignore[arg-type]

        assert hp.get("7") == 1
        assert "7" in hp

    assert hp.values == {"a/b/7": 1}
    assert "7" not in hp


def test_scopes_activate_by_the_parents_value(hp: HyperParameters) -> None:
    """What is under an inactive scope is known, has no value, and knows its whole stack."""
    assert {"net/kind", "net/layers", "net/dropout", "epochs"} == set(hp.values)
    pooling = next(entry for entry in hp.space if entry.name == "net/pooling")
    assert (Parent("net/kind", "conv"), Parent("net/pool", [True])) == pooling.conditions
    assert [hp.is_active("net/dropout"), hp.is_active(pooling)] == [True, False]


def test_scopes_seen_are_remembered_by_activity(hp: HyperParameters) -> None:
    """The container lists which stacks of conditions held and which did not, each once."""
    build_cnn(hp)

    conv = (Parent("net/kind", ["conv"]),)
    assert [(Parent("net/kind", ["dense"]),)] == hp.active_scopes
    assert [conv, (*conv, Parent("net/pool", [True]))] == hp.inactive_scopes


def test_a_scope_needs_a_parent_that_was_asked_for() -> None:
    """An unknown parent is refused by name."""
    hp = HyperParameters()
    hp.Choice("a", [1, 2])

    with pytest.raises(ConfigurationError, match=r"'c' .* is not defined"):
        hp.Int("x", 1, 2, parent_name="c", parent_values=1)


def test_a_child_cannot_have_its_parents_name() -> None:
    """A hyperparameter that depends on itself is refused."""
    hp = HyperParameters()
    hp.Choice("a", [1, 2])

    with (
        pytest.raises(ConfigurationError, match="'a' cannot have the same name as its parent"),
        hp.conditional_scope("a", 1),
    ):
        hp.Choice("a", [3, 4])


def test_scopes_close_when_the_body_raises() -> None:
    """After an exception in a scope, names and conditions are as before."""
    hp = HyperParameters()
    hp.Choice("a", [1, 2])

    with pytest.raises(ZeroDivisionError), hp.conditional_scope("a", 1), hp.name_scope("s"):
        raise ZeroDivisionError
    hp.Int("b", 1, 2)

    assert hp.space[-1] == Int("b", 1, 2)


def test_reading_says_why_there_is_no_value(hp: HyperParameters) -> None:
    """Inactive and unknown names are told apart, with a hint."""
    with pytest.raises(ValueError, match="'net/pool' is currently inactive"):
        hp.get("net/pool")
    with pytest.raises(KeyError, match=r"'net/layer' does not exist.*'net/layers'"):
        hp["net/layer"]
    assert [name in hp for name in ("epochs", "net/pool", "nothing")] == [True, False, False]


def test_control_values_outside_the_space_are_readable() -> None:
    """A key of values that no hyperparameter has can be read and is kept."""
    hp = HyperParameters()
    hp.values["tuner/epochs"] = 3
    hp.ensure_active_values()

    assert hp.get("tuner/epochs") == 3
    assert "tuner/epochs" in hp


def test_unseen_values_what_is_not_known_yet() -> None:
    """The hook gives the value of a hyperparameter that is active and has none, once."""
    hp = HyperParameters()
    hp.Choice("a", [1, 2])
    asked: list[str] = []

    def unseen(entry: HyperParameter) -> Value:
        asked.append(entry.name)
        return entry.prob_to_value(0.99)

    hp.unseen = unseen
    answers = [
        hp.Int("b", 1, 9),
        hp.Int("b", 1, 9),
        hp.Int("c", 1, 9, parent_name="a", parent_values=2),
        hp.Choice("a", [1, 2]),
    ]

    assert answers == [9, 9, None, 1]
    assert asked == ["b"]


def test_a_known_hyperparameter_without_a_value_gets_one() -> None:
    """Values that leave out an active hyperparameter are completed when it is asked for."""
    hp = HyperParameters()
    hp.Int("a", 3, 9)
    partial = hp.with_values({})

    assert partial.Int("a", 3, 9) == 3
    assert partial.values == {"a": 3}


def test_with_values_is_independent(hp: HyperParameters) -> None:
    """The new container shares entries, not lists, and holds exactly the given values."""
    before = (list(hp.space), dict(hp.values))
    hp.unseen = lambda entry: entry.prob_to_value(0.99)

    made = hp.with_values({"net/kind": "conv"})
    made.Int("extra", 1, 2)

    assert made.values == {"net/kind": "conv", "extra": 1}
    assert before == (hp.space, hp.values)
    assert all(one is other for one, other in zip(hp.space, made.space, strict=False))
    assert made.unseen is None


def test_add_returns_what_was_new(hp: HyperParameters) -> None:
    """Known entries are skipped, new ones are kept in order, and no value changes."""
    before = dict(hp.values)
    new = [Int("x", 1, 2), Int("net/layers", 1, 3, conditions=[Parent("epochs", 3)])]

    added = hp.add([hp.space[0], *new, Int("net/layers", 1, 99)])

    assert new == added == hp.space[-2:]
    assert before == hp.values
    assert Int("net/layers", 1, 3) == hp.known(Int("net/layers", 1, 99))


def test_merge_overwrites_in_place() -> None:
    """With overwrite an entry is replaced, not doubled, and its value becomes the new default."""
    hp = HyperParameters()
    hp.Int("a", 1, 5)
    hp.Int("b", 1, 5)
    other = HyperParameters()
    other.values["a"] = 9
    other.Int("a", 7, 9)

    hp.merge(other)

    assert [Int("a", 7, 9), Int("b", 1, 5)] == hp.space
    assert hp.values == {"a": 7, "b": 1}


def test_merge_without_overwrite_keeps_what_is_known() -> None:
    """Known entries and values stay; new active entries get their default."""
    hp = HyperParameters()
    hp.Choice("a", [1, 2])
    hp.values["c"] = 5

    hp.merge(
        [
            Choice("a", [3, 4]),
            Int("b", 1, 9, default=4),
            Int("c", 1, 9),
            Int("d", 1, 9, conditions=[Parent("a", 2)]),
        ],
        overwrite=False,
    )

    assert [entry.name for entry in hp.space] == ["a", "b", "c", "d"]
    assert hp.values == {"a": 1, "b": 4, "c": 5}


def test_ensure_active_values_completes_and_prunes(hp: HyperParameters) -> None:
    """Active hyperparameters get defaults, inactive ones lose their values, the rest stays."""
    made = hp.with_values({"net/kind": "conv", "net/dropout": 0.3, "net/layers": 2, "own": 1})

    made.ensure_active_values()

    expected = {
        "own": 1,
        "net/kind": "conv",
        "net/layers": 2,
        "net/pool": False,
        "epochs": 3,
        "momentum": 0.0,
    }
    assert expected == made.values


def test_ensure_active_values_keeps_a_namesakes_value() -> None:
    """Where one of two hyperparameters of a name is active, the name keeps its value."""
    hp = HyperParameters()
    hp.Choice("a", [1, 2])
    for parent in (1, 2):
        hp.Int("units", 1, 9, parent_name="a", parent_values=parent)
    hp = hp.with_values({"a": 2, "units": 7})

    hp.ensure_active_values()

    assert hp.values == {"a": 2, "units": 7}


def test_an_inactive_parents_old_value_counts_for_nothing() -> None:
    """Children of a parent that became inactive lose their values with it."""
    hp = HyperParameters()
    hp.add(
        [
            Choice("a", [1, 2]),
            Choice("b", [1, 2], conditions=[Parent("a", 2)]),
            Choice("c", [1, 2], conditions=[Parent("b", 2)]),
        ]
    )
    hp.values = {"a": 1, "b": 2, "c": 2}

    hp.ensure_active_values()

    assert hp.values == {"a": 1}


entries = st.lists(
    st.one_of(
        st.builds(
            Int, st.sampled_from("abc"), st.integers(0, 5), st.integers(6, 9), default=st.just(6)
        ),
        st.builds(Float, st.sampled_from("abc"), st.floats(-1, 0), st.floats(0, 1)),
        st.builds(
            Choice,
            st.sampled_from("def"),
            st.lists(st.sampled_from(["x", "ü", ""]), min_size=1, max_size=4),
            conditions=st.just([Parent("a", [6, 7])]),
        ),
    ),
    max_size=6,
)


@settings(max_examples=30)
@given(entries=entries)
def test_containers_survive_json_pickle_and_copies(entries: list[HyperParameter]) -> None:
    """Entries and values are the same after JSON, pickle, deepcopy, copy, and merge into nothing."""
    hp = HyperParameters()
    hp.add(entries)
    hp.ensure_active_values()
    merged = HyperParameters()
    merged.merge(hp)

    through_json = HyperParameters.from_config(json.loads(json.dumps(hp.get_config())))

    copies = (through_json, pickle.loads(pickle.dumps(hp)), copy.deepcopy(hp), hp.copy(), merged)
    for other in copies:
        assert (hp.space, hp.values) == (other.space, other.values)
        assert other.add(hp.space) == []


def test_config_has_kerastuners_form() -> None:
    """A configuration can be written and read as KerasTuner does."""
    hp = HyperParameters()
    hp.Choice("a", ["x", "y"])
    hp.Int("b", 1, 9, parent_name="a", parent_values="y")

    condition = {"class_name": "Parent", "config": {"name": "a", "values": ["y"]}}
    expected = {
        "space": [
            {
                "class_name": "Choice",
                "config": {
                    "name": "a",
                    "default": "x",
                    "conditions": [],
                    "values": ["x", "y"],
                    "ordered": False,
                },
            },
            {
                "class_name": "Int",
                "config": {
                    "name": "b",
                    "default": 1,
                    "conditions": [condition],
                    "min_value": 1,
                    "max_value": 9,
                    "step": 1,
                    "sampling": "linear",
                },
            },
        ],
        "values": {"a": "x"},
    }
    assert expected == hp.get_config()


def test_an_unknown_condition_cannot_be_read() -> None:
    """A configuration with another class of condition is refused by its name."""
    config = Int("a", 1, 2).get_config()
    config["conditions"] = [{"class_name": "Moon", "config": {}}]

    with pytest.raises(ConfigurationError, match="'Moon' cannot be read"):
        Int.from_config(config)
