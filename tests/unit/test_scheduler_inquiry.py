"""How long a process that weighs or probes is waited for; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiotune import _offload
from aiotune._offload import InlineOffloader
from aiotune.executors import WorkerExit, WorkSpec
from aiotune.executors._base import WorkerMessage
from aiotune.failures import FailureKind, TrialFailure
from aiotune.scheduler import Deadlines, Inquirer, Limits, Overdue, _activity
from aiotune.scheduler._activity import Activity
from aiotune.wire import Discovered, Failed, Hello, Probed, RunProbe

pytestmark = pytest.mark.virtual_time

ANSWER = Probed(entries=[], values={}, parameters=3)
DISCOVERED = Discovered(entries=[{"a": 1}], values={})
KILLED = WorkerExit(exit_code=None, signal=9, stopped=True)


def now() -> float:
    return asyncio.get_running_loop().time()


class Clock:
    """The running loop's time, and what the test adds to it."""

    ahead = 0.0

    def now(self) -> float:
        return now() + self.ahead

    monotonic = now


class Process:
    """A worker that says some things at their times, and then nothing more until it is killed."""

    pid = 7

    def __init__(self, *says: tuple[float, WorkerMessage], ends: bool = False) -> None:
        self.says, self.ends = says, ends
        self.dumped: list[float] = []
        self.killed: float | None = None
        self.dies = True
        self.gone = anyio.Event()

    async def messages(self) -> AsyncIterator[WorkerMessage]:
        for seconds, message in self.says:
            await anyio.sleep(seconds)
            yield message
            if isinstance(message, (Probed, Failed)):
                return
        if not self.ends:
            await self.gone.wait()

    async def wait(self) -> WorkerExit:
        if not self.ends:
            await self.gone.wait()
        return WorkerExit(exit_code=3) if self.killed is None else KILLED

    def dump(self) -> None:
        self.dumped.append(now())

    async def finish_early(self, reason: str) -> None:
        raise AssertionError(reason)

    async def stop(self, *, grace: float) -> None:
        assert grace == 0.0
        self.killed = now()
        if self.dies:
            self.gone.set()


class Rig:
    """An inquirer whose one process the test writes, with what is seen of it from outside."""

    def __init__(self, process: Process, monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
        self.process = process
        self.seen: Callable[[float], Activity] = lambda _: Activity(0.0, 0)
        self.clock = Clock()
        self.discovered: list[Discovered] = []
        self.quiet: list[float] = []
        monkeypatch.setattr(_activity, "measure_activity", lambda *_: self.seen(now()))
        monkeypatch.setattr(_activity, "read_from", lambda log, start: f"{log} from {start} on")
        deadlines = Deadlines(**({"silent": 60.0, "total": 600.0} | limits))
        self.inquirer = Inquirer(self, deadlines, self.clock, InlineOffloader())

    async def launch(self, work: WorkSpec) -> Process:
        return self.process

    async def aclose(self) -> None:
        raise AssertionError

    async def ask(self, *, owns_log: bool = False) -> Any:
        order = RunProbe(space={"space": [], "values": {}}, environment={}, threads=1)
        return await self.inquirer.ask(
            WorkSpec(order, "p", Path("log")),
            owns_log=owns_log,
            on_quiet=lambda: self.quiet.append(now()),
            on_discovered=self.discovered.append,
        )


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rig]:
    return lambda *says, **limits: Rig(Process(*says), monkeypatch, **limits)


async def test_an_answer_is_returned_with_what_was_discovered_before_it(rig: Any) -> None:
    """The process is waited for; nobody wants its stacks."""
    asking = rig((0.1, Hello(pid=7)), (1.0, DISCOVERED), (1.0, ANSWER))
    asking.process.ends = True

    assert await asking.ask() == ANSWER
    assert asking.discovered == [DISCOVERED]
    assert (asking.process.dumped, asking.process.killed) == ([], None)


async def test_an_end_without_an_answer_is_returned(rig: Any) -> None:
    """As the process left it."""
    asking = rig((0.1, Hello(pid=7)))
    asking.process.ends = True

    assert await asking.ask() == WorkerExit(exit_code=3)


async def test_a_process_without_a_sign_of_life_is_dumped_and_ended(rig: Any) -> None:
    """A dead-lock in native code: stacks first, then the end, all within 95 seconds."""
    asking = rig((0.1, Hello(pid=7)))

    found = await asking.ask()

    assert isinstance(found, Overdue)
    assert found.why == "showed no sign of life for 60 s"
    assert (found.stacks, found.ended) == ("log from 0 on", True)
    assert len(asking.process.dumped) == 1
    assert asking.process.dumped[0] < asking.process.killed == now() <= 95


async def test_a_process_that_computes_has_all_its_time(rig: Any) -> None:
    """A big model on a loaded machine gets but a part of a core."""
    asking = rig((0.1, Hello(pid=7)))
    asking.seen = lambda seconds: Activity(0.03 * seconds, 0)

    found = await asking.ask()

    assert found.why == "had no answer after 600 s"
    assert now() == pytest.approx(600, abs=6)


async def test_threads_that_wait_for_the_interpreter_are_no_sign_of_life(rig: Any) -> None:
    """Each looks 200 times a second whether native code gives it back, which costs CPU time."""
    asking = rig((0.1, Hello(pid=7)))
    asking.seen = lambda seconds: Activity(0.01 * seconds, 0)

    assert (await asking.ask()).why == "showed no sign of life for 60 s"


@pytest.mark.parametrize(("owns_log", "ends_at"), [(True, 600), (False, 60)])
async def test_output_is_a_sign_of_life_where_the_log_is_its_own(
    rig: Any, owns_log: bool, ends_at: float
) -> None:
    """A download shows its progress; what other weighings print says nothing of this one."""
    asking = rig((0.1, Hello(pid=7)))
    asking.seen = lambda seconds: Activity(0.0, int(seconds / 20))

    await asking.ask(owns_log=owns_log)

    assert now() == pytest.approx(ends_at, abs=6)


async def test_a_stop_ends_the_process_at_once(rig: Any) -> None:
    """Ctrl-C in the middle of a build that is dead-locked: no deadline is waited for."""
    asking = rig((0.1, Hello(pid=7)))

    with anyio.move_on_after(20):
        await asking.ask()

    assert asking.process.killed == 20
    assert now() == 20


async def test_a_process_that_does_not_die_is_not_waited_for(rig: Any) -> None:
    """One that is stuck in the kernel does not hold the search; it is told that it is still there."""
    asking = rig((0.1, Hello(pid=7)))
    asking.process.dies = False

    found = await asking.ask()

    assert found.ended is False
    assert now() <= 95


async def test_a_stop_does_not_wait_for_a_process_that_does_not_die(rig: Any) -> None:
    """The shield that waits for the end of a killed process has a deadline of its own."""
    asking = rig((0.1, Hello(pid=7)))
    asking.process.dies = False

    with anyio.move_on_after(20):
        await asking.ask()

    assert now() == 25


async def test_an_answer_is_kept_whose_process_does_not_end(rig: Any) -> None:
    """What was said counts; the process is ended all the same."""
    asking = rig((0.1, Hello(pid=7)), (1.0, ANSWER))

    assert await asking.ask() == ANSWER
    assert asking.process.killed is not None


async def test_time_in_which_this_program_stood_still_is_given_back(rig: Any) -> None:
    """After Ctrl-Z and fg nothing is overdue for what nobody could see."""
    asking = rig((0.1, Hello(pid=7)), (90.0, ANSWER))
    asking.process.ends = True
    clock = asking.clock
    clock.monotonic = lambda: now() + (3600.0 if now() > 30 else 0.0)
    asking.seen = lambda seconds: Activity(float(seconds > 50), 0)

    assert await asking.ask() == ANSWER


async def test_who_uses_no_cpu_needs_no_core(rig: Any) -> None:
    """After some seconds others may take its place, long before its deadline."""
    asking = rig((0.1, Hello(pid=7)))

    await asking.ask()

    assert 5 <= asking.quiet[0] <= 10


async def test_what_raises_while_it_is_listened_to_ends_the_process(rig: Any) -> None:
    """An entry that cannot be read is an error, bare, and leaves no process."""
    asking = rig((0.1, DISCOVERED))

    def refuse(_: Discovered) -> None:
        raise ValueError("no entry")

    asking.discovered = type("Refuses", (), {"append": staticmethod(refuse)})()
    with pytest.raises(ValueError, match="no entry"):
        await asking.ask()
    assert asking.process.killed is not None


async def test_a_failure_is_an_answer(rig: Any) -> None:
    """What the program raised is told as it is."""
    failure = TrialFailure(kind=FailureKind.ERROR, type="ValueError", message="bad")
    asking = rig((0.1, Failed(failure=failure, values={}, entries=[])))
    asking.process.ends = True

    assert (await asking.ask()).failure == failure


def test_nobody_waits_longer_than_an_attempt_may_take() -> None:
    """Limits that the user has set for attempts bound what comes before them."""
    deadlines = Deadlines(60.0, 600.0)

    assert deadlines.within(Limits()) == deadlines
    assert deadlines.within(Limits(trial=20.0, stall=10.0)) == Deadlines(10.0, 20.0)
    assert deadlines.within(Limits(trial=9e9, stall=9e9)) == deadlines


class HangingDisk(InlineOffloader):
    """No look at a file comes to its end, however long it is waited for."""

    async def run(
        self, lane: str, function: Any, *args: object, deadline: float | None = None, what: str = ""
    ) -> Any:
        await anyio.sleep(1e9 if deadline is None else deadline)
        raise _offload.Overdue("A look", deadline or 0.0)


async def test_a_hanging_disk_holds_up_no_deadline(rig: Any) -> None:
    """Where nothing can be seen nothing is taken for life, and the waits for it do not count as a standstill."""
    asking = rig((0.1, Hello(pid=7)))
    asking.inquirer = Inquirer(
        asking, Deadlines(silent=60.0, total=600.0), asking.clock, HangingDisk()
    )

    found = await asking.ask()

    assert isinstance(found, Overdue)
    assert found.stacks == ""
    assert asking.process.killed == now() <= 120
