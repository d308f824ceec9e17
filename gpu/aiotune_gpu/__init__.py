"""Devices and memory of this host; nothing of what runs on them.

Synchronous, standard library only, plus ``pynvml`` in one file, ``driver.py``.

::

    IsolatedProvider ── DriverProcess ═══ socket ═══ server.main ── NvmlProvider ── Driver ── pynvml
    deadlines           one process       packets    that process   questions       errors
"""

from aiotune_gpu import mps
from aiotune_gpu.bytesize import GIB, MIB, format_bytes, parse_bytes
from aiotune_gpu.claims import Claim, HostClaims, claims_directory
from aiotune_gpu.device import (
    ComputeMode,
    Device,
    DeviceFault,
    DeviceHealth,
    DeviceMemory,
    DeviceProcess,
    DeviceProvider,
)
from aiotune_gpu.errors import (
    BadVisibleDevices,
    DeviceLost,
    DriverHangs,
    GpuError,
    LeaseError,
    NvmlUnavailable,
)
from aiotune_gpu.health import ApplicationFault, Broken, Healthy, Verdict, describe_xid, verdict
from aiotune_gpu.isolated import IsolatedProvider
from aiotune_gpu.ledger import Lease, LeaseLedger
from aiotune_gpu.nvml import NvmlProvider
from aiotune_gpu.placement import DeviceState, MemoryRequest, NeverFits, NotNow, Placement, best_fit
from aiotune_gpu.visibility import doubts, environment_for, visible_devices

__all__ = (
    "GIB",
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
    "DriverHangs",
    "GpuError",
    "Healthy",
    "HostClaims",
    "IsolatedProvider",
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
