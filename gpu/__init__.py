"""Devices and memory of this host; nothing of what runs on them.

Synchronous, standard library only, plus ``pynvml`` in one file, ``driver.py``.
"""

from gpu import mps
from gpu.bytesize import GIB, MIB, format_bytes, parse_bytes
from gpu.claims import Claim, HostClaims, claims_directory
from gpu.device import (
    ComputeMode,
    Device,
    DeviceFault,
    DeviceHealth,
    DeviceMemory,
    DeviceProcess,
    DeviceProvider,
)
from gpu.errors import BadVisibleDevices, DeviceLost, GpuError, LeaseError, NvmlUnavailable
from gpu.health import ApplicationFault, Broken, Healthy, Verdict, describe_xid, verdict
from gpu.ledger import Lease, LeaseLedger
from gpu.nvml import NvmlProvider
from gpu.placement import DeviceState, MemoryRequest, NeverFits, NotNow, Placement, best_fit
from gpu.visibility import doubts, environment_for, visible_devices

__all__ = (
    "GIB",
    "IS_AIOTUNES_GPU",
    "MIB",
    "ApplicationFault",
    "BadVisibleDevices",
    "Broken",
    "Claim",
    "ComputeMode",
    "Device",
    "DeviceFault",
    "DeviceHealth",
    "DeviceLost",
    "DeviceMemory",
    "DeviceProcess",
    "DeviceProvider",
    "DeviceState",
    "GpuError",
    "Healthy",
    "HostClaims",
    "Lease",
    "LeaseError",
    "LeaseLedger",
    "MemoryRequest",
    "NeverFits",
    "NotNow",
    "NvmlProvider",
    "NvmlUnavailable",
    "Placement",
    "Verdict",
    "best_fit",
    "claims_directory",
    "describe_xid",
    "doubts",
    "environment_for",
    "format_bytes",
    "mps",
    "parse_bytes",
    "verdict",
    "visible_devices",
)

IS_AIOTUNES_GPU = True
"""Tells this package from a ``gpu.py`` of somebody else's that shadows it."""
