"""A driver that hangs is waited for as little as can be, and no old answer is taken for a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

import anyio

from aiotune._clock import ManualClock
from aiotune._devices import Resources
from aiotune._offload import InlineOffloader, Overdue, ThreadOffloader
from aiotune.scheduler._commands import DeviceBroke, DeviceHeld, Measurement, Stimulus
from aiotune.scheduler._quarantine import Quarantine
from aiotune.scheduler._watch import DeviceWatch, Findings
from aiotune_gpu import DeviceHealth, DeviceMemory, DriverHangs
from aiotune_gpu.fake import FakeProvider, fake_devices

T = TypeVar("T")
A, B = (device.uuid for device in fake_devices(2))


def watching(provider: FakeProvider) -> DeviceWatch:
    resources = Resources(most=8, reason="", devices=tuple(fake_devices(2)), provider=provider)
    return DeviceWatch(resources, InlineOffloader())


class Hanging(FakeProvider):
    """Its driver does not return from calls about the devices in ``hung``, as its asker says at once."""

    hung: ClassVar[set[str]] = {A}

    def memory(self, uuid: str) -> DeviceMemory:
        if uuid in self.hung:
            raise DriverHangs("A call has not returned for 2 s.")
        return super().memory(uuid)


class Never(InlineOffloader):
    """Gives up on the driver at once, while ``stuck``, and looks back on how long it would have waited."""

    def __init__(self) -> None:
        self.stuck = False
        self.deadlines: list[float | None] = []

    async def run(
        self,
        lane: str,
        function: Callable[..., T],
        *args: object,
        deadline: float | None = None,
        what: str = "",
    ) -> T:
        self.deadlines.append(deadline)
        if self.stuck and lane == "nvml":
            raise Overdue(what, deadline or 0.0)
        return await super().run(lane, function, *args, deadline=deadline, what=what)


async def test_a_device_whose_driver_hangs_is_held_and_told_once() -> None:
    """It gets no new trial from the first question on; what runs there is stopped after half a minute."""
    watch = watching(Hanging(fake_devices(2)))

    looks = [await watch.look({}) for _ in range(40)]

    assert [n for n, look in enumerate(looks) if look.held] == [0]
    assert looks[0].held == (DeviceHeld(A, held=True),)
    assert [n for n, look in enumerate(looks) if look.hanging] == [0]
    assert looks[0].hanging == ((A, "A call has not returned for 2 s.", None),)
    assert [(n, b.uuid, b.may_return) for n, k in enumerate(looks) for b in k.broken] == [
        (29, A, True)
    ]
    assert all(set(look.measured.devices) == {B} for look in looks)


async def test_a_device_that_answers_is_held_no_longer() -> None:
    """And is told once more if it hangs again, with the age of what it said last."""
    provider = Hanging(fake_devices(2))
    clock = ManualClock()
    watch = DeviceWatch(
        Resources(most=8, reason="", devices=tuple(fake_devices(2)), provider=provider),
        InlineOffloader(),
        clock=clock,
    )
    await watch.look({})
    provider.hung = set()  # type: ignore[misc]
    answered = await watch.look({})
    provider.hung = {A}  # type: ignore[misc]
    clock.advance(7.0)
    again = await watch.look({})

    assert answered.held == (DeviceHeld(A, held=False),)
    assert again.held == (DeviceHeld(A, held=True),)
    assert [age for _, _, age in again.hanging] == [7.0]
    assert watch.age(B) == 0.0


async def test_the_end_of_a_trial_waits_half_a_second_for_a_driver() -> None:
    """After that nothing is known of the device, so it is held; a look that had begun before does not free it."""
    offload = Never()
    resources = Resources(
        most=8, reason="", devices=tuple(fake_devices(2)), provider=FakeProvider(fake_devices(2))
    )
    watch = DeviceWatch(resources, offload)
    offload.stuck = True
    ended = await watch.look({}, only=[A])
    offload.stuck = False
    later = await watch.look({})

    assert (offload.deadlines[0], ended.measured.devices) == (0.5, {})
    assert (ended.held, ended.hanging) == ((DeviceHeld(A, held=True),), ())
    assert later.held == (DeviceHeld(A, held=False),)


async def test_an_answer_from_before_a_trials_end_frees_nothing() -> None:
    """It may be about the memory of the trial that has ended since."""
    going_on = anyio.Event()

    class Slow(InlineOffloader):
        async def run(
            self,
            lane: str,
            function: Callable[..., T],
            *args: object,
            deadline: float | None = None,
            what: str = "",
        ) -> T:
            if deadline == 0.5:
                raise Overdue(what, deadline)
            result = function(*args)
            await going_on.wait()
            return result

    resources = Resources(
        most=8, reason="", devices=tuple(fake_devices(2)), provider=FakeProvider(fake_devices(2))
    )
    watch = DeviceWatch(resources, Slow())
    found: list[Findings] = []

    async def look() -> None:
        found.append(await watch.look({}))

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        await watch.look({}, only=[A])
        going_on.set()
    await look()

    assert [look.held for look in found] == [(), (DeviceHeld(A, held=False),)]


async def test_a_device_that_is_lost_under_many_trials_is_broken_once() -> None:
    """Each of their ends asks it at the same time; one finds it broken."""
    provider = FakeProvider(fake_devices(2), lost={A})
    resources = Resources(most=8, reason="", devices=tuple(fake_devices(2)), provider=provider)
    watch = DeviceWatch(resources, ThreadOffloader())
    broken: list[str] = []

    async def end() -> None:
        broken.extend(b.uuid for b in (await watch.look({}, only=[A])).broken)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(end)

    assert broken == [A]


async def test_utilization_is_among_what_is_measured() -> None:
    """Of each device that tells it."""
    provider = FakeProvider(fake_devices(2), ailing={A: DeviceHealth(utilization=87)})

    assert (await watching(provider).look({})).measured.utilization == {A: 87}


def test_a_lost_device_is_held_before_the_lease_there_is_given_back() -> None:
    """Or the trial that waits for it would be put there, and stopped in the same moment."""
    posted: list[Stimulus] = []
    nothing = cast("Any", None)
    quarantine = Quarantine(
        nothing, nothing, {}, nothing, nothing, post=posted.append, fail=nothing
    )

    quarantine.hold(Findings(Measurement(), broken=(DeviceBroke(A, "It is lost."),)))

    assert posted == [DeviceHeld(A, held=True)]
