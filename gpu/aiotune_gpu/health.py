"""What a device's health and the driver's messages mean for whoever uses it: pure functions.

The driver numbers what goes wrong ("Xid"). The classes below follow the column
"immediate action" of NVIDIA's catalogue for Ampere and later
(docs.nvidia.com/deploy/xid-errors, "Analyzing Xid Errors with the Xid Catalog"):
a reset of the GPU or a restart of the host there is a broken device here,
"restart app" is a fault of what ran on it, "ignore" is nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiotune_gpu.device import DeviceFault, DeviceHealth

__all__ = ("ApplicationFault", "Broken", "Healthy", "Verdict", "describe_xid", "verdict")

_BREAKING = {
    46: "the GPU stopped processing",
    48: "a memory error that could not be corrected",
    62: "the power management unit halted",
    64: "a bad row of memory could not be replaced",
    74: "an NVLink error",
    79: "the GPU has fallen off the bus",
    95: "a memory error that was not contained",
    110: "a fault of the security processor",
    119: "the GPU's own processor did not answer",
    120: "an error of the GPU's own processor",
    136: "an NVLink could not be trained",
    140: "a memory error that the driver could not recover from",
    143: "the GPU could not be initialised",
    151: "its encryption keys could not be renewed",
    155: "an NVLink error found by software",
    156: "a faulty part was taken out of use",
    158: "a fatal timeout",
}
# 74 has a workflow of its own in the catalogue, whose usual end is a reset.
# 144 to 150, NVLink 5, may be anything: the driver's own recovery action,
# DeviceHealth.reset_required, says which of them need a reset.

_HARMLESS = {
    63: "a bad row of memory will be replaced at the next reset",
    92: "many memory errors, all corrected",
    93: "the GPU's own store is nearly worn out",
    106: "a test message",
    107: "a test message",
    154: "the recovery that the driver recommends has changed",
}
# 154 accompanies another Xid, and DeviceHealth.reset_required has what it says.

_APPLICATION = {
    8: "a channel got stuck",
    13: "an exception on the GPU, such as an index out of bounds",
    31: "an access to memory that is not mapped",
    32: "a broken stream of commands",
    43: "a channel was reset after an error of the program",
    45: "a program's channels were removed, as after it is killed",
    68: "a video decoder's exception",
    69: "a command that the GPU does not have",
    94: "a memory error that was contained to one program",
    109: "a program could not be switched away in time",
}
# 109 is a reset in the catalogue since driver 570, which from then on says so in
# its recovery action; before it was a program's, as a program often causes it.

_CONTAINED = 94


@dataclass(frozen=True, slots=True)
class Healthy:
    """Nothing that matters."""


@dataclass(frozen=True, slots=True)
class ApplicationFault:
    """What ran on the device has failed; the device can be used by others.

    Attributes:
        xid: The driver's number for it.
        blameless: Whether it was the device's memory that failed, and not the program.
    """

    xid: int
    blameless: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """The device should get no more work.

    Attributes:
        reason: Why, as a clause.
    """

    reason: str


Verdict = Healthy | ApplicationFault | Broken


def verdict(health: DeviceHealth, fault: DeviceFault | None = None) -> Verdict:
    """Return what a device's health and, if there was one, its latest fault mean.

    An Xid that is in no list is taken for a program's: most in the catalogue
    are, and a device that is broken will say so in its health.
    """
    reason = _broken(health)
    if reason is not None:
        return Broken(reason)
    if fault is None:
        return Healthy()
    if fault.xid is None:
        return Broken("it stopped answering")
    if fault.xid in _BREAKING:
        return Broken(f"{describe_xid(fault.xid)}; it needs a reset")
    if fault.xid in _HARMLESS:
        return Healthy()
    return ApplicationFault(fault.xid, blameless=fault.xid == _CONTAINED)


def describe_xid(xid: int) -> str:
    """Return the number with what it stands for, if that is known."""
    meaning = _BREAKING.get(xid) or _APPLICATION.get(xid) or _HARMLESS.get(xid)
    return f"Xid {xid}, {meaning}" if meaning else f"Xid {xid}"


def _broken(health: DeviceHealth) -> str | None:
    # A pending remap alone is no reason: new work may be started (NVIDIA GPU
    # Memory Error Management, "Error Recovery and Response Flags"). Before
    # Ampere there is no containment: the page that failed stays in use until
    # the reset, and fails again.
    if health.lost:
        return "it does not answer" + (" until it is reset" if health.reset_required else "")
    if health.reset_required:
        return "the driver says that it needs a reset"
    if health.remap_failed:
        return "a bad row of its memory could not be replaced"
    if health.pages_pending and health.uncorrected_ecc:
        return (
            f"its memory had {health.uncorrected_ecc} error(s) that could not be corrected, "
            "and the bad pages stay in use until it is reset"
        )
    return None
