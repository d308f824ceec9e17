"""Asks the NVIDIA driver in processes of their own, so that a call that hangs holds up nobody here."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from aiotune_gpu.child import DriverProcess
from aiotune_gpu.device import Device, DeviceFault, DeviceHealth, DeviceMemory, DeviceProcess
from aiotune_gpu.errors import DeviceLost, DriverHangs, GpuError, NvmlUnavailable

__all__ = ("IsolatedProvider",)

_ANSWER = 2.0
_FIRST = 10.0
"""Without persistence mode a GPU that nobody uses takes seconds to wake."""
_LISTING = 30.0
"""Seconds after which a listing has little patience left: nobody waits minutes for eight sick GPUs."""
_LOOK_AGAIN = 0.05
_WATCH = 0.25
"""What took longer to be told is told at the next question; devices wait behind this one."""


class IsolatedProvider:
    """Answers as :class:`aiotune_gpu.nvml.NvmlProvider` does, each question within a deadline.

    One process asks about all devices. A device that does not answer in time
    keeps that process, which is in its call, for itself from then on, and the others get a new
    one: so each device is waited for once, and no other one later. Faults have a process of their own.

    Args:
        answer: Seconds that a question may take.
        first: Seconds that the driver may take to be opened, and each device to be listed.

    Attributes:
        left_out: Why devices were left out of the last listing, by index.

    Raises:
        NvmlUnavailable: As for :class:`aiotune_gpu.nvml.NvmlProvider`.
        DriverHangs: The driver does not let itself be opened.
    """

    def __init__(self, *, answer: float = _ANSWER, first: float = _FIRST) -> None:
        self._answer, self._first = answer, first
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._shared = DriverProcess(first)
        self._own: dict[int | str, DriverProcess] = {}
        self._index: dict[str, int] = {}
        self._watching: DriverProcess | None = None
        self.left_out: dict[int, str] = {}
        try:
            self._shared.open()
        except GpuError:
            self.close()
            raise

    # ── the questions of DeviceProvider ────────────────────────────────────

    def devices(self) -> Sequence[Device]:
        """Return all devices in PCI order; one whose calls hang is left out like a lost one."""
        over = time.monotonic() + _LISTING
        found: list[Device] = []
        failed: dict[int, GpuError] = {}
        for index in range(self._ask(None, self._first, "count")):
            within = max(self._answer, min(self._first, over - time.monotonic()))
            try:
                found += self._ask(index, within, "at", index)
            except NvmlUnavailable:
                raise
            except GpuError as error:
                failed[index] = error
        self._index |= {device.uuid: device.index for device in found}
        self.left_out = {index: str(error) for index, error in failed.items()}
        if failed and not found:
            last = list(failed.values())[-1]
            raise DeviceLost(f"None of the {len(failed)} GPU(s) answers: {last}") from last
        return found

    def memory(self, uuid: str) -> DeviceMemory:
        """Return a device's memory."""
        memory: DeviceMemory = self._ask(self._place(uuid), self._answer, "memory", uuid)
        return memory

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the compute processes on a device, clients of MPS among them."""
        listed: Sequence[DeviceProcess] = self._ask(
            self._place(uuid), self._answer, "processes", uuid
        )
        return listed

    def health(self, uuid: str) -> DeviceHealth:
        """Return how a device is; of a MIG instance, how its GPU is."""
        health: DeviceHealth = self._ask(self._place(uuid), self._answer, "health", uuid)
        return health

    def faults(self, timeout: float) -> Sequence[DeviceFault]:
        """Wait for critical Xids, and for devices that stop answering."""
        until = time.monotonic() + timeout
        while True:
            if self._closing.is_set():
                raise NvmlUnavailable(
                    "The devices are not watched any more: their provider is closed."
                )
            found = self._faults()
            left = until - time.monotonic()
            if found or left <= 0 or self._closing.wait(min(left, _LOOK_AGAIN)):
                return found

    def close(self) -> None:
        """Let go of the driver: end the processes."""
        self._closing.set()
        for process in self._processes():
            process.kill()
        with self._lock:
            for process in self._processes():
                process.end()

    # ── the processes ──────────────────────────────────────────────────────

    def _processes(self) -> list[DriverProcess]:
        watching = [] if self._watching is None else [self._watching]
        return [self._shared, *watching, *list(self._own.values())]

    def _place(self, uuid: str) -> int | str:
        # The instances of a GPU hang with it.
        return self._index.get(uuid, uuid)

    def _ask(self, place: int | str | None, within: float, name: str, *arguments: Any) -> Any:
        with self._lock:
            self._must_be_open()
            process = self._own.get(place, self._shared) if place is not None else self._shared
            try:
                return process.ask(within, name, *arguments)
            except DriverHangs as error:
                if place is not None and process is self._shared:
                    self._own[place], self._shared = process, DriverProcess(self._first)
                what = "" if place is None else f" about {_named(place)}"
                raise DriverHangs(f"Asking the driver{what}: {error}") from None

    def _faults(self) -> Sequence[DeviceFault]:
        with self._lock:
            if self._closing.is_set():
                return []
            hanging = {p for p, own in self._own.items() if own.hangs and isinstance(p, int)}
            watching = self._watching
            # One that answers again is watched again; one that hangs only if the watch hangs with it.
            if watching is None or set(watching.skip) - hanging:
                watching = self._watch(hanging)
            try:
                found: Sequence[DeviceFault] = watching.ask(_WATCH, "faults", 0.0)
            except DriverHangs:
                if hanging - set(watching.skip):
                    self._watch(hanging)
                return []
            except GpuError:
                if self._closing.is_set():
                    return []
                raise
            return found

    def _watch(self, skip: set[int]) -> DriverProcess:
        if self._watching is not None:
            self._watching.end()
        self._watching = DriverProcess(self._first, skip=sorted(skip))
        return self._watching

    def _must_be_open(self) -> None:
        if self._closing.is_set():
            raise NvmlUnavailable("The driver is not asked any more: its provider is closed.")


def _named(place: int | str) -> str:
    return f"GPU {place}" if isinstance(place, int) else place
