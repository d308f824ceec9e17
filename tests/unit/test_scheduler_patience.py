"""How long attempts may take, and be silent; on virtual time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from aiotune._offload import InlineOffloader
from aiotune.scheduler._activity import Activity, DeviceWork, measure_activity, read_from
from aiotune.scheduler._commands import EndedBy
from aiotune.scheduler._patience import Limits, Patience
from aiotune.testing._simulation import RecordingLog


class Clock:
    """The running loop's time."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    monotonic = now


class Case:
    """One running attempt whose signs of life the test gives."""

    def __init__(self, **limits: float) -> None:
        self.worker = SimpleNamespace(dumps=0, dump=self._dump, pid=5)
        self.running: Any = SimpleNamespace(
            trial=SimpleNamespace(trial_id="3"),
            attempt_id="a",
            paths=SimpleNamespace(output_log="log"),
            pid=1,
            reports=0,
            step=None,
            lease=SimpleNamespace(uuids=()),
            device=DeviceWork(),
            started=0.0,
            ended_by=None,
            worker=self.worker,
        )
        self.activity = Activity(0.0, 0)
        self.log = RecordingLog()
        self.ended: list[tuple[float, EndedBy]] = []
        self.patience = Patience(
            Limits(**limits),
            dict[str, Any]({"3": self.running}),
            Clock(),
            self.log,
            InlineOffloader(),
            lambda _, reason: self.ended.append((Clock().now(), reason)),
            self._measure,
            lambda log, start: f"{log} from byte {start} on",
        )

    def _measure(self, pid: int | None, log: str) -> Activity:
        self.measured = pid
        return self.activity

    def _dump(self) -> None:
        self.worker.dumps += 1
        # A dump writes into the log.
        self.activity = Activity(self.activity.cpu_seconds, self.activity.output_bytes + 500)

    async def watch(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self.patience.watch()

    async def spin(self, seconds: int, *, utilization: int | None = 0, every: int = 1) -> None:
        """Let it use a whole core, while its driver tells each second how much its GPU works."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.patience.watch)
            for second in range(seconds):
                self.activity = Activity(self.activity.cpu_seconds + 1, self.activity.output_bytes)
                if second % every == 0:
                    self.running.device.note([utilization], Clock().now())
                await anyio.sleep(1)
            group.cancel_scope.cancel()


def on_a_gpu(*, step: int | None = 0, **limits: float) -> Case:
    case = Case(**limits)
    case.running.lease, case.running.step = SimpleNamespace(uuids=("GPU-0",)), step
    return case


@pytest.mark.virtual_time
async def test_an_attempt_without_a_sign_of_life_is_told_once_and_its_stacks_are_dumped() -> None:
    """One warning and one dump for one stall, which is no reason to end it."""
    case = Case(stall_warn=100)

    await case.watch(1000)

    assert [e["trial"] for e in case.log.named("trial_stalled")] == ["3"]
    assert case.worker.dumps == 1
    assert case.ended == []


@pytest.mark.virtual_time
async def test_the_warning_quotes_what_was_dumped() -> None:
    """What the worker writes when it is asked is in the event, for who does not see its log."""
    case = Case(stall_warn=100)
    case.activity = Activity(0.0, 8)
    await case.watch(200)

    (event,) = case.log.named("trial_stalled")
    assert event["stacks"] == "log from byte 8 on"


def test_only_the_beginning_of_what_came_after_is_read(tmp_path: Path) -> None:
    """Of a stack the innermost frames, which come first, matter; a log that is gone has none."""
    log = tmp_path / "output.log"
    log.write_text("Epoch 1\n" + "x" * 10_000)

    assert read_from(str(log), 8) == "x" * 3000
    assert read_from(str(tmp_path / "gone"), 8) == ""


@pytest.mark.virtual_time
@pytest.mark.parametrize("sign", ["report", "output", "cpu"])
async def test_a_sign_of_life_is_enough(sign: str) -> None:
    """A report, a byte of output or a second of CPU time every minute is progress."""
    case = Case(stall_warn=100, stall=200)

    for n in range(1, 20):
        match sign:
            case "report":
                case.running.reports = n
            case "output":
                case.activity = Activity(0.0, n)
            case _:
                case.activity = Activity(1.5 * n, 0)
        await case.watch(60)

    assert case.log.events == []
    assert case.ended == []


@pytest.mark.virtual_time
async def test_a_wait_that_spins_is_no_sign_of_life_on_a_gpu_that_does_not_work() -> None:
    """Waits for CUDA, and for other processes, keep a core busy; after the first epoch the GPU must work."""
    case = on_a_gpu(stall_warn=100, stall=200)

    await case.spin(250)

    (event,) = case.log.named("trial_stalled")
    assert event["cpu_seconds"] > 90
    assert case.ended[0][1] is EndedBy.STALLED
    assert case.ended[0][0] == pytest.approx(200, abs=25)


@pytest.mark.virtual_time
async def test_a_short_limit_ends_a_wait_that_spins() -> None:
    """Four seconds are kept to, although the driver is asked but once a second."""
    case = on_a_gpu(stall=4)

    await case.spin(20)

    assert case.ended[0][0] <= 6


@pytest.mark.virtual_time
async def test_the_work_of_its_gpu_is_a_sign_of_life() -> None:
    """An epoch may take an hour, and a driver that saw one percent a minute saw work."""
    case = on_a_gpu(stall=100)

    for _ in range(20):
        await case.spin(1, utilization=1)
        await case.spin(59)

    assert case.ended == []


@pytest.mark.virtual_time
async def test_a_trial_on_a_gpu_may_only_compute_before_its_first_epoch() -> None:
    """XLA compiles for minutes on the CPU, with nothing to report and a GPU that does not work."""
    case = on_a_gpu(stall=100, step=None)

    await case.spin(900)

    assert (case.log.events, case.ended) == ([], [])


@pytest.mark.virtual_time
async def test_a_trial_on_a_gpu_that_never_begins_is_ended_in_the_end() -> None:
    """Who waits, spinning, for a process that never comes has ten times as long as later on."""
    case = on_a_gpu(stall=100, step=None)

    await case.spin(1300)

    assert case.ended[0][0] == pytest.approx(1100, abs=30)


@pytest.mark.virtual_time
@pytest.mark.parametrize("utilization", [None, 0])
async def test_cpu_time_counts_where_the_driver_does_not_tell(utilization: int | None) -> None:
    """Of MIG instances it tells nothing, and a sick driver is silent: nobody is ended for that."""
    case = on_a_gpu(stall=100)

    await case.spin(500, utilization=utilization, every=1 if utilization is None else 1000)

    assert case.ended == []


@pytest.mark.virtual_time
async def test_an_attempt_that_hangs_before_it_has_said_its_number_is_watched() -> None:
    """A fork may dead-lock at once; the executor knows its process."""
    case = Case(stall=100)
    case.running.pid = None

    await case.watch(120)

    assert case.measured == 5
    assert [reason for _, reason in case.ended] == [EndedBy.STALLED]


@pytest.mark.virtual_time
async def test_a_part_of_a_core_is_a_sign_of_life_under_a_short_limit() -> None:
    """Two seconds' patience on a machine with ten trials for each core: a tenth of a core is progress."""
    case = Case(stall=2)

    for n in range(1, 20):
        case.activity = Activity(0.05 * n, 0)
        await case.watch(0.5)

    assert case.ended == []


@pytest.mark.virtual_time
async def test_a_stall_over_the_users_limit_ends_the_attempt_after_its_stacks() -> None:
    """The stacks are written first, and do not count as a sign of life."""
    case = Case(stall=100)

    await case.watch(120)

    assert [reason for _, reason in case.ended] == [EndedBy.STALLED]
    assert case.worker.dumps == 1
    assert case.ended[0][0] == pytest.approx(110, abs=15)
    assert case.running.ended_by is EndedBy.STALLED


@pytest.mark.virtual_time
async def test_a_new_attempt_of_the_trial_begins_with_all_its_time() -> None:
    """What the attempt before did or did not do is not held against it."""
    case = Case(stall_warn=100)
    await case.watch(95)

    case.running.attempt_id = "b"
    await case.watch(95)

    assert case.log.events == []


@pytest.mark.virtual_time
async def test_nobody_looks_without_a_limit() -> None:
    """watch() returns at once."""
    case = Case()

    with anyio.fail_after(1):
        await case.patience.watch()


@pytest.mark.virtual_time
async def test_a_limit_of_life_is_enforced_once() -> None:
    """After trial_timeout the attempt is ended, and told so."""
    case = Case(trial=10)

    for _ in range(60):
        await anyio.sleep(0.25)
        case.patience.tick()

    assert [reason for _, reason in case.ended] == [EndedBy.TIME_LIMIT]
    assert len(case.log.named("trial_timeout")) == 1


@pytest.mark.virtual_time
async def test_time_in_which_this_program_stood_still_is_given_back() -> None:
    """After Ctrl-Z and fg no attempt is over its limits for what nobody could hear."""
    case = Case(trial=10, stall_warn=100)
    await case.watch(50)
    case.running.started = Clock().now()
    case.patience.tick()

    await anyio.sleep(3600)
    case.patience.tick()
    await case.watch(40)

    assert case.ended == []
    assert case.log.events == []


def test_the_activity_of_a_process_tree_is_read(tmp_path: Path) -> None:
    """CPU time of a child of the worker counts, and so does what is in the log."""
    log = tmp_path / "log"
    log.write_text("12345")
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint('x', flush=True)\ninput()"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        found = measure_activity(process.pid, str(log))
        nothing = measure_activity(os.getpid(), str(tmp_path / "none"))
    finally:
        process.communicate(b"\n")

    assert found.cpu_seconds >= 0.25
    assert found.output_bytes == 5
    assert nothing.output_bytes == 0
