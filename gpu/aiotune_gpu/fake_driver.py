"""Scripts the stand-in for NVIDIA's driver library that the tests compile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiotune_gpu.bytesize import GIB
from aiotune_gpu.device import DeviceHealth, DeviceProcess

__all__ = ("HANGS", "LOST", "RESET_REQUIRED", "FakeDriver", "FakeGpu", "FakeMig")

LOST, RESET_REQUIRED = 15, 16
"""What NVML answers about a device that has fallen off the bus, or that must be reset."""
HANGS = 999
"""For :meth:`FakeDriver.break_down`: no call returns until the driver is said to be otherwise."""

_WELL = DeviceHealth(uncorrected_ecc=0, utilization=0)
_MODES = {"default": 0, "prohibited": 2, "exclusive": 3}


@dataclass(frozen=True, slots=True)
class FakeMig:
    """A MIG instance.

    Attributes:
        uuid: Its name.
        gi: Number of its GPU instance.
        ci: Number of its compute instance.
        total: Bytes.
    """

    uuid: str
    gi: int
    ci: int = 0
    total: int = 8 * GIB


@dataclass(frozen=True, slots=True)
class FakeGpu:
    """A GPU as the driver tells of it.

    Attributes:
        uuid: Its name.
        total: Bytes; -1: it uses the host's memory, and has none of its own.
        cores: How many it has; -1: not told.
        reserved: Bytes that the driver keeps.
        used: Bytes in use.
        mode: ``default``, ``exclusive`` or ``prohibited``.
        bus: Its place on the PCI bus, as NVML writes it.
        cpus: Mask of the CPUs next to it.
        nodes: Mask of the NUMA nodes next to it; -1: not told.
        instances: If it is in MIG mode, its instances, else ``None``.
        lost: The code that everything about it is answered with; 0: it answers.
        health: How it is.
        recovery: The driver's recovery action; -1: a driver that knows none.
        crowded: Whether its processes change faster than they can be listed.
        denied: Whether this process may not see others.
        silent: Whether it tells no faults.
        name: Its model, without blanks.
        deaf: The code that waiting for its faults ends with at once; 0: it can be waited for.
        hangs: Whether calls about it return only when this is changed.
        slow: Milliseconds that each call about it takes.
    """

    uuid: str
    total: int = 16 * GIB
    reserved: int = GIB // 2
    used: int = 0
    mode: str = "default"
    bus: str = "00000000:07:00.0"
    cpus: int = 0b11
    nodes: int = 0b1
    instances: Sequence[FakeMig] | None = None
    lost: int = 0
    health: DeviceHealth = _WELL
    recovery: int = 0
    crowded: bool = False
    denied: bool = False
    silent: bool = False
    deaf: int = 0
    hangs: bool = False
    slow: int = 0
    cores: int = 1024
    name: str = "Fake"


@dataclass(slots=True)
class FakeDriver:
    """Writes the file that the stand-in reads at every call.

    A test changes ``gpus`` through :meth:`change` and the other methods, each
    of which is seen by the next call of the library, in any process.

    Attributes:
        path: The file, to be named by ``FAKE_NVML_STATE``.
        gpus: What there is, in PCI order.
        code: What every call returns; 0: an answer.
        used: Bytes in use on MIG instances, by UUID.
        running: Processes by UUID, with the kind ``compute`` or ``mps``.
        events: Faults so far: UUID, Xid, GPU instance, compute instance; -1: none.
    """

    path: Path
    gpus: list[FakeGpu]
    code: int = 0
    used: dict[str, int] = field(default_factory=dict)
    running: dict[str, list[tuple[DeviceProcess, str]]] = field(default_factory=dict)
    events: list[tuple[str, int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.write()

    def write(self) -> None:
        """Let the library see what there is now, all at once."""
        lines = [f"driver {self.code}"]
        for gpu in self.gpus:
            lines.append(self._gpu(gpu))
            lines += [self._instance(gpu, mig) for mig in gpu.instances or ()]
        for uuid, processes in self.running.items():
            for process, kind in processes:
                used = -1 if process.used is None else process.used
                lines.append(f"process {uuid} {process.pid} {used} {kind}")
        for number, (uuid, xid, gi, ci) in enumerate(self.events, start=1):
            lines.append(f"event {number} {uuid} {xid} {gi} {ci}")
        beside = self.path.with_suffix(".new")
        beside.write_text("\n".join(lines) + "\n")
        os.replace(beside, self.path)  # noqa: PTH105 - the word for a rename that replaces

    def change(self, uuid: str, **values: object) -> None:
        """Replace fields of a GPU, named by its UUID or by an instance's."""
        place = self._place(uuid)
        self.gpus[place] = replace(self.gpus[place], **values)  # type: ignore[arg-type]
        self.write()

    def break_down(self, code: int) -> None:
        """Let every call return a code, as after the driver was unloaded."""
        self.code = code
        self.write()

    # ── what the contract suite asks of a rig ──────────────────────────────

    def set_used(self, uuid: str, used: int) -> None:
        """Have so many bytes in use."""
        if uuid.startswith("MIG-"):
            self.used[uuid] = used
            self.write()
        else:
            self.change(uuid, used=used)

    def set_running(
        self, uuid: str, processes: Sequence[DeviceProcess], *, kind: str = "compute"
    ) -> None:
        """Have these processes, and no others of the kind, on a device."""
        others = [(p, k) for p, k in self.running.get(uuid, ()) if k != kind]
        self.running[uuid] = [*others, *((process, kind) for process in processes)]
        self.write()

    def set_health(self, uuid: str, health: DeviceHealth) -> None:
        """Have a device in this health; ``lost`` is :meth:`lose`'s."""
        self.change(uuid, health=health, recovery=int(health.reset_required))

    def lose(self, uuid: str, code: int = LOST) -> None:
        """Take a GPU off the bus, or let it answer with a code of another kind."""
        self.change(uuid, lost=code)

    def fail(self, uuid: str, xid: int, gi: int = -1, ci: int = -1) -> None:
        """Let the driver tell a fault of a GPU, of all of it or of an instance."""
        self.events.append((uuid, xid, gi, ci))
        self.write()

    # ── lines ──────────────────────────────────────────────────────────────

    def _place(self, uuid: str) -> int:
        for place, gpu in enumerate(self.gpus):
            if uuid in {gpu.uuid, *(mig.uuid for mig in gpu.instances or ())}:
                return place
        raise KeyError(uuid)

    def _gpu(self, gpu: FakeGpu) -> str:
        health = gpu.health
        values = {
            "name": gpu.name,
            "total": gpu.total,
            "cores": gpu.cores,
            "reserved": gpu.reserved,
            "used": gpu.used,
            "mode": _MODES[gpu.mode],
            "bus": gpu.bus,
            "cpus": gpu.cpus,
            "nodes": gpu.nodes,
            "mig": -1 if gpu.instances is None else 1,
            "lost": gpu.lost,
            "ecc": -1 if health.uncorrected_ecc is None else health.uncorrected_ecc,
            "pending": int(health.remap_pending),
            "failed": int(health.remap_failed),
            "pages": int(health.pages_pending),
            "util": -1 if health.utilization is None else health.utilization,
            "recovery": gpu.recovery,
            "crowded": int(gpu.crowded),
            "denied": int(gpu.denied),
            "silent": int(gpu.silent),
            "deaf": gpu.deaf,
            "hangs": int(gpu.hangs),
            "slow": gpu.slow,
        }
        return f"gpu {gpu.uuid} " + " ".join(f"{key}={value}" for key, value in values.items())

    def _instance(self, gpu: FakeGpu, mig: FakeMig) -> str:
        return (
            f"mig {mig.uuid} parent={gpu.uuid} name=Fake total={mig.total} "
            f"used={self.used.get(mig.uuid, 0)} gi={mig.gi} ci={mig.ci} cpus={gpu.cpus}"
        )
