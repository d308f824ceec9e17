"""Which devices a process may use, and how to give a child just some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpu.device import ComputeMode, Device
from gpu.errors import BadVisibleDevices

__all__ = ("VARIABLE", "environment_for", "visible_devices")

VARIABLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"


def visible_devices(devices: Sequence[Device], environ: Mapping[str, str]) -> tuple[Device, ...]:
    """Return the devices that ``CUDA_VISIBLE_DEVICES`` allows, in its order, as CUDA reads it.

    Unset: all. Empty or ``-1`` first: none. Else a list of indices (PCI
    order), of unique beginnings of UUIDs, or of MIG UUIDs; an entry that names
    nothing hides those after it, and a repeated entry hides all. A device in
    prohibited mode is never among them.

    Raises:
        BadVisibleDevices: The variable names devices, and its first names nothing.
    """
    usable = tuple(d for d in devices if d.mode is not ComputeMode.PROHIBITED)
    value = environ.get(VARIABLE)
    if value is None:
        return usable
    entries = [entry.strip() for entry in value.split(",")]
    if entries[0] in {"", "-1", "NoDevFiles", "void", "none"}:
        return ()
    chosen: list[Device] = []
    for entry in entries:
        device = _named(entry, devices)
        if device is None:
            break
        if device in chosen:
            return ()
        chosen.append(device)
    if not chosen:
        known = ", ".join(f"{d.index} ({d.uuid})" for d in devices) or "none at all"
        raise BadVisibleDevices(
            f"{VARIABLE}={value!r} names no device of this host; there is {known}. Correct it, unset it "
            f"to use all, or set it to '' to use none."
        )
    return tuple(d for d in chosen if d in usable)


def _named(entry: str, devices: Sequence[Device]) -> Device | None:
    if entry.isascii() and entry.isdigit():
        matches = [d for d in devices if d.index == int(entry) and d.mig_parent is None]
        # An index names a GPU; of one that is cut into instances CUDA takes the first.
        matches = matches or [d for d in devices if d.index == int(entry)][:1]
    else:
        matches = [d for d in devices if entry and d.uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def environment_for(uuids: Sequence[str]) -> dict[str, str]:
    """Return the variables that let a child see just these devices; none of them: no device.

    By UUID, since an index may mean another device to CUDA than to the driver.
    """
    return {VARIABLE: ",".join(uuids) if uuids else "-1", _ORDER: "PCI_BUS_ID"}
