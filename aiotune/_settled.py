"""What an ended trial measured, packed: ten thousand of them are kept, and few are ever asked for details."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

import msgspec

from aiotune.metrics import MetricHistory, MetricsTracker

__all__ = ("Details", "Report", "history_of", "packed", "unpacked")

Report = tuple[int, int, dict[str, float]]
"""Execution, step and metrics."""


@dataclass(frozen=True, slots=True)
class Details:
    """What a trial holds beside its values and its score.

    Attributes:
        metrics: Its result's metrics.
        executions: Metrics of each execution.
        history: What it reported.
        files: Checksums of its files.
        devices: Where its last attempt ran.
    """

    metrics: MetricsTracker
    executions: list[dict[str, float]]
    history: list[Report]
    files: Mapping[str, str]
    devices: list[str]


class _Metric(msgspec.Struct, array_like=True):
    name: str
    maximised: bool
    observed: list[tuple[int, list[float]]]


class _Curve(msgspec.Struct, array_like=True):
    """Reports of the same metrics; a row has execution, step and values."""

    names: list[str]
    rows: list[tuple[int, int, list[float]]]


class _Packed(msgspec.Struct, array_like=True):
    """``executions`` is empty if the only one's metrics are the result's."""

    metrics: list[_Metric] = []
    executions: list[dict[str, float]] | None = None
    history: list[_Curve] = []
    files: dict[str, str] = {}
    devices: list[str] = []


class _Reported(msgspec.Struct, array_like=True):
    """As much of :class:`_Packed` as it takes to find the history."""

    metrics: msgspec.Raw
    executions: msgspec.Raw
    history: list[_Curve] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Packed)
_reported = msgspec.msgpack.Decoder(_Reported)


def packed(details: Details) -> bytes | None:
    """Return details as bytes; ``None`` if they hold what has no such form, as a huge step."""
    metrics = [
        _Metric(
            name, history.direction == "max", [(o.step, o.value) for o in history.get_history()]
        )
        for name, history in details.metrics.metrics.items()
    ]
    is_result = details.executions == [details.metrics.latest()]
    try:
        found = _encoder.encode(
            _Packed(
                metrics,
                None if is_result else details.executions,
                list(_curves(details.history)),
                dict(details.files),
                details.devices,
            )
        )
    except (OverflowError, ValueError):
        return None
    return bytes(memoryview(found))  # what the encoder returns keeps a third of unused room


def unpacked(data: bytes) -> Details:
    """Return what was packed."""
    found = _decoder.decode(data)
    tracker = MetricsTracker()
    for metric in found.metrics:
        history = MetricHistory("max" if metric.maximised else "min")
        for step, values in metric.observed:
            for value in values:
                history.update(_one_nan(value), step)
        tracker.metrics[metric.name] = history
    executions = [tracker.latest()] if found.executions is None else found.executions
    return Details(
        metrics=tracker,
        executions=[{n: _one_nan(v) for n, v in metrics.items()} for metrics in executions],
        history=_history(found.history),
        files=found.files,
        devices=found.devices,
    )


def history_of(data: bytes) -> list[Report]:
    """Return the history of what was packed, and unpack nothing else."""
    return _history(_reported.decode(data).history)


def _history(curves: Iterable[_Curve]) -> list[Report]:
    return [
        (execution, step, dict(zip(curve.names, map(_one_nan, values), strict=True)))
        for curve in curves
        for execution, step, values in curve.rows
    ]


def _one_nan(value: float) -> float:
    """Return the one NaN that equals itself in lists and dicts, as the journal's reader does."""
    return math.nan if math.isnan(value) else value


def _curves(history: Iterable[Report]) -> Iterable[_Curve]:
    for names, reports in groupby(history, key=lambda report: tuple(report[2])):
        rows = [(execution, step, list(m.values())) for execution, step, m in reports]
        yield _Curve(list(names), rows)
