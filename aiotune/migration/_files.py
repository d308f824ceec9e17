"""What KerasTuner 1.x writes into its files, as far as it is read here.

``msgspec.convert`` holds a file to these, and says where it differs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

__all__ = ("OracleFile", "TrialFile")

_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,50}$")]
_Value = bool | _Whole | float | str


class _Space(msgspec.Struct, frozen=True):
    space: list[dict[str, Any]]
    values: dict[str, _Value]


class _Observation(msgspec.Struct, frozen=True):
    value: list[float]
    step: _Whole


class _History(msgspec.Struct, frozen=True):
    observations: list[_Observation]
    direction: Literal["min", "max"] | None = None


class _Metrics(msgspec.Struct, frozen=True):
    metrics: dict[str, _History]


class _Display(msgspec.Struct, frozen=True):
    trial_start: dict[str, Any] = {}


class OracleFile(msgspec.Struct, frozen=True):
    """``oracle.json``; the last five are there with some algorithms."""

    hyperparameters: _Space
    start_order: list[_Id]
    seed: _Whole
    end_order: list[_Id] = []
    run_times: dict[str, _Count] = {}
    display: _Display = msgspec.field(default_factory=_Display)
    brackets: list[Any] | None = None
    max_epochs: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] | None = None
    factor: Annotated[int, msgspec.Meta(ge=2, lt=2**31)] | None = None


class TrialFile(msgspec.Struct, frozen=True):
    """``trial.json``."""

    status: str
    hyperparameters: _Space
    metrics: _Metrics
    score: float | None
    best_step: _Whole | None
    message: str | None = None
