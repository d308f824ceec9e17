"""What programs written for KerasTuner read of an oracle, and keep with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from aiotune.errors import ConfigurationError, ProjectError
from aiotune.events import OracleStateKept, TrialEnded
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import Oracle, RandomSearchOracle
from aiotune.status import TrialStatus
from aiotune.store import Layout, read_events
from aiotune.trial import Trial


def space() -> HyperParameters:
    hp = HyperParameters()
    hp.Int("a", 1, 100)
    return hp


def oracle_with(kind: type[RandomSearchOracle] = RandomSearchOracle, **kwargs: Any) -> Any:
    given = {"objective": "loss", "seed": 3, "hyperparameters": space(), **kwargs}
    return kind(**given)


async def finish(oracle: Oracle, trial: Trial, loss: float = 1.0) -> None:
    await oracle.update_trial(trial.trial_id, {"loss": loss})
    await oracle.end_trial(trial)


async def test_the_orders_of_starts_and_ends() -> None:
    """A trial that is retried has not ended; who has a trial is listed."""
    oracle = oracle_with(max_retries_per_trial=1)
    first, second, third = [await oracle.create_trial(name) for name in "abc"]
    await finish(oracle, second)
    first.status = TrialStatus.INVALID
    await oracle.end_trial(first)

    assert oracle.start_order == ["00", "01", "02"]
    assert oracle.end_order == ["01"]
    assert oracle.tuner_ids == {"c"}
    assert oracle.ongoing_trials == {"c": third}


async def test_the_order_of_ends_is_that_of_the_project(tmp_path: Path) -> None:
    """It is told by the journal, so a continued search has it too."""
    before, after = oracle_with(), oracle_with()
    async with before.open(tmp_path, "p"):
        first, second = [await before.create_trial(name) for name in "ab"]
        await finish(before, second)
        await finish(before, first)

    async with after.open(tmp_path, "p"):
        assert after.end_order == ["01", "00"]


def test_what_an_oracle_shows() -> None:
    """``"auto"`` reads as 1, and anything can be set."""
    oracle = oracle_with()
    before = oracle.verbose
    oracle.verbose = 0

    assert (before, oracle.verbose) == (1, 0)
    assert (oracle.multi_worker, oracle.should_report) == (False, True)
    assert (oracle.max_retries_per_trial, oracle.max_consecutive_failed_trials) == (0, 3)


async def test_the_state_has_kerastuners_names() -> None:
    """As far as there is such a thing."""
    oracle = oracle_with(max_retries_per_trial=1)
    first, second = [await oracle.create_trial(name) for name in "ab"]
    first.status = TrialStatus.INVALID
    await oracle.end_trial(first)

    assert oracle.get_state() == {
        "ongoing_trials": {"b": second.trial_id},
        "hyperparameters": oracle.hyperparameters.get_config(),
        "start_order": ["00", "01"],
        "end_order": [],
        "run_times": {"00": 0, "01": 0},
        "retry_queue": ["00"],
        "seed": 3,
    }


class Counting(RandomSearchOracle):
    """Keeps a number of its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.proposed = 0

    async def populate_space(self, trial_id: str) -> Any:
        """Count."""
        self.proposed += 1
        return await super().populate_space(trial_id)

    def get_state(self) -> dict[str, Any]:
        """Add the number, as a subclass of KerasTuner's oracle does."""
        return {**super().get_state(), "proposed": self.proposed}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take it back."""
        super().set_state(state)
        self.proposed = state["proposed"]


async def test_a_subclass_gets_its_state_back(tmp_path: Path) -> None:
    """It is written at each creation and end of a trial, and read when the project goes on."""
    before, after = oracle_with(Counting), oracle_with(Counting)
    async with before.open(tmp_path, "p"):
        await finish(before, await before.create_trial("w"))
        await before.create_trial("w")

    async with after.open(tmp_path, "p"):
        proposed = after.proposed
        again = await after.create_trial("w")

    assert proposed == 2
    assert again.trial_id == "01"
    written = json.loads((tmp_path / "p" / "oracle.json").read_text())
    assert (written["proposed"], written["end_order"]) == (2, ["00"])


async def copied(directory: Path, *, without: int) -> Path:
    """Copy a project as a kill leaves it: without its last records, and with the state of another moment."""
    (to := directory / "killed" / "journal").mkdir(parents=True)
    (segment,) = (directory / "p" / "journal").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    (to / segment.name).write_bytes(b"".join(lines[: len(lines) - without]))
    (to.parent / "oracle.json").write_text('{"proposed": 99}')
    return directory


@pytest.mark.parametrize(
    ("without", "proposed", "trials"),
    [(0, 2, 2), (1, 1, 1), (2, 1, 1), (3, 1, 1), (5, 0, 0)],
    ids=["nothing", "a creation", "its state as well", "an end", "all"],
)
async def test_a_subclass_has_the_state_that_belongs_to_its_trials(
    tmp_path: Path, without: int, proposed: int, trials: int
) -> None:
    """Wherever the journal was cut off, the state is that of the last trial in it, and not one ahead."""
    before, after = oracle_with(Counting), oracle_with(Counting)
    async with before.open(tmp_path, "p"):
        await finish(before, await before.create_trial("w"))
        await before.create_trial("w")
        await copied(tmp_path, without=without)

    async with after.open(tmp_path, "killed"):
        assert (after.proposed, len(after.trials)) == (proposed if trials else 99, trials)


async def test_a_state_that_does_not_change_is_recorded_once(tmp_path: Path) -> None:
    """An end that changes nothing costs no record."""
    oracle = oracle_with(Counting)
    async with oracle.open(tmp_path, "p"):
        await finish(oracle, await oracle.create_trial("w"))
        await oracle.save()

    history = await asyncio.to_thread(read_events, Layout(tmp_path, "p"))
    recorded = [e for e in history if isinstance(e, OracleStateKept)]
    assert recorded == [OracleStateKept(trial_id="00", state='{"proposed": 1}')]


async def test_a_long_state_is_in_the_file_alone(tmp_path: Path) -> None:
    """A record has an end; the journal then says nothing, also when it had said something before."""
    before, after = oracle_with(Counting), oracle_with(Counting)
    async with before.open(tmp_path, "p"):
        await before.create_trial("w")
        before.proposed = list(range(10_000))
        await before.save()

    async with after.open(tmp_path, "p"):
        assert after.proposed == list(range(10_000))


async def test_a_result_is_recorded_although_the_state_cannot_be(tmp_path: Path) -> None:
    """What a training has found is not lost with it."""
    oracle = oracle_with(Counting)
    async with oracle.open(tmp_path, "p"):
        trial = await oracle.create_trial("w")
        oracle.proposed = {1, 2}
        with pytest.raises(ConfigurationError, match=r"Counting\.get_state\(\) returned what JSON"):
            await finish(oracle, trial)

    assert trial.status is TrialStatus.COMPLETED
    history = await asyncio.to_thread(read_events, Layout(tmp_path, "p"))
    assert [e.trial_id for e in history if isinstance(e, TrialEnded)] == ["00"]


async def test_an_oracle_without_state_writes_no_file(tmp_path: Path) -> None:
    """The journal is enough."""
    oracle = oracle_with()
    async with oracle.open(tmp_path, "p"):
        await finish(oracle, await oracle.create_trial("w"))
        await oracle.save()

    assert not (tmp_path / "p" / "oracle.json").exists()


async def test_saving_writes_the_state_at_once(tmp_path: Path) -> None:
    """For a subclass that changes it between trials."""
    oracle = oracle_with(Counting)
    async with oracle.open(tmp_path, "p"):
        oracle.proposed = 7
        await oracle.save()

    assert json.loads((tmp_path / "p" / "oracle.json").read_text())["proposed"] == 7


@pytest.mark.parametrize(("text", "why"), [("{", "cannot be read"), ("[]", "is a list")])
async def test_a_damaged_state_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """The sentence names the file; without it the project goes on."""
    async with oracle_with(Counting).open(tmp_path, "p"):
        pass
    (tmp_path / "p" / "oracle.json").write_text(text)

    with pytest.raises(ProjectError, match=rf"p/oracle\.json {why}.*Remove the file"):
        async with oracle_with(Counting).open(tmp_path, "p"):
            pass

    (tmp_path / "p" / "oracle.json").unlink()
    async with oracle_with(Counting).open(tmp_path, "p") as oracle:
        assert oracle.trials == {}


async def test_a_state_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    """The sentence names the class."""
    oracle = oracle_with(Counting)
    async with oracle.open(tmp_path, "p"):
        oracle.proposed = {1, 2}
        with pytest.raises(ConfigurationError, match=r"Counting\.get_state\(\) returned what JSON"):
            await oracle.save()


async def test_reloading_shows_what_another_has_added(tmp_path: Path) -> None:
    """Once the project was let go of; while it is held, nothing changes."""
    watcher, worker = oracle_with(Counting), oracle_with(Counting)
    async with watcher.open(tmp_path, "p"):
        first = await watcher.create_trial("w")
        await watcher.reload()
        assert watcher.get_trial(first.trial_id) is first
    async with worker.open(tmp_path, "p"):
        await finish(worker, await worker.create_trial("w"), 0.5)
        await finish(worker, await worker.create_trial("w"), 0.25)

    await watcher.reload()

    assert [trial.score for trial in watcher.trials.values()] == [0.5, 0.25]
    assert watcher.proposed == worker.proposed


async def test_an_oracle_in_memory_has_nothing_to_reload() -> None:
    """The sentence says what to do instead."""
    with pytest.raises(ConfigurationError, match="in memory, so there is nothing to read again"):
        await oracle_with().reload()


async def test_a_search_is_silent_when_its_oracle_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``oracle.verbose = 0`` does what ``search(verbose=0)`` does."""
    from aiotune.base_tuner import BaseTuner

    class Measured(BaseTuner):
        def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> float:
            return float(trial.hyperparameters.Int("a", 1, 100))

    oracle = RandomSearchOracle(None, 2, seed=3, hyperparameters=space())
    oracle.verbose = 0
    await Measured(oracle, directory=tmp_path, executor="inline").search()

    assert capsys.readouterr().out == ""
    assert len(oracle.trials) == 2
    await asyncio.to_thread(oracle.load, Measured(oracle, directory=tmp_path)._layout)
