"""The state that a subclass of a tuner keeps with its project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiotune._disk import read_private, write_private
from aiotune._printable import shown
from aiotune.errors import ConfigurationError, ProjectError

if TYPE_CHECKING:
    from aiotune.base_tuner import BaseTuner

__all__ = ("keeps_state", "load_state", "save_state")


def keeps_state(tuner: BaseTuner) -> bool:
    """Whether a subclass has any state to keep."""
    return tuner.overrides("get_state") or tuner.overrides("save")


def save_state(tuner: BaseTuner) -> None:
    """Write ``tuner.get_state()`` beside the journal, whole or not at all.

    Raises:
        ConfigurationError: The state is no dict, or nothing that JSON can hold.
        ProjectError: It could not be written; what was there before still is.
    """
    state = tuner.get_state()
    if not isinstance(state, dict):
        raise ConfigurationError(
            f"{type(tuner).__name__}.get_state() returned {shown(state)} of type {type(state).__name__}. Return "
            "a dict."
        )
    try:
        text = json.dumps(state)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{type(tuner).__name__}.get_state() returned what JSON cannot hold: {error}. Return dicts, "
            "lists, strings, numbers and None."
        ) from error
    path = tuner._layout.tuner_state(tuner.tuner_id)  # noqa: SLF001 - its other half
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, text.encode(), durable=True)
    except OSError as error:
        raise ProjectError(
            f"The tuner's own state cannot be written to {path}: {error.strerror or error}. What was there "
            "before still is.",
            hint="Mend the cause and run the program again: it continues where it was.",
        ) from error


def load_state(tuner: BaseTuner) -> None:
    """Give ``tuner.set_state()`` what was written, if anything was.

    Raises:
        ProjectError: The file is damaged.
    """
    path = tuner._layout.tuner_state(tuner.tuner_id)  # noqa: SLF001 - its other half
    try:
        state: dict[str, Any] = json.loads(read_private(path))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise ProjectError(
            f"The tuner's own state in {path} cannot be read: {error}.",
            hint="Remove the file; trials do not depend on it.",
        ) from error
    tuner.set_state(state)
