"""What the scheduler makes of a weighing's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aiotune._clock import Clock, ManualClock
from aiotune._devices import Resources
from aiotune._offload import InlineOffloader
from aiotune.executors import Script, SimulatedExecutor, WorkerExit
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import Calibration, LayerSize, ModelSize
from aiotune.oracles import RandomSearchOracle
from aiotune.scheduler import Admission, Need
from aiotune.scheduler._weigher import Weigher, known_need
from aiotune.status import TrialStatus
from aiotune.store import Layout
from aiotune.testing import RecordingLog
from aiotune.trial import Trial
from aiotune.wire import Failed, RunWeighing, Weighed
from aiotune_gpu import GIB
from aiotune_gpu.fake import fake_devices

pytestmark = pytest.mark.virtual_time

SIZE = ModelSize(
    backend="torch",
    parameters=10,
    trainable_parameters=10,
    weight_bytes=40,
    gradient_bytes=40,
    slot_bytes=80,
    layers=(LayerSize("dense", "Dense", (32, 10), "float32"),),
)


class Rig:
    """A weigher, and what it does to one trial."""

    def __init__(
        self,
        answer: Weighed | Failed | None,
        ending: WorkerExit | None = None,
        clock: Clock | None = None,
    ) -> None:
        says = [] if answer is None else [(0.1, answer)]
        self.script = Script(says, ending=ending or WorkerExit(exit_code=0))
        self.executor = SimulatedExecutor(lambda _: self.script)
        hp = HyperParameters()
        hp.Float("x", 0.0, 1.0)
        self.oracle = RandomSearchOracle("loss", max_trials=3, hyperparameters=hp, seed=0)
        self.log = RecordingLog()
        self.told: list[str] = []
        resources = Resources(
            most=4, reason="", devices=tuple(fake_devices(1)), host_bytes=64 * GIB, cores=4
        )
        self.weigher = Weigher(
            oracle=self.oracle,
            executor=self.executor,
            layout=Layout(Path("/nowhere"), "p"),
            log=self.log,
            admission=Admission(resources, Calibration(), space="s"),
            hooks=self,
            max_model_size=99,
            clock=ManualClock() if clock is None else clock,
            offload=InlineOffloader(),
        )

    async def weigh(self, known: Need | None = None) -> tuple[Trial, Need | None]:
        trial = await self.oracle.create_trial("w")
        return trial, await self.weigher.weigh(trial, known)

    async def trial_began(self, trial: Trial) -> None:
        """Not called for a trial that never runs."""
        raise AssertionError(trial)

    async def trial_ended(self, trial: Trial, seconds: float) -> None:
        self.told.append(f"{trial.trial_id} {trial.status}")


def weighed(**fields: Any) -> Weighed:
    given: dict[str, Any] = {"size": SIZE, "values": {"x": 0.5}, "entries": []}
    return Weighed(**(given | fields))


async def test_a_size_is_known_and_recorded_without_its_layers() -> None:
    """The journal gets numbers; a later attempt of the trial needs no second weighing."""
    rig = Rig(weighed())

    trial, need = await rig.weigh()

    assert need == Need(SIZE)
    assert trial.weighed is not None
    assert trial.weighed.size is not None
    assert trial.weighed.size.layers == ()
    assert known_need(trial) == Need(trial.weighed.size)
    (order,) = rig.executor.launched
    assert isinstance(order, RunWeighing)
    assert order.environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert (order.max_parameters, order.precise) == (99, False)
    assert 15 * GIB < (order.max_bytes or 0) < 16 * GIB


async def test_an_oversized_model_is_rejected_and_shown() -> None:
    """Its end is recorded and told; nothing is left to admit."""
    failure = TrialFailure(kind=FailureKind.OVERSIZED, message="100 are more than 99")
    rig = Rig(Failed(failure=failure, values={"x": 0.5}, entries=[]))

    trial, need = await rig.weigh()

    assert need is None
    assert trial.status is TrialStatus.REJECTED
    assert trial.message == "100 are more than 99"
    assert rig.told == ["0 REJECTED"]
    assert rig.oracle.remaining_trials() == 3


@pytest.mark.parametrize(
    ("answer", "ending", "why", "builds"),
    [
        (weighed(size=None, why="values were read"), None, "values were read", True),
        (weighed(size=None, why="no", builds=False), None, "no", False),
        (
            Failed(
                failure=TrialFailure(kind=FailureKind.ERROR, type="ValueError", message="bad"),
                values={},
                entries=[],
            ),
            None,
            "ValueError: bad",
            True,
        ),
        (None, WorkerExit(exit_code=None, signal=11), "was killed by SIGSEGV", True),
    ],
    ids=["unweighable", "broken", "failed", "crashed"],
)
async def test_what_cannot_be_found_out_is_said(
    answer: Weighed | Failed | None, ending: WorkerExit | None, why: str, builds: bool
) -> None:
    """Whatever happens to a weighing, the trial goes on without a size."""
    rig = Rig(answer, ending)

    _, need = await rig.weigh()

    assert need == Need(builds=builds)
    (event,) = rig.log.named("weighing_failed")
    assert why in event["why"]


async def test_no_process_is_no_reason_to_stop() -> None:
    """A weighing that cannot be started leaves the size unknown."""
    rig = Rig(None)
    rig.script = Script(spawn_error="too many processes")

    _, need = await rig.weigh()

    assert need == Need()
    assert "too many processes" in rig.log.named("weighing_failed")[0]["why"]


@pytest.mark.parametrize(("peak", "traced"), [(7, 7), (None, 0)])
async def test_a_trace_that_was_asked_for_is_not_asked_for_again(
    peak: int | None, traced: int
) -> None:
    """Its peak is kept; that there can be none is kept as well."""
    rig = Rig(weighed(precise_bytes=peak))

    _, need = await rig.weigh(Need(SIZE))

    assert need == Need(SIZE, traced=traced)
    (order,) = rig.executor.launched
    assert isinstance(order, RunWeighing)
    assert order.precise


@pytest.mark.parametrize(
    ("method", "event"), [("built", "weighed_by_building"), ("weighed", "weighed_in_part")]
)
async def test_how_a_size_was_found_is_said(method: str, event: str) -> None:
    """A build for real and missing outputs are told apart."""
    size = ModelSize(**{f: getattr(SIZE, f) for f in SIZE.__struct_fields__} | {"method": method})
    rig = Rig(weighed(size=size, why="for a reason"))

    await rig.weigh()

    assert rig.log.named(event) == [{"trial": "0", "why": "for a reason"}]


class LoopClock:
    """The running loop's time."""

    def now(self) -> float:
        return anyio.current_time()

    monotonic = now


async def test_a_weighing_that_comes_to_no_end_is_said_and_its_trial_goes_on() -> None:
    """A build that is dead-locked in native code: the trial is not weighed, and will run alone."""
    rig = Rig(None, clock=LoopClock())
    rig.script = Script([(1e6, weighed())])

    _, need = await rig.weigh()

    assert need == Need(builds=True)
    (event,) = rig.log.named("weighing_stalled")
    assert (event["trial"], event["why"]) == ("0", "showed no sign of life for 60 s")
    assert 60 <= event["seconds"] <= 95
    assert event["log"].endswith("probe.log")
    assert event["ended"]
    assert "was ended" in rig.log.named("weighing_failed")[0]["why"]
    assert not rig.executor.live


async def test_others_are_weighed_while_one_is_dead_locked() -> None:
    """On two cores one is weighed at a time; one that uses no CPU is none of them."""
    rig = Rig(None, clock=LoopClock())
    rig.weigher._turn = anyio.Semaphore(1)
    scripts = iter([Script([(1e6, weighed())]), *[Script([(0.1, weighed())])] * 2])
    rig.executor = SimulatedExecutor(lambda _: next(scripts))
    rig.weigher._inquirer._executor = rig.executor
    ended: list[float] = []

    async def weigh(name: str) -> None:
        trial = await rig.oracle.create_trial(name)
        await rig.weigher.weigh(trial, None)
        ended.append(anyio.current_time())

    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(weigh, name)
            await anyio.sleep(0.01)

    assert [round(at - began, -1) for at in ended] == [10, 10, 60]
    assert rig.weigher._turn.value == 1
