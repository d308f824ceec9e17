"""What follows from what was found out about devices: log lines, records, and news for the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiotune import events, logs
from aiotune.errors import DeviceError, StorageError
from aiotune.scheduler._commands import DeviceBack, DeviceBroke, DeviceHeld, Stimulus

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune.oracles import Oracle
    from aiotune.scheduler._admission import Admission
    from aiotune.scheduler._attempts import Running
    from aiotune.scheduler._watch import Findings

__all__ = ("Quarantine",)


class Quarantine:
    """Takes devices out of use, and back into it.

    Args:
        admission: Knows which are left; changes through ``post`` only.
        oracle: Records.
        running: The attempts under way.
        log: Takes events.
        clock: Tells the time.
        post: Takes stimuli for the core.
        fail: Ends the search with an error.
    """

    def __init__(
        self,
        admission: Admission,
        oracle: Oracle,
        running: Mapping[str, Running],
        log: Any,
        clock: Clock,
        *,
        post: Callable[[Stimulus], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self._admission, self._oracle, self._running = admission, oracle, running
        self._log, self._clock, self._post, self._fail = log, clock, post, fail

    def hold(self, findings: Findings) -> None:
        """Keep new trials off devices that do not answer, or are broken; before any lease there is given back."""
        for device in findings.held:
            if device.held:
                self._post(device)
        for broken in findings.broken:
            self._post(DeviceHeld(broken.uuid, held=True))

    def take(self, findings: Findings) -> None:
        """Say, record and post what else was found; comes after what was measured."""
        for device in findings.held:
            if not device.held:
                self._post(device)
        for uuid, reason, age in findings.hanging:
            self._log.warning(
                logs.DEVICE_HANGS,
                device=uuid,
                reason=reason,
                trials=self._trials_on(uuid),
                age=None if age is None else round(age, 1),
            )
        for uuid, what in findings.faults:
            self._log.warning(
                logs.DEVICE_FAULT, device=uuid, fault=what, trials=self._trials_on(uuid)
            )
        for broken in findings.broken:
            self._put_out_of_use(broken)
        for uuid in findings.back:
            self._log.info(logs.DEVICE_BACK, device=uuid)
            self._note(events.DeviceReturned(device=uuid, at=self._clock.now()))
            self._post(DeviceBack(uuid))

    def _trials_on(self, uuid: str) -> list[str]:
        return [t for t, r in self._running.items() if uuid in r.lease.uuids]

    def _note(self, fact: events.Event) -> None:
        """Record a fact of the watch's; what cannot be recorded ends the search in order."""
        try:
            self._oracle.record(fact)
        except StorageError as error:
            self._fail(error)

    def _put_out_of_use(self, broken: DeviceBroke) -> None:
        """Use a device no more; its trials run elsewhere."""
        others = (s for s in self._admission.ledger.states() if s.uuid != broken.uuid)
        left = [s for s in others if not s.broken]  # one that is away is waited for
        trials = self._trials_on(broken.uuid)
        self._log.error(
            logs.DEVICE_QUARANTINED,
            device=broken.uuid,
            reason=broken.reason,
            trials=trials,
            devices_left=sum(not s.away for s in left),
        )
        self._note(
            events.DeviceQuarantined(
                device=broken.uuid, reason=broken.reason, trials=trials, at=self._clock.now()
            )
        )
        self._post(broken)
        if not broken.may_return and len(left) < self._admission.resources.gpus_per_trial:
            self._fail(
                DeviceError(
                    f"No GPU is left to train on: {broken.uuid} was the last one. {broken.reason}",
                    hint="Finished trials are kept: mend the GPU and run the program again to go on.",
                )
            )
