"""What is seen of devices and the host, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aiotune._devices import Place, Resources, let_go
from aiotune._gpu import Lease
from aiotune._offload import InlineOffloader
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import MemoryPeak
from aiotune.scheduler import Need, Running
from aiotune.scheduler._watch import DeviceWatch
from aiotune.store import AttemptPaths
from aiotune.trial import Trial
from aiotune_gpu import GIB, DeviceFault, DeviceHealth, DeviceProcess, GpuError
from aiotune_gpu.fake import FakeProvider, fake_devices

A, B = (device.uuid for device in fake_devices(2))


def watching(provider: FakeProvider, host: int | None = None) -> DeviceWatch:
    resources = Resources(
        most=8,
        reason="",
        devices=tuple(fake_devices(2)),
        provider=provider,
        host_bytes=host,
    )
    return DeviceWatch(resources, InlineOffloader(), free_ram=lambda: 3 * GIB)


def running(uuid: str = A, pid: int | None = 7, peak: MemoryPeak | None = None) -> Running:
    attempt = Running(
        trial=Trial(HyperParameters(), "0"),
        place=Place("GPU", (uuid,)),
        lease=Lease(0, "0", (uuid,), GIB),
        need=Need(),
        attempt=1,
        attempt_id="a",
        paths=AttemptPaths(*[str(Path())] * 3),
        started=0.0,
    )
    attempt.pid, attempt.peak = pid, peak
    return attempt


async def left_with_memory() -> tuple[FakeProvider, DeviceWatch]:
    """Return a box on whose first GPU a process has ended and its memory stays in use."""
    provider = FakeProvider(fake_devices(2), used={A: GIB})
    watch = watching(provider)
    await watch.look({})
    provider.used[A], provider.running[A] = 5 * GIB, [DeviceProcess(7, 4 * GIB)]
    await watch.look({"0": running()})
    provider.running[A] = []
    return provider, watch


async def test_memory_of_every_device_and_of_the_host_is_read() -> None:
    """One look tells what is used everywhere; a look at one device leaves the host out."""
    watch = watching(FakeProvider(fake_devices(2), used={A: GIB}), host=8 * GIB)

    everything = (await watch.look({})).measured
    one = (await watch.look({}, only=[B])).measured

    assert {uuid: m.used for uuid, m in everything.devices.items()} == {A: GIB, B: 0}
    assert everything.host_free == 3 * GIB
    assert (set(one.devices), one.host_free) == ({B}, None)


async def test_a_trials_own_use_is_the_drivers_or_else_what_it_reported() -> None:
    """By process where the driver tells; in a container the back end's pool stands in."""
    provider = FakeProvider(fake_devices(2), running={A: [DeviceProcess(7, 2 * GIB)]})
    told, reported = running(), running(pid=99, peak=MemoryPeak(allocated=1, reserved=GIB))

    seen = await watching(provider).look({"0": told, "1": reported})

    assert seen.measured.own[A] == {"0": 2 * GIB, "1": GIB}
    assert (told.driver_bytes, reported.driver_bytes) == (2 * GIB, 0)


async def test_a_lost_device_is_told_once() -> None:
    """It is named with the reason, and not asked any more."""
    provider = FakeProvider(fake_devices(2), lost={B})
    watch = watching(provider)

    first, second = await watch.look({}), await watch.look({})

    assert [broken.uuid for broken in first.broken] == [B]
    assert second.broken == ()
    assert set(second.measured.devices) == {A}


async def test_a_driver_that_stops_answering_is_given_some_time() -> None:
    """One failed question is nothing; after half a minute of them the device gets no more trials."""
    provider = FakeProvider(fake_devices(2))
    watch = watching(provider)
    provider.unavailable = "no answer"

    looks = [await watch.look({}) for _ in range(31)]

    assert [n for n, look in enumerate(looks) if look.broken] == [29]
    assert {(broken.uuid, broken.may_return) for broken in looks[29].broken} == {
        (A, True),
        (B, True),
    }
    assert "did not answer 30 times: no answer" in looks[29].broken[0].reason


async def test_a_device_that_answers_again_is_used_again() -> None:
    """Whatever others hold of it by then, and as often as that happens."""
    provider = FakeProvider(fake_devices(2))
    watch = watching(provider)
    await watch.look({})

    for _ in range(2):
        provider.unavailable = "no answer"
        given_up = [broken.uuid for _ in range(40) for broken in (await watch.look({})).broken]
        provider.unavailable, provider.used[A] = None, 5 * GIB
        looks = [await watch.look({}) for _ in range(6)]

        assert given_up == [A, B]
        assert [uuid for look in looks for uuid in look.back] == [A, B]
        assert set(looks[-1].measured.devices) == {A, B}


async def test_a_device_that_stays_silent_is_given_up() -> None:
    """After ten minutes of looks nobody waits for it."""
    provider = FakeProvider(fake_devices(2))
    watch = watching(provider)
    provider.unavailable = "no answer"

    broken = [b for _ in range(700) for b in (await watch.look({})).broken]

    assert [(b.uuid, b.may_return) for b in broken] == [
        (A, True),
        (B, True),
        (A, False),
        (B, False),
    ]
    assert broken[-1].reason == "It did not answer within ten minutes."


async def test_the_ends_of_many_trials_do_not_shorten_that_time() -> None:
    """Devices are asked at each trial's end, too: six of these during one hiccup of the driver are one look."""
    provider = FakeProvider(fake_devices(2))
    watch = watching(provider)
    provider.unavailable = "no answer"

    first = await watch.look({})
    ends = [await watch.look({}, only=[A]) for _ in range(6)]
    provider.unavailable = None
    last = await watch.look({})

    assert [found.broken for found in (first, *ends, last)] == [()] * 8
    assert set(last.measured.devices) == {A, B}


async def test_sick_devices_are_broken_and_a_programs_faults_are_only_told() -> None:
    """A device that wants a reset gets no more; an illegal access of a trial is logged."""
    provider = FakeProvider(fake_devices(2), ailing={A: DeviceHealth(reset_required=True)})
    watch = watching(provider)
    await watch.look({})
    provider.fail(B, 31)
    second = watching(provider)
    await second.look({})
    provider.fail(B, 31)

    found = await second.look({})

    assert [uuid for uuid, _ in found.faults] == [B]
    assert "Xid 31" in found.faults[0][1]
    assert B not in {broken.uuid for broken in found.broken}


async def test_memory_that_nobody_holds_and_nobody_frees_breaks_a_device() -> None:
    """After half a minute of looks; not while a process is there, nor while a trial runs on it."""
    provider = FakeProvider(fake_devices(2), used={A: GIB})
    watch = watching(provider)
    await watch.look({})
    provider.used[A], provider.running[A] = 5 * GIB, [DeviceProcess(7, 4 * GIB)]

    busy = [await watch.look({"0": running()}) for _ in range(40)]
    provider.running[A] = [DeviceProcess(1234, None)]
    held = [await watch.look({}) for _ in range(40)]
    provider.running[A] = []
    left = [await watch.look({}) for _ in range(30)]

    assert not any(look.broken for look in (*busy, *held, *left[:-1]))
    (broken,) = left[-1].broken
    assert broken.uuid == A
    assert "4.0 GiB of its memory were not given back" in broken.reason


async def test_a_device_whose_memory_comes_back_is_used_again() -> None:
    """It is asked every fifth look; one that was lost for another reason is not asked any more."""
    provider, watch = await left_with_memory()
    broken = [uuid for _ in range(30) for uuid in (await watch.look({})).broken]
    held = [uuid for _ in range(12) for uuid in (await watch.look({})).back]
    provider.used[A] = GIB
    back = [uuid for _ in range(12) for uuid in (await watch.look({})).back]

    assert [(one.uuid, one.may_return) for one in broken] == [(A, True)]
    assert (held, back) == ([], [A])
    assert A in (await watch.look({})).measured.devices


async def test_a_device_whose_memory_does_not_come_back_is_given_up() -> None:
    """After ten minutes of looks nobody waits for it; if it does come back later, it is used again."""
    provider, watch = await left_with_memory()

    broken = [(n, b.may_return) for n in range(700) for b in (await watch.look({})).broken]
    provider.used[A] = GIB
    back = [uuid for _ in range(12) for uuid in (await watch.look({})).back]

    assert broken == [(29, True), (628, False)]
    assert back == [A]


async def test_where_processes_are_hidden_memory_may_be_others() -> None:
    """In a container that lists no process of ours, a busy device is not a broken one."""
    provider = FakeProvider(fake_devices(2))
    watch = watching(provider)
    await watch.look({"0": running()})
    provider.used[A] = 5 * GIB

    looks = [await watch.look({}) for _ in range(60)]

    assert not any(look.broken for look in looks)


async def test_what_this_program_itself_holds_is_found() -> None:
    """By its own pid; unknown sizes are still told."""
    provider = FakeProvider(
        fake_devices(2), running={A: [DeviceProcess(7, GIB)], B: [DeviceProcess(7, None)]}
    )

    assert watching(provider).held_by(7) == {A: GIB, B: None}
    assert watching(provider).held_by(8) == {}


class Mute(FakeProvider):
    """Fails where it is asked for faults, and where it is closed."""

    def faults(self, timeout: float) -> list[DeviceFault]:
        raise GpuError("Asking the driver for faults failed: GPU is lost.")

    def close(self) -> None:
        raise GpuError("Letting go of the NVIDIA driver failed: GPU is lost.")


async def test_a_driver_that_tells_no_faults_ends_no_search() -> None:
    """Nor one that cannot even be let go of; the devices' own answers tell the rest."""
    provider = Mute(fake_devices(2))

    found = await watching(provider).look({})
    let_go(provider)

    assert set(found.measured.devices) == {A, B}
    assert found.broken == ()


async def test_whether_its_devices_work_is_kept_for_each_attempt() -> None:
    """Of a device that does not tell, or does not answer, nothing is known; others' work is not its own."""
    provider = FakeProvider(fake_devices(2), ailing={A: DeviceHealth(utilization=0)})
    on_a, on_b = running(A), running(B)
    watch = watching(provider)

    await watch.look({"0": on_a, "1": on_b})
    told = on_a.device.told_at
    provider.ailing[A] = DeviceHealth(utilization=7)
    await watch.look({"0": on_a, "1": on_b}, only=[A])
    seen_at_an_end = on_a.device.looks
    await watch.look({"0": on_a, "1": on_b})

    assert told is not None
    assert on_a.device.is_known(told + 5)
    assert not on_a.device.is_known(told + 1000)
    assert (seen_at_an_end, on_a.device.looks) == (0, 1)
    assert (on_b.device.told_at, on_b.device.looks) == (None, 0)


async def test_memory_of_the_host_that_stays_in_use_breaks_no_device() -> None:
    """On a device that uses the host's memory, a browser that was opened meanwhile is no leak of ours."""
    device = replace(fake_devices(1)[0], unified=True)
    provider = FakeProvider([device], used={A: GIB})
    resources = Resources(most=1, reason="", devices=(device,), provider=provider)
    watch = DeviceWatch(resources, InlineOffloader(), free_ram=lambda: 3 * GIB)
    provider.running[A] = [DeviceProcess(7, GIB)]
    await watch.look({"0": running()})
    provider.running[A], provider.used[A] = [], 9 * GIB

    broken = [found.broken for found in [await watch.look({}) for _ in range(40)]]

    assert broken == [()] * 40
