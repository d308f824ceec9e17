"""An oracle that holds a project: what is kept, what is continued, what is refused."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from aiotune import events
from aiotune.errors import ProjectLocked, SearchAborted, SpaceChanged, StorageError
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import GridSearchOracle, Oracle, RandomSearchOracle
from aiotune.searchers import GridSearcher
from aiotune.status import TrialStatus
from aiotune.store import Layout, read_events
from aiotune.trial import Trial
from aiotune.wire import Done, write_result


def space(high: int = 100) -> HyperParameters:
    hp = HyperParameters()
    hp.Int("a", 1, high)
    return hp


def oracle_with(**kwargs: Any) -> RandomSearchOracle:
    return RandomSearchOracle(
        **{"objective": "loss", "max_trials": 10, "seed": 3, "hyperparameters": space(), **kwargs}
    )


async def finish(oracle: Oracle, trial: Trial, loss: float = 1.0) -> None:
    await oracle.update_trial(trial.trial_id, {"loss": loss})
    await oracle.end_trial(trial)


async def journal(directory: Path) -> list[events.Event]:
    return await asyncio.to_thread(read_events, Layout(directory, "p"))


def begin(oracle: Oracle, trial: Trial) -> events.AttemptStarted:
    """Return the fact that a process runs a trial."""
    number = trial.attempts + 1
    return events.AttemptStarted(
        trial_id=trial.trial_id, attempt=number, attempt_id=f"{trial.trial_id}-{number:02d}-x"
    )


async def test_a_project_is_continued(tmp_path: Path) -> None:
    """Finished trials are kept, unfinished ones run first, and the draws go on where they were."""
    before, after, alone = oracle_with(), oracle_with(), oracle_with()
    async with before.open(tmp_path, "p"):
        await finish(before, await before.create_trial("w0"), 0.5)
        await before.create_trial("w1")

    async with after.open(tmp_path, "p"):
        first = await after.create_trial("w0")
        await finish(after, first)
        second = await after.create_trial("w0")
        best = after.best_trial
    expected = [await alone.create_trial(str(i)) for i in range(3)]

    assert (first.trial_id, second.trial_id) == ("01", "02")
    assert [t.values for t in after.trials.values()] == [t.values for t in expected]
    assert best is not None
    assert (best.trial_id, best.score, best.status) == ("00", 0.5, TrialStatus.COMPLETED)
    assert (after.directory, after.project_name) == (tmp_path, "p")


async def test_a_created_trial_is_durable_when_it_is_returned(tmp_path: Path) -> None:
    """Another process that reads the journal at that moment finds it."""
    oracle = oracle_with()
    async with oracle.open(tmp_path, "p"):
        trial = await oracle.create_trial("w")
        found = [type(e).__name__ for e in await journal(tmp_path)]
        await finish(oracle, trial)
        later = [type(e).__name__ for e in await journal(tmp_path)]

    assert found[-1] == "TrialCreated"
    assert later[-1] == "TrialEnded"


async def test_every_state_of_the_search_is_that_of_its_journal(tmp_path: Path) -> None:
    """After results, failures, retries and discoveries, a replay gives the same trials."""
    oracle = oracle_with(max_retries_per_trial=1, max_consecutive_failed_trials=None)
    async with oracle.open(tmp_path, "p"):
        await finish(oracle, await oracle.create_trial("w"), 0.5)
        for _ in range(2):
            await finish(oracle, await oracle.create_trial("w"), math.nan)
        found = await oracle.create_trial("w")
        found.hyperparameters.Boolean("b")
        await finish(oracle, found, 0.25)
        retried = await oracle.create_trial("w")
        await finish(oracle, retried, math.inf)
        await finish(oracle, await oracle.create_trial("w"), 0.75)
    replayed = oracle_with()
    await asyncio.to_thread(replayed.load, Layout(tmp_path, "p"))

    assert [t.status for t in oracle.trials.values()] == ["COMPLETED", "FAILED"] + ["COMPLETED"] * 2
    assert [t.get_state() for t in replayed.trials.values()] == [
        t.get_state() for t in oracle.trials.values()
    ]
    assert replayed.hyperparameters.space == oracle.hyperparameters.space
    assert replayed.get_best_trials(1)[0].trial_id == found.trial_id


async def test_overwriting_discards_the_trials(tmp_path: Path) -> None:
    """Also those of another objective and space."""
    before, after = oracle_with(), oracle_with(objective="val_acc", hyperparameters=space(7))
    async with before.open(tmp_path, "p"):
        await before.create_trial("w")

    async with after.open(tmp_path, "p", overwrite=True):
        assert after.trials == {}


async def test_a_project_has_one_holder(tmp_path: Path) -> None:
    """The second is refused, and the first goes on."""
    first, second = oracle_with(), oracle_with()
    async with first.open(tmp_path, "p"):
        with pytest.raises(ProjectLocked):
            async with second.open(tmp_path, "p"):
                pytest.fail("two oracles hold one project")
        await finish(first, await first.create_trial("w"))


async def test_a_closed_project_takes_nothing_more(tmp_path: Path) -> None:
    """What would be lost is refused; what is known can still be read."""
    oracle = oracle_with()
    async with oracle.open(tmp_path, "p"):
        trial = await oracle.create_trial("w")

    with pytest.raises(StorageError, match="closed"):
        await oracle.end_trial(trial, None)
    assert oracle.get_trial("00") is trial


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"objective": "val_acc"},
            r"objective 'loss' \(min\); this program says 'val_acc' \(max\)",
        ),
        ({"hyperparameters": space(50)}, "'a' Int from 1 to 100 .* says Int from 1 to 50 .* 1 fin"),
    ],
)
async def test_another_program_is_refused(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    """Another objective or range would mix what cannot be compared; nothing is recorded."""
    before, after = oracle_with(), oracle_with(**change)
    async with before.open(tmp_path, "p"):
        await finish(before, await before.create_trial("w"))
        await before.create_trial("w")
    recorded = await journal(tmp_path)

    with pytest.raises(SpaceChanged, match=sentence):
        async with after.open(tmp_path, "p"):
            pytest.fail("the project was opened")

    new = (await journal(tmp_path))[len(recorded) :]
    assert [type(e).__name__ for e in new] == ["ProjectOpened", "ProjectClosed"]


async def test_another_algorithm_is_refused(tmp_path: Path) -> None:
    """The sentence names both oracles."""
    async with oracle_with().open(tmp_path, "p"):
        pass

    with pytest.raises(
        SpaceChanged, match="RandomSearchOracle; this program says GridSearchOracle"
    ):
        async with GridSearchOracle("loss").open(tmp_path, "p"):
            pytest.fail("the project was opened")


async def test_another_searcher_is_refused(tmp_path: Path) -> None:
    """Also where the oracle's class is the same, and says nothing."""
    async with Oracle("loss", searcher=GridSearcher()).open(tmp_path, "p"):
        pass

    with pytest.raises(SpaceChanged, match="searcher GridSearcher; this program says RandomS"):
        async with Oracle("loss").open(tmp_path, "p"):
            pytest.fail("the project was opened")
    async with Oracle("loss", searcher=GridSearcher()).open(tmp_path, "p"):
        pass


async def test_a_program_whose_model_changed_is_refused(tmp_path: Path) -> None:
    """The change is noticed when the model's space is declared."""
    before, after = (oracle_with(hyperparameters=None) for _ in range(2))
    async with before.open(tmp_path, "p"):
        await before.declare_space(space(100))
        await finish(before, await before.create_trial("w"))

    async with after.open(tmp_path, "p"):
        with pytest.raises(SpaceChanged, match="'a' Int from 1 to 100"):
            await after.declare_space(space(50))


async def test_a_range_that_depends_on_a_value_keeps_its_first_bounds(tmp_path: Path) -> None:
    """Two trials that discover it at once disagree, and that is no change of the program."""
    oracle = oracle_with(hyperparameters=None)
    async with oracle.open(tmp_path, "p"):
        one, two = await oracle.create_trial("w0"), await oracle.create_trial("w1")
        one.hyperparameters.Int("a", 1, 10)
        two.hyperparameters.Int("a", 1, 20)
        await finish(oracle, one)
        await finish(oracle, two)

    assert oracle.hyperparameters.space == one.hyperparameters.space


async def test_another_budget_continues(tmp_path: Path) -> None:
    """A spent budget is raised by saying a larger one."""
    before, after = oracle_with(max_trials=10), oracle_with(max_trials=12)
    async with before.open(tmp_path, "p"):
        for _ in range(10):
            await finish(before, await before.create_trial("w"))
        stopped = await before.create_trial("w")

    async with after.open(tmp_path, "p"):
        going_on = await after.create_trial("w")

    assert stopped.status is TrialStatus.STOPPED
    assert going_on.trial_id == "10"


async def test_the_projects_seed_continues(tmp_path: Path) -> None:
    """The program's own is not used, and the log says so; one that was not given is not missed."""
    async with oracle_with(seed=3).open(tmp_path, "p"):
        pass
    other, none = oracle_with(seed=4), oracle_with(seed=None)

    with capture_logs() as logged:
        async with other.open(tmp_path, "p"):
            assert other.seed == 3
        async with none.open(tmp_path, "p"):
            assert none.seed == 3

    assert logged == [{"event": "seed_continued", "log_level": "info", "seed": 3, "instead_of": 4}]


async def test_a_trial_that_is_lost_again_and_again_fails(tmp_path: Path) -> None:
    """The tuner died five times while it ran; the sixth time it is given up."""
    trial_id = ""
    for _ in range(6):
        oracle = oracle_with()
        async with oracle.open(tmp_path, "p"):
            trial = await oracle.create_trial("w")
            await oracle.record(begin(oracle, trial))
            trial_id = trial.trial_id
            losses = trial.lost

    oracle = oracle_with()
    async with oracle.open(tmp_path, "p"):
        lost = oracle.get_trial(trial_id)

    assert (trial_id, losses) == ("00", 5)
    assert lost.status is TrialStatus.FAILED
    assert lost.message == "The tuner itself died during this trial 6 times."


@pytest.mark.parametrize("ended", [False, True])
async def test_a_result_that_a_worker_wrote_down_is_adopted(tmp_path: Path, ended: bool) -> None:
    """The tuner died before it had recorded the trial's end, or even the attempt's."""
    before, after = oracle_with(), oracle_with()
    done = Done(
        metrics={"loss": 0.125},
        best_step=6,
        executions=[{"loss": 0.125}],
        values={"a": 5, "b": True},
        entries=[],
    )
    async with before.open(tmp_path, "p"):
        trial = await before.create_trial("w")
        started = begin(before, trial)
        await before.record(started)
        if ended:
            await before.record(
                events.AttemptEnded(
                    trial_id=trial.trial_id,
                    attempt=1,
                    attempt_id=started.attempt_id,
                    outcome=TrialStatus.COMPLETED,
                )
            )
    path = Layout(tmp_path, "p").result_file(trial.trial_id, 1)
    path.parent.mkdir(parents=True)
    await asyncio.to_thread(write_result, path, done)

    with capture_logs() as logged:
        async with after.open(tmp_path, "p"):
            adopted = after.get_trial(trial.trial_id)

    assert [line["event"] for line in logged] == ["project_resumed", "result_adopted"]
    assert (adopted.status, adopted.score, adopted.best_step) == (TrialStatus.COMPLETED, 0.125, 6)
    assert adopted.values == {"a": 5, "b": True}
    ends = [e for e in await journal(tmp_path) if isinstance(e, events.AttemptEnded)]
    assert len(ends) == 1


async def test_a_search_after_an_abort_counts_anew(tmp_path: Path) -> None:
    """The failures that ended one search are recorded, and do not end the next at once."""
    oracle = oracle_with(max_consecutive_failed_trials=1)
    for _ in range(2):
        async with oracle.open(tmp_path, "p"):
            trial = await oracle.create_trial("w")
            trial.status = TrialStatus.FAILED
            with pytest.raises(SearchAborted):
                await oracle.end_trial(trial)

    assert [t.status for t in oracle.trials.values()] == [TrialStatus.FAILED] * 2


async def test_memory_can_be_opened_too() -> None:
    """Without a directory the trials stay with the oracle; cancelled ones run again."""
    oracle = oracle_with()
    async with oracle.open():
        trial = await oracle.create_trial("w")
        trial.status = TrialStatus.CANCELLED

    async with oracle.open():
        again = await oracle.create_trial("w")

    assert again is trial
    assert (oracle.directory, again.status) == (None, TrialStatus.RUNNING)
