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
    ApplicationFault,
    BadVisibleDevices,
    Broken,
    Claim,
    Device,
    DeviceFault,
    DeviceLost,
    DeviceMemory,
    DeviceProcess,
    DeviceProvider,
    DeviceState,
    GpuError,
    Healthy,
    HostClaims,
    Lease,
    LeaseLedger,
    MemoryRequest,
    NeverFits,
    NotNow,
    NvmlProvider,
    NvmlUnavailable,
    claims_directory,
    describe_xid,
    doubts,
    environment_for,
    format_bytes,
    parse_bytes,
    verdict,
    visible_devices,
)
from gpu.mps import client_environment, running_daemon

__all__ = (
    "MIB",
    "ApplicationFault",
    "BadVisibleDevices",
    "Broken",
    "Claim",
    "Device",
    "DeviceFault",
    "DeviceLost",
    "DeviceMemory",
    "DeviceProcess",
    "DeviceProvider",
    "DeviceState",
    "GpuError",
    "Healthy",
    "HostClaims",
    "Lease",
    "LeaseLedger",
    "MemoryRequest",
    "NeverFits",
    "NotNow",
    "NvmlProvider",
    "NvmlUnavailable",
    "claims_directory",
    "client_environment",
    "describe_xid",
    "doubts",
    "environment_for",
    "format_bytes",
    "parse_bytes",
    "running_daemon",
    "verdict",
    "visible_devices",
)
