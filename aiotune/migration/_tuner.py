"""A tuner that goes on with a project of KerasTuner."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aiotune import logs
from aiotune.errors import ConfigurationError
from aiotune.migration._import import import_keras_tuner, is_import_of
from aiotune.store import Layout

if TYPE_CHECKING:
    from aiotune.base_tuner import BaseTuner

    T = TypeVar("T", bound=BaseTuner)

__all__ = ("from_keras_tuner",)


async def from_keras_tuner(
    tuner: T, source: str | Path, *, booleans: Collection[str] = (), skip_damaged: bool = False
) -> T:
    """Let a tuner go on with a project of KerasTuner, which is copied to where the tuner's belongs.

    Run again, it finds the copy, and the tuner goes on with that. What was left out, or
    needs a look, is told by the event ``project_imported`` of ``tuner.oracle.log``::

        tuner = RandomSearch(build, objective="val_loss", max_trials=50, project_name="mine")
        await from_keras_tuner(tuner, "old/untitled_project")
        await tuner.search(x, y)

    Args:
        tuner: Its objective and its oracle must be those that the project was searched with.
        source: ``<directory>/<project_name>`` of KerasTuner; read and never changed.
        booleans: Names of Choices whose 1 and 0 stand for ``True`` and ``False``.
        skip_damaged: Whether to leave out files that cannot be read.

    Returns:
        The tuner.

    Raises:
        ConfigurationError: The tuner has another objective, or would discard the project.
        ProjectError: The source cannot be read, or something else is where the copy belongs.
    """
    if tuner.overwrite:
        raise ConfigurationError(
            f"overwrite=True would discard what is taken over from {source}. Leave it out."
        )
    layout = Layout(tuner.directory, tuner.project_name)
    if await asyncio.to_thread(is_import_of, layout, source):
        return tuner
    made = await import_keras_tuner(
        source,
        tuner.directory,
        tuner.project_name,
        objective=tuner.oracle.objective,
        oracle=type(tuner.oracle).__name__,
        booleans=booleans,
        skip_damaged=skip_damaged,
    )
    tuner.oracle.log.info(
        logs.PROJECT_IMPORTED,
        source=str(made.source),
        trials=sum(made.counts.values()),
        notes=list(made.notes),
    )
    return tuner
