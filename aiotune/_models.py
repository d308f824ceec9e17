"""The one door through which the parent imports keras: loading trained models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotune._printable import shown
from aiotune.errors import ConfigurationError, WrongType
from aiotune.trial import Trial

if TYPE_CHECKING:
    from aiotune.tuner import Tuner

__all__ = ("load_trial_model",)


def load_trial_model(tuner: Tuner, trial: Trial) -> Any:
    """Build a trial's model in this process and load the weights of its best epoch.

    Raises:
        ConfigurationError: The tuner has no hypermodel to build with.
        WrongType: It is no trial.
        FileNotFoundError: The trial left no checkpoint.
        CheckpointDamaged: It is not the one that the trial left.
    """
    if not isinstance(trial, Trial):
        raise WrongType(
            f"load_model() loads the model of a Trial, but was given {shown(trial)} of type "
            f"{type(trial).__name__}. Take one of tuner.oracle.get_best_trials()."
        )
    if tuner.hypermodel is None:
        raise ConfigurationError(
            "This tuner has no hypermodel, so aiotune cannot build a model of its trials. "
            "Override load_model(trial), reading what your run_trial() saved."
        )
    # Only now: it imports keras into this process.
    from aiotune.worker._keras import build_model, load_model

    return load_model(
        lambda: build_model(tuner, trial.shown_hyperparameters),  # as in its worker
        tuner.get_trial_dir(trial.trial_id),
        trial.files,
    )
