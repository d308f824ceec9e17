"""Searches of one host, and strangers: who gets which GPU."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aiotune._devices import Resources
from aiotune.executors import Script
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import ModelSize
from aiotune.oracles import RandomSearchOracle
from aiotune.testing import Simulation, completes
from aiotune.wire import RunAttempt, Weighed
from aiotune_gpu import GIB, Device, HostClaims
from aiotune_gpu.fake import FakeProvider, fake_devices

pytestmark = pytest.mark.virtual_time

SIZE = ModelSize(
    backend="jax",
    parameters=GIB // 4,
    trainable_parameters=GIB // 4,
    weight_bytes=GIB,
    gradient_bytes=GIB,
    slot_bytes=0,
)


class Host:
    """GPUs that several searches run on, each of whose trials uses the same memory while it runs."""

    def __init__(self, devices: Sequence[Device], folder: Path) -> None:
        self.devices, self.folder = list(devices), folder
        self.provider = FakeProvider(self.devices)
        self.running: Counter[str] = Counter()
        self.shared: list[str] = []
        self.most = 0

    def resources(self, most: int, *, claims: HostClaims | None = None) -> Resources:
        return Resources(
            most=most,
            reason="simulated",
            devices=tuple(self.devices),
            most_per_device=4,
            measures=True,
            cores=8,
            provider=self.provider,
            claims=claims or HostClaims(self.folder),
        )

    def search(self, trials: int, most: int, seconds: float, **options: Any) -> Simulation:
        hp = HyperParameters()
        hp.Float("x", 0.0, 1.0)
        oracle = RandomSearchOracle("loss", max_trials=trials, hyperparameters=hp, seed=trials)

        def act(order: RunAttempt) -> Script:
            self._began(order.environment["CUDA_VISIBLE_DEVICES"], seconds)
            return completes(order, 0.5, seconds=seconds)

        return Simulation(
            oracle,
            act,
            resources=self.resources(most, **options),
            weigh=lambda _: Weighed(size=SIZE, values={}, entries=[], why=""),
        )

    def _began(self, uuid: str, seconds: float) -> None:
        idle = [d.uuid for d in self.devices if not self.running[d.uuid]]
        if self.running[uuid] and idle:
            self.shared.append(uuid)
        self._use(uuid, 1)
        asyncio.get_running_loop().call_later(seconds, self._use, uuid, -1)

    def _use(self, uuid: str, count: int) -> None:
        self.running[uuid] += count
        self.most = max(self.most, self.running.total())
        self.provider.used[uuid] = self.running[uuid] * GIB


def places(sim: Simulation) -> list[str]:
    return [
        o.environment["CUDA_VISIBLE_DEVICES"]
        for o in sim.executor.launched
        if isinstance(o, RunAttempt)
    ]


@pytest.mark.parametrize("later", [0.0, 0.3, 5.0])
async def test_two_searches_share_no_gpu_while_one_is_idle(tmp_path: Path, later: float) -> None:
    """Eight idle GPUs, two searches of three trials at a time: six GPUs are used, each by one of them."""
    host = Host(fake_devices(8), tmp_path)
    one, two = host.search(30, 3, 7.0), host.search(31, 3, 4.1)

    async def afterwards() -> None:
        await asyncio.sleep(later)
        await two.run()

    await asyncio.gather(one.run(), afterwards())

    assert host.shared == []
    assert len(places(one)) == 30
    assert len(places(two)) == 31
    assert list(tmp_path.iterdir()) == []


async def test_searches_share_gpus_where_none_is_idle(tmp_path: Path) -> None:
    """Two GPUs, two searches that want both: all trials run, and none waits for the other search's end."""
    host = Host(fake_devices(2), tmp_path)
    one, two = host.search(12, 2, 5.0), host.search(13, 2, 5.0)

    await asyncio.gather(one.run(), two.run())

    assert host.shared == []
    statuses = [str(t.status) for sim in (one, two) for t in sim.oracle.trials.values()]
    assert statuses == ["COMPLETED"] * 25
    assert asyncio.get_running_loop().time() < 45.0


async def test_a_claim_of_everything_stops_no_search(tmp_path: Path) -> None:
    """Who claims all GPUs in whole, and uses nothing, makes others run one trial at a time at worst."""
    host = Host(fake_devices(2), tmp_path)
    greedy = HostClaims(tmp_path)
    for number, device in enumerate(host.devices):
        greedy.claim(str(number), [device.uuid], 1 << 50, ())
    sim = host.search(4, 4, 2.0)

    await sim.run()

    assert [str(t.status) for t in sim.oracle.trials.values()] == ["COMPLETED"] * 4
    assert host.most == 1
    greedy.close()


async def test_what_another_search_may_take_yet_is_left_free(tmp_path: Path) -> None:
    """It has promised 12 of 16 GiB and taken one: beside our first trial no second one of 3 GiB goes there."""
    host = Host(fake_devices(2), tmp_path)
    other = HostClaims(tmp_path)
    other.claim("0", [host.devices[0].uuid], 13 * GIB, ())
    sim = host.search(6, 6, 3.0)

    await sim.run()

    assert set(places(sim)) == {host.devices[1].uuid}
    other.close()


async def test_a_search_without_a_directory_for_claims_runs_and_says_so_once(
    tmp_path: Path,
) -> None:
    """It goes by what the driver tells."""
    host = Host(fake_devices(2), tmp_path)
    sim = host.search(6, 4, 3.0, claims=HostClaims(tmp_path / "missing" / "claims"))

    await sim.run()

    (told,) = sim.log.named("claims_unusable")
    assert told["reason"].endswith("No such file or directory")
    assert [str(t.status) for t in sim.oracle.trials.values()] == ["COMPLETED"] * 6


async def test_strangers_have_their_gpu_for_themselves_while_others_are_idle(
    tmp_path: Path,
) -> None:
    """A colleague holds 10 of 16 GiB of the first: three trials at a time have the other three."""
    host = Host(fake_devices(4), tmp_path)
    first = host.devices[0].uuid
    host.provider.used[first] = 10 * GIB
    sim = host.search(12, 3, 3.0)

    await sim.run()

    assert first not in places(sim)
