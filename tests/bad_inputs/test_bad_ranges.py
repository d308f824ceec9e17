"""Bad numbers of a search space: what ``Int`` and ``Float`` refuse."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiotune.errors import ConfigurationError, WrongType
from aiotune.hyperparameters import Float, HyperParameters, Int
from aiotune.testing import BadInput, check_refusal

ANY: Any = None
"""Stands for what the annotations would not allow."""


class Secretive:
    def __repr__(self) -> str:
        raise RuntimeError("not for you")


def an_int(name: str, arguments: dict[str, Any], error: type[Exception], *words: str) -> BadInput:
    """An Int called 'units', from 1 to 9 where nothing else is said; the last word is the remedy."""
    given = {"name": "units", "min_value": 1, "max_value": 9, **arguments}
    *says, remedy = words
    return BadInput(f"Int: {name}", Int, lambda _: Int(**given), error, ("units", *says), remedy)


def a_float(name: str, arguments: dict[str, Any], error: type[Exception], *words: str) -> BadInput:
    """A Float called 'rate', from 0.1 to 0.9 where nothing else is said."""
    given = {"name": "rate", "min_value": 0.1, "max_value": 0.9, **arguments}
    *says, remedy = words
    return BadInput(
        f"Float: {name}", Float, lambda _: Float(**given), error, ("rate", *says), remedy
    )


ROWS = [
    # ── names ──
    BadInput("Int: the name forgotten", Int, lambda _: Int(ANY, 1, 9), WrongType, ("name", "None"), "hp.Int('units'"),
    BadInput("Int: a fraction for a name", Int, lambda _: Int(0.5, 9, 100), WrongType, ("name", "0.5 of type float"), "hp.Int('units'"),  # type: ignore[arg-type]
    BadInput("Int: an empty name", Int, lambda _: Int("", 1, 9), ConfigurationError, ("empty",), "Give it a name"),
    BadInput("Int: a name as long as a book", Int, lambda _: Int("u" * 5000, 1, 9), ConfigurationError, ("uuu", "5,000 characters"), "Choose a shorter one"),
    BadInput("Int: a name that no file can hold", Int, lambda _: Int("units\udcff", 1, 9), ConfigurationError, (r"units\udcff",), "Unicode"),
    BadInput("Float: a name in bytes", Float, lambda _: Float(b"rate", 0.0, 1.0), WrongType, ("name", "b'rate' of type bytes"), "hp.Float('rate'"),  # type: ignore[arg-type]
    BadInput("Float: a name in an array", Float, lambda _: Float(np.array(["rate"]), 0.0, 1.0), WrongType, ("name", "ndarray"), "hp.Float('rate'"),  # type: ignore[arg-type]
    # ── bounds of whole numbers ──
    an_int("bounds exchanged", {"min_value": 512, "max_value": 32}, ConfigurationError, "min_value 512", "max_value 32", "Exchange them"),
    an_int("a bound in words", {"min_value": "ten"}, WrongType, "min_value", "'ten' of type str", "Write a number"),
    an_int("a number in quotes", {"max_value": "10"}, WrongType, "max_value", "'10' of type str", "without quotes"),
    an_int("no upper bound", {"max_value": None}, WrongType, "max_value", "None of type NoneType", "Write a number"),
    an_int("a truth for a bound", {"min_value": False}, WrongType, "min_value", "False of type bool", "Write a number"),
    an_int("a list for a bound", {"max_value": [9]}, WrongType, "max_value", "[9] of type list", "Write a number"),
    an_int("a bound in bytes", {"max_value": b"9"}, WrongType, "max_value", "b'9' of type bytes", "Write a number"),
    an_int("a complex bound", {"max_value": 9j}, WrongType, "max_value", "9j of type complex", "Write a number"),
    an_int("an array of bounds", {"max_value": np.array([1, 9])}, WrongType, "max_value", "array([1, 9]) of type ndarray", "Write a number"),
    an_int("an object for a bound", {"max_value": Secretive()}, WrongType, "max_value", "Secretive", "Write a number"),
    an_int("half a unit", {"min_value": 0.5}, ConfigurationError, "min_value", "0.5", "Use a Float"),
    an_int("a bound without end", {"max_value": math.inf}, ConfigurationError, "max_value", "inf", "finite"),
    an_int("a bound that is no number", {"min_value": math.nan}, ConfigurationError, "min_value", "nan", "finite"),
    an_int("more than 64 bits", {"max_value": 2**63}, ConfigurationError, "max_value", "9223372036854775808", "64 bits"),
    an_int("more digits than can be read", {"max_value": 10**9999}, ConfigurationError, "max_value", "64 bits", "sampling='log'"),
    an_int("less than 64 bits", {"min_value": -(2**63) - 1}, ConfigurationError, "min_value", "-9223372036854775809", "64 bits"),
    an_int("a bound beyond all floats", {"max_value": Decimal("1e400")}, ConfigurationError, "max_value", "inf", "finite"),
    # ── steps of whole numbers ──
    an_int("a step of nothing", {"step": 0}, ConfigurationError, "`step`", "is 0", "greater than 0"),
    an_int("a step backwards", {"step": -2}, ConfigurationError, "`step`", "-2", "greater than 0"),
    an_int("half a step", {"step": 1.5}, ConfigurationError, "step", "1.5", "Use a Float"),
    an_int("a step in words", {"step": "two"}, WrongType, "step", "'two' of type str", "Write a number"),
    an_int("a truth for a step", {"step": True}, WrongType, "step", "True of type bool", "Write a number"),
    an_int("a ratio of one", {"step": 1, "sampling": "log"}, ConfigurationError, "sampling='log'", "is 1", "ratio"),
    an_int("a falling ratio", {"step": -3, "sampling": "reverse_log"}, ConfigurationError, "sampling='reverse_log'", "-3", "ratio"),
    # ── scales ──
    an_int("an unknown scale", {"sampling": "logarithmic"}, ConfigurationError, "sampling", "'logarithmic'", "linear, log, reverse_log"),
    an_int("a number for a scale", {"sampling": 10}, WrongType, "sampling", "10", "linear, log, reverse_log"),
    an_int("a logarithm from zero", {"min_value": 0, "sampling": "log"}, ConfigurationError, "sampling='log'", "min_value is 0", "Raise min_value"),
    an_int("a logarithm of less than zero", {"min_value": -5, "sampling": "reverse_log"}, ConfigurationError, "sampling='reverse_log'", "-5", "Raise min_value"),
    # ── defaults of whole numbers ──
    an_int("a default above", {"default": 10}, ConfigurationError, "default 10", "1 to 9", "within"),
    an_int("a default below", {"default": 0}, ConfigurationError, "default 0", "1 to 9", "within"),
    an_int("half a default", {"default": 2.5}, ConfigurationError, "default", "2.5", "Use a Float"),
    an_int("a default in words", {"default": "many"}, WrongType, "default", "'many' of type str", "Write a number"),
    an_int("a default that is no number", {"default": math.nan}, ConfigurationError, "default", "nan", "finite"),
    # ── conditions ──
    an_int("a name for a condition", {"conditions": ["kind"]}, WrongType, "conditions", "'kind' of type str", "Parent('"),
    an_int("one condition without a list", {"conditions": 5}, WrongType, "conditions", "5 of type int", "Parent('"),
    # ── fractions ──
    a_float("bounds exchanged", {"min_value": 1e-1, "max_value": 1e-4}, ConfigurationError, "min_value 0.1", "max_value 0.0001", "Exchange them"),
    a_float("a bound in words", {"min_value": "1e-4"}, WrongType, "min_value", "'1e-4' of type str", "without quotes"),
    a_float("no lower bound", {"min_value": None}, WrongType, "min_value", "None of type NoneType", "Write a number"),
    a_float("a truth for a bound", {"max_value": True}, WrongType, "max_value", "True of type bool", "Write a number"),
    a_float("a bound without end", {"min_value": -math.inf}, ConfigurationError, "min_value", "-inf", "finite"),
    a_float("a bound that is no number", {"max_value": np.float32("nan")}, ConfigurationError, "max_value", "nan", "finite"),
    a_float("an array of bounds", {"min_value": np.array([0.1, 0.2])}, WrongType, "min_value", "ndarray", "Write a number"),
    a_float("a bound beyond all floats", {"max_value": 10**400}, ConfigurationError, "max_value", "too large", "finite"),
    a_float("a range too wide for its width", {"min_value": -1.7e308, "max_value": 1.7e308}, ConfigurationError, "-1.7e+308", "1.7e+308", "Narrow"),
    a_float("a step of nothing", {"step": 0.0}, ConfigurationError, "`step`", "0.0", "greater than 0"),
    a_float("a step that is no number", {"step": math.nan}, ConfigurationError, "step", "nan", "finite"),
    a_float("a step in words", {"step": "0.1"}, WrongType, "step", "'0.1' of type str", "without quotes"),
    a_float("a ratio below one", {"step": 0.5, "sampling": "log"}, ConfigurationError, "sampling='log'", "0.5", "ratio"),
    a_float("a ratio of hardly more than one", {"step": 1.0000000001, "sampling": "log"}, ConfigurationError, "step", "1.0000000001", "Leave the step out"),
    a_float("more steps than can be listed", {"step": 1e-12}, ConfigurationError, "step", "1e-12", "Leave the step out"),
    a_float("an unknown scale", {"sampling": "exp"}, ConfigurationError, "sampling", "'exp'", "linear, log, reverse_log"),
    a_float("a logarithm from zero", {"min_value": 0.0, "sampling": "log"}, ConfigurationError, "sampling='log'", "0.0", "Raise min_value"),
    a_float("a default outside", {"default": 1.5}, ConfigurationError, "default 1.5", "0.1 to 0.9", "within"),
    a_float("a default that is no number", {"default": math.inf}, ConfigurationError, "default", "inf", "finite"),
    a_float("a default in an array", {"default": np.array([0.5, 0.6])}, WrongType, "default", "ndarray", "Write a number"),
    # ── as a model asks ──
    BadInput("hp.Int: bounds exchanged", HyperParameters.Int, lambda _: HyperParameters().Int("units", 9, 1), ConfigurationError, ("'units'", "min_value 9"), "Exchange them"),
    BadInput("hp.Float: a step backwards", HyperParameters.Float, lambda _: HyperParameters().Float("rate", 0, 1, step=-0.1), ConfigurationError, ("'rate'", "-0.1"), "greater than 0"),
    BadInput("hp.Int: the name forgotten", HyperParameters.Int, lambda _: HyperParameters().Int(32, 512, 32), ConfigurationError, ("'32'", "min_value 512"), "Exchange them"),  # type: ignore[arg-type]
    BadInput("hp.Float: the name forgotten", HyperParameters.Float, lambda _: HyperParameters().Float(0.1, 0.5, 0.1), WrongType, ("name", "0.1 of type float"), "The name comes first"),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_range_is_refused_in_a_sentence(bad: BadInput, tmp_path: Path) -> None:
    """The error names the hyperparameter, the argument and the value, and says what to write."""
    check_refusal(bad, tmp_path)
