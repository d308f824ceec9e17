"""What a search asks of the host."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiotune._arguments import plain
from aiotune._gpu import parse_bytes
from aiotune._printable import shown
from aiotune.errors import ConfigurationError, WrongType

__all__ = ("Wanted",)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search asks of the host.

    Attributes:
        max_parallel_trials: At most this many attempts at once; on the CPU, exactly.
        devices: GPUs to use, by index or UUID; ``[]``: none; ``None``: all that are visible.
        max_trials_per_gpu: How many trials may share a GPU; ``"auto"``: as many as fit
            and gain by it.
        gpus_per_trial: How many GPUs each trial sees.
        gpu_memory: What each trial is given of each of its GPUs, e.g. ``"8GiB"``;
            ``None``: what its model is predicted to need.

    Raises:
        ConfigurationError: One of them cannot be.
        WrongType: ``devices`` is no list.
    """

    max_parallel_trials: int | None = None
    devices: Sequence[int | str] | None = None
    max_trials_per_gpu: int | Literal["auto"] = "auto"
    gpus_per_trial: int = 1
    gpu_memory: int | str | None = None

    def __post_init__(self) -> None:
        self._keep_at_least_one("max_parallel_trials", "Or leave it out, to use all there is.")
        self._keep_at_least_one("gpus_per_trial", "To use no GPU at all, pass devices=[].")
        if not isinstance(self.max_trials_per_gpu, str) or self.max_trials_per_gpu != "auto":
            self._keep_at_least_one("max_trials_per_gpu", "Or leave it out.", " or 'auto'")
        if self.devices is not None:
            _check_devices(self.devices)
        self._check_memory()

    def _keep_at_least_one(self, name: str, remedy: str, also: str = "") -> None:
        value: Any = getattr(self, name)
        if value is None:
            return
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
            raise ConfigurationError(
                f"{name} must be a whole number of at least 1{also}, but is {shown(value)}. {remedy}"
            )
        object.__setattr__(self, name, int(value))

    def _check_memory(self) -> None:
        size = self.memory_bytes
        if size == 0:
            raise ConfigurationError(
                f"gpu_memory={shown(self.gpu_memory)} would give a trial no memory at all. Name a size, or "
                "leave gpu_memory out to give it what its model is predicted to need."
            )
        if size is not None and size >= 1 << 63:
            raise ConfigurationError(
                f"gpu_memory={shown(self.gpu_memory)} is a number of bytes that does not fit into 64 bits. "
                "Name the memory of a GPU."
            )

    @property
    def memory_bytes(self) -> int | None:
        """``gpu_memory`` as a number."""
        if self.gpu_memory is None:
            return None
        try:
            return parse_bytes(plain(self.gpu_memory))
        except ValueError:
            raise ConfigurationError(
                f"gpu_memory={shown(self.gpu_memory)} is not a size. Write a number of bytes, or e.g. "
                "'8GiB' or '500MB'."
            ) from None


def _check_devices(devices: Any) -> None:
    form = "Write indices or UUIDs in a list, as in devices=[0], or devices=[] for none."
    if isinstance(devices, (str, bytes)) or not isinstance(devices, Sequence):
        raise WrongType(
            f"devices must be a list, but is {shown(devices)} of type {type(devices).__name__}. {form}"
        )
    for device in devices:
        whole = isinstance(device, numbers.Integral) and not isinstance(device, bool)
        is_index = whole and int(device) >= 0
        if not is_index and not (isinstance(device, str) and device.startswith(("GPU-", "MIG-"))):
            raise ConfigurationError(
                f"devices names {shown(device)}, which is neither the index nor the UUID of a GPU. {form}"
            )
        if list(devices).count(device) > 1:
            raise ConfigurationError(
                f"devices={shown(list(devices))} names {shown(device)} twice. Name each GPU once; "
                "max_trials_per_gpu says how many trials share one."
            )
