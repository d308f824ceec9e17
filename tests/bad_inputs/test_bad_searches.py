"""Bad searches: what ``search()`` refuses before a trial runs, and what is asked in a wrong order."""

from __future__ import annotations

import asyncio
import contextvars
import math
import os
import queue
import socket
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.base_tuner import BaseTuner
from aiotune.errors import (
    ConfigurationError,
    FatalTypeError,
    NoUsableDevice,
    PayloadError,
    UnknownName,
    WrongType,
)
from aiotune.oracles import RandomSearchOracle
from aiotune.testing import BadInput, check_refusal

ANY: Any = None
"""Stands for what the annotations would not allow."""
LATE = "only the program's own code knows, and it runs in a process of the search"
BUILT = "what a model asks for is known when it is built, in a process of the search"


class Anything(aiotune.RandomSearch):
    """A function of anything."""

    ran = 0

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        type(self).ran += 1
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        return x * x


class OfData(Anything):
    def run_trial(self, trial: aiotune.Trial, x: Any, y: Any, *, size: int = 32) -> float:
        return super().run_trial(trial)


class Bare(BaseTuner):
    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        return trial.hyperparameters.Float("x", 0.0, 1.0)  # type: ignore[no-any-return]


class Built(BaseTuner):
    """A tuner with a model that no back end is needed for."""

    def __init__(self, max_trials: int, **arguments: Any) -> None:
        super().__init__(RandomSearchOracle(max_trials=max_trials), **arguments)

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        Anything.ran += 1
        return 1.0


class Unsendable:
    """Refuses to travel, in words of its own."""

    def __reduce__(self) -> Any:
        raise RuntimeError("I stay\x1b[31m here")


def build(hp: aiotune.HyperParameters) -> None:
    hp.Int("units", 1, 9)


def tuner(folder: Path, cls: Callable[..., Any] = Anything, **arguments: Any) -> Any:
    """A tuner of two trials, in a folder of its own."""
    given = {"max_trials": 2, "directory": folder, "project_name": "p", **arguments}
    return cls(**given)


def searching(
    name: str,
    make: Callable[[Path], tuple[Any, dict[str, Any]]],
    error: type[Exception],
    *words: str,
    cls: Callable[..., Any] = Anything,
    arguments: dict[str, Any] | None = None,
    **expected: Any,
) -> BadInput:
    """A search that is given positional and keyword arguments; the last word is the remedy."""
    *says, remedy = words

    def provoke(folder: Path) -> Any:
        Anything.ran = 0
        return run(folder, *make(folder))

    async def run(folder: Path, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            await tuner(folder, cls, **(arguments or {})).search(*args, **{"verbose": 0, **kwargs})
        finally:
            assert Anything.ran == 0, "a trial has run"

    return BadInput(name, aiotune.Tuner.search, provoke, error, tuple(says), remedy, **expected)


def sent(name: str, make: Callable[[], Any], *words: str, **expected: Any) -> BadInput:
    """An argument that must travel to a worker, deep within the others."""
    arguments = lambda _: ((), {"extra": {"deep": [make()]}})  # noqa: E731 - one line a row
    return searching(
        f"sent: {name}", arguments, PayloadError, 'kwargs["extra"]["deep"][0]', *words, **expected
    )


def fit(name: str, error: type[Exception], *words: str, args: Any = (), **kwargs: Any) -> BadInput:
    """Arguments for the fit of a Keras model."""
    *says, remedy = words
    return searching(
        f"fit: {name}",
        lambda _: (args, kwargs),
        error,
        *says,
        remedy,
        cls=aiotune.RandomSearch,
        arguments={"hypermodel": build, "objective": "loss"},
    )


def built(
    name: str, hypermodel: Any, error: type[Exception], *words: str, **expected: Any
) -> BadInput:
    """A search of a model that is built in a process, and cannot be."""
    return searching(
        f"built: {name}",
        lambda _: ((), {}),
        error,
        *words,
        cls=Built,
        arguments={"hypermodel": hypermodel},
        **{"late": BUILT, **expected},
    )


def asked(
    name: str,
    where: Callable[..., Any],
    ask: Callable[[Any], Any],
    error: type[Exception],
    *words: str,
    cls: Callable[..., Any] = Anything,
) -> BadInput:
    """Something that is asked of a tuner before it has searched."""
    *says, remedy = words
    return BadInput(
        f"asked: {name}", where, lambda folder: ask(tuner(folder, cls)), error, tuple(says), remedy
    )


def closed(thing: Any) -> Any:
    """Close what would be warned of otherwise; it can travel as little as before."""
    thing.close()
    return thing


def an_open_file(path: str) -> Any:
    """Open a file, and close it: it can travel as little."""
    return closed(Path(path).open("rb"))


def a_reference() -> Any:
    return weakref.ref(numbers)


def a_reference_in_a_lambda() -> Callable[[], Any]:
    held = weakref.ref(numbers)
    return lambda: held


def numbers() -> Iterator[int]:
    yield from range(3)


async def later() -> None:
    """Come, but later."""


def coroutine() -> Any:
    made = later()
    made.close()  # or Python warns that nobody awaited it
    return made


def nested() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def asks_upside_down(hp: aiotune.HyperParameters) -> None:
    hp.Int("units", 512, 32)


def raises_at_once(hp: aiotune.HyperParameters) -> None:
    raise RuntimeError("no data\x1b[31m at /data")


def is_fatal(hp: aiotune.HyperParameters) -> None:
    raise aiotune.FatalError("I give up.")


def exits(hp: aiotune.HyperParameters) -> None:
    os._exit(7)


def misses_an_attribute(hp: aiotune.HyperParameters) -> None:
    hp.Integer("units", 1, 9)  # type: ignore[attr-defined]


def uses_another_kind(hp: aiotune.HyperParameters) -> None:
    hp.Choice("kind", {"a", "b"})


async def twice_at_once(folder: Path) -> None:
    """Search while the same tuner searches."""
    searcher = tuner(folder, max_trials=50, executor="inline")
    first = asyncio.ensure_future(searcher.search(verbose=0))
    await asyncio.sleep(0)
    try:
        await searcher.search(verbose=0)
    finally:
        await first


def given(directory: Path) -> aiotune.HyperParameters:
    hp = aiotune.HyperParameters()
    hp.Int("units", 1, 9)
    return hp


X, Y = np.zeros((10, 3)), np.zeros(10)

ROWS = [
    # ── what cannot travel ──
    sent("a weak reference", a_reference, "weakref.ReferenceType", "inside build() or run_trial()", cause=TypeError),
    sent("a lambda with a weak reference inside", a_reference_in_a_lambda, "weakref.ReferenceType", "inside build() or run_trial()", cause=TypeError),
    sent("a generator", numbers, "a generator", "Pass a function that returns it"),
    sent("a generator expression", lambda: (i for i in range(3)), "a generator", "Pass a function that returns it"),
    sent("a coroutine", coroutine, "a coroutine", "without calling it"),
    sent("an open file", lambda: an_open_file(__file__), "an open file", "Pass its path"),
    sent("a socket", lambda: closed(socket.socket()), "socket", "inside build() or run_trial()", cause=TypeError),
    sent("a database", lambda: closed(sqlite3.connect(":memory:")), "sqlite3.Connection", "inside build() or run_trial()", cause=TypeError),
    sent("a thread", threading.Thread, "a thread, which runs", "inside build() or run_trial()"),
    sent("a queue", queue.Queue, "a queue, whose other end", "inside build() or run_trial()"),
    sent("a context variable", lambda: contextvars.ContextVar("v"), "ContextVar", "inside build() or run_trial()", cause=TypeError),
    sent("what refuses, in control characters", Unsendable, r"I stay\x1b[31m here", "inside build() or run_trial()", cause=RuntimeError),
    searching("sent: nested without end", lambda _: ((nested(),), {}), PayloadError, "too deeply", "inside build() or run_trial()"),
    searching("sent: a file as data", lambda _: ((an_open_file(os.devnull),), {}), PayloadError, "args[0]", os.devnull, "Pass its path"),
    # ── what run_trial does not take ──
    searching("an argument missing", lambda _: ((X,), {}), ConfigurationError, "run_trial(trial", "'y'", "*args, **kwargs", cls=OfData),
    searching("an argument too many", lambda _: ((X, Y, 3), {}), ConfigurationError, "3 positional arguments", "*args, **kwargs", cls=OfData),
    searching("an argument misspelt", lambda _: ((X, Y), {"sise": 3}), ConfigurationError, "'sise'", "*args, **kwargs", cls=OfData),
    searching("verbose: a word", lambda _: ((), {"verbose": "loud"}), ConfigurationError, "verbose", "'loud'", "0, 1, 2 or 'auto'"),
    searching("verbose: a number that is none", lambda _: ((), {"verbose": 7}), ConfigurationError, "verbose", "7", "0, 1, 2 or 'auto'"),
    searching("verbose: an array", lambda _: ((), {"verbose": np.zeros(2)}), ConfigurationError, "verbose", "array(", "0, 1, 2 or 'auto'"),
    # ── what fit does not take ──
    fit("no epochs", ConfigurationError, "epochs", "0", ">= 1", args=(X, Y), epochs=0),
    fit("half an epoch", ConfigurationError, "epochs", "0.5", "whole number", args=(X, Y), epochs=0.5),
    fit("epochs in words", ConfigurationError, "epochs", "'ten'", "whole number", args=(X, Y), epochs="ten"),
    fit("epochs by position", ConfigurationError, "epochs", "-1", ">= 1", args=(X, Y, 32, -1)),
    fit("batches of less than nothing", ConfigurationError, "batch_size", "-1", ">= 1", args=(X, Y), batch_size=-1),
    fit("batches in words", ConfigurationError, "batch_size", "'32'", "whole number", args=(X, Y), batch_size="32"),
    fit("steps of nothing", ConfigurationError, "steps_per_epoch", "0", ">= 1", args=(X, Y), steps_per_epoch=0),
    fit("all data for validation", ConfigurationError, "validation_split", "1.0", "less than 1", args=(X, Y), validation_split=1.0),
    fit("validation in percent", ConfigurationError, "validation_split", "20", "less than 1", args=(X, Y), validation_split=20),
    fit("less than no validation", ConfigurationError, "validation_split", "-0.1", "from 0", args=(X, Y), validation_split=-0.1),
    fit("a validation that is no number", ConfigurationError, "validation_split", "nan", "from 0", args=(X, Y), validation_split=math.nan),
    fit("a validation of one part", ConfigurationError, "validation_data", "1 parts", "(x, y)", args=(X, Y), validation_data=(X,)),
    fit("a validation of two lengths", ConfigurationError, "10 samples", "of validation_data has 3", "one target for each", args=(X, Y), validation_data=(X, Y[:3])),
    fit("data of two lengths", ConfigurationError, "x has 10 samples", "y has 9", "one target for each", args=(X, Y[:9])),
    fit("no data", ConfigurationError, "x is empty", "Pass data", args=(X[:0], Y[:0])),
    fit("a callback that is none", WrongType, "callbacks", "'early' of type str", "Pass a list of instances", args=(X, Y), callbacks=["early"]),
    fit("a function for a callback", WrongType, "callbacks", "of type function", "Pass a list of instances", args=(X, Y), callbacks=build),
    fit("the class of a callback", WrongType, "callbacks", "Anything", "Pass a list of instances", args=(X, Y), callbacks=[Anything]),
    # ── devices that are not there ──
    searching("devices: a GPU that is not there", lambda _: ((), {}), NoUsableDevice, "devices=[0]", "leave devices out", arguments={"devices": [0]}),
    searching("devices: a UUID that is not there", lambda _: ((), {}), NoUsableDevice, "'GPU-7'", "leave devices out", arguments={"devices": ["GPU-7"]}),
    searching("gpus_per_trial: where there is none", lambda _: ((), {}), NoUsableDevice, "gpus_per_trial=2", "Leave gpus_per_trial out", arguments={"gpus_per_trial": 2}),
    # ── models that cannot be built, in a process of their own ──
    built("a range upside down", asks_upside_down, ConfigurationError, "'units'", "min_value 512", "Exchange them"),
    built("an exception", raises_at_once, ConfigurationError, r"RuntimeError: no data\x1b[31m at /data", "The output is in"),
    built("a FatalError", is_fatal, aiotune.FatalError, "I give up", "I give up."),
    built("the end of its process", exits, ConfigurationError, "exited with code 7", "Its output is in"),
    built("a method that is none", misses_an_attribute, ConfigurationError, "'Integer'", "The output is in"),
    built("a set of choices", uses_another_kind, ConfigurationError, "'kind'", "Write a list"),
    # ── a wrong order ──
    BadInput("twice at once", aiotune.Tuner.search, twice_at_once, ConfigurationError, ("already searching",), "Await the first", late="the first search runs"),
    asked("hyperparameters of fewer than none", aiotune.Tuner.get_best_hyperparameters, lambda t: t.get_best_hyperparameters(-1), ConfigurationError, "num_trials", "-1", ">= 0"),
    asked("models in words", aiotune.Tuner.get_best_models, lambda t: t.get_best_models("all"), ConfigurationError, "num_models", "'all'", "whole number"),
    asked("half a model", aiotune.Tuner.get_best_models, lambda t: t.get_best_models(0.5), ConfigurationError, "num_models", "0.5", "whole number"),
    asked("fewer than no results", aiotune.Tuner.results_summary, lambda t: t.results_summary(-1), ConfigurationError, "num_trials", "-1", ">= 0"),
    asked("a trial's directory above", aiotune.Tuner.get_trial_dir, lambda t: t.get_trial_dir("../p"), ConfigurationError, "'../p'", "letter or digit"),
    asked("a trial's directory by number", aiotune.Tuner.get_trial_dir, lambda t: t.get_trial_dir(0), ConfigurationError, "trial id 0", "letter or digit"),
    asked("a trial that is none", RandomSearchOracle.get_trial, lambda t: t.oracle.get_trial("0"), UnknownName, "'0'", "trial.trial_id"),
    asked("a model without a hypermodel", aiotune.Tuner.load_model, lambda t: t.load_model(aiotune.Trial(aiotune.HyperParameters(), trial_id="0")), ConfigurationError, "no hypermodel", "Override load_model"),
    asked("the model of a number", aiotune.Tuner.load_model, lambda t: t.load_model(3), WrongType, "3 of type int", "get_best_trials"),
    asked("a run_trial of Keras, outside a search", aiotune.Tuner.run_trial, lambda t: aiotune.Tuner.run_trial(t, ANY), FatalTypeError, "outside a search", "Call search()"),
    asked("a model of what has none", BaseTuner.load_model, lambda t: t.load_model(ANY), NotImplementedError, "Bare", "must override load_model()", cls=lambda **_: Bare(RandomSearchOracle())),
    asked("to save a model of what has none", BaseTuner.save_model, lambda t: t.save_model("0", ANY), NotImplementedError, "Bare", "must override save_model()", cls=lambda **_: Bare(RandomSearchOracle())),
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_search_is_refused_in_a_sentence(bad: BadInput, tmp_path: Path) -> None:
    """The error comes before any trial, names what is wrong and where, and leaves the disk as it was."""
    check_refusal(bad, tmp_path)
