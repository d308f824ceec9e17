"""What a user's searches have taught about memory, kept beyond their projects."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiotune import events, logs
from aiotune._disk import write_private
from aiotune.errors import ConfigurationError
from aiotune.memory import Calibration, CalibrationKey, decode_calibration, encode_calibration

__all__ = ("UserCalibration",)


class UserCalibration:
    """The file of one user. Blocking; nothing in it is worth a search's failure.

    Args:
        path: Default ``aiotune/calibration.json`` in ``$XDG_DATA_HOME`` or ``~/.local/share``.
    """

    def __init__(self, path: Path | None = None) -> None:
        home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        self.path = path if path is not None else Path(home) / "aiotune" / "calibration.json"

    def read(self, log: Any) -> Calibration:
        """Return what is kept; nothing if the file is missing or damaged."""
        try:
            return decode_calibration(self.path.read_bytes())
        except FileNotFoundError:
            return Calibration()
        except (OSError, ConfigurationError) as error:
            log.warning(logs.CALIBRATION_UNREADABLE, path=str(self.path), error_message=str(error))
            return Calibration()

    def add(self, observed: Sequence[events.MemoryObserved], log: Any) -> None:
        """Add what one search has observed."""
        fresh = Calibration()
        for event in observed:
            key = CalibrationKey(event.space, event.backend, event.device, event.dtype)
            fresh.observe(
                key,
                predicted=event.predicted,
                peak=event.peak,
                context=0,  # the peak is the back end's own
                censored=event.censored,
            )
            if event.context:
                fresh.observe_context(event.backend, event.device, event.context)
        # Two searches that end at once: the later one wins, and a few peaks
        # are lost. That is not worth a lock.
        text = encode_calibration(self.read(log).merged(fresh))
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self.path, text)
        except OSError as error:
            log.warning(logs.CALIBRATION_UNREADABLE, path=str(self.path), error_message=str(error))
