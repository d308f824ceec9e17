"""The only door to the package ``gpu``; it notices if that is somebody else's module of the name."""

from __future__ import annotations

import gpu
from aiotune.errors import ConfigurationError

if not getattr(gpu, "IS_AIOTUNES_GPU", False):
    raise ConfigurationError(
        f"The file {getattr(gpu, '__file__', '?')} shadows the package 'gpu' that aiotune needs. "
        "Rename it, or run the program from another directory."
    )

from gpu import (
    MIB,
    BadVisibleDevices,
    Device,
    DeviceLost,
    DeviceMemory,
    DeviceProcess,
    DeviceProvider,
    GpuError,
    Lease,
    LeaseLedger,
    MemoryRequest,
    NeverFits,
    NotNow,
    NvmlProvider,
    NvmlUnavailable,
    environment_for,
    format_bytes,
    parse_bytes,
    visible_devices,
)

__all__ = (
    "MIB",
    "BadVisibleDevices",
    "Device",
    "DeviceLost",
    "DeviceMemory",
    "DeviceProcess",
    "DeviceProvider",
    "GpuError",
    "Lease",
    "LeaseLedger",
    "MemoryRequest",
    "NeverFits",
    "NotNow",
    "NvmlProvider",
    "NvmlUnavailable",
    "environment_for",
    "format_bytes",
    "parse_bytes",
    "visible_devices",
)
