"""GPUs of the simulated host: who uses how much of them, and what goes wrong with them."""

from __future__ import annotations

from dataclasses import replace

from aiotune._devices import Resources
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._plan import Setup
from aiotune.testing.simulator._world import World
from aiotune_gpu import GIB, MIB, Device, DeviceHealth, DeviceProcess
from aiotune_gpu.fake import FakeProvider, fake_devices

__all__ = ("SimDevices",)

_FALLEN_OFF, _PAGE_FAULT = 79, 31
_SILENCES, _LATE, _LEAKED = (3.5, 3.5, 120.0), (10.0, 60.0, 300.0), 1_000.0
_FOREIGN_FOR = 60.0
_MOST_WITHHELD = 6
"""How often in a life memory is late, so that every search ends in time."""
_PROMISED = 590.0
"""Seconds that a device is waited for, less some that pass between the looks at it."""


class SimDevices:
    """The devices of one life of the tuner: the next one finds them mended.

    Args:
        world: Theirs.
        setup: How many there are.

    Attributes:
        provider: Answers the product's questions.
        lost: Devices that do not work any more.
        away: Devices that the tuner has said it does not use now, with the second that it did.
        changed: The second at which it last changed what others hold of each device.
    """

    def __init__(self, world: World, setup: Setup) -> None:
        self._world, self._setup = world, setup
        self.provider = FakeProvider(_host(setup))
        self.lost: set[str] = set()
        self.away: dict[str, float] = {}
        self._held: dict[str, dict[int, int]] = {d.uuid: {} for d in self.provider.present}
        self._working: dict[int, tuple[str, ...]] = {}
        self._worked_until: dict[str, float] = {}
        self._ghosts: dict[str, int] = dict.fromkeys(self._held, 0)
        self._foreign: dict[str, int] = dict.fromkeys(self._held, 0)
        self.changed: dict[str, float] = {}
        self._others: dict[str, int] = {}
        self._withheld = 0
        self._desktop = self.provider.present[0].total_bytes // 6 if setup.desktop else 0
        self._tells = True
        self._tell()

    def resources(self) -> Resources:
        """Return what a search has to run on."""
        setup = self._setup
        if not setup.gpus:
            host = None if setup.host is None else setup.host * GIB
            return Resources(setup.slots, "simulated", cores=setup.slots, host_bytes=host)
        return Resources(
            most=setup.most,
            reason="simulated",
            devices=tuple(self.provider.present),
            most_per_device=setup.share,
            measures=setup.share > 1,
            gpus_per_trial=setup.each,
            cores=8,
            host_bytes=64 * GIB,
            provider=self.provider,
        )

    def within_reach(self) -> dict[str, int]:
        """Return what the devices can give, or the host, that work, or may be expected to work again.

        A device that lacks memory of a process that is gone is expected for
        the ten minutes that the product promises to wait for it.
        """
        gone = self._gone()
        return {uuid: size for uuid, size in self.capacities().items() if uuid not in gone}

    def is_undecided(self) -> bool:
        """Whether some device is about to be given up, and may be already."""
        now = self._world.monotonic()
        return any(_PROMISED <= now - since < _PROMISED + 20 for since in self.away.values())

    def capacities(self) -> dict[str, int]:
        """Return what the devices could give, or the host, if all of them worked."""
        if not self._setup.gpus:
            return {"host": self._setup.largest}
        return {
            d.uuid: d.total_bytes - max(512 * MIB, d.total_bytes * 3 // 100) - self._lives_on(d)
            for d in self.provider.present
        }

    def _lives_on(self, device: Device) -> int:
        """Return what a desktop holds of a device, from the beginning and for ever."""
        return self._desktop if device == self.provider.present[0] else 0

    def _gone(self) -> set[str]:
        now = self._world.monotonic()
        return self.lost | {u for u, since in self.away.items() if now - since >= _PROMISED}

    def take(self, pid: int, uuids: tuple[str, ...], size: int) -> None:
        """Let a process use memory of devices, and work on them."""
        for uuid in uuids:
            self._held[uuid][pid] = size
        self._working[pid] = uuids
        self._tell()

    def rest(self, pid: int) -> None:
        """Let a process keep its memory and work on no device."""
        self._worked_until |= dict.fromkeys(self._working.pop(pid, ()), self._world.monotonic())
        self._tell()

    def worked_until(self, uuids: tuple[str, ...]) -> float:
        """Return when one of some devices last worked, whoever's work it was."""
        if any(uuid in busy for busy in self._working.values() for uuid in uuids):
            return self._world.monotonic()
        return max((self._worked_until.get(uuid, 0.0) for uuid in uuids), default=0.0)

    def give_back(self, pid: int, fault: Fault | None) -> None:
        """Let a process that is gone use nothing more, sooner or later."""
        self.rest(pid)
        for uuid, held in self._held.items():
            size = held.pop(pid, 0)
            if size and fault is not None and self._withheld < _MOST_WITHHELD:
                self._withheld += 1
                self._world.strike(fault, "devices", f"{size} bytes of {uuid}")
                self._ghosts[uuid] += size
                # Somebody restarts the driver in the end.
                numbers = self._world.plan.numbers("late", self._world.life, pid)
                after = numbers.choice(_LATE) if fault is Fault.MEMORY_LATE else _LEAKED
                self._world.running.call_later(after, self._exorcise, uuid, size)
        self._tell()

    def let_others_take(self, uuid: str, size: int) -> None:
        """Let others use more of a device, or less."""
        self._foreign[uuid] += size
        self._tell()

    def others_hold(self, uuid: str) -> int:
        """Return what a device has in use that is of no process of the tuner's."""
        return self._others[uuid]

    def suffer(self, fault: Fault) -> None:
        """Let something happen to a device."""
        numbers = self._world.plan.numbers("device", self._world.life, self._world.monotonic())
        able = sorted(self._held.keys() - self.lost)
        if not able:
            return
        uuid = numbers.choice(able)
        self._world.strike(fault, "devices", uuid)
        match fault:
            case Fault.DEVICE_LOST:
                self.lost.add(uuid)
                self.provider.lose(uuid)
            case Fault.XID_BREAKING:
                self.lost.add(uuid)
                self.provider.fail(uuid, _FALLEN_OFF)
            case Fault.XID_HARMLESS:
                self.provider.fail(uuid, _PAGE_FAULT)
            case Fault.DRIVER_SILENT:
                self.provider.unavailable = "The simulated driver does not answer."
                self._world.running.call_later(numbers.choice(_SILENCES), self._speak)
            case Fault.DRIVER_TELLS_NOTHING:
                self._tells = False
                self._tell()
            case _:
                whole = next(d for d in self.provider.present if d.uuid == uuid).total_bytes
                size = int(numbers.uniform(0.1, 0.9) * whole)
                self._foreign[uuid] += size
                self._world.running.call_later(_FOREIGN_FOR, self._leave, uuid, size)
                self._tell()

    def _exorcise(self, uuid: str, size: int) -> None:
        self._ghosts[uuid] -= size
        self._tell()

    def _leave(self, uuid: str, size: int) -> None:
        self._foreign[uuid] -= size
        self._tell()

    def _speak(self) -> None:
        self.provider.unavailable = None
        self.changed = dict.fromkeys(self._held, self._world.monotonic())

    def _tell(self) -> None:
        busy = {uuid for uuids in self._working.values() for uuid in uuids}
        for device in self.provider.present:
            uuid, held = device.uuid, self._held[device.uuid]
            others = self._ghosts[uuid] + self._foreign[uuid] + self._lives_on(device)
            if uuid in self._others and self._others[uuid] != others:
                self.changed[uuid] = self._world.monotonic()
            self._others[uuid] = others
            used = sum(held.values()) + others
            self.provider.used[uuid] = min(device.total_bytes, used)
            listed = [DeviceProcess(pid, size) for pid, size in held.items()]
            self.provider.running[uuid] = listed if self._tells else []
            self.provider.ailing[uuid] = DeviceHealth(utilization=90 if uuid in busy else 0)


def _host(setup: Setup) -> list[Device]:
    return [
        replace(device, name=f"Fake GPU {size // GIB}", total_bytes=size)
        for device, size in zip(fake_devices(setup.gpus), setup.gpu_bytes, strict=True)
    ]
