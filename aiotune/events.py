"""The facts that a project's journal holds, in the past tense.

The state of a project is a pure fold over these. A field may be added with a
default; none is ever removed, renamed or given another meaning. Floats may be
NaN or infinite: the store's codec writes them explicitly.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aiotune._values import Value
from aiotune.failures import TrialFailure
from aiotune.memory import MemoryPeak, ModelSize
from aiotune.status import TrialStatus

__all__ = (
    "EVENT_TYPES",
    "AttemptEnded",
    "AttemptStarted",
    "DeviceQuarantined",
    "DeviceReturned",
    "Event",
    "MemoryObserved",
    "MetricsReported",
    "OracleStateKept",
    "ProjectClosed",
    "ProjectCreated",
    "ProjectOpened",
    "RetryScheduled",
    "SearchEnded",
    "SearchStarted",
    "SpaceGrew",
    "TrialCreated",
    "TrialEnded",
    "TrialPruned",
    "TrialRequeued",
    "TrialWeighed",
    "event_tag",
)


def event_tag(name: str) -> str:
    """Return the journal's name of an event class: ``TrialCreated`` → ``trial_created``."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class _Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=event_tag):
    """Base of all events; only here to share the encoding options."""


class ProjectCreated(_Fact, frozen=True, kw_only=True):
    """The first record of every journal."""

    format: int
    project_id: str
    created: float
    version: str


class ProjectOpened(_Fact, frozen=True, kw_only=True):
    """A process took the project's lock."""

    pid: int
    host: str
    opened: float
    version: str


class SearchStarted(_Fact, frozen=True, kw_only=True):
    """``search()`` began, with this configuration.

    ``searcher`` is the class of the algorithm, with those of its settings that it says matter to a project;
    empty where the oracle proposes by itself, and in journals of versions that did not keep it.
    """

    oracle: str
    objective: list[dict[str, str]]
    seed: int
    max_trials: int | None
    max_parallel_trials: int | None = None
    executor: str = ""
    searcher: str = ""
    searcher_settings: dict[str, Value] = {}


class SpaceGrew(_Fact, frozen=True, kw_only=True):
    """Hyperparameters were seen for the first time, in this order.

    ``entries`` are ``{"class_name": ..., "config": {...}}``, the form of
    ``HyperParameters.get_config()["space"]``.
    """

    entries: list[dict[str, Any]]


class TrialCreated(_Fact, frozen=True, kw_only=True):
    """The oracle proposed a configuration.

    ``index`` counts trials from 0. ``stream`` numbers the draw within the
    trial, so that a worker can value hyperparameters that the oracle had not
    seen, from (seed, index, stream, name) alone; ``None`` asks for defaults.
    ``budget`` is free-form control data of the searcher (epochs, parent).
    """

    trial_id: str
    index: int
    values: dict[str, Value]
    stream: int | None = None
    budget: dict[str, Value] = {}
    at: float = 0.0


class OracleStateKept(_Fact, frozen=True, kw_only=True):
    """What a subclass of an oracle keeps of its own changed; ``state`` is the text of a JSON object.

    It is written right before the record of ``trial_id`` that it belongs to and holds from that
    one on, so that a kill between the two leaves what held before. With "" it holds
    at once. ``None``: it is too long for a record, and is in ``oracle.json`` alone.
    """

    state: str | None
    trial_id: str = ""


class TrialWeighed(_Fact, frozen=True, kw_only=True):
    """What could be found out of a trial's memory before it runs.

    ``size`` has no layers here. ``traced`` is the peak of a traced training
    step, 0 if there can be none; ``builds`` is false if the program failed to build the model.
    """

    trial_id: str
    size: ModelSize | None = None
    traced: int | None = None
    builds: bool = True


class AttemptStarted(_Fact, frozen=True, kw_only=True):
    """A process may now exist for this attempt; durable before it is started.

    ``reservation`` is what it was given of each device, in bytes, and
    ``host_reservation`` of the host; ``alone``: nobody else is there.
    """

    trial_id: str
    attempt: int
    attempt_id: str
    devices: list[str] = []
    reservation: int = 0
    host_reservation: int = 0
    alone: bool = False
    at: float = 0.0


class MetricsReported(_Fact, frozen=True, kw_only=True):
    """Telemetry: one step's metrics of one execution; not waited for."""

    trial_id: str
    attempt: int
    step: int
    metrics: dict[str, float]
    execution: int = 0


class AttemptEnded(_Fact, frozen=True, kw_only=True):
    """The attempt's process is gone; exactly one for each ``AttemptStarted``.

    ``peak`` is device memory by the back end's own count, ``driver_bytes`` the
    most that the driver saw, context included; 0 where it does not tell.
    """

    trial_id: str
    attempt: int
    attempt_id: str
    outcome: TrialStatus
    failure: TrialFailure | None = None
    duration: float = 0.0
    peak_host_bytes: int | None = None
    peak: MemoryPeak | None = None
    driver_bytes: int = 0
    at: float = 0.0


class MemoryObserved(_Fact, frozen=True, kw_only=True):
    """How a model's peak compares with its prediction, in bytes; what calibration learns from.

    ``peak`` is what the back end held; ``context`` is what the driver took
    beside it, 0 if unknown. ``censored``: the
    true peak is larger, since the attempt ran out of memory.
    """

    space: str
    backend: str
    device: str
    dtype: str
    predicted: int
    peak: int
    context: int = 0
    censored: bool = False


class TrialPruned(_Fact, frozen=True, kw_only=True):
    """A pruner decided that an attempt's training ends early; recorded before it is told.

    The trial completes with what it has reached.
    """

    trial_id: str
    attempt: int
    step: int
    reason: str


class RetryScheduled(_Fact, frozen=True, kw_only=True):
    """The trial will be run again.

    After it ran out of memory, with ``reservation`` bytes, or ``alone``, or
    with a batch that is ``batch_divisor`` times smaller than asked for.
    """

    trial_id: str
    next_attempt: int
    failures: int
    retries_left: int
    failure: TrialFailure
    delay: float = 0.0
    reservation: int | None = None
    alone: bool = False
    batch_divisor: int = 1


class TrialRequeued(_Fact, frozen=True, kw_only=True):
    """An unfinished trial goes back to the queue through no fault of its own."""

    trial_id: str
    reason: str
    lost: int = 0


class TrialEnded(_Fact, frozen=True, kw_only=True):
    """A trial reached a final status.

    ``metrics`` are the trial's result (means over executions, at ``best_step``),
    ``executions`` the result of each execution, ``values`` the final values,
    with hyperparameters discovered while it ran. ``files`` are the SHA-256 of what others may
    load from its directory, by name.
    """

    trial_id: str
    status: TrialStatus
    values: dict[str, Value]
    score: float | None = None
    best_step: int = 0
    metrics: dict[str, float] = {}
    executions: list[dict[str, float]] = []
    failure: TrialFailure | None = None
    files: dict[str, str] = {}
    at: float = 0.0


class DeviceQuarantined(_Fact, frozen=True, kw_only=True):
    """A GPU gets no more trials, since it is out of order or its memory was not given back."""

    device: str
    reason: str
    trials: list[str] = []
    at: float = 0.0


class DeviceReturned(_Fact, frozen=True, kw_only=True):
    """A GPU that was quarantined has its memory back, and gets trials again."""

    device: str
    at: float = 0.0


class SearchEnded(_Fact, frozen=True, kw_only=True):
    """``search()`` returned or raised."""

    reason: str
    at: float = 0.0


class ProjectClosed(_Fact, frozen=True, kw_only=True):
    """The project was closed in order; its own commit batch."""

    at: float = 0.0


Event = (
    ProjectCreated
    | ProjectOpened
    | SearchStarted
    | SpaceGrew
    | TrialCreated
    | OracleStateKept
    | AttemptStarted
    | MetricsReported
    | AttemptEnded
    | MemoryObserved
    | TrialWeighed
    | TrialPruned
    | RetryScheduled
    | TrialRequeued
    | TrialEnded
    | DeviceQuarantined
    | DeviceReturned
    | SearchEnded
    | ProjectClosed
)
"""Any journal fact."""

EVENT_TYPES: tuple[type[Event], ...] = Event.__args__
"""All event classes, for codecs and tests."""
