"""What a journal tells of its trials, and in what two journals differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from twin_searches import SEARCHES, Equal

from aiotune import events
from aiotune.searchers import BayesianSearcher, Proposal
from aiotune.store._replay import ProjectState

__all__ = ("Story", "different", "proposals_that_do_not_follow")

_CHANGES = (
    events.SearchStarted,
    events.SpaceGrew,
    events.TrialCreated,
    events.RetryScheduled,
    events.TrialRequeued,
    events.TrialEnded,
)
"""What changes that from which a searcher decides."""


class Story:
    """A search, as its journal tells it.

    Args:
        history: The journal's events.

    Attributes:
        history: See the arguments.
        trials: Of each trial, what it was and what became of it.
        order: Ids of the trials, in the order of their ends.
        ends: A line for each ended trial, as the searches tell it.
        recorded_twice: How many ends of trials or attempts are there more than once.
        most_lost: How often the trial was lost that was lost most often.
        seed: The seed that was recorded first.
        fates: How many trials ended in which way.
    """

    def __init__(self, history: Sequence[events.Event]) -> None:
        self.history = history
        self.trials: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []
        self.ends: set[str] = set()
        self.recorded_twice = self.most_lost = 0
        self.seed: int | None = None
        self.fates = Counter[str]()
        over: set[str] = set()
        for event in history:
            match event:
                case events.SearchStarted():
                    self.seed = event.seed if self.seed is None else self.seed
                case events.TrialCreated():
                    told = {"values": event.values, "stream": event.stream, "budget": event.budget}
                    self.trials[event.trial_id] = {"proposed": told, "retries": []}
                case events.AttemptEnded():
                    self.recorded_twice += event.attempt_id in over
                    over.add(event.attempt_id)
                case events.TrialRequeued():
                    self.most_lost = max(self.most_lost, event.lost)
                case events.RetryScheduled():
                    self.trials[event.trial_id]["retries"].append(event.failure.message)
                case events.TrialPruned():
                    self.trials[event.trial_id]["pruned"] = event.reason
                case events.TrialEnded():
                    self._ended(event)
                case _:
                    pass  # whatever differs from run to run, and is no result

    def _ended(self, event: events.TrialEnded) -> None:
        trial = self.trials[event.trial_id]
        self.recorded_twice += "ended" in trial
        failure = event.failure
        trial["ended"] = {
            "status": str(event.status),
            "values": event.values,
            "score": event.score,
            "best_step": event.best_step,
            "metrics": event.metrics,
            "executions": event.executions,
            "failure": failure and (failure.kind, failure.type, failure.message),
        }
        self.order.append(event.trial_id)
        self.ends.add(f"{event.trial_id} {event.score!r}")
        self.fates[str(event.status).lower()] += 1
        self.fates["retried"] += bool(trial["retries"])
        self.fates["pruned"] += "pruned" in trial

    def without_numbers(self) -> Counter[str]:
        """Return what was tried and what came of it."""
        found = Counter[str]()
        for trial in self.trials.values():
            budget = {k: v for k, v in trial["proposed"]["budget"].items() if k != "parent"}
            told = {**trial, "proposed": {"values": trial["proposed"]["values"], "budget": budget}}
            found[_text(told)] += 1
        return found


def _text(told: Any) -> str:
    """Return the same text for equal data, whatever the order of its keys."""
    if isinstance(told, dict):
        return ", ".join(f"{k}: ({_text(v)})" for k, v in sorted(told.items()))
    return repr(told)


def different(killed: Story, twin: Story, equal: Equal) -> list[str]:
    """Return a line for everything in which two searches differ that must not."""
    match equal:
        case Equal.SET:
            here, there = killed.without_numbers(), twin.without_numbers()
            return [
                *(f"more than its twin: {text}" for text in (here - there).elements()),
                *(f"less than its twin: {text}" for text in (there - here).elements()),
            ]
        case Equal.ORDER | Equal.EACH:
            found = list(_by_number(killed, twin))
            if equal is Equal.ORDER and killed.order != twin.order:
                found.append(f"ended as {killed.order}, and its twin as {twin.order}")
            return found
        case Equal.GIVEN:
            raise ValueError("Of such a search only the proposals can be compared.")
        case _:
            assert_never(equal)


def _by_number(killed: Story, twin: Story) -> Iterator[str]:
    for trial_id in sorted(killed.trials.keys() | twin.trials.keys()):
        here, there = killed.trials.get(trial_id), twin.trials.get(trial_id)
        if _text(here) != _text(there):
            yield f"trial {trial_id} is {_text(here)}, and its twin {_text(there)}"


def proposals_that_do_not_follow(story: Story, kind: str) -> list[str]:
    """Return a line for each trial that follows from no results that can have been known.

    A proposal is made of what was known at one moment between the creation of
    the trial before it and its own.
    """
    oracle = SEARCHES[kind].make(story.seed)
    state = ProjectState(seed=story.seed or 0, objective=oracle.objective)
    known, wrong = [state.frozen()], []
    for event in story.history:
        if isinstance(event, events.TrialCreated):
            known.append(state.frozen())
            proposals = (BayesianSearcher().propose(past, event.index) for past in reversed(known))
            if Proposal(event.values, event.stream) not in proposals:
                wrong.append(f"trial {event.trial_id} of {event.values} follows from nothing")
            known = []
        state.apply(event)
        if isinstance(event, _CHANGES):
            known.append(state.frozen())
    if len(story.order) != len(state.tried):
        wrong.append(f"{len(state.tried)} trials, of which {len(story.order)} ended")
    return wrong
