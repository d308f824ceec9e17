"""Which weights stay on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiotune._offload import ThreadOffloader
from aiotune._retention import Retention
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import Oracle
from aiotune.searchers import Exhausted, History, Proposal, SearcherDecision
from aiotune.status import TrialStatus
from aiotune.store import Layout
from aiotune.trial import Trial


class Scripted:
    """Proposes one value after another, with the budgets it is given."""

    is_heavy = False

    def __init__(self, budgets: list[dict[str, Any]], wanted: set[int] | None = None) -> None:
        self.budgets, self.wanted = budgets, wanted or set()

    def propose(self, history: History, index: int) -> SearcherDecision:
        if index >= len(self.budgets):
            return Exhausted()
        return Proposal({"a": index}, 0, self.budgets[index])

    def continuable(self, history: History) -> set[int]:
        return self.wanted


class Kept:
    """An oracle with a directory, whose trials leave weights when they end."""

    def __init__(self, path: Path, searcher: Any, *, keep: int | None, objective: str) -> None:
        hp = HyperParameters()
        hp.Int("a", 0, 100)
        self.oracle = Oracle(objective, None, hp, searcher=searcher, seed=0)
        self.layout = Layout(path, "p")
        self.retention = Retention(self.oracle, self.layout, keep, ThreadOffloader())

    async def trial(self, score: float | None) -> Trial:
        trial = await self.oracle.create_trial("w")
        self.leave(trial)
        if score is None:
            trial.status = TrialStatus.FAILED
        else:
            name = self.oracle.objective.name
            await self.oracle.update_trial(trial.trial_id, {name: score})
        await self.oracle.end_trial(trial)
        await self.retention.ended(trial)
        return trial

    def leave(self, trial: Trial) -> None:
        directory = self.layout.trial_dir(trial.trial_id)
        directory.mkdir(parents=True)
        for name in ("checkpoint.weights.h5", "state-0.weights.h5", "mine.txt"):
            (directory / name).write_text("x")

    def left(self, pattern: str) -> list[str]:
        return sorted(p.parent.name[-1] for p in self.layout.project_dir.glob(f"*/{pattern}"))


async def test_the_best_keep_their_weights(tmp_path: Path) -> None:
    """Of five trials two are kept, whichever order they end in; files of the user's own all are."""
    kept = Kept(tmp_path, Scripted([{}] * 5), keep=2, objective="val_loss")

    for score in (0.5, 0.1, 0.9, 0.2, 0.3):
        await kept.trial(score)

    assert kept.left("checkpoint*") == ["1", "3"]
    assert kept.left("mine.txt") == ["0", "1", "2", "3", "4"]


async def test_a_larger_objective_is_better_where_it_is(tmp_path: Path) -> None:
    """An accuracy keeps the largest."""
    kept = Kept(tmp_path, Scripted([{}] * 3), keep=1, objective="val_accuracy")

    for score in (0.5, 0.9, 0.1):
        await kept.trial(score)

    assert kept.left("checkpoint*") == ["1"]


async def test_failed_trials_keep_none_and_without_a_limit_all_others_do(tmp_path: Path) -> None:
    """None keeps every completed trial's weights."""
    kept = Kept(tmp_path, Scripted([{}] * 3), keep=None, objective="val_loss")

    for score in (0.5, None, 0.1):
        await kept.trial(score)

    assert kept.left("checkpoint*") == ["0", "2"]


async def test_states_stay_while_somebody_may_continue_them(tmp_path: Path) -> None:
    """What the searcher names stays; once a continuing trial has ended its parent's goes."""
    rounds: list[dict[str, Any]] = [{"epochs": 1}, {"epochs": 1}, {"epochs": 3, "parent": 0}]
    searcher = Scripted(rounds, wanted={0})
    kept = Kept(tmp_path, searcher, keep=None, objective="val_loss")

    await kept.trial(0.1)
    await kept.trial(0.2)
    assert kept.left("state*") == ["0"]

    promoted = await kept.oracle.create_trial("w")
    kept.leave(promoted)
    kept.retention._searcher.wanted = set()  # type: ignore[union-attr]
    other = kept.oracle.trials["0001"]
    await kept.retention.ended(other)
    assert kept.left("state*") == ["0", "2"], "its child runs"

    await kept.oracle.update_trial(promoted.trial_id, {"val_loss": 0.0})
    await kept.oracle.end_trial(promoted)
    await kept.retention.ended(promoted)
    assert kept.left("state*") == []


async def test_a_continued_project_removes_what_was_left_over(tmp_path: Path) -> None:
    """A search that was killed before it removed anything is caught up with."""
    kept = Kept(tmp_path, Scripted([{}] * 3), keep=None, objective="val_loss")
    for score in (0.5, 0.1, 0.9):
        await kept.trial(score)

    await Retention(kept.oracle, kept.layout, 1, ThreadOffloader()).begin()

    assert kept.left("checkpoint*") == ["1"]


async def test_files_of_the_users_own_stay_whatever_they_begin_with(tmp_path: Path) -> None:
    """Only the names that trainings write are superfluous, not every one that is like them."""
    kept = Kept(tmp_path, Scripted([{}]), keep=1, objective="val_loss")
    own = ["resume.md", "resume-0-best.weights.h5", "resumed/a.txt", "state-mine.weights.h5"]
    ours = ["resume.json", "resume-0-12.weights.h5", "state-1.weights.h5"]
    trial = await kept.oracle.create_trial("w")
    folder = kept.layout.trial_dir(trial.trial_id)
    for name in own + ours:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")

    trial.status = TrialStatus.FAILED
    trial.budget = {"epochs": 1}
    await kept.oracle.end_trial(trial)
    await kept.retention.ended(trial)

    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == sorted(own)


async def test_what_cannot_be_removed_keeps_nothing_else(tmp_path: Path) -> None:
    """It is told once, and the weights of the trials after it are removed all the same."""
    kept = Kept(tmp_path, Scripted([{}] * 3), keep=1, objective="val_loss")
    for score in (0.1, None, None):
        await kept.trial(score)
    first, second = kept.layout.trial_dir("0001"), kept.layout.trial_dir("0002")
    (first / "checkpoint.weights.h5").mkdir()
    (second / "checkpoint.weights.h5").write_text("x")

    await Retention(kept.oracle, kept.layout, 1, ThreadOffloader()).begin()

    assert (first / "checkpoint.weights.h5").is_dir()
    assert not (second / "checkpoint.weights.h5").exists()


async def test_a_resumed_search_asks_its_searcher_once(tmp_path: Path) -> None:
    """A searcher goes through all trials to answer: once for each ended trial would be their square."""
    budget = {"epochs": 1, "initial_epoch": 0}
    kept = Kept(tmp_path, Scripted([budget] * 6), keep=None, objective="loss")
    for number in range(6):
        await kept.trial(float(number))
    asked: list[int] = []

    class Counted(Scripted):
        def continuable(self, history: History) -> set[int]:
            asked.append(len(history.tried))
            return set()

    kept.oracle.searcher = Counted([budget])
    again = Retention(kept.oracle, kept.layout, None, ThreadOffloader())

    await again.begin()

    assert asked == [6]
