"""Which devices a process may use, and how to give a child just some of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from aiotune_gpu.device import ComputeMode, Device
from aiotune_gpu.errors import BadVisibleDevices

__all__ = ("VARIABLE", "doubts", "environment_for", "visible_devices")

VARIABLE = "CUDA_VISIBLE_DEVICES"
_ORDER, _BY_BUS = "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
_GPU, _MIG = "GPU-", "MIG-"
_NOTHING = {"", "NoDevFiles", "void", "none"}
"""What Slurm and container runtimes write for no device; to CUDA, entries that name nothing."""


def visible_devices(devices: Sequence[Device], environ: Mapping[str, str]) -> tuple[Device, ...]:
    """Return the devices that ``CUDA_VISIBLE_DEVICES`` allows, in its order.

    Read as CUDA reads it (CUDA Programming Guide, section 5.2.1.1; where that
    is silent, as ``torch.cuda`` has found it to be read). Unset: all. Empty,
    or a negative number first: none. Else a list whose first entry decides
    what it is a list of:

    - numbers, where an entry counts as far as its digits go: in PCI order, or, if
      ``CUDA_DEVICE_ORDER`` does not say so and there are cards of several kinds, those with
      the most cores first (:func:`doubts`);
    - beginnings of UUIDs, ``GPU-...``, each of one device only;
    - MIG instances, ``MIG-...`` or the older ``MIG-GPU-.../instance/instance``.

    An entry that names nothing, or is of another kind, hides those after it; a
    repeated entry hides all. The number or UUID of a GPU that is cut into
    instances means the first of them. One process would see the first of
    several instances only; all are returned, since each can be given to a
    process of its own. A device in prohibited mode is never among them.

    Raises:
        BadVisibleDevices: The variable names devices, and its first names nothing.
    """
    usable = tuple(d for d in devices if d.mode is not ComputeMode.PROHIBITED)
    value = environ.get(VARIABLE)
    if value is None:
        return usable
    entries = _entries(value)
    if entries[0] in _NOTHING or (_number(entries[0]) or 0) < 0:
        return ()
    chosen = _listed(entries, _as_cuda_numbers(devices, environ))
    if chosen == []:
        known = ", ".join(f"{d.index} ({d.uuid})" for d in devices) or "none at all"
        raise BadVisibleDevices(
            f"{VARIABLE}={value!r} names no device of this host; there is {known}. Correct it, unset it "
            f"to use all, or set it to '' to use none."
        )
    return tuple(d for d in chosen or () if d in usable)


def doubts(devices: Sequence[Device], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return sentences about what ``CUDA_VISIBLE_DEVICES`` may mean otherwise, or leaves out.

    CUDA numbers cards of several kinds by how fast it takes them to be, by rules that are not
    published. The number of cores is a guess at them.
    """
    value = environ.get(VARIABLE, "")
    entries = _entries(value)
    if (_number(entries[0]) if entries[0] not in _NOTHING else -1) in {None, -1}:
        return ()
    taken = _listed(entries, _as_cuda_numbers(devices, environ)) or []
    by_bus = _listed(entries, devices) or []
    found = []
    whole = {d.index for d in taken} == {d.index for d in devices}
    if not _is_by_bus(devices, environ) and not whole:
        guessed = _are_counted(devices)
        if not guessed or set(taken) != set(by_bus):
            how = "by the number of cores" if guessed else "in the order of the PCI bus"
            else_ = f"In the order of the PCI bus, which nvidia-smi has, it is {_told(by_bus)}. "
            found.append(
                f"{VARIABLE}={value!r} counts cards of several kinds, and CUDA counts those first that it "
                f"takes to be fast. It is taken for {_told(taken)}, {how}. {else_ if guessed else ''}"
                f"To leave no doubt, name UUIDs, or set {_ORDER}={_BY_BUS}."
            )
    cut = [d for d in taken if d.mig_parent]
    left = [d for d in devices if d not in taken and d.mig_parent in {c.mig_parent for c in cut}]
    if cut and left:
        found.append(
            f"{VARIABLE}={value!r} numbers a GPU that is cut into instances; CUDA takes that for the first "
            f"of them, and so {len(left)} more are not used. Name instances by UUID to use them."
        )
    return tuple(found)


def _entries(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(",")]


def _told(devices: Sequence[Device]) -> str:
    return ", ".join(f"GPU {d.index} ({d.name}, {d.uuid})" for d in devices) or "none"


def _is_by_bus(devices: Sequence[Device], environ: Mapping[str, str]) -> bool:
    """Whether numbers follow the bus for certain: CUDA is told to, or all cards are alike."""
    kinds = {(device.name.partition(" MIG ")[0], device.cores) for device in devices}
    return environ.get(_ORDER) == _BY_BUS or len(kinds) <= 1


def _are_counted(devices: Sequence[Device]) -> bool:
    return all(device.cores is not None for device in devices)


def _as_cuda_numbers(devices: Sequence[Device], environ: Mapping[str, str]) -> Sequence[Device]:
    """Return the devices with the places that CUDA is thought to give them."""
    if _is_by_bus(devices, environ) or not _are_counted(devices):
        return devices
    return sorted(devices, key=lambda d: (-(d.cores or 0), d.index))


def _listed(entries: Sequence[str], devices: Sequence[Device]) -> list[Device] | None:
    """Return the devices that a list names, as far as it is followed; ``None`` if it hides all."""
    find = _finder(entries[0])
    chosen: list[Device] = []
    for entry in entries:
        device = find(entry, devices)
        if device is None:
            break
        if device in chosen:
            return None
        chosen.append(device)
    return chosen


def _finder(first: str) -> Callable[[str, Sequence[Device]], Device | None]:
    if first.startswith(_MIG):
        return _by_instance
    return _by_uuid if first.startswith(_GPU) else _by_number


def _number(entry: str) -> int | None:
    digits = re.match(r"[+-]?[0-9]+", entry)
    return int(digits[0]) if digits else None


def _by_number(entry: str, devices: Sequence[Device]) -> Device | None:
    number = _number(entry)
    # A card that does not answer leaves a gap in the numbers of the others.
    places = sorted({d.index for d in devices})
    order = dict.fromkeys(d.index for d in devices)
    index_of = dict(zip(places, order, strict=True))
    return next((d for d in devices if number in index_of and d.index == index_of[number]), None)


def _by_uuid(entry: str, devices: Sequence[Device]) -> Device | None:
    if not entry.startswith(_GPU):
        return None
    matches: dict[str, Device] = {}
    for device in devices:
        gpu = device.mig_parent or device.uuid
        if gpu.startswith(entry):
            matches.setdefault(gpu, device)
    return next(iter(matches.values())) if len(matches) == 1 else None


def _by_instance(entry: str, devices: Sequence[Device]) -> Device | None:
    if not entry.startswith(_MIG):
        return None
    instances = [d for d in devices if d.mig_parent is not None]
    matches = [d for d in instances if d.uuid.startswith(entry)]
    matches = matches or [d for d in instances if _old_name(d) == entry]
    return matches[0] if len(matches) == 1 else None


def _old_name(device: Device) -> str:
    """Return what drivers before 470 called an instance; CUDA still takes it."""
    return f"{_MIG}{device.mig_parent}/{device.gpu_instance}/{device.compute_instance}"


def environment_for(uuids: Sequence[str]) -> dict[str, str]:
    """Return the variables that let a child see just these devices; none of them: no device.

    By UUID, since an index may mean another device to CUDA than to the driver.

    Raises:
        BadVisibleDevices: CUDA would show the child something else: one is
            named twice, or a MIG instance is not the only one.
    """
    if len(set(uuids)) != len(uuids):
        raise BadVisibleDevices(
            f"The devices {', '.join(uuids)} name one twice, and CUDA would show none of them. Name each once."
        )
    if len(uuids) > 1 and any(uuid.startswith(_MIG) for uuid in uuids):
        raise BadVisibleDevices(
            f"The devices {', '.join(uuids)} cannot be given to one process: CUDA shows a process one MIG "
            "instance and nothing besides. Give each process one, or turn MIG mode off."
        )
    return {VARIABLE: ",".join(uuids) if uuids else "-1", _ORDER: _BY_BUS}
