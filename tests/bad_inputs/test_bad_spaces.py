"""Bad search spaces: what ``Choice``, ``Boolean``, ``Fixed``, conditions and scopes refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiotune.errors import ConfigurationError, UnknownName, WrongType
from aiotune.hyperparameters import (
    Boolean,
    Choice,
    Fixed,
    HyperParameters,
    deserialize,
    discover,
    serialize,
)
from aiotune.hyperparameters._conditions import Parent
from aiotune.testing import BadInput, check_refusal

ANY: Any = None
"""Stands for what the annotations would not allow."""


def a_choice(name: str, arguments: dict[str, Any], error: type[Exception], *words: str) -> BadInput:
    """A Choice called 'layer' of two names where nothing else is said; the last word is the remedy."""
    given = {"name": "layer", "values": ["dense", "conv"], **arguments}
    *says, remedy = words
    return BadInput(
        f"Choice: {name}", Choice, lambda _: Choice(**given), error, ("layer", *says), remedy
    )


def asked(ask: Any) -> Any:
    """Ask a fresh container that knows a Choice 'kind' of 'a' and 'b', and an inactive 'deep'."""

    def provoke(_: Path) -> None:
        hp = HyperParameters()
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", "b"):
            hp.Int("deep", 1, 3)
        ask(hp)

    return provoke


def within(scope: Any) -> Any:
    """Enter a scope of such a container."""

    def enter(hp: HyperParameters) -> None:
        with scope(hp):
            hp.Boolean("inside")

    return asked(enter)


ROWS = [
    # ── Choice ──
    a_choice("nothing to choose", {"values": []}, ConfigurationError, "`values`", "none", "List at least one"),
    a_choice("no list", {"values": None}, WrongType, "`values`", "None of type NoneType", "Write a list"),
    a_choice("a single number", {"values": 64}, WrongType, "`values`", "64 of type int", "hp.Fixed()"),
    a_choice("a single name", {"values": "dense"}, WrongType, "`values`", "'dense'", "Write a list"),
    a_choice("a set", {"values": {"dense", "conv"}}, WrongType, "`values`", "set", "Write a list"),
    a_choice("two types", {"values": ["dense", 3]}, WrongType, "int, str", "['dense', 3]", "Write them all as one type"),
    a_choice("a number and a truth", {"values": [1, True]}, WrongType, "bool, int", "[1, True]", "Write them all as one type"),
    a_choice("whole and broken numbers", {"values": [1, 0.5]}, WrongType, "float, int", "[1, 0.5]", "Write them all as one type"),
    a_choice("nothing as a choice", {"values": ["dense", None]}, WrongType, "None of type NoneType", "look the objects up"),
    a_choice("pairs", {"values": [(3, 3), (5, 5)]}, WrongType, "(3, 3) of type tuple", "look the objects up"),
    a_choice("functions", {"values": [len, max]}, WrongType, "of type builtin_function_or_method", "look the objects up"),
    a_choice("arrays", {"values": [np.zeros(3), np.ones(3)]}, WrongType, "of type ndarray", "look the objects up"),
    a_choice("bytes", {"values": [b"dense"]}, WrongType, "b'dense' of type bytes", "look the objects up"),
    a_choice("complex numbers", {"values": [1j, 2j]}, WrongType, "1j of type complex", "look the objects up"),
    a_choice("a million objects", {"values": [object()] * 1_000_000}, WrongType, "of type object", "look the objects up"),
    a_choice("a NaN", {"values": [0.1, math.nan]}, ConfigurationError, "nan", "Use a finite number"),
    a_choice("an infinity", {"values": [0.1, math.inf]}, ConfigurationError, "inf", "Use a finite number"),
    a_choice("more than 64 bits", {"values": [1, 2**64]}, ConfigurationError, "18446744073709551616", "Use a float"),
    a_choice("a text as long as a book", {"values": ["x" * 100_000, "y"]}, ConfigurationError, "100,000 characters", "Use a short name"),
    a_choice("a text that no file can hold", {"values": ["\ud800", "y"]}, ConfigurationError, r"\ud800", "whole Unicode"),
    a_choice("a default that is no choice", {"default": "lstm"}, ConfigurationError, "'lstm'", "['dense', 'conv']", "Choose one of them"),
    a_choice("a default among very many", {"values": list(range(10_000)), "default": -1}, ConfigurationError, "-1", "Choose one of them"),
    a_choice("a default of another type", {"values": [1, 2], "default": "1"}, ConfigurationError, "'1'", "Choose one of them"),
    a_choice("a default in an array", {"default": np.array(["dense", "conv"])}, ConfigurationError, "array(", "Choose one of them"),
    a_choice("names in order", {"ordered": True}, ConfigurationError, "`ordered`", "['dense', 'conv']", "Leave it out"),
    a_choice("truths in order", {"values": [True, False], "ordered": True}, ConfigurationError, "`ordered`", "[True, False]", "Leave it out"),
    a_choice("ordered, in words", {"values": [1, 2], "ordered": "ascending"}, WrongType, "`ordered`", "'ascending'", "Leave it out"),
    a_choice("an order as an array", {"values": [1, 2], "ordered": np.array([0, 1])}, WrongType, "`ordered`", "array([0, 1])", "Leave it out"),
    BadInput("Choice: the name forgotten", Choice, lambda _: Choice(["dense"], ["conv"]), WrongType, ("name", "['dense'] of type list"), "hp.Choice('optimizer'"),  # type: ignore[arg-type]
    # ── Boolean and Fixed ──
    BadInput("Boolean: a default in words", Boolean, lambda _: Boolean("deep", default="yes"), ConfigurationError, ("'deep'", "'yes'"), "Write True or False"),  # type: ignore[arg-type]
    BadInput("Boolean: a default of nothing", Boolean, lambda _: Boolean("deep", default=ANY), ConfigurationError, ("'deep'", "None"), "Write True or False"),
    BadInput("Boolean: a default of two", Boolean, lambda _: Boolean("deep", default=2), ConfigurationError, ("'deep'", "is 2"), "Write True or False"),  # type: ignore[arg-type]
    BadInput("Boolean: defaults in an array", Boolean, lambda _: Boolean("deep", default=np.array([True, False])), ConfigurationError, ("'deep'", "array([ True, False])"), "Write True or False"),  # type: ignore[arg-type]
    BadInput("Boolean: a default for a name", Boolean, lambda _: Boolean(False), WrongType, ("name", "False of type bool"), "hp.Boolean('dropout')"),  # type: ignore[arg-type]
    BadInput("Fixed: nothing", Fixed, lambda _: Fixed("depth", ANY), ConfigurationError, ("'depth'", "None of type NoneType"), "Use a name"),
    BadInput("Fixed: a list", Fixed, lambda _: Fixed("depth", [3]), ConfigurationError, ("'depth'", "[3] of type list"), "Use a name"),  # type: ignore[arg-type]
    BadInput("Fixed: a NaN", Fixed, lambda _: Fixed("depth", math.nan), ConfigurationError, ("'depth'", "nan"), "Use a finite number"),
    BadInput("Fixed: more than 64 bits", Fixed, lambda _: Fixed("depth", -(2**64)), ConfigurationError, ("'depth'", "-18446744073709551616"), "Use a float"),
    BadInput("Fixed: half a surrogate pair", Fixed, lambda _: Fixed("depth", "\udfff"), ConfigurationError, ("'depth'", r"\udfff"), "whole Unicode"),
    # ── conditions ──
    BadInput("Parent: no values", Parent, lambda _: Parent("kind", []), ConfigurationError, ("'kind'", "no values"), "Name at least one"),
    BadInput("Parent: None", Parent, lambda _: Parent("kind", ANY), WrongType, ("'kind'", "None of type NoneType"), "Name values"),
    BadInput("Parent: a None among names", Parent, lambda _: Parent("kind", ["a", ANY]), WrongType, ("'kind'", "None of type NoneType"), "Name values"),
    BadInput("Parent: a pair", Parent, lambda _: Parent("kind", [("a", "b")]), WrongType, ("'kind'", "('a', 'b') of type tuple"), "Name values"),  # type: ignore[list-item]
    BadInput("Parent: numbers, then names", Parent, lambda _: Parent("kind", [1, "a"]), WrongType, ("'kind'", "[1, 'a']"), "Write them all"),
    BadInput("Parent: an infinity", Parent, lambda _: Parent("kind", [math.inf]), ConfigurationError, ("'kind'", "inf"), "Name finite numbers"),
    BadInput("Parent: a number for a name", Parent, lambda _: Parent(3, "a"), WrongType, ("name", "3 of type int"), "Parent('optimizer'"),  # type: ignore[arg-type]
    BadInput("hp.conditional_scope: an unknown parent", HyperParameters.conditional_scope, within(lambda hp: hp.conditional_scope("sort", "a")), ConfigurationError, ("'sort'",), "Ask for it before"),
    BadInput("hp.conditional_scope: no values", HyperParameters.conditional_scope, within(lambda hp: hp.conditional_scope("kind", [])), ConfigurationError, ("'kind'", "no values"), "Name at least one"),
    BadInput("hp.conditional_scope: an object", HyperParameters.conditional_scope, within(lambda hp: hp.conditional_scope("kind", object())), WrongType, ("'kind'", "of type object"), "Name values"),
    BadInput("hp.conditional_scope: no name", HyperParameters.conditional_scope, within(lambda hp: hp.conditional_scope(None, "a")), WrongType, ("None of type NoneType",), "The name comes first"),
    BadInput("hp.Int: a parent without values", HyperParameters.Int, asked(lambda hp: hp.Int("n", 1, 2, parent_name="kind")), WrongType, ("'kind'", "None of type NoneType"), "Name values"),
    BadInput("hp.Choice: an unknown parent", HyperParameters.Choice, asked(lambda hp: hp.Choice("n", [1], parent_name="sort", parent_values="a")), ConfigurationError, ("'sort'",), "Ask for it before"),
    BadInput("hp.Boolean: its own parent", HyperParameters.Boolean, asked(lambda hp: hp.Boolean("kind", parent_name="kind", parent_values="a")), ConfigurationError, ("'kind'", "same name as its parent"), "Rename one"),
    BadInput("hp.Fixed: a parent without a name", HyperParameters.Fixed, asked(lambda hp: hp.Fixed("n", 1, parent_values="a")), ConfigurationError, ("parent_values='a'",), "parent_name="),
    BadInput("hp.Int: the name of another kind", HyperParameters.Int, asked(lambda hp: hp.Int("kind", 1, 9)), ConfigurationError, ("'kind'", "Choice", "Int"), "Rename one"),
    BadInput("hp.name_scope: no name", HyperParameters.name_scope, within(lambda hp: hp.name_scope(None)), WrongType, ("None of type NoneType",), "must be text"),
    BadInput("hp.name_scope: an empty name", HyperParameters.name_scope, within(lambda hp: hp.name_scope("")), ConfigurationError, ("empty",), "Give it a name"),
    # ── reading ──
    BadInput("hp.get: an unknown name", HyperParameters.get, asked(lambda hp: hp.get("learning_rate")), UnknownName, ("'learning_rate'", "'kind'"), "ask for it before"),
    BadInput("hp.get: a name misspelt", HyperParameters.get, asked(lambda hp: hp.get("kidn")), UnknownName, ("'kidn'",), "Similar names are 'kind'"),
    BadInput("hp[...]: control characters", HyperParameters.get, asked(lambda hp: hp["\x1b[2J\u202e"]), UnknownName, (r"'\x1b[2J\u202e'",), "ask for it before"),
    BadInput("hp[...]: a book", HyperParameters.get, asked(lambda hp: hp["kind" * 300]), UnknownName, ("'kindkind", "..."), "ask for it before"),
    BadInput("hp.get: no name", HyperParameters.get, asked(lambda hp: hp.get(None)), WrongType, ("None of type NoneType",), "must be text"),
    BadInput("hp.get: an inactive one", HyperParameters.get, asked(lambda hp: hp.get("deep")), ConfigurationError, ("'deep'", "inactive"), "is_active('deep')"),
    # ── as data ──
    BadInput("deserialize: an unknown kind", deserialize, lambda _: deserialize({"class_name": "Quantum", "config": {}}), ConfigurationError, ("'Quantum'",), "Use one of these"),
    BadInput("deserialize: nothing", deserialize, lambda _: deserialize({}), ConfigurationError, ("{}",), "serialize()"),
    BadInput("deserialize: a list", deserialize, lambda _: deserialize(ANY), ConfigurationError, ("None",), "serialize()"),
    BadInput("deserialize: an argument too many", deserialize, lambda _: deserialize({"class_name": "Boolean", "config": {"name": "b", "colour": 1}}), ConfigurationError, ("'colour'", "Boolean"), "get_config()"),
    BadInput("deserialize: an argument missing", deserialize, lambda _: deserialize({"class_name": "Int", "config": {"name": "n"}}), ConfigurationError, ("min_value", "Int"), "get_config()"),
    BadInput("deserialize: a condition of another class", deserialize, lambda _: deserialize({"class_name": "Boolean", "config": {"name": "b", "conditions": [{"class_name": "Child", "config": {}}]}}), ConfigurationError, ("'Child'",), "Write the condition"),
    BadInput("deserialize: a condition without values", deserialize, lambda _: deserialize({"class_name": "Boolean", "config": {"name": "b", "conditions": [{"class_name": "Parent", "config": {"name": "a"}}]}}), ConfigurationError, ("'Parent'",), "Take it from there"),
    BadInput("serialize: no hyperparameter", serialize, lambda _: serialize(ANY), WrongType, ("None of type NoneType",), "hp.space"),
    BadInput("HyperParameters.from_config: no space", HyperParameters.from_config, lambda _: HyperParameters.from_config({"values": {}}), ConfigurationError, ("{'values': {}}",), "get_config()"),
    BadInput("HyperParameters.from_config: a list", HyperParameters.from_config, lambda _: HyperParameters.from_config(ANY), ConfigurationError, ("None",), "get_config()"),
    BadInput("hp.merge: a number", HyperParameters.merge, lambda _: HyperParameters().merge(ANY), WrongType, ("None of type NoneType",), "HyperParameters"),
    BadInput("hp.merge: names", HyperParameters.merge, lambda _: HyperParameters().merge(["kind"]), WrongType, ("'kind' of type str",), "HyperParameters"),  # type: ignore[list-item]
    BadInput("discover: no builds", discover, lambda _: discover(lambda hp: None, HyperParameters(), max_builds=0), ConfigurationError, ("max_builds", "0"), "at least one"),
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_space_is_refused_in_a_sentence(bad: BadInput, tmp_path: Path) -> None:
    """The error names the hyperparameter and what is wrong with it, and says what to write."""
    check_refusal(bad, tmp_path)
