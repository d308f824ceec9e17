"""A trial as data and as a file, in KerasTuner's form."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from aiotune._disk import write_private
from aiotune.errors import ConfigurationError, ProjectError
from aiotune.hyperparameters import HyperParameters
from aiotune.metrics import MetricsTracker
from aiotune.status import TrialStatus

__all__ = ("StatefulTrial",)


class StatefulTrial:
    """What a trial and its ``trial.json`` have in common.

    A search keeps its trials in the journal; these methods are for programs
    that exchange single trials. ``trial.json`` of KerasTuner can be read.
    """

    __slots__ = (
        "_status",
        "best_step",
        "hyperparameters",
        "message",
        "metrics",
        "score",
        "trial_id",
    )

    def __init__(
        self,
        hyperparameters: HyperParameters,
        trial_id: str | None = None,
        status: TrialStatus | str = TrialStatus.RUNNING,
        message: str | None = None,
    ) -> None:
        self.hyperparameters = hyperparameters
        self.trial_id = trial_id if trial_id is not None else _new_id()
        self._status = TrialStatus(status)
        self.message = message
        self.metrics = MetricsTracker()
        self.score: float | None = None
        self.best_step = 0

    def get_state(self) -> dict[str, Any]:
        """Return the trial as data."""
        return {
            "trial_id": self.trial_id,
            "hyperparameters": self.hyperparameters.get_config(),
            "metrics": self.metrics.get_config(),
            "score": self.score,
            "best_step": self.best_step,
            "status": str(self._status),
            "message": self.message,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Become what :meth:`get_state` returned, whatever the trial is now.

        Of a trial that an oracle keeps this changes no record: tell the oracle.

        Raises:
            ConfigurationError: Something is missing, or is none of its kind.
        """
        try:
            hyperparameters = HyperParameters.from_config(state["hyperparameters"])
            metrics = MetricsTracker.from_config(state["metrics"])
            status = TrialStatus(state["status"])
            trial_id, score = str(state["trial_id"]), state["score"]
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"This is not the state of a trial ({type(error).__name__}: {error}). Pass what "
                "get_state() returned."
            ) from error
        self.hyperparameters, self.metrics = hyperparameters, metrics
        self.trial_id, self.score, self._status = trial_id, score, status
        self.best_step = state.get("best_step") or 0  # KerasTuner writes null after NaN
        self.message = state.get("message")

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from :meth:`get_state`.

        Raises:
            ConfigurationError: As for :meth:`set_state`.
        """
        made = cls(HyperParameters())
        made.set_state(state)
        return made

    def save(self, fname: str | os.PathLike[str]) -> None:
        """Write the state to a JSON file, whole or not at all; NaN and infinity stand bare in it."""
        write_private(Path(fname), json.dumps(self.get_state()).encode())

    @classmethod
    def load(cls, fname: str | os.PathLike[str]) -> Self:
        """Read a trial from what :meth:`save`, or KerasTuner, has written.

        Raises:
            ProjectError: It is no such file.
        """
        try:
            return cls.from_state(json.loads(Path(fname).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ProjectError(f"{os.fspath(fname)} cannot be read as a trial: {error}") from error


def _new_id() -> str:
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"
