"""Bad results: what a trial may not return, and what may not be told or asked of an oracle."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.errors import (
    ConfigurationError,
    FatalRuntimeError,
    FatalTypeError,
    FatalValueError,
    InternalError,
    SearchAborted,
    UnknownName,
    WrongType,
)
from aiotune.oracles import Oracle, RandomSearchOracle
from aiotune.searchers import Exhausted, Proposal, Wait
from aiotune.testing import BadInput, check_refusal

ANY: Any = None
"""Stands for what the annotations would not allow."""
ONLY_THEN = "only the trial's own code knows what it returns"


class Returning(aiotune.RandomSearch):
    """A trial that returns what a function makes."""

    def run_trial(self, trial: aiotune.Trial, make: Callable[[], Any]) -> Any:
        trial.hyperparameters.Float("x", 0.0, 1.0)
        return make()


@dataclass
class History:
    """What ``model.fit`` returns, to whoever does not look at its class."""

    history: dict[str, list[Any]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)


def returned(
    name: str, make: Callable[[], Any], error: type[Exception], *words: str, objective: Any = "loss"
) -> BadInput:
    """A search whose trials return something; the last word is the remedy."""
    *says, remedy = words

    async def provoke(folder: Path) -> None:
        tuner = Returning(
            objective=objective,
            max_trials=4,
            directory=folder,
            project_name="p",
            executor="inline",
        )
        await tuner.search(make, verbose=0)

    where = aiotune.Tuner.search
    return BadInput(f"returned: {name}", where, provoke, error, tuple(says), remedy, late=ONLY_THEN)


class Asking(Returning):
    """A trial that asks something of its tuner."""

    def run_trial(self, trial: aiotune.Trial, ask: Callable[[Any, Any], Any]) -> Any:  # type: ignore[override]
        return ask(self, trial)


def within(
    name: str, ask: Callable[[Any, Any], Any], error: type[Exception], *words: str
) -> BadInput:
    """A trial that does what a trial cannot; the last word is the remedy."""
    *says, remedy = words

    async def provoke(folder: Path) -> None:
        options: dict[str, Any] = {"directory": folder, "project_name": "p", "executor": "inline"}
        await Asking(objective="loss", max_trials=4, **options).search(ask, verbose=0)

    where = aiotune.Tuner.search
    return BadInput(f"within: {name}", where, provoke, error, tuple(says), remedy, late=ONLY_THEN)


async def search_again(tuner: Any, _: Any) -> None:
    await tuner.search(None)


def raises(error: Exception) -> Callable[[], None]:
    """Return a function that raises an error."""

    def make() -> None:
        raise error

    return make


def asked(
    name: str,
    where: Callable[..., Any],
    ask: Callable[[Oracle], Any],
    error: type[Exception],
    *words: str,
    late: str = "",
) -> BadInput:
    """An oracle in memory, of 'loss', that is asked or told something."""
    *says, remedy = words

    async def provoke(_: Path) -> None:
        oracle = RandomSearchOracle("loss", max_trials=3)
        oracle.hyperparameters.Float("x", 0.0, 1.0)
        async with oracle.open():
            result = ask(oracle)
            if result is not None:
                await result

    return BadInput(name, where, provoke, error, tuple(says), remedy, late=late)


async def told(oracle: Oracle, metrics: Any, **arguments: Any) -> None:
    """Report a trial's metrics."""
    trial = await oracle.create_trial("me")
    await oracle.update_trial(trial.trial_id, metrics, **arguments)


async def ended(oracle: Oracle, *statuses: Any) -> None:
    """End a trial, once for each status."""
    trial = await oracle.create_trial("me")
    await oracle.update_trial(trial.trial_id, {"loss": 1.0})
    for status in statuses:
        await oracle.end_trial(trial.trial_id, status)


async def listed(oracle: Oracle, count: Any) -> None:
    """Ask for the best."""
    oracle.get_best_trials(count)


def own(answer: Any) -> Callable[[Path], Any]:
    """Search with an algorithm of one's own that answers something."""

    class Own(Oracle):
        async def populate_space(self, trial_id: str) -> Any:
            return answer

    async def provoke(_: Path) -> None:
        async with (oracle := Own("loss", max_trials=3)).open():
            await oracle.create_trial("me")

    return provoke


ROWS = [
    # ── what a trial returns ──
    returned("nothing", lambda: None, FatalTypeError, "None", "Did you forget to return"),
    returned("a word", lambda: "good", FatalTypeError, "'good' of type str", "Return a number"),
    returned("a number in quotes", lambda: "0.5", FatalTypeError, "'0.5' of type str", "Return a number"),
    returned("bytes", lambda: b"\0\0", FatalTypeError, r"b'\x00\x00' of type bytes", "Return a number"),
    returned("control characters", lambda: "\x1b[2J", FatalTypeError, r"'\x1b[2J' of type str", "Return a number"),
    returned("a set", lambda: {0.5}, FatalTypeError, "{0.5} of type set", "Return a number"),
    returned("a class", lambda: History, FatalTypeError, "of type type", "Return a number"),
    returned("an exception", lambda: ValueError("no"), FatalTypeError, "ValueError('no')", "Return a number"),
    returned("a generator", lambda: (x for x in [0.5]), FatalTypeError, "of type generator", "Return a number"),
    returned("a date", lambda: dt.date(2020, 1, 1), FatalTypeError, "of type date", "Return a number"),
    returned("a complex number", lambda: 1j, FatalTypeError, "1j of type complex", "Return a number"),
    returned("a decimal NaN", lambda: Decimal("NaN"), FatalTypeError, "of type Decimal", "Return a number"),
    returned("an array", lambda: np.zeros(3), FatalTypeError, "array([0., 0., 0.]) of type ndarray", "Return a number"),
    returned("a large array", lambda: np.zeros((1000, 1000)), FatalTypeError, "of type ndarray", "Return a number"),
    returned("an array of text", lambda: np.array("low"), FatalTypeError, "array('low'", "Return a number"),
    returned("an array of complex numbers", lambda: np.array(1j), FatalTypeError, "array(0.+1.j)", "Return a number"),
    returned("an empty list", list, FatalTypeError, "empty list", "Return one result for each execution"),
    returned("a list of nothing", lambda: [None], FatalTypeError, "None", "Did you forget to return"),
    returned("lists in a list", lambda: [[0.5], [0.4]], FatalTypeError, "[0.5]", "Return one result for each execution"),
    returned("a number, then a word", lambda: [0.5, "good"], FatalTypeError, "'good' of type str", "Return a number"),
    returned("an empty dict", dict, FatalValueError, "'loss'", "Add it to the metrics"),
    returned("a dict without the objective", lambda: {"accuracy": 0.9}, FatalValueError, "'loss'", "['accuracy']", "Add it to the metrics"),
    returned("no validation", lambda: {"loss": 0.9}, FatalValueError, "'val_loss'", "['loss']", "Pass validation_data", objective="val_loss"),
    returned("a dict, and no objective", lambda: {"loss": 0.9}, FatalValueError, "['loss']", "pass objective=...", objective=None),
    returned("a member missing", lambda: {"loss": 0.9}, FatalValueError, "'acc'", "['loss']", "Add it to the metrics", objective=["loss", "acc"]),
    returned("one number for two objectives", lambda: 0.9, FatalTypeError, "0.9", "acc, loss", "Return a dict", objective=["loss", "acc"]),
    returned("a metric of nothing", lambda: {"loss": None}, FatalTypeError, "'loss'", "None of type NoneType", "Return numbers only"),
    returned("a metric in quotes", lambda: {"loss": "0.5"}, FatalTypeError, "'loss'", "'0.5' of type str", "Return numbers only"),
    returned("a metric in a list", lambda: {"loss": [0.5]}, FatalTypeError, "'loss'", "[0.5] of type list", "Return numbers only"),
    returned("a metric in an array", lambda: {"loss": np.array([0.5, 0.4])}, FatalTypeError, "'loss'", "array([0.5, 0.4])", "mean()"),
    returned("another metric in words", lambda: {"loss": 0.5, "mood": "low"}, FatalTypeError, "'mood'", "'low' of type str", "Return numbers only"),
    returned("a number beyond all floats", lambda: 10**400, FatalValueError, "'loss'", "too large for a float", "Return its logarithm"),
    returned("a million metrics", lambda: {"loss": 0.5, **dict.fromkeys(range(1_000_000), 0.5)}, FatalValueError, "1,000,001 metrics", "10,000 are allowed"),
    returned("a metric named by a book", lambda: {"loss": 0.5, "m" * 100_000: 0.5}, FatalValueError, "100,000 characters", "Name it with"),
    returned("a metric that no file can hold", lambda: {"loss": 0.5, "\ud800": 0.5}, FatalValueError, r"'\ud800'", "Name it with"),
    returned("a metric named by control characters", lambda: {"loss": 0.5, "a\x1b[31m\n": 0.5}, FatalValueError, r"'a\x1b[31m\n'", "Name it with"),
    returned("a history of nothing", History, FatalValueError, "'loss'", "[]", "Add it to the metrics"),
    returned("a history of other metrics", lambda: History({"mae": [0.5]}, [0]), FatalValueError, "'loss'", "['mae']", "Add it to the metrics"),
    returned("a history of no epoch", lambda: History({"loss": []}), FatalValueError, "'loss'", "no epoch", "epochs=..."),
    returned("a history of words", lambda: History({"loss": ["low"]}, [0]), FatalTypeError, "'loss'", "'low' of type str", "Return numbers only"),
    returned("a history of lists", lambda: History({"loss": [[0.5]]}, [0]), FatalTypeError, "'loss'", "[0.5] of type list", "Return numbers only"),
    returned("a NaN", lambda: math.nan, SearchAborted, "The objective is nan", "Mend the cause"),
    returned("an infinity", lambda: {"loss": math.inf}, SearchAborted, "The objective is inf", "Mend the cause"),
    returned("a NaN among executions", lambda: [0.5, math.nan], SearchAborted, "The objective is nan", "Mend the cause"),
    returned("an exception as long as a book", raises(ValueError("b" * 3_000_000)), SearchAborted, "ValueError: bbb", "Mend the cause"),
    returned("an exception of control characters", raises(ValueError("\x1b[31mred\u202e")), SearchAborted, r"ValueError: \x1b[31mred", "Mend the cause"),
    returned("an exception of several", raises(ExceptionGroup("several", [ValueError("a"), TypeError("b")])), SearchAborted, "ExceptionGroup: several (2 sub-exceptions)", "Mend the cause"),
    returned("a reserved name", lambda: aiotune.HyperParameters().Int("tuner/epochs", 1, 9), SearchAborted, "'tuner/epochs' is reserved", "Mend the cause"),
    # ── what a trial cannot do ──
    within("report a number", lambda t, trial: t.oracle.update_trial(trial.trial_id, 0.5), SearchAborted, "WrongType", "0.5 of type float", "Report {"),
    within("report a word", lambda t, trial: t.oracle.update_trial(trial.trial_id, {"loss": "low"}), SearchAborted, "WrongType", "'low' of type str", "Report a number"),
    within("report a step in words", lambda t, trial: t.oracle.update_trial(trial.trial_id, {"loss": 1.0}, step="a"), SearchAborted, "step", "'a'", "whole number"),
    within("report for another", lambda t, trial: t.oracle.update_trial("77", {"loss": 1.0}), FatalRuntimeError, "'77'", "only report for itself"),
    within("ask for other trials", lambda t, trial: t.oracle.get_best_trials(), SearchAborted, "oracle.get_best_trials", "Available: objective"),
    within("search", search_again, SearchAborted, "within a trial", "in the program itself"),
    within("save a model that is none", lambda t, trial: t.save_model(trial.trial_id, None), SearchAborted, "None of type NoneType", "Override save_model()"),
    within("ask for another kind", lambda t, trial: [trial.hyperparameters.Choice("x", ["a", "b"]), trial.hyperparameters.Float("x", 0.0, 1.0)], SearchAborted, "'x'", "Rename one"),
    within("read what is not there", lambda t, trial: trial.hyperparameters["rate"], SearchAborted, "UnknownName", "'rate'", "ask for it before"),
    # ── what is told to an oracle ──
    asked("told: a number", Oracle.update_trial, lambda o: told(o, 0.5), WrongType, "0.5 of type float", "Report {"),
    asked("told: nothing", Oracle.update_trial, lambda o: told(o, None), WrongType, "None of type NoneType", "Report {"),
    asked("told: other metrics", Oracle.update_trial, lambda o: told(o, {"acc": 1.0}), ConfigurationError, "['loss']", "['acc']", "Report it"),
    asked("told: a word", Oracle.update_trial, lambda o: told(o, {"loss": "low"}), WrongType, "'loss'", "'low' of type str", "Report a number"),
    asked("told: an array", Oracle.update_trial, lambda o: told(o, {"loss": np.array([0.5, 0.4])}), WrongType, "'loss'", "of type ndarray", "Report a number"),
    asked("told: beyond all floats", Oracle.update_trial, lambda o: told(o, {"loss": 10**400}), WrongType, "'loss'", "Report a number"),
    asked("told: half a step", Oracle.update_trial, lambda o: told(o, {"loss": 1.0}, step=0.5), ConfigurationError, "step", "0.5", ">= 0"),
    asked("told: a step back", Oracle.update_trial, lambda o: told(o, {"loss": 1.0}, step=-1), ConfigurationError, "step", "-1", ">= 0"),
    asked("told: of a trial that is none", Oracle.update_trial, lambda o: o.update_trial("7", {"loss": 1.0}), UnknownName, "'7'", "none yet", "trial.trial_id"),
    asked("told: of a trial by its number", Oracle.update_trial, lambda o: o.update_trial(ANY, {"loss": 1.0}), UnknownName, "None", "trial.trial_id"),
    asked("ended: twice", Oracle.end_trial, lambda o: ended(o, "COMPLETED", "COMPLETED"), ConfigurationError, "ended as COMPLETED", "once"),
    asked("ended: with a status that is none", Oracle.end_trial, lambda o: ended(o, "DONE"), ConfigurationError, "'DONE'", "COMPLETED"),
    asked("ended: with a status that no attempt ends with", Oracle.end_trial, lambda o: ended(o, "QUEUED"), ConfigurationError, "QUEUED", "COMPLETED, INVALID or FAILED"),
    asked("ended: a trial that is none", Oracle.end_trial, lambda o: o.end_trial("7"), UnknownName, "'7'", "trial.trial_id"),
    asked("ended: a number", Oracle.end_trial, lambda o: o.end_trial(7), WrongType, "7 of type int", "trial.trial_id"),  # type: ignore[arg-type]
    asked("ended: after control characters", Oracle.end_trial, lambda o: o.end_trial("\x1b[2J"), UnknownName, r"'\x1b[2J'", "trial.trial_id"),
    # ── what is asked of one ──
    asked("get_trial: before any trial", Oracle.get_trial, lambda o: o.get_trial("0"), UnknownName, "'0'", "none yet", "trial.trial_id"),
    asked("get_trial: a list", Oracle.get_trial, lambda o: o.get_trial(["0"]), UnknownName, "['0']", "trial.trial_id"),  # type: ignore[arg-type]
    asked("get_best_trials: all", Oracle.get_best_trials, lambda o: listed(o, -1), ConfigurationError, "num_trials", "-1", ">= 0"),
    asked("get_best_trials: in words", Oracle.get_best_trials, lambda o: listed(o, "all"), ConfigurationError, "num_trials", "'all'", "whole number"),
    asked("reload: in memory", Oracle.reload, lambda o: o.reload(), ConfigurationError, "in memory", "open(directory"),
    # ── what an algorithm of one's own answers ──
    BadInput("proposed: nothing", Oracle.create_trial, own(None), FatalValueError, ("None",), "must return a Proposal"),
    BadInput("proposed: an unknown status", Oracle.create_trial, own({"status": "GO"}), FatalValueError, ("'GO'",), "'IDLE' or 'STOPPED'"),
    BadInput("proposed: values alone", Oracle.create_trial, own({"x": 0.5}), FatalValueError, ("{'x': 0.5}",), "must return a Proposal"),
    BadInput("proposed: no dict of values", Oracle.create_trial, own({"status": "RUNNING", "values": [0.5]}), FatalValueError, ("[0.5]",), "values"),
    BadInput("proposed: an object for a value", Oracle.create_trial, own(Proposal({"x": ANY})), FatalValueError, ("'x'", "None"), "int, float, str or bool"),
    BadInput("proposed: an array for a value", Oracle.create_trial, own(Proposal({"x": np.zeros(2)})), FatalValueError, ("'x'", "array("), "int, float, str or bool"),  # type: ignore[dict-item]
    BadInput("proposed: to wait for ever", Oracle.create_trial, own(Wait()), InternalError, ("Own", "wait for ever"), "must answer Exhausted()"),
    BadInput("proposed: a class", Oracle.create_trial, own(Exhausted), FatalValueError, ("Exhausted",), "must return a Proposal"),
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_result_is_refused_in_a_sentence(bad: BadInput, tmp_path: Path) -> None:
    """The error names the metric or the trial, and the value; it says what to return or report."""
    check_refusal(bad, tmp_path)
