"""Hyperparameters that a worker discovered, on their way to the trial and the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiotune.hyperparameters import deserialize

if TYPE_CHECKING:
    from aiotune.oracles import Oracle
    from aiotune.trial import Trial

__all__ = ("take_in",)


async def take_in(
    oracle: Oracle, trial: Trial, entries: list[dict[str, Any]], values: Mapping[str, Any]
) -> None:
    """Give a trial, and the oracle, the hyperparameters that a worker discovered."""
    hp = trial.hyperparameters
    if entries:
        hp.add(deserialize(entry) for entry in entries)
    if values != hp.values:
        hp.values.update(values)
    if entries:
        await oracle.update_space(hp)
