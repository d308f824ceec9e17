"""What a trial leaves on disk of its model: the best epoch's weights, and a state to go on from.

``checkpoint.weights.h5`` holds weights alone: an optimizer's slots would make it
up to three times as large, and nobody who loads a best model needs them. A trial
that another may go on with leaves ``state-<execution>.weights.h5`` as well, with
the optimizer and as of its last epoch, not its best: training that continues must
have had the epochs that it is counted with.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiotune._disk import replace_file
from aiotune.errors import CheckpointDamaged, FailedTrialError
from aiotune.worker._compiled import Compiled, load_state, save_whole
from aiotune.worker._left import CHECKPOINT, RECIPE, check_left, state_name
from aiotune.worker._room import complain, wait_for_room

__all__ = (
    "CHECKPOINT",
    "build_as_before",
    "continue_from",
    "load_weights",
    "save_recipe",
    "save_state",
    "save_weights",
)


_UNKNOWN: Mapping[str, str] = MappingProxyType({})


def save_weights(model: Any, trial_dir: Path) -> None:
    """Write a model's weights, without its optimizer, and what it takes to build it again."""
    _call_built(model)

    def write(path: Path) -> None:
        optimizer = getattr(model, "optimizer", None)
        model.optimizer = None
        try:
            model.save_weights(path)
        finally:
            model.optimizer = optimizer

    place = trial_dir / CHECKPOINT
    if not wait_for_room(place, lambda: replace_file(place, write)):
        # Weights of an earlier epoch beside this one's score would be taken for its own.
        place.unlink(missing_ok=True)
    save_recipe(model, trial_dir)


def save_recipe(model: Any, trial_dir: Path) -> None:
    """Write what an unbuilt model needs to be built again before its weights are loaded."""
    if model.built and not (trial_dir / RECIPE).exists():
        text, place = json.dumps(model.get_build_config()), trial_dir / RECIPE
        wait_for_room(place, lambda: replace_file(place, lambda path: path.write_text(text)))


def save_state(model: Any, trial_dir: Path, execution: int, asked: Compiled | None = None) -> None:
    """Write a model's weights and its optimizer's variables, as they are now.

    Args:
        model: The model.
        trial_dir: The trial's directory.
        execution: Which training of the trial.
        asked: What it was compiled with, before it was trained.
    """
    _call_built(model)
    place = trial_dir / state_name(execution)
    wait_for_room(place, lambda: replace_file(place, partial(save_whole, model, asked=asked)))
    save_recipe(model, trial_dir)


def load_weights(model: Any, trial_dir: Path, files: Mapping[str, str] = _UNKNOWN) -> None:
    """Load the weights of a trial's best epoch into a model, which is built first if it must be.

    Args:
        model: The trial's model, untrained.
        trial_dir: The trial's directory.
        files: Checksums that the trial's end has recorded.

    Raises:
        FileNotFoundError: The trial left none.
        CheckpointDamaged: They are not those that it left.
    """
    checkpoint = trial_dir / CHECKPOINT
    if not checkpoint.exists():
        raise FileNotFoundError(
            f"There are no weights at {checkpoint}. Those of the keep_best best trials are kept; and a "
            "trial leaves some only if its fit() passes on the callbacks that it is given, see "
            "HyperModel.fit."
        )
    check_left(trial_dir, CHECKPOINT, files)
    build_as_before(model, trial_dir, files)
    with warnings.catch_warnings():
        # A file that KerasTuner wrote holds a trained optimizer's variables; a
        # model made for predictions has none to load them into.
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        model.load_weights(checkpoint)


def build_as_before(model: Any, trial_dir: Path, files: Mapping[str, str] = _UNKNOWN) -> None:
    """Build a model that only ``fit`` would build, for the shapes that a trial had trained it with."""
    recipe = trial_dir / RECIPE
    if not model.built and recipe.exists():
        check_left(trial_dir, RECIPE, files)
        model.build_from_config(json.loads(recipe.read_text()))
    _call_built(model)


def _call_built(model: Any) -> None:
    """Let Keras save and load a model that has weights, although it calls the model unbuilt.

    It does so of a subclass whose layers it has just made by tracing its ``call()``, and of one
    whose ``train_step()`` calls parts of it and never the whole. A layer that has no weights
    yet makes their loading fail by its name.
    """
    if not model.built and model.weights:
        model.built = True


def continue_from(
    model: Any, parent_dir: Path, execution: int, files: Mapping[str, str] = _UNKNOWN
) -> bool:
    """Put a model, its optimizer included, into the state that another trial has left.

    What the model was compiled with and the other trial's was not, as another learning rate, it keeps.

    Args:
        model: Compiled, built or not.
        parent_dir: The other trial's directory.
        execution: Which training of the trial.
        files: Checksums that the other trial's end has recorded.

    Returns:
        Whether there was one that is whole; if not, the model is as it was.

    Raises:
        FailedTrialError: It is of another model.
    """
    state = parent_dir / state_name(execution)
    if not state.exists():
        return False
    try:
        check_left(parent_dir, state.name, files)
        build_as_before(model, parent_dir, files)
    except CheckpointDamaged as error:
        complain(f"{error.message} The training begins at its first epoch.")
        return False
    try:
        load_state(model, state)
    except ValueError as error:
        raise FailedTrialError(
            f"The state at {state} is of another model than the one that was built now: {error}. The "
            "same hyperparameters must build the same model."
        ) from error
    return True
