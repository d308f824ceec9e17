"""What every check needs: a back end, a device or its stand-in, a deadline, a form of report."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import _paths  # noqa: F401 - leads to the package where it is not installed
from _driver import ForkableNvml

from aiotune.worker._launch import worker_environment
from aiotune.worker._nursery import import_all
from aiotune_gpu import Device, DeviceProvider, environment_for, visible_devices

__all__ = ("GIB", "MIB", "Lab", "begin", "preload")

MIB = 1 << 20
GIB = 1 << 30
_PACKAGES = ("jax", "jaxlib", "torch", "optree", "nvidia-ml-py")


@dataclass(slots=True)
class Lab:
    """One run of one check.

    Attributes:
        question: What the check asks.
        backend: ``"jax"`` or ``"torch"``.
        dry: Whether there is no device, and everything runs on the CPU.
        until: When to be finished, in seconds of ``time.monotonic()``.
        device: The one that is measured.
        provider: Answers questions about it.
        before: How many processes, and bytes, it held before Keras was imported.
        findings: What was found, each with whether it is as it has to be.
        data: All numbers.
    """

    question: str
    backend: str
    dry: bool
    until: float
    device: Device
    provider: DeviceProvider
    before: tuple[int, int] = (0, 0)
    findings: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of a child that sees this device and no other."""
        if self.dry:
            return {"CUDA_VISIBLE_DEVICES": "-1"}
        return environment_for([self.device.uuid])

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.until - time.monotonic()

    def used(self) -> int:
        """Return the bytes in use on the device."""
        return self.provider.memory(self.device.uuid).used

    def processes(self) -> int:
        """Return how many processes the driver lists on the device."""
        return len(self.provider.processes(self.device.uuid))

    def wait_until(self, reached: Callable[[], bool], seconds: float) -> float | None:
        """Ask every 2 ms; return the seconds until it was so, or ``None`` if it never was."""
        started = time.monotonic()
        never = threading.Event()
        while not reached():
            if time.monotonic() - started > seconds:
                return None
            never.wait(0.002)
        return time.monotonic() - started

    def settled(self, seconds: float = 2.0) -> int:
        """Return the bytes in use once they have stayed the same for 50 ms."""
        end = time.monotonic() + seconds
        last, since = self.used(), time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < 0.05:
            if (now := self.used()) != last:
                last, since = now, time.monotonic()
        return last

    def find(self, what: str, measured: Any, holds: bool | None = None) -> None:
        """Note a result; ``holds`` is ``None`` for a number that nothing is promised of."""
        self.findings.append({"what": what, "measured": str(measured), "holds": holds})

    def report(self, not_measured: str) -> None:
        """Print everything as one JSON object."""
        from _report import report

        versions = {p: v for p in _PACKAGES if (v := _version(p))}
        report(
            self.question,
            {
                "backend": self.backend,
                "dry": self.dry,
                "device": self.device.name,
                "findings": self.findings,
                "data": self.data,
                "back_end_versions": versions,
            },
            not_measured=not_measured,
        )


def begin(
    question: str | None, *, forks: bool = True, **more: Any
) -> tuple[Lab, argparse.Namespace]:
    """Read the command line, find the device, and import Keras without touching the device.

    Args:
        question: The script's docstring.
        forks: Whether this process is to be forked; else it imports no Keras, like a user's.
        **more: Further options with their defaults, e.g. ``trials=16``.

    Returns:
        The lab, and the further options.
    """
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--backend", default=os.environ.get("KERAS_BACKEND", "torch"))
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, small")
    parser.add_argument("--seconds", type=float, default=300.0, help="when to stop measuring")
    for name, default in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend
    provider, device = _device(dry=options.dry_run)
    lab = Lab(
        question=(question or "").strip().splitlines()[0],
        backend=options.backend,
        dry=options.dry_run,
        until=time.monotonic() + options.seconds,
        device=device,
        provider=provider,
    )
    lab.before = lab.processes(), lab.settled()
    if forks:
        preload()
    return lab, options


def preload() -> None:
    """Import what workers are forked from, with the environment that aiotune's nursery has."""
    for name, value in worker_environment(os.environ).items():
        os.environ.setdefault(name, value)
    imported = import_all(["keras", os.environ["KERAS_BACKEND"]])
    if "keras" not in imported:
        raise SystemExit("keras cannot be imported here; the reason is above.")


def _device(*, dry: bool) -> tuple[DeviceProvider, Device]:
    if dry:
        from _stand_in import StandIn

        stand_in = StandIn()
        return stand_in, stand_in.present[0]
    provider = ForkableNvml()
    devices = visible_devices(provider.devices(), os.environ)
    if not devices:
        raise SystemExit("No GPU is visible here; --dry-run measures on the CPU.")
    return provider, devices[0]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
