"""Devices and memory of this host; nothing of what runs on them.

Synchronous, standard library only, plus ``pynvml`` in one file.
"""

from gpu.bytesize import GIB, MIB, format_bytes, parse_bytes
from gpu.device import ComputeMode, Device, DeviceMemory, DeviceProcess, DeviceProvider
from gpu.errors import BadVisibleDevices, DeviceLost, GpuError, LeaseError, NvmlUnavailable
from gpu.ledger import Lease, LeaseLedger
from gpu.nvml import NvmlProvider
from gpu.placement import DeviceState, MemoryRequest, NeverFits, NotNow, Placement, best_fit
from gpu.visibility import environment_for, visible_devices

__all__ = (
    "GIB",
    "IS_AIOTUNES_GPU",
    "MIB",
    "BadVisibleDevices",
    "ComputeMode",
    "Device",
    "DeviceLost",
    "DeviceMemory",
    "DeviceProcess",
    "DeviceProvider",
    "DeviceState",
    "GpuError",
    "Lease",
    "LeaseError",
    "LeaseLedger",
    "MemoryRequest",
    "NeverFits",
    "NotNow",
    "NvmlProvider",
    "NvmlUnavailable",
    "Placement",
    "best_fit",
    "environment_for",
    "format_bytes",
    "parse_bytes",
    "visible_devices",
)

IS_AIOTUNES_GPU = True
"""Tells this package from a ``gpu.py`` of somebody else's that shadows it."""
