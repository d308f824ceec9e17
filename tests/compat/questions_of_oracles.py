"""Questions about oracles: ids, statuses, retries, scores, order of a grid, resuming."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
else:
    from product import Product, question

Program = Callable[["Product"], Any]

__all__ = ("by_turns", "end", "oracle_of", "space_of_two")


def space_of_two(product: Product) -> Any:
    hp = product.top.HyperParameters()
    hp.Int("a", 1, 100)
    hp.Boolean("b")
    return hp


def oracle_of(product: Product, kind: str = "RandomSearchOracle", **given: Any) -> Any:
    settings = {"objective": "loss", "seed": 1, "hyperparameters": space_of_two(product), **given}
    return product.opened(getattr(product.oracles, kind)(**settings))


def end(product: Product, oracle: Any, trial: Any, outcome: Any) -> None:
    """End a trial with a loss, or with the status that a word names."""
    if isinstance(outcome, str):
        trial.status, trial.message = outcome, f"it was {outcome}"
    else:
        product.settle(oracle.update_trial(trial.trial_id, {"loss": outcome}))
        trial.status = "COMPLETED"
    product.settle(oracle.end_trial(trial))


def by_turns(product: Product, oracle: Any, outcomes: Iterable[Any]) -> list[Any]:
    """Run one trial after the other, and return the id and final status of each attempt."""
    seen: list[Any] = []
    for outcome in outcomes:
        trial = product.settle(oracle.create_trial("w"))
        if trial.status == "STOPPED":
            return [*seen, "STOPPED"]
        end(product, oracle, trial, outcome)
        seen.append([trial.trial_id, oracle.get_trial(trial.trial_id).status])
    return seen


def of_oracle(name: str) -> Callable[[Program], Program]:
    def register(program: Program) -> Program:
        question(f"oracle: {name}")(program)
        return program

    return register


# ── ids and statuses ───────────────────────────────────────────────────────


@of_oracle("three trials and no more")
def _(p: Product) -> Any:
    oracle = oracle_of(p, max_trials=3)
    return [by_turns(p, oracle, [0.3, 0.1, 0.2, 0.4]), oracle.remaining_trials()]


@of_oracle("an id is as wide as the budget")
def _(p: Product) -> Any:
    budgets = (9, 10, 100, None)
    oracles = [oracle_of(p, max_trials=budget) for budget in budgets]
    return [p.settle(oracle.create_trial("w")).trial_id for oracle in oracles]


@of_oracle("who has a trial gets it again")
def _(p: Product) -> Any:
    oracle = oracle_of(p)
    first, again, other = (p.settle(oracle.create_trial(name)) for name in ("w", "w", "v"))
    return [first.trial_id, again.trial_id, other.trial_id, sorted(oracle.ongoing_trials)]


@of_oracle("an invalid trial is retried, then completed")
def _(p: Product) -> Any:
    oracle = oracle_of(p, max_trials=3, max_retries_per_trial=2)
    return by_turns(p, oracle, ["INVALID", "INVALID", 0.1, 0.2])


@of_oracle("an invalid trial fails when no retry is left")
def _(p: Product) -> Any:
    oracle = oracle_of(p, max_trials=3, max_retries_per_trial=1)
    return by_turns(p, oracle, ["INVALID", "INVALID", 0.2])


@of_oracle("an invalid trial fails at once without retries")
def _(p: Product) -> Any:
    return by_turns(p, oracle_of(p), ["INVALID", 0.2])


@of_oracle("a failed trial is never retried")
def _(p: Product) -> Any:
    return by_turns(p, oracle_of(p, max_retries_per_trial=2), ["FAILED", 0.1])


@of_oracle("which of two retries comes first")
def _(p: Product) -> Any:
    oracle = oracle_of(p, max_retries_per_trial=1)
    both = [p.settle(oracle.create_trial(name)) for name in ("v", "w")]
    for trial in both:
        end(p, oracle, trial, "INVALID")
    return [p.settle(oracle.create_trial(name)).trial_id for name in ("v", "w")]


@of_oracle("a retried trial keeps its values")
def _(p: Product) -> Any:
    oracle = oracle_of(p, max_retries_per_trial=1)
    trial = p.settle(oracle.create_trial("w"))
    before = dict(trial.hyperparameters.values)
    end(p, oracle, trial, "INVALID")
    return p.settle(oracle.create_trial("w")).hyperparameters.values == before


@of_oracle("the message of a trial that succeeds at last")
def _(p: Product) -> Any:
    oracle = oracle_of(p, max_retries_per_trial=1)
    by_turns(p, oracle, ["INVALID", 0.1])
    return next(iter(oracle.trials.values())).message


def _failures(limit: int | None, outcomes: list[Any]) -> Program:
    return lambda p: by_turns(p, oracle_of(p, max_consecutive_failed_trials=limit), outcomes)


of_oracle("two failures in a row, of three")(_failures(3, ["FAILED", "FAILED", 0.1]))
of_oracle("three failures in a row, of three")(_failures(3, ["FAILED"] * 3))
of_oracle("failures with a success between")(_failures(2, ["FAILED", 0.1, "FAILED", 0.1]))
of_oracle("failures without a limit")(_failures(None, ["FAILED"] * 6))
of_oracle("a limit of no failures")(_failures(0, [0.1]))
of_oracle("a negative limit of failures")(_failures(-1, [0.1]))
of_oracle("a limit of one failure")(_failures(1, ["FAILED"]))


@of_oracle("a negative number of retries")
def _(p: Product) -> Any:
    return by_turns(p, oracle_of(p, max_retries_per_trial=-1), ["INVALID", 0.1])


@of_oracle("a trial that the limit of failures ended")
def _(p: Product) -> Any:
    oracle = oracle_of(p, max_consecutive_failed_trials=1)
    trial = p.settle(oracle.create_trial("w"))
    try:
        end(p, oracle, trial, "FAILED")
    except RuntimeError:
        return [trial.status, sorted(oracle.ongoing_trials)]
    return "no error"


# ── results ────────────────────────────────────────────────────────────────


@of_oracle("metrics without the objective")
def _(p: Product) -> Any:
    oracle = oracle_of(p)
    trial = p.settle(oracle.create_trial("w"))
    p.settle(oracle.update_trial(trial.trial_id, {"acc": 1.0}))


@of_oracle("the best step scores")
def _(p: Product) -> Any:
    oracle = oracle_of(p)
    trial = p.settle(oracle.create_trial("w"))
    for step, loss in enumerate([0.5, 0.2, 0.9]):
        p.settle(oracle.update_trial(trial.trial_id, {"loss": loss, "accuracy": step}, step=step))
    trial.status = "COMPLETED"
    p.settle(oracle.end_trial(trial))
    tracked = trial.metrics
    directions = [tracked.get_direction(name) for name in ("loss", "accuracy")]
    return [trial.score, trial.best_step, directions, tracked.get_best_value("accuracy")]


@of_oracle("one step reported twice counts as the mean")
def _(p: Product) -> Any:
    oracle = oracle_of(p)
    trial = p.settle(oracle.create_trial("w"))
    for loss in (0.2, 0.4):
        p.settle(oracle.update_trial(trial.trial_id, {"loss": loss}, step=3))
    trial.status = "COMPLETED"
    p.settle(oracle.end_trial(trial))
    return [trial.score, trial.best_step]


@of_oracle("a score that is not a number")
def _(p: Product) -> Any:
    return by_turns(p, oracle_of(p), [float("nan"), 0.1])


@of_oracle("a score that is not a number, retried")
def _(p: Product) -> Any:
    return by_turns(p, oracle_of(p, max_retries_per_trial=1), [float("nan"), 0.1])


@of_oracle("an infinite score")
def _(p: Product) -> Any:
    return by_turns(p, oracle_of(p), [float("inf"), 0.1])


def _best(objective: Any, outcomes: list[Any], count: int) -> Program:
    def ask(p: Product) -> Any:
        given = objective if isinstance(objective, str) else p.top.Objective(*objective)
        oracle = oracle_of(p, objective=given, max_consecutive_failed_trials=None)
        by_turns(p, oracle, outcomes)
        return [trial.trial_id for trial in oracle.get_best_trials(count)]

    return ask


of_oracle("best trials, less is better")(_best("loss", [0.3, 0.1, 0.2], 3))
of_oracle("best trials, more is better")(_best(("loss", "max"), [0.3, 0.1, 0.2], 2))
of_oracle("equal scores keep their order")(_best("loss", [0.1, 0.1, 0.0, 0.1], 4))
of_oracle("equal scores keep their order, more is better")(
    _best(("loss", "max"), [0.1, 0.1, 0.0, 0.1], 4)
)
of_oracle("more best trials than completed ones")(_best("loss", [0.3, "FAILED", 0.2], 3))
of_oracle("best trials before any was completed")(_best("loss", ["FAILED"], 1))
of_oracle("no best trials")(_best("loss", [0.1], 0))


@of_oracle("a sum of objectives scores")
def _(p: Product) -> Any:
    both = [p.top.Objective("loss", "min"), p.top.Objective("accuracy", "max")]
    oracle = oracle_of(p, objective=both)
    scores = []
    for loss, accuracy in ((0.5, 0.5), (0.4, 0.9), (0.1, 0.2)):
        trial = p.settle(oracle.create_trial("w"))
        reported = {"loss": loss, "accuracy": accuracy, "multi_objective": loss - accuracy}
        p.settle(oracle.update_trial(trial.trial_id, reported))
        trial.status = "COMPLETED"
        p.settle(oracle.end_trial(trial))
        scores.append(trial.score)
    return [scores, [trial.trial_id for trial in oracle.get_best_trials(3)]]


@of_oracle("an unknown trial")
def _(p: Product) -> Any:
    return oracle_of(p).get_trial("77")


# ── the space ──────────────────────────────────────────────────────────────


def _flags(**flags: Any) -> Program:
    def ask(p: Product) -> Any:
        oracle = oracle_of(p, **flags)
        more = p.top.HyperParameters()
        more.Float("c", 0.0, 1.0)
        p.settle(oracle.update_space(more))
        return [entry.name for entry in oracle.get_space().space]

    return ask


of_oracle("new entries")(_flags())
of_oracle("new entries that are not allowed")(_flags(allow_new_entries=False))
of_oracle("new entries that are not tuned")(_flags(tune_new_entries=False))


def _no_space(**flags: bool) -> Program:
    return lambda p: [p.oracles.RandomSearchOracle(objective="loss", **flags), "accepted"][1]


of_oracle("no space and none to tune")(_no_space(tune_new_entries=False))
of_oracle("no space and none allowed")(_no_space(allow_new_entries=False))


@of_oracle("the space that is handed out is a copy")
def _(p: Product) -> Any:
    oracle = oracle_of(p)
    oracle.get_space().Int("c", 1, 2)
    return [entry.name for entry in oracle.get_space().space]


@of_oracle("the space that was passed grows with the search")
def _(p: Product) -> Any:
    passed = space_of_two(p)
    oracle = oracle_of(p, hyperparameters=passed)
    more = p.top.HyperParameters()
    more.Float("c", 0.0, 1.0)
    p.settle(oracle.update_space(more))
    return [entry.name for entry in passed.space]


# ── what is drawn ──────────────────────────────────────────────────────────


def _golden(p: Product, seed: int) -> list[Any]:
    hp = p.top.HyperParameters()
    hp.Float("a", 0.0, 1.0)
    hp.Int("i", 1, 10)
    hp.Choice("c", ["x", "y", "z"])
    hp.Boolean("b")
    oracle = oracle_of(p, hyperparameters=hp, seed=seed, max_trials=3)
    drawn = []
    for _ in range(3):
        trial = p.settle(oracle.create_trial("w"))
        drawn.append(dict(trial.hyperparameters.values))
        end(p, oracle, trial, 0.1)
    return drawn


@of_oracle("the values that a seed gives")
def _(p: Product) -> Any:
    return _golden(p, 42)


@of_oracle("one seed gives one search")
def _(p: Product) -> Any:
    return [_golden(p, 42) == _golden(p, 42), _golden(p, 42) == _golden(p, 43)]


@of_oracle("a seed of 0 is a seed")
def _(p: Product) -> Any:
    return oracle_of(p, seed=0).seed == 0


def _until_stopped(p: Product, hp: Any) -> Any:
    oracle = oracle_of(p, hyperparameters=hp, max_trials=40)
    by_turns(p, oracle, [0.1] * 40)
    values = [tuple(trial.hyperparameters.values.values()) for trial in oracle.trials.values()]
    return [len(values), len(set(values))]


@of_oracle("a random search of three configurations")
def _(p: Product) -> Any:
    hp = p.top.HyperParameters()
    hp.Choice("x", ["a", "b", "c"])
    return _until_stopped(p, hp)


@of_oracle("a random search of thirty configurations")
def _(p: Product) -> Any:
    hp = p.top.HyperParameters()
    hp.Int("x", 1, 15)
    hp.Boolean("y")
    return _until_stopped(p, hp)
