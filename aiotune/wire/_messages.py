"""What a parent, a nursery, a keeper and a worker say to one another.

All of it is data with a schema (msgspec structs in msgpack); nothing that
arrives from a worker is ever unpickled.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aiotune._values import Value
from aiotune.events import event_tag
from aiotune.failures import TrialFailure
from aiotune.memory import MemoryLimit, MemoryPeak, ModelSize

__all__ = (
    "Adopt",
    "Discovered",
    "DiskPaused",
    "Done",
    "Failed",
    "FinishEarly",
    "ForkFailed",
    "ForkWorker",
    "FromKeeper",
    "FromNursery",
    "FromWorker",
    "Hello",
    "KeeperCommand",
    "NurseryReady",
    "Probed",
    "Report",
    "RunAttempt",
    "RunProbe",
    "RunSelfTest",
    "RunWeighing",
    "ToWorker",
    "TreeGone",
    "Weighed",
    "WorkerStarted",
)


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag=event_tag):
    """Base of all messages; only here to share the encoding options."""


# ── parent → worker ────────────────────────────────────────────────────────


class RunAttempt(_Message, frozen=True, kw_only=True):
    """Run one attempt of one trial. The first and only order a worker gets.

    ``space`` is a ``HyperParameters`` configuration whose ``values`` are the
    trial's. ``stream`` as in ``TrialCreated``. ``environment`` is applied to
    ``os.environ`` before anything of the user's is loaded. ``threads`` bounds
    the back end's thread pools (0: leave them alone). ``objective`` is a list
    of ``{"name", "direction"}``. ``trial_dir`` holds the checkpoint,
    ``attempt_dir`` the log and the spooled result. ``memory`` bounds the back
    end's allocations on each visible device; ``cpus`` are the processors that
    are next to it, empty for all. ``batch_divisor``: train with batches so
    many times smaller, and as many of them for each update of the weights.
    ``retry`` counts failures so far: a training that failed is run again with
    other random numbers, one that was interrupted with the same. ``parent_id``
    and ``parent_dir``: the trial whose training this one continues, if any;
    ``parent_files``: the checksums of what that one has left.
    ``prunable``: the parent may send ``FinishEarly`` while it runs.
    """

    trial_id: str
    index: int
    attempt: int
    attempt_id: str
    seed: int
    stream: int | None
    space: dict[str, Any]
    objective: list[dict[str, str]]
    budget: dict[str, Value]
    environment: dict[str, str]
    threads: int
    project_dir: str
    trial_dir: str
    attempt_dir: str
    memory: MemoryLimit | None = None
    cpus: list[int] = []
    batch_divisor: int = 1
    retry: int = 0
    parent_id: str = ""
    parent_dir: str = ""
    parent_files: dict[str, str] = {}
    prunable: bool = False


class RunWeighing(_Message, frozen=True, kw_only=True):
    """Build a trial's model without allocating it, and say what it consists of.

    The fields that ``RunAttempt`` has, too, mean the same. More than
    ``max_parameters``, or more than ``max_bytes`` of what training cannot
    do without, end the build as OVERSIZED. ``host_bytes`` bounds what
    the weighing itself may take of the host's memory. ``precise`` asks for
    the peak of a traced training step as well, which takes seconds.
    """

    trial_id: str
    index: int
    seed: int
    stream: int | None
    space: dict[str, Any]
    objective: list[dict[str, str]]
    budget: dict[str, Value]
    environment: dict[str, str]
    threads: int
    parent_id: str = ""
    max_parameters: int | None = None
    max_bytes: int | None = None
    host_bytes: int | None = None
    precise: bool = False


class RunProbe(_Message, frozen=True, kw_only=True):
    """Load the payload, build the model on the CPU and say which hyperparameters it uses."""

    space: dict[str, Any]
    environment: dict[str, str]
    threads: int


class RunSelfTest(_Message, frozen=True, kw_only=True):
    """Train a tiny model with the nursery's back end: does a forked child work here?"""

    environment: dict[str, str]


class Adopt(_Message, frozen=True, kw_only=True):
    """Tells a worker that was started ahead of need whose it is now, before its order.

    The output log of the attempt comes along as a descriptor.
    """

    attempt_id: str


class FinishEarly(_Message, frozen=True, kw_only=True):
    """Tells a worker in the middle of its order to end its training and give what it has."""

    reason: str


ToWorker = RunAttempt | RunWeighing | RunProbe | RunSelfTest

# ── worker → parent ────────────────────────────────────────────────────────


class Hello(_Message, frozen=True, kw_only=True):
    """The worker is alive and has read its order."""

    pid: int


class Discovered(_Message, frozen=True, kw_only=True):
    """Hyperparameters that the order's space did not hold, in order, with their values."""

    entries: list[dict[str, Any]]
    values: dict[str, Value]


class Report(_Message, frozen=True, kw_only=True):
    """Metrics after one step (epoch) of one execution.

    ``batches`` training batches took ``seconds``, without validation;
    ``peak`` is the device memory taken so far.
    """

    step: int
    metrics: dict[str, float]
    execution: int = 0
    batches: int = 0
    seconds: float = 0.0
    peak: MemoryPeak | None = None


class DiskPaused(_Message, frozen=True, kw_only=True):
    """A file of the trial waits for space on the disk, and the training with it.

    ``free`` bytes are free, -1 if that is not known; it has waited for ``waited`` seconds since this
    was said last. ``over``: it was written, or given up, and the training goes on.
    """

    path: str
    free: int
    waited: float
    over: bool


class Done(_Message, frozen=True, kw_only=True):
    """The attempt has a result; it was spooled to disk before this was sent.

    ``values`` are all active values, discovered ones included; ``entries`` the
    newly discovered hyperparameters; ``files`` the SHA-256 of what it left for others, by name.
    ``attempt_id`` is the order's: a result that names another attempt is another's.
    """

    metrics: dict[str, float]
    best_step: int
    executions: list[dict[str, float]]
    values: dict[str, Value]
    entries: list[dict[str, Any]]
    peak_host_bytes: int | None = None
    peak: MemoryPeak | None = None
    files: dict[str, str] = {}
    attempt_id: str = ""


class Weighed(_Message, frozen=True, kw_only=True):
    """The answer to a weighing: ``size``, or ``why`` there is none.

    ``builds`` is false if the program's own code failed, so that the attempt
    will fail in the same way and tell it better. ``precise_bytes`` is the peak
    of a traced training step, if that was asked for and could be had.
    ``values`` and ``entries`` as in ``Done``.
    """

    size: ModelSize | None
    values: dict[str, Value]
    entries: list[dict[str, Any]]
    why: str = ""
    builds: bool = True
    precise_bytes: int | None = None


class Probed(_Message, frozen=True, kw_only=True):
    """The model was built; ``entries`` is the whole space, in order of appearance."""

    entries: list[dict[str, Any]]
    values: dict[str, Value]
    parameters: int | None = None


class Failed(_Message, frozen=True, kw_only=True):
    """The order failed with an exception. Hyperparameters discovered until then go along."""

    failure: TrialFailure
    values: dict[str, Value]
    entries: list[dict[str, Any]]
    peak: MemoryPeak | None = None


FromWorker = Hello | Discovered | Report | DiskPaused | Done | Probed | Weighed | Failed

# ── parent → nursery, nursery → parent ─────────────────────────────────────


class ForkWorker(_Message, frozen=True, kw_only=True):
    """Fork a keeper and a worker.

    Four descriptors come along, in this order: the worker's channel, the
    keeper's channel, the output log, the packed payload. A ``fresh`` worker executes a new
    interpreter, which imports ``imports`` before it waits for its order.
    """

    attempt_id: str
    fresh: bool = False
    imports: list[str] = []


class NurseryReady(_Message, frozen=True, kw_only=True):
    """The nursery has imported its modules.

    ``imported`` are those it was asked for, with their versions; ``loaded``
    all packages that this brought along; ``threads`` counts its native threads.
    ``left_out``: modules that started a back end when they were imported, with what they
    started; the workers import them. ``in_use``: what was started before anything was imported.
    """

    pid: int
    imported: dict[str, str]
    loaded: list[str]
    import_seconds: float
    threads: int
    left_out: dict[str, str] = {}
    in_use: list[str] = []


class ForkFailed(_Message, frozen=True, kw_only=True):
    """fork(2) failed; said on the channel that the keeper would have had."""

    attempt_id: str
    message: str


FromNursery = NurseryReady

# ── keeper ↔ parent ────────────────────────────────────────────────────────


class KeeperCommand(_Message, frozen=True, kw_only=True):
    """``terminate`` (SIGTERM, then SIGKILL after ``grace`` seconds), ``kill``, ``dump`` or ``log``.

    ``dump`` writes all stacks into the log; ``log`` brings the descriptor of
    the output log that is to be kept within bounds from now on.
    """

    action: str
    grace: float = 0.0


class WorkerStarted(_Message, frozen=True, kw_only=True):
    """The worker's process exists. The keeper's and the worker's pidfd come along."""

    keeper_pid: int
    worker_pid: int


class TreeGone(_Message, frozen=True, kw_only=True):
    """The worker ended and nothing that it started is left.

    ``status`` is the raw wait status; ``swept`` counts descendants that had to
    be killed after the worker's own end; ``oom_kills`` is how much the
    kernel's out-of-memory counter rose while the worker lived.
    """

    status: int
    swept: int
    cpu_seconds: float
    peak_host_bytes: int
    oom_kills: int = 0
    forced: bool = False


FromKeeper = WorkerStarted | ForkFailed | TreeGone
