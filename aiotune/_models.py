"""The one door through which the parent imports keras: loading trained models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotune.errors import ConfigurationError

if TYPE_CHECKING:
    from aiotune.trial import Trial
    from aiotune.tuner import Tuner

__all__ = ("load_trial_model",)


def load_trial_model(tuner: Tuner, trial: Trial) -> Any:
    """Build a trial's model in this process and load the weights of its best epoch.

    Raises:
        ConfigurationError: The tuner has no hypermodel to build with.
        FileNotFoundError: The trial left no checkpoint.
        CheckpointDamaged: It is not the one that the trial left.
    """
    from aiotune.worker._keras import build_model, load_model

    if tuner.hypermodel is None:
        raise ConfigurationError(
            "This tuner has no hypermodel, so aiotune cannot build a model of its trials. "
            "Override load_model(trial), reading what your run_trial() saved."
        )
    return load_model(
        lambda: build_model(tuner, trial.hyperparameters),
        tuner.get_trial_dir(trial.trial_id),
        trial.files,
    )
