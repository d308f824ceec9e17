"""What can go wrong with a device."""

from __future__ import annotations

__all__ = (
    "BadVisibleDevices",
    "DeviceLost",
    "DriverHangs",
    "GpuError",
    "LeaseError",
    "NvmlUnavailable",
)


class GpuError(Exception):
    """Root of this package's errors."""


class NvmlUnavailable(GpuError):
    """There is no driver to ask, or no more; the message says why."""


class DeviceLost(GpuError):
    """A device stopped answering, or is not there.

    Args:
        message: What happened, to which device.
        reset_required: Whether the driver says that a reset would bring it back.
    """

    def __init__(self, message: str, *, reset_required: bool = False) -> None:
        super().__init__(message)
        self.reset_required = reset_required


class DriverHangs(GpuError):
    """A call of the driver's has not returned within its deadline, and may never; the message has the seconds."""


class BadVisibleDevices(GpuError, ValueError):
    """A list of devices that CUDA could not follow: of none that exists, or of some that do not mix."""


class LeaseError(GpuError):
    """A lease was granted over the capacity, or given back twice."""
