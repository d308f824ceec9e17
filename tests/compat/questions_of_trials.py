"""Questions about trials as users run them: results, failures, hooks, summaries, states."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
    from tests.compat.questions_of_oracles import by_turns, end, oracle_of
else:
    from product import Product, question
    from questions_of_oracles import by_turns, end, oracle_of

__all__ = ()

# What a trial returns, under which objective.
RESULTS = {
    "None": """
1
1.5
True
-3
float("nan")
float("inf")
np.float32(2.5)
np.float64(2.5)
np.int64(3)
np.array(1.5)
np.array([1.5])
"0.5"
None
(1.0, 2.0)
[1.0, 2.0]
[]
[None]
[1.0, {"default_objective": 2.0}]
{"default_objective": 1.5}
{"default_objective": 1.5, "other": 2}
{"default_objective": "1.5"}
{"loss": 1.5}
{}
1j
object()
{1.5}
history(loss=[1.0, 0.5])
history(default_objective=[1.0, 0.5])
""",
    '"val_loss"': """
2.5
{"val_loss": 1.0, "extra": 3}
{"val_loss": np.float32(1.5)}
{"val_loss": None}
{"val_loss": [1.0]}
{"loss": 1.0}
[{"val_loss": 1.0, "a": 2.0}, {"val_loss": 3.0, "a": 4.0}]
[1.0, {"val_loss": 3.0}]
history(val_loss=[3.0, 1.0, 2.0], accuracy=[0.1, 0.2, 0.9])
history(val_loss=[1.0, 1.0])
history(val_loss=[float("nan"), 2.0])
history(val_loss=[float("nan"), float("nan")])
history(val_loss=[2.0, float("nan"), 1.0])
history(loss=[1.0])
history()
[history(val_loss=[3.0, 1.0]), history(val_loss=[2.0, 4.0])]
""",
    'Objective("score", "max")': """
2.5
{"score": 0.5}
history(score=[0.1, 0.9, 0.5], loss=[3.0, 2.0, 1.0])
""",
    '[Objective("a", "min"), Objective("b", "max")]': """
2.5
{"a": 1.0, "b": 3.0}
{"a": 1.0, "b": 3.0, "multi_objective": -2.0}
{"a": 1.0}
history(a=[1.0, 2.0], b=[1.0, 5.0])
""",
}


def history(**series: list[float]) -> Any:
    """Return what ``model.fit`` returns."""
    import keras

    made = keras.callbacks.History()
    made.history = series
    made.epoch = list(range(max(map(len, series.values()), default=0)))
    return made


def _ask_result(objective: str, expression: str) -> None:
    @question(f"a trial returns {expression} for {objective}")
    def _(p: Product) -> Any:
        import numpy as np

        known = {**p.names(), "np": np, "history": history}
        result = eval(expression, known)
        oracle = p.oracles.RandomSearchOracle(
            objective=eval(objective, known),
            max_trials=1,
            max_consecutive_failed_trials=None,
        )
        p.search(p.tuner_of(oracle, lambda hp: result))
        (trial,) = oracle.trials.values()
        if trial.status != "COMPLETED":
            return trial.status
        metrics = {name: trial.metrics.get_last_value(name) for name in trial.metrics.metrics}
        return [trial.score, trial.best_step, dict(sorted(metrics.items()))]


for _objective, _lines in RESULTS.items():
    for _expression in _lines.strip().splitlines():
        _ask_result(_objective, _expression)


# ── what a trial raises ────────────────────────────────────────────────────


def _ask_raised(name: str, make: Callable[[Product], BaseException]) -> None:
    @question(f"a trial raises {name}")
    def _(p: Product) -> Any:
        runs = []

        def run(hp: Any) -> float:
            runs.append(hp.Int("x", 1, 9))
            if len(runs) == 1:
                raise make(p)
            return 1.0

        oracle = p.oracles.RandomSearchOracle(max_trials=2, max_retries_per_trial=1)
        try:
            p.search(p.tuner_of(oracle, run))
        except Exception as error:  # noqa: BLE001 - part of the answer
            return [len(runs), "the search raises", isinstance(error, type(make(p)))]
        return [len(runs), [trial.status for trial in oracle.trials.values()]]


_ask_raised("ValueError", lambda p: ValueError("no"))
_ask_raised("MemoryError", lambda p: MemoryError())
for _name in ("FailedTrialError", "FatalError", "FatalValueError", "FatalRuntimeError"):
    _ask_raised(_name, lambda p, name=_name: getattr(p.errors, name)("no"))  # type: ignore[misc]


@question("each trial raises")
def _(p: Product) -> Any:
    def run(hp: Any) -> float:
        raise ValueError(hp.Int("x", 1, 9))

    p.search(p.tuner_of(p.oracles.RandomSearchOracle(max_trials=5), run))


# ── the tuner around them ──────────────────────────────────────────────────

CONSTRUCTORS = """
kt.RandomSearch(lambda hp: None, objective="loss", nonsense=1)
kt.RandomSearch(None, objective="loss")
kt.RandomSearch(3, objective="loss")
kt.RandomSearch(lambda: None, objective="loss", max_trials=1).project_dir
kt.Tuner(oracle="random", hypermodel=lambda hp: None)
kt.RandomSearch(lambda hp: hp, objective="quality")
kt.RandomSearch(lambda hp: hp, objective=3)
kt.RandomSearch(lambda hp: hp.Int("x", 1, 3), objective="loss", max_trials=-1)
kt.RandomSearch(lambda hp: hp.Int("x", 1, 3), objective="loss", max_trials=0)
kt.RandomSearch(lambda hp: hp.Int("x", 1, 3), objective="loss", seed="seven")
""".strip().splitlines()


def _ask_constructor(expression: str) -> None:
    @question(expression)
    def _(p: Product) -> Any:
        eval(expression, p.names())
        return "accepted"


for _expression in CONSTRUCTORS:
    _ask_constructor(_expression)


@question("tuner: the order of hooks")
def _(p: Product) -> Any:
    called: list[str] = []

    class Told(p.top.Tuner):  # type: ignore[misc, name-defined]
        def on_search_begin(self) -> None:
            called.append("search begins")

        def on_search_end(self) -> None:
            called.append("search ends")

        def on_trial_begin(self, trial: Any) -> None:
            called.append(f"{trial.trial_id} begins {trial.status}")
            super().on_trial_begin(trial)

        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            called.append(f"{trial.trial_id} ends {trial.status}")

        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            called.append(f"{trial.trial_id} runs")
            return 1.0

    p.search(p.made(Told, oracle_of(p, objective=None, max_trials=2)))
    return called


@question("tuner: arguments of search reach the trial")
def _(p: Product) -> Any:
    seen: list[Any] = []

    class Given(p.top.Tuner):  # type: ignore[misc, name-defined]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            seen.append([args, sorted(kwargs.items())])
            return 1.0

    tuner = p.made(Given, oracle_of(p, objective=None, max_trials=1))
    p.settle(tuner.search(1, "two", three=3, verbose=0))
    return seen


@question("tuner: a second search finds nothing to do")
def _(p: Product) -> Any:
    runs: list[int] = []
    tuner = p.tuner_of(oracle_of(p, objective=None, max_trials=2), lambda hp: float(len(runs)))
    tuner.on_trial_begin = lambda trial: runs.append(1)
    p.search(tuner)
    p.search(tuner)
    return [len(runs), tuner.remaining_trials]


@question("tuner: what search returns")
def _(p: Product) -> Any:
    tuner = p.tuner_of(oracle_of(p, objective=None, max_trials=1), lambda hp: 1.0)
    return type(p.settle(tuner.search(verbose=0))).__name__


@question("tuner: the best hyperparameters")
def _(p: Product) -> Any:
    def run(hp: Any) -> float:
        return float(hp.Int("x", 1, 3))

    tuner = p.tuner_of(p.oracles.GridSearchOracle(objective=p.top.Objective("s", "max")), run)
    p.search(tuner)
    return [hp.values for hp in tuner.get_best_hyperparameters(2)]


def _resumed(kind: str) -> Callable[[Product], Any]:
    def ask(p: Product) -> Any:
        runs: list[int] = []

        def run(hp: Any) -> float:
            runs.append(hp.Int("x", 1, 9))
            return 1.0

        first = p.tuner_of(getattr(p.oracles, kind)(max_trials=2, seed=3), run)
        p.search(first)
        second = p.tuner_of(
            getattr(p.oracles, kind)(max_trials=4, seed=3), run, str(Path(first.project_dir).parent)
        )
        p.search(second)
        return [len(runs), len(set(runs)), sorted(second.oracle.trials)]

    return ask


question("tuner: a random search goes on with a larger budget")(_resumed("RandomSearchOracle"))
question("tuner: a grid goes on with a larger budget")(_resumed("GridSearchOracle"))


# ── states and summaries ───────────────────────────────────────────────────


def _printed(tell: Callable[[], None], directory: Any = "DIR") -> list[str]:
    """Return what is printed, line by line; of a traceback only the last line."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        tell()
    said = re.sub(r"(?ms)^Traceback \(most recent call last\):\n(?: .*\n)+", "", out.getvalue())
    return [line.replace(str(directory), "DIR") for line in said.splitlines()]


def _some(p: Product) -> Any:
    def run(hp: Any) -> float:
        units = hp.Int("units", 1, 3)
        if units == 2:
            raise p.errors.FailedTrialError("two is too many")
        return float(units) / 8

    hp = p.top.HyperParameters()
    hp.Int("units", 1, 3)
    hp.Float("lr", 0.5, 1.0, step=0.5, sampling=None)
    oracle = p.oracles.GridSearchOracle(
        objective="val_loss", hyperparameters=hp, max_consecutive_failed_trials=None
    )
    tuner = p.tuner_of(oracle, run)
    p.search(tuner)
    return tuner


@question("summary of results")
def _(p: Product) -> Any:
    tuner = _some(p)
    return _printed(tuner.results_summary, tuner.project_dir)


@question("summary of one result")
def _(p: Product) -> Any:
    tuner = _some(p)
    return _printed(lambda: tuner.results_summary(num_trials=1), tuner.project_dir)


@question("summary of results of a sum of objectives")
def _(p: Product) -> Any:
    both = [p.top.Objective("a", "min"), p.top.Objective("b", "max")]
    tuner = p.tuner_of(oracle_of(p, objective=both), lambda hp: 1.0)
    return _printed(tuner.results_summary, tuner.project_dir)


@question("summary of the space")
def _(p: Product) -> Any:
    hp = p.top.HyperParameters()
    hp.Choice("kind", ["a", "b"])
    hp.Int("units", 32, 512, step=32, default=64)
    hp.Float("lr", 1e-4, 1e-2, sampling="log")
    hp.Boolean("dropout")
    hp.Fixed("depth", 3)
    oracle = p.oracles.RandomSearchOracle(hyperparameters=hp)
    return _printed(p.tuner_of(oracle, lambda hp: 1.0).search_space_summary)


@question("summary of a space in scopes")
def _(p: Product) -> Any:
    hp = p.top.HyperParameters()
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["b"]):
        hp.Int("units", 1, 3, default=2)
    oracle = p.oracles.RandomSearchOracle(hyperparameters=hp)
    return _printed(p.tuner_of(oracle, lambda hp: 1.0).search_space_summary)


def _trial(p: Product, outcome: Any) -> Any:
    hp = p.top.HyperParameters()
    hp.Fixed("x", 4)
    oracle = oracle_of(p, hyperparameters=hp, max_trials=10)
    trial = p.settle(oracle.create_trial("w"))
    end(p, oracle, trial, outcome)
    return oracle.get_trial(trial.trial_id)


@question("trial: the state of a completed one")
def _(p: Product) -> Any:
    state = _trial(p, 0.5).get_state()
    return dict(sorted(state.items()))


@question("trial: the state of a failed one")
def _(p: Product) -> Any:
    state = _trial(p, "FAILED").get_state()
    return {key: state[key] for key in ("score", "best_step", "status", "message")}


@question("trial: summary of a completed one")
def _(p: Product) -> Any:
    return _printed(_trial(p, 0.5).summary)


@question("trial: summary of a failed one")
def _(p: Product) -> Any:
    return _printed(_trial(p, "FAILED").summary)


@question("trial: its values")
def _(p: Product) -> Any:
    return _printed(_trial(p, 0.5).display_hyperparameters)


@question("trial: there and back")
def _(p: Product) -> Any:
    trial = _trial(p, 0.5)
    return type(trial).from_state(trial.get_state()).get_state() == trial.get_state()


@question("trial: a grid's states")
def _(p: Product) -> Any:
    oracle = oracle_of(p, "GridSearchOracle", max_consecutive_failed_trials=None)
    by_turns(p, oracle, [0.3, "FAILED", "INVALID", 0.1])
    return [[t.trial_id, t.status, t.score] for t in oracle.trials.values()]
