"""What can go wrong with a device."""

from __future__ import annotations

__all__ = ("BadVisibleDevices", "DeviceLost", "GpuError", "LeaseError", "NvmlUnavailable")


class GpuError(Exception):
    """Root of this package's errors."""


class NvmlUnavailable(GpuError):
    """There is no driver to ask; the message says why."""


class DeviceLost(GpuError):
    """A device stopped answering."""


class BadVisibleDevices(GpuError, ValueError):
    """``CUDA_VISIBLE_DEVICES`` names devices, and none of them exists."""


class LeaseError(GpuError):
    """A lease was granted over the capacity, or given back twice."""
