"""How much memory a trial is given, and whether it fits now. Pure.

::

    size of the model ─► estimate, what was learned ─► request ─► ledger ─► Lease
    a rung of the ladder (after it ran out of memory) ───┘                   NotNow
    nothing is known: a device of its own ───────────────┘                   NeverFits
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiotune._devices import Resources
from aiotune._gpu import (
    DeviceState,
    Lease,
    MemoryRequest,
    NeverFits,
    NotNow,
    format_bytes,
)
from aiotune.failures import MemoryCause, OutOfMemory
from aiotune.memory import (
    FLOOR,
    MOST_TRIES,
    Calibration,
    CalibrationKey,
    Estimate,
    ModelSize,
    Rung,
    estimate,
    explain,
    habits,
    host_bytes,
    next_rung,
    training_bytes,
)

__all__ = ("OWN", "Admission", "Need")

_HOPE, _TRACED_HOPE = 0.5, 0.8
"""Of a prediction, and of a traced peak: a model that would not fit even so is not tried."""
_ON_CPU = "cpu"
_ALONE, _SOME = 0.9, 0.1
"""Of a device that a trial has alone: what the last try insists on, and what one of unknown size does."""
_DESKTOP = 0.25
"""Of a device: what others have held of it all the time is not waited for, if it is no more than this."""
_AS_LARGE = 0.98
"""Of the largest device: what else counts as one. Two of a kind may differ by what their drivers keep."""
OWN = frozenset({MemoryCause.DEVICE, MemoryCause.FRAGMENTATION, MemoryCause.WORKSPACE})
"""What a trial's own work lacks, and not the host or others."""


@dataclass(frozen=True, slots=True)
class Need:
    """What is known of a trial's memory.

    Attributes:
        size: Its model; ``None``: nothing could be found out.
        builds: Whether its model could be built at all.
        traced: Peak bytes of a traced training step; 0: it cannot be traced;
            ``None``: that was not tried.
        rung: What it is to be given after it ran out of memory.
    """

    size: ModelSize | None = None
    builds: bool = True
    traced: int | None = None
    rung: Rung | None = None


class Admission:
    """Turns what is known of a trial into a lease.

    Args:
        resources: What there is.
        calibration: What earlier trials taught; read, never changed.
        space: Fingerprint of the search space, which the learning belongs to.
        trains: Whether trials train a model, so that even one of unknown size
            will need a good deal of the host's memory.
        halves: Whether a trial that fits nowhere is run with smaller batches.
    """

    def __init__(
        self,
        resources: Resources,
        calibration: Calibration,
        *,
        space: str,
        trains: bool = True,
        halves: bool = False,
    ) -> None:
        self.resources = resources
        self.halves = halves
        self.ledger = resources.ledger()
        self._calibration, self._space, self._trains = calibration, space, trains

    # ── asking ─────────────────────────────────────────────────────────────

    def admit(self, trial_id: str, need: Need) -> Lease | NotNow | NeverFits:
        """Grant a trial what it needs, if it is there now."""
        request = self.request(need)
        if isinstance(request, NeverFits):
            return request
        return self.ledger.request(trial_id, request)

    def keep(self, trial_id: str, need: Need) -> None:
        """Let no other trial overtake this one on the devices that it will get."""
        request = self.request(need)
        if isinstance(request, MemoryRequest) and request.devices:
            self.ledger.keep(trial_id, request)

    def request(self, need: Need) -> MemoryRequest | NeverFits:
        """Return what to ask the ledger for, or why that is useless."""
        resources = self.resources
        devices = resources.gpus_per_trial if resources.devices else 0
        host = self._host_need(need)
        if not devices:
            alone = need.rung is not None and need.rung.alone
            return MemoryRequest(0, 0, exclusive=alone, host_bytes=host)
        if need.rung is not None:
            return self._on_rung(need.rung, devices, host)
        if resources.gpu_memory is not None:
            return MemoryRequest(resources.gpu_memory, devices, host_bytes=host)
        if need.size is None:
            return self._unknown(need, devices, host)
        return self._known(need, devices, host)

    def _on_rung(self, rung: Rung, devices: int, host: int) -> MemoryRequest:
        # Who is alone is given all that is free. To insist on the last byte
        # would be to wait for ever for a desktop's few megabytes.
        if rung.bytes < self._of_each(_room):
            size = int(_ALONE * rung.bytes) if rung.alone else rung.bytes
            return MemoryRequest(size, devices, exclusive=rung.alone, host_bytes=host)
        # It is to have the largest that there is, and what it was about may be out of order since.
        wanted = {
            s.uuid: int(_ALONE * _room(s)) if self._is_large(s) else s.capacity + 1
            for s in self.ledger.states()
        }
        size = int(_ALONE * self.largest)
        return MemoryRequest(size, devices, exclusive=True, host_bytes=host, by_device=wanted)

    def _unknown(self, need: Need, devices: int, host: int) -> MemoryRequest:
        if not need.builds:  # it will fail before it takes anything
            return MemoryRequest(FLOOR, devices, host_bytes=host)
        if not self.resources.measures and self.resources.most_per_device > 1:
            # So many were asked for: they share evenly, each within its share.
            share = min(s.capacity for s in self.ledger.states()) // self.resources.most_per_device
            return MemoryRequest(share, devices, host_bytes=host)
        # On one that others fill it would only run out of memory.
        some = {s.uuid: int(_SOME * s.capacity) for s in self.ledger.states()}
        most = max(some.values())
        return MemoryRequest(most, devices, exclusive=True, host_bytes=host, by_device=some)

    def _known(self, need: Need, devices: int, host: int) -> MemoryRequest | NeverFits:
        wanted = {uuid: self._wanted(need, e) for uuid, e, _ in self._estimates(need)}
        room = {s.uuid: _room(s) for s in self.ledger.states()}
        fits = [uuid for uuid in wanted if wanted[uuid] <= room[uuid]]
        if len(fits) >= devices:
            return MemoryRequest(
                max(wanted[uuid] for uuid in fits), devices, host_bytes=host, by_device=wanted
            )
        alone = {
            uuid: at_least
            for uuid, e, capacity in self._estimates(need)
            if (at_least := self._at_least(need, e)) <= capacity
        }
        if len(alone) >= devices:
            never = {uuid: self._at_least(need, e) for uuid, e, _ in self._estimates(need)}
            # Beside a desktop that leaves less it is tried with what there is.
            tried = {u: min(size, int(_ALONE * room[u])) for u, size in alone.items()}
            most, each = max(tried.values()), never | tried
            return MemoryRequest(most, devices, exclusive=True, host_bytes=host, by_device=each)
        return NeverFits(self._too_large(need))

    def _wanted(self, need: Need, guess: Estimate) -> int:
        margin = habits(need.size.backend).traced_margin if need.size is not None else None
        if need.traced and margin is not None:
            return guess.context + guess.floor + int(margin * need.traced)
        return guess.bytes

    def _at_least(self, need: Need, guess: Estimate) -> int:
        """Return what a trial takes if the prediction is as wrong as it can be.

        What was learned is an upper quantile over all models of the space, and
        no reason to refuse one of them: a space may hold families whose peaks
        differ twofold from what is predicted for them.
        """
        hopeful = _TRACED_HOPE * need.traced if need.traced else _HOPE * guess.predicted
        return max(guess.least, guess.context + int(hopeful))

    def _too_large(self, need: Need) -> str:
        uuid, guess, capacity = max(self._estimates(need), key=lambda entry: entry[2])
        name = self.resources.device(uuid).name
        return (
            f"The model does not fit: {explain(guess)}; the largest device, {name}, can give "
            f"{format_bytes(capacity)}."
        )

    def wants_trace(self, need: Need) -> bool:
        """Whether it is so close to a limit that a better estimate is worth seconds."""
        if need.size is None or need.traced is not None or self.resources.gpu_memory is not None:
            return False
        if habits(need.size.backend).traced_margin is None or need.rung is not None:
            return False
        room = {s.uuid: _room(s) for s in self.ledger.states()}
        fits = sum(e.bytes <= room[uuid] for uuid, e, _ in self._estimates(need))
        could = sum(e.least <= capacity for _, e, capacity in self._estimates(need))
        return fits < self.resources.gpus_per_trial <= could

    def _estimates(self, need: Need) -> Iterator[tuple[str, Estimate, int]]:
        """Yield each usable device with the estimate for it and its capacity."""
        size = need.size
        assert size is not None
        for state in self.ledger.states():
            if state.broken:
                continue
            name = self.resources.device(state.uuid).name
            context = self._calibration.context(size.backend, name)
            guess = estimate(
                size, ratio=self._calibration.ratio(self.key(size, name)), context=context
            )
            yield state.uuid, guess, state.capacity

    def _host_need(self, need: Need) -> int:
        if need.size is None and not self._trains:
            return 0
        backend = need.size.backend if need.size is not None else None
        return host_bytes(need.size, backend, on_device=bool(self.resources.devices))

    # ── limits ─────────────────────────────────────────────────────────────

    @property
    def largest(self) -> int:
        """The most that each device of a trial can give, or the host where there is none."""
        if not self.resources.devices:
            return self.ledger.host.capacity
        return self._of_each(lambda state: state.capacity)

    def _of_each(self, size: Callable[[DeviceState], int]) -> int:
        """Return what each of the largest devices of a trial has at least, by some measure."""
        sizes = sorted((size(s) for s in self.ledger.states() if not s.broken), reverse=True)
        each = self.resources.gpus_per_trial
        return sizes[each - 1] if len(sizes) >= each else 0

    def _is_large(self, state: DeviceState) -> bool:
        return _room(state) >= _AS_LARGE * self._of_each(_room)

    def _on_large(self, lease: Lease) -> bool:
        """Whether no devices are larger than those of a lease; so it is on the CPU."""
        return all(self._is_large(s) for s in self.ledger.states() if s.uuid in lease.uuids)

    def is_short(self, lease: Lease) -> bool:
        """Whether others held so much of the largest devices that being alone there proves nothing."""
        if not (lease.exclusive and lease.uuids and self._on_large(lease)):
            return False
        here = (int(_ALONE * _room(s)) for s in self.ledger.states() if s.uuid in lease.uuids)
        return lease.bytes < min(here)

    def context(self, lease: Lease, backend: str | None) -> int:
        """Return what the driver takes of each device of a lease beside the back end's memory."""
        if not lease.uuids or backend is None:
            return 0
        name = self.resources.device(lease.uuids[0]).name
        return self._calibration.context(backend, name)

    def room(self) -> int:
        """Return how many more trials are worth proposing for what is free now.

        One for each idle device; and of shared ones a few at a time, since only
        a trial that was weighed tells whether there is room for it.
        """
        running = len(self.ledger.leases)
        left = self.resources.most - running
        if not self.resources.devices:
            return max(0, left)
        usable = [s for s in self.ledger.states() if not (s.broken or s.away or s.closed)]
        idle = sum(s.leases == 0 for s in usable) // self.resources.gpus_per_trial
        shared = sum(max(0, s.most - s.leases) for s in usable if s.leases)
        return max(0, min(left, idle + min(2, shared)))

    # ── what a failure or a peak teaches ───────────────────────────────────

    def after(self, failure: OutOfMemory, lease: Lease, tries: int) -> Rung | None:
        """Return what a trial that ran out of memory is given next; ``None``: it does not fit.

        Args:
            failure: What is known of it.
            lease: What it had.
            tries: How often it was given more already.
        """
        reservation = lease.bytes if lease.uuids else lease.host_bytes
        if failure.cause is MemoryCause.FOREIGN:
            return Rung(reservation, alone=lease.exclusive)
        if failure.cause in OWN:
            if lease.exclusive and self._on_large(lease):
                return None
            tries = min(tries, MOST_TRIES - 1)  # the last one was not on the largest that there is
        elif not lease.exclusive:
            tries = 0  # it has not been alone, whatever else it was given
        largest = self._of_each(_room) if lease.uuids else self.largest
        return next_rung(failure, reservation=reservation, tries=tries, largest=largest)

    def key(self, size: ModelSize, device: str) -> CalibrationKey:
        """Return what an observation belongs to."""
        return CalibrationKey(self._space, size.backend, device, size.compute_dtype)

    def device_name(self, lease: Lease) -> str:
        """Return the model of the device that a lease is on."""
        return self.resources.device(lease.uuids[0]).name if lease.uuids else _ON_CPU

    @staticmethod
    def predicted(size: ModelSize) -> int:
        """Return what the formula says of a model, before anything was learned."""
        return training_bytes(size)


def _room(state: DeviceState) -> int:
    """Return what a device can give beside a desktop, which does not end."""
    return state.capacity - min(state.others, int(_DESKTOP * state.capacity))
