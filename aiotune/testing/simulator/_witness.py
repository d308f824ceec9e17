"""Who looks on while simulated processes live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiotune.executors._base import WorkerMessage
    from aiotune.testing.simulator._processes import SimWorker
    from aiotune.wire import Done

__all__ = ("Witness",)


class Witness(Protocol):
    """Sees what processes really do."""

    def asked(self, attempt_id: str) -> None:
        """Take in that the tuner wants a process; to make it may take long."""
        ...

    def launched(self, worker: SimWorker) -> None:
        """Take in that a process exists."""
        ...

    def computed(self, worker: SimWorker, done: Done, *, on_disk: bool) -> None:
        """Take in that there is a result, and whether it reached the disk."""
        ...

    def heard(self, worker: SimWorker, message: WorkerMessage) -> None:
        """Take in that the tuner was told something."""
        ...

    def finishes_early(self, worker: SimWorker) -> None:
        """Take in that the tuner asks a training to end early."""
        ...

    def ended(self, worker: SimWorker) -> None:
        """Take in that a process is gone."""
        ...
