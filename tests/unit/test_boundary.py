"""What leaves ``search()``: one exception, with the frames that its reader can act on."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from types import TracebackType

import pytest

from aiotune._boundary import one_error, shortened
from aiotune.errors import FatalError, InternalError, PayloadError, SearchAborted
from aiotune.failures import FailureKind
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import RandomSearchOracle
from aiotune.testing import Simulation, fails
from aiotune.trial import Trial
from aiotune.tuners import RandomSearch


def functions(frames: TracebackType | None) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(frames)]


class Tuner(RandomSearch):
    """Fails where it is told to."""

    def __init__(self, directory: Path, error: Exception | None = None) -> None:
        hp = HyperParameters()
        hp.Int("a", 1, 100)
        super().__init__(
            max_trials=5,
            hyperparameters=hp,
            directory=directory,
            executor="inline",
            max_parallel_trials=1,
        )
        self.error = error

    def run_trial(self, trial: Trial, *args: object, **kwargs: object) -> float:
        """Raise the error, if it is one that ends a search."""
        if isinstance(self.error, FatalError):
            raise self.error
        return 0.0

    def on_trial_end(self, trial: Trial) -> None:
        """Raise any other error, one call deeper."""
        if self.error is not None and not isinstance(self.error, FatalError):
            self.fail(self.error)

    def fail(self, error: Exception) -> None:
        """Raise."""
        raise error


async def left(tuner: Tuner) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        await tuner.search(verbose=0)
    return caught.value


async def test_a_sentence_comes_with_no_frame_of_ours(tmp_path: Path) -> None:
    """Of a FatalError of a trial the traceback has the line that called search(), and one of search()."""
    error = await left(Tuner(tmp_path, FatalError("no data")))

    assert functions(error.__traceback__) == ["left", "search"]


async def test_the_users_own_frames_stay(tmp_path: Path) -> None:
    """Of an error in a hook all that is the user's: from the hook to the line that raised."""
    error = await left(Tuner(tmp_path, LookupError("x")))

    assert functions(error.__traceback__) == ["left", "search", "on_trial_end", "fail"]


async def test_asyncios_debug_mode_leaves_nothing_out(tmp_path: Path) -> None:
    """Who debugs the tuner itself sees its frames, too."""
    asyncio.get_running_loop().set_debug(True)

    error = await left(Tuner(tmp_path, LookupError("x")))

    assert "run_search" in functions(error.__traceback__)


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (SearchAborted("Too many."), False),
        (PayloadError("It cannot travel."), False),
        (asyncio.CancelledError(), False),
        (InternalError("A bug."), True),
        (AttributeError("a bug without a name"), True),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_only_errors_that_are_no_bugs_lose_all_frames(
    error: BaseException, kept: bool
) -> None:
    """A bug of ours is of no use without its frames."""
    namespace = {"__name__": "aiotune.somewhere", "error": error}
    try:
        exec("raise error", namespace)
    except BaseException as raised:  # noqa: BLE001 - looked at below
        frames = raised.__traceback__
    assert frames is not None

    shown = shortened(error.with_traceback(frames.tb_next))

    assert (shown.__traceback__ is not None) is kept


async def test_a_cancellation_says_what_is_kept(tmp_path: Path) -> None:
    """It is still CancelledError itself, which asyncio's timeouts insist on."""

    class Cancels(Tuner):
        def on_trial_end(self, trial: Trial) -> None:
            task.cancel()

    async def search() -> None:
        await Cancels(tmp_path).search(verbose=0)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(search())
        with pytest.raises(asyncio.CancelledError, match=r"trials are finished and kept in /") as e:
            await task

    assert type(e.value) is asyncio.CancelledError


async def test_a_timeout_around_a_search_is_a_timeout(tmp_path: Path) -> None:
    """``asyncio.timeout`` sees its own cancellation come back, and raises TimeoutError."""

    class Waits(Tuner):
        async def on_trial_end(self, trial: Trial) -> None:  # type: ignore[override]
            await asyncio.get_running_loop().create_future()

    tuner = Waits(tmp_path)
    tuner.stop_grace = 0.1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await tuner.search(verbose=0)


def test_of_a_group_one_error_is_raised_and_the_others_are_named() -> None:
    """The FatalError comes first, then what is no cancellation; nobody meets a group."""
    fatal, other = FatalError("stop"), ValueError("and this")
    group = BaseExceptionGroup(
        "", [asyncio.CancelledError(), BaseExceptionGroup("", [other, fatal])]
    )

    assert one_error(group) is fatal
    assert fatal.__notes__ == ["Also: CancelledError: ", "Also: ValueError: and this"]


@pytest.mark.virtual_time
async def test_a_search_that_many_failures_abort_says_so_once() -> None:
    """Trials that fail at the same time each find that it was one too many."""
    hp = HyperParameters()
    hp.Int("a", 1, 100)
    oracle = RandomSearchOracle(max_trials=50, seed=0, hyperparameters=hp)
    simulation = Simulation(oracle, lambda _: fails(FailureKind.ERROR), slots=6)

    with pytest.raises(SearchAborted) as caught:
        await simulation.run()

    notes = getattr(caught.value, "__notes__", [])
    assert [note for note in notes if note.startswith("Also: ")] == []
