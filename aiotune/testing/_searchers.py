"""What every searcher must keep to, as checks that a plugin's tests can run.

::

    @pytest.mark.parametrize("check", SEARCHER_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(MySearcher)

Each takes what makes a new searcher, and raises ``AssertionError`` with the
rule that was broken. No trial runs: scores come from a formula.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b

from aiotune import events
from aiotune._values import Value
from aiotune.hyperparameters import HyperParameters, Space, serialize
from aiotune.objective import Objective
from aiotune.searchers import Exhausted, Proposal, Searcher, SearcherDecision, Wait
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState

__all__ = (
    "SEARCHER_CHECKS",
    "Rehearsal",
    "check_agrees_in_another_process",
    "check_agrees_on_a_replayed_history",
    "check_ends_when_a_finite_space_is_exhausted",
    "check_proposes_only_what_is_in_the_space",
    "check_same_configurations_however_many_run_at_once",
    "conditional_space",
    "continuous_space",
)

MakeSearcher = Callable[[], Searcher]

_LIMIT = 200
"""Proposals after which a finite space of the checks must be exhausted."""


def conditional_space() -> HyperParameters:
    """Return a finite space with a hyperparameter that only one choice activates: 18 configurations."""
    hp = HyperParameters()
    hp.Int("units", 32, 96, step=32)
    hp.Choice("optimizer", ["adam", "sgd"], default="sgd")
    with hp.conditional_scope("optimizer", "sgd"):
        hp.Boolean("nesterov")
    hp.Fixed("loss", "mse")
    hp.Choice("width", [1, 2])
    return hp


def continuous_space() -> HyperParameters:
    """Return a space without an end."""
    hp = HyperParameters()
    hp.Float("rate", 1e-5, 1e-1, sampling="log")
    hp.Int("units", 8, 512, sampling="log")
    hp.Choice("activation", ["relu", "tanh", "gelu"])
    hp.Boolean("bias", default=True)
    return hp


class Rehearsal:
    """A search without trials: a searcher, its history, and a score for every configuration.

    Args:
        searcher: The searcher.
        space: Known from the start.
        seed: The search's seed.
        direction: ``"min"`` or ``"max"``: which scores are better.

    Attributes:
        state: The history that the searcher sees.
        facts: The events that it is the fold of.
    """

    def __init__(
        self, searcher: Searcher, space: HyperParameters, *, seed: int = 0, direction: str = "min"
    ) -> None:
        self.searcher = searcher
        self.state = ProjectState(seed=seed, objective=Objective("score", direction))
        self.facts: list[events.Event] = []
        self._record(events.SpaceGrew(entries=[serialize(entry) for entry in space.space]))

    def _record(self, fact: events.Event) -> None:
        self.state.apply(fact)
        self.facts.append(fact)

    @property
    def configurations(self) -> list[dict[str, Value]]:
        """What was proposed, in order."""
        return [dict(tried.values) for tried in self.state.tried]

    def ask(self) -> SearcherDecision:
        """Ask for the next trial, and create it."""
        index = len(self.state.tried)
        decision = self.searcher.propose(self.state, index)
        if isinstance(decision, Proposal):
            self._record(
                events.TrialCreated(
                    trial_id=f"{index:04d}",
                    index=index,
                    values=dict(decision.values),
                    stream=decision.stream,
                    budget=dict(decision.budget),
                )
            )
        return decision

    def tell(
        self,
        index: int,
        score: float | None = None,
        status: TrialStatus = TrialStatus.COMPLETED,
    ) -> None:
        """End a trial.

        Args:
            index: Which one.
            score: Of a completed one; default a score that its values alone decide.
            status: COMPLETED, FAILED or REJECTED; only the first has a score.
        """
        values = dict(self.state.tried[index].values)
        done = status is TrialStatus.COMPLETED
        if done and score is None:
            score = _score(values)
        self._record(
            events.TrialEnded(
                trial_id=f"{index:04d}",
                status=status,
                values=values,
                score=score if done else None,
                metrics={"score": score} if done and score is not None else {},
            )
        )

    def run(self, trials: int, *, at_once: int = 1) -> SearcherDecision:
        """Search, the youngest trial ending first, so that trials overtake one another.

        Returns:
            ``Exhausted()``, or the last proposal if ``trials`` were made.
        """
        while True:
            full = len(self.state.unfinished) >= at_once
            decision: SearcherDecision = Wait() if full else self.ask()
            match decision:
                case Exhausted():
                    return decision
                case Proposal():
                    if len(self.state.tried) >= trials:
                        return decision
                case Wait():
                    assert self.state.unfinished, "Wait() without a trial to wait for never ends"
                    self.tell(max(self.state.unfinished))


def _score(values: dict[str, Value]) -> float:
    digest = blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") / 2**32


def check_proposes_only_what_is_in_the_space(make: MakeSearcher) -> None:
    """Every active hyperparameter has one of its own values; there are no other names."""
    for space in (conditional_space(), continuous_space()):
        rehearsal = Rehearsal(make(), space)
        rehearsal.run(40, at_once=3)
        for values in rehearsal.configurations:
            active = space.with_values(values)
            expected = {entry.name: entry for entry in space.space if active.is_active(entry)}
            assert set(values) == set(expected), f"{values} are not the active hyperparameters"
            wrong = {n: v for n, v in values.items() if not expected[n].accepts(v)}
            assert not wrong, f"{wrong} cannot be drawn"


def check_agrees_in_another_process(make: MakeSearcher) -> None:
    """Another process, with another hash seed, proposes the same; ``make`` must be importable."""
    target = f"{make.__module__}:{make.__qualname__}"
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    answer = subprocess.run(  # noqa: S603 - this interpreter, on this module
        [sys.executable, "-c", f"from {__name__} import _print_sample; _print_sample({target!r})"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == _sample(make), "another process proposes otherwise"


def _print_sample(target: str) -> None:
    module, _, name = target.partition(":")
    print(json.dumps(_sample(getattr(importlib.import_module(module), name))))  # noqa: T201 - read by the parent


def _sample(make: MakeSearcher) -> list[dict[str, Value]]:
    sample = []
    for space in (conditional_space(), continuous_space()):
        rehearsal = Rehearsal(make(), space, seed=7)
        rehearsal.run(12, at_once=2)
        sample += rehearsal.configurations
    return sample


def check_same_configurations_however_many_run_at_once(make: MakeSearcher) -> None:
    """One trial at a time and sixteen at once try the same configurations in the same order.

    Not for a searcher that learns from scores: with more at once it knows less.
    """
    for space in (conditional_space(), continuous_space()):
        alone, crowd = Rehearsal(make(), space), Rehearsal(make(), space)
        alone.run(50)
        crowd.run(50, at_once=16)
        assert crowd.configurations == alone.configurations, "parallel trials change the proposals"


def check_ends_when_a_finite_space_is_exhausted(make: MakeSearcher) -> None:
    """Every configuration is tried once and none twice; then it says so."""
    space = conditional_space()
    expected = sorted(map(repr, map(_sorted, Space.of(space.space).configurations())))
    for at_once in (1, 16):
        rehearsal = Rehearsal(make(), space)
        last = rehearsal.run(_LIMIT, at_once=at_once)
        tried = sorted(map(repr, map(_sorted, rehearsal.configurations)))
        assert last == Exhausted(), f"not exhausted after {_LIMIT} proposals"
        assert tried == expected, "configurations are missing, or were tried twice"


def _sorted(values: dict[str, Value]) -> dict[str, Value]:
    return dict(sorted(values.items()))


def check_agrees_on_a_replayed_history(make: MakeSearcher) -> None:
    """A new searcher over the replayed events answers as one that saw them happen."""
    rehearsal = Rehearsal(make(), conditional_space(), seed=3)
    for turn in range(40):
        replayed = ProjectState.replay(rehearsal.facts, seed=3, objective=rehearsal.state.objective)
        index = len(replayed.tried)
        fresh = make().propose(replayed, index)
        frozen = make().propose(replayed.frozen(), index)
        decision = rehearsal.ask()
        assert decision == fresh, f"after {turn} turns a new searcher proposes otherwise"
        assert decision == frozen, f"after {turn} turns a frozen history changes the proposal"
        open_trials: Sequence[int] = sorted(rehearsal.state.unfinished)
        if len(open_trials) > turn % 4:
            rehearsal.tell(open_trials[turn % len(open_trials)])


SEARCHER_CHECKS: tuple[Callable[[MakeSearcher], None], ...] = (
    check_proposes_only_what_is_in_the_space,
    check_agrees_in_another_process,
    check_same_configurations_however_many_run_at_once,
    check_ends_when_a_finite_space_is_exhausted,
    check_agrees_on_a_replayed_history,
)
"""All checks, for a searcher that does not learn from scores."""
