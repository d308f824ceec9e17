"""What a trial leaves on disk of its model: the best epoch's weights, and a state to go on from.

``checkpoint.weights.h5`` holds weights alone: an optimizer's slots would make it
up to three times as large, and nobody who loads a best model needs them. A trial
that another may go on with leaves ``state-<execution>.weights.h5`` as well, with
the optimizer and as of its last epoch, not its best: training that continues must
have had the epochs that it is counted with.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiotune.errors import FailedTrialError

__all__ = (
    "CHECKPOINT",
    "build_as_before",
    "continue_from",
    "load_weights",
    "replace_file",
    "save_recipe",
    "save_state",
    "save_weights",
)

CHECKPOINT = "checkpoint.weights.h5"
_RECIPE = "build_config.json"


def save_weights(model: Any, trial_dir: Path) -> None:
    """Write a model's weights, without its optimizer, and what it takes to build it again."""

    def write(path: Path) -> None:
        optimizer = getattr(model, "optimizer", None)
        model.optimizer = None
        try:
            model.save_weights(path)
        finally:
            model.optimizer = optimizer

    replace_file(trial_dir / CHECKPOINT, write)
    save_recipe(model, trial_dir)


def save_recipe(model: Any, trial_dir: Path) -> None:
    """Write what an unbuilt model needs to be built again before its weights are loaded."""
    if model.built and not (trial_dir / _RECIPE).exists():
        text = json.dumps(model.get_build_config())
        replace_file(trial_dir / _RECIPE, lambda path: path.write_text(text))


def save_state(model: Any, trial_dir: Path, execution: int) -> None:
    """Write a model's weights and its optimizer's variables, as they are now."""
    replace_file(trial_dir / _state_name(execution), model.save_weights)
    save_recipe(model, trial_dir)


def load_weights(model: Any, trial_dir: Path) -> None:
    """Load the weights of a trial's best epoch into a model, which is built first if it must be.

    Raises:
        FileNotFoundError: The trial left none.
    """
    checkpoint = trial_dir / CHECKPOINT
    if not checkpoint.exists():
        raise FileNotFoundError(
            f"There are no weights at {checkpoint}. Those of the keep_best best trials are kept; and a "
            "trial leaves some only if its fit() passes on the callbacks that it is given, see "
            "HyperModel.fit."
        )
    build_as_before(model, trial_dir)
    with warnings.catch_warnings():
        # A file that KerasTuner wrote holds a trained optimizer's variables; a
        # model made for predictions has none to load them into.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        model.load_weights(checkpoint)


def build_as_before(model: Any, trial_dir: Path) -> None:
    """Build a model that only ``fit`` would build, for the shapes that a trial had trained it with."""
    recipe = trial_dir / _RECIPE
    if not model.built and recipe.exists():
        model.build_from_config(json.loads(recipe.read_text()))


def continue_from(model: Any, parent_dir: Path, execution: int) -> bool:
    """Put a model, its optimizer included, into the state that another trial has left.

    Args:
        model: Compiled, built or not.
        parent_dir: The other trial's directory.
        execution: Which training of the trial.

    Returns:
        Whether there was one; if not, the model is as it was.

    Raises:
        FailedTrialError: It is of another model.
    """
    state = parent_dir / _state_name(execution)
    if not state.exists():
        return False
    build_as_before(model, parent_dir)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    try:
        model.load_weights(state)
    except ValueError as error:
        raise FailedTrialError(
            f"The state at {state} is of another model than the one that was built now: {error}. The "
            "same hyperparameters must build the same model."
        ) from error
    return True


def _state_name(execution: int) -> str:
    return f"state-{execution}.weights.h5"


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside its place, then move it there: a kill in the middle leaves the older one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}.{path.name}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
