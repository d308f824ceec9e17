"""How much sooner does a simulated search end when trials share GPUs by predicted memory?

Eight simulated GPUs of 24 GiB under the real scheduler, oracle, admission and
retries, on virtual time; the same 400 trials one to a GPU, and shared.

The mix: families of models with the weights and outputs of FAMILIES (those of
Keras models that were weighed; outputs at a batch for GPUs), the ratio of real
peak to prediction that was measured for them on JAX, with 8 % of spread within
a family, and log-normal durations.

The physics, an assumption: a trial alone uses a share of its GPU's time; trials
together run at full speed while their shares sum up to 1, and at 1/sum beyond,
less 3 % for each neighbour. A trial whose peak is over its limit runs out of
memory in its first epoch.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import anyio
from _report import report, summary

from aiotune._devices import Resources
from aiotune.executors import WorkerExit, WorkSpec
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import MemoryPeak, ModelSize, training_bytes
from aiotune.oracles import RandomSearchOracle
from aiotune.scheduler import Timing
from aiotune.status import TrialStatus
from aiotune.testing import Simulation, VirtualTimeLoop
from aiotune.wire import Done, Failed, Hello, Report, RunAttempt, RunWeighing, Weighed
from aiotune_gpu import GIB, MIB
from aiotune_gpu.fake import FakeProvider, fake_devices

GPUS, GIB_EACH, TRIALS, EPOCHS = 8, 24, 400, 10
CONTEXT = 600 * MIB
WEIGHING = 0.3  # seconds, a generous mean of benchmarks/weighing.py


@dataclass(frozen=True)
class Family:
    """Models of one kind: MiB of weights and of outputs, peak to prediction, share of a GPU, part."""

    name: str
    weights: int
    outputs: int
    ratio: float
    share: float
    part: float
    minutes: float


FAMILIES = (
    Family("dense, 6 x 2048, batch 1024", 84, 48, 0.85, 0.20, 0.30, 6),
    Family("convolutions, 64 x 64, batch 256", 1, 1400, 0.66, 0.45, 0.20, 12),
    Family("LSTM, 2 x 256, 64 steps, batch 512", 3, 448, 0.99, 0.25, 0.15, 15),
    Family("transformer, 3 x 256, 128 steps, batch 128", 17, 736, 1.26, 0.50, 0.15, 20),
    Family("ResNet50, 128 x 128, batch 64", 90, 2948, 0.55, 0.75, 0.12, 30),
    Family("ResNet50, 224 x 224, batch 64", 90, 9030, 0.55, 0.95, 0.08, 45),
)


@dataclass(frozen=True)
class Job:
    """One trial: what is weighed, what is true, and how long it takes alone."""

    size: ModelSize
    peak: int
    share: float
    seconds: float


def jobs(seed: int) -> list[Job]:
    rng = random.Random(seed)
    made = []
    for family in rng.choices(FAMILIES, [f.part for f in FAMILIES], k=TRIALS):
        scale = rng.uniform(0.4, 1.6)
        weights, outputs = int(family.weights * MIB * scale), int(family.outputs * MIB * scale)
        size = ModelSize(
            backend="jax",
            parameters=weights // 4,
            trainable_parameters=weights // 4,
            weight_bytes=weights,
            gradient_bytes=weights,
            slot_bytes=2 * weights,
            activation_bytes=outputs,
            optimizer="Adam",
        )
        ratio = family.ratio * rng.lognormvariate(0.0, 0.08)
        share = min(1.0, family.share * rng.uniform(0.7, 1.3))
        seconds = family.minutes * 60 * rng.lognormvariate(0.0, 0.4)
        made.append(Job(size, int(ratio * training_bytes(size)), share, seconds))
    return made


@dataclass
class Box:
    """What happens on the GPUs."""

    provider: FakeProvider
    here: dict[str, list[GpuWorker]] = field(default_factory=dict)
    changed: dict[str, anyio.Event] = field(default_factory=dict)
    ooms: int = 0
    overfull: int = 0

    def move(self, worker: GpuWorker, *, joins: bool) -> None:
        workers = self.here.setdefault(worker.uuid, [])
        (workers.append if joins else workers.remove)(worker)
        used = sum(CONTEXT + min(w.job.peak, w.limit) for w in workers)
        self.overfull += used > GIB_EACH * GIB
        self.provider.used[worker.uuid] = used
        self.changed.pop(worker.uuid, anyio.Event()).set()

    def news(self, uuid: str) -> anyio.Event:
        return self.changed.setdefault(uuid, anyio.Event())

    def rate(self, uuid: str) -> float:
        workers = self.here[uuid]
        crowd = max(1.0, sum(w.job.share for w in workers))
        return (1.0 - 0.03 * (len(workers) - 1)) / crowd


class Weigher:
    """A worker that weighs."""

    def __init__(self, job: Job) -> None:
        self.job = job

    async def messages(self) -> AsyncIterator[Weighed]:
        await anyio.sleep(WEIGHING)
        yield Weighed(size=self.job.size, values={}, entries=[])

    async def stop(self, *, grace: float) -> None:
        """End by itself: it is nearly over."""

    async def wait(self) -> WorkerExit:
        return WorkerExit(exit_code=0)


class GpuWorker:
    """A worker whose speed depends on its neighbours."""

    def __init__(self, order: RunAttempt, job: Job, box: Box) -> None:
        assert order.memory is not None
        self.order, self.job, self.box = order, job, box
        self.limit = order.memory.bytes
        self.uuid = order.environment["CUDA_VISIBLE_DEVICES"]

    async def messages(self) -> AsyncIterator[Hello | Report | Done | Failed]:
        self.box.move(self, joins=True)
        yield Hello(pid=1000 + self.order.index)
        peak = MemoryPeak(allocated=self.job.peak, reserved=self.job.peak)
        for epoch in range(EPOCHS):
            if self.job.peak > self.limit:
                await self._work(self.job.seconds / EPOCHS / 10)
                yield self._out_of_memory()
                return
            seconds = await self._work(self.job.seconds / EPOCHS)
            yield Report(step=epoch, metrics={"loss": 1.0}, batches=100, seconds=seconds, peak=peak)
        values = dict(self.order.space["values"])
        yield Done(
            metrics={"loss": values["x"]},
            best_step=0,
            executions=[{"loss": values["x"]}],
            values=values,
            entries=[],
            peak=peak,
        )

    async def _work(self, left: float) -> float:
        began = anyio.current_time()
        while left > 1e-6:
            news, rate, since = (
                self.box.news(self.uuid),
                self.box.rate(self.uuid),
                anyio.current_time(),
            )
            with anyio.move_on_after(left / rate):
                await news.wait()
            left -= (anyio.current_time() - since) * rate
        return anyio.current_time() - began

    def _out_of_memory(self) -> Failed:
        self.box.ooms += 1
        memory = OutOfMemory(
            cause=MemoryCause.DEVICE,
            asked=max(1, (self.job.peak - self.limit) // 2),
            limit=self.limit,
            in_use=self.limit,
            peak=self.limit,
        )
        failure = TrialFailure(
            kind=FailureKind.OUT_OF_MEMORY, type="XlaRuntimeError", message="OOM", memory=memory
        )
        return Failed(failure=failure, values={}, entries=[])

    async def stop(self, *, grace: float) -> None:
        raise AssertionError("nothing is stopped here")

    async def wait(self) -> WorkerExit:
        self.box.move(self, joins=False)
        return WorkerExit(exit_code=0)


class GpuExecutor:
    """Starts them."""

    def __init__(self, mix: list[Job], box: Box) -> None:
        self.mix, self.box = mix, box
        self.live: set[Any] = set()

    async def launch(self, work: WorkSpec) -> Any:
        job = self.mix[work.order.index % TRIALS]  # type: ignore[union-attr]
        if isinstance(work.order, RunWeighing):
            return Weigher(job)
        assert isinstance(work.order, RunAttempt)
        return GpuWorker(work.order, job, self.box)

    async def aclose(self) -> None:
        """Nothing is held."""


def search(seed: int, per_gpu: int) -> dict[str, float]:
    """Run one search; return its makespan in hours, and what went wrong."""
    mix, devices = jobs(seed), tuple(fake_devices(GPUS, gib=GIB_EACH))
    box = Box(FakeProvider(devices))
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)

    class OnGpus(Simulation):
        def make_executor(self) -> GpuExecutor:
            return GpuExecutor(mix, box)

    async def run() -> tuple[Simulation, float]:
        simulation = OnGpus(
            RandomSearchOracle("loss", max_trials=TRIALS, hyperparameters=hp, seed=seed),
            lambda order: (_ for _ in ()).throw(AssertionError(order)),
            resources=Resources(
                most=GPUS * per_gpu,
                reason="simulated",
                devices=devices,
                most_per_device=per_gpu,
                measures=per_gpu > 1,
                cores=64,
                provider=box.provider,
            ),
            timing=Timing(tick=60.0, watch=5.0),
            weigh=lambda order: Weighed(size=mix[order.index % TRIALS].size, values={}, entries=[]),
        )
        await simulation.run()
        return simulation, anyio.current_time()

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(max_steps=50_000_000)) as runner:
        simulation, seconds = runner.run(run())
    statuses = [t.status for t in simulation.oracle.trials.values()]
    return {
        "hours": seconds / 3600,
        "ooms": box.ooms,
        "lost": sum(s is not TrialStatus.COMPLETED for s in statuses),
        "overfull": box.overfull,
        # All GPUs busy all the time; the longest trial is shorter than that here.
        "bound": sum(job.seconds * job.share for job in mix) / GPUS / 3600,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10, help="seeds")
    options = parser.parse_args()
    single = [search(seed, 1) for seed in range(options.n)]
    shared = [search(seed, 4) for seed in range(options.n)]
    pairs = list(zip(single, shared, strict=True))
    results = {
        "one to a GPU": summary([s["hours"] for s in single], "hours"),
        "shared": summary([s["hours"] for s in shared], "hours"),
        "shorter by": summary([1 - b["hours"] / a["hours"] for a, b in pairs], "of the makespan"),
        "no schedule is shorter than": summary([s["bound"] for s in shared], "hours"),
        "out of memory, per 100 trials": summary(
            [100 * s["ooms"] / TRIALS for s in shared], "attempts"
        ),
        "trials lost": summary([s["lost"] for s in shared], "trials"),
        "moments over a GPU's memory": summary([s["overfull"] for s in shared], "moments"),
        "trials": 2 * TRIALS * options.n,
    }
    report(__doc__ or "", results, not_measured="a real GPU; MPS; trials whose shares change")


if __name__ == "__main__":
    main()
