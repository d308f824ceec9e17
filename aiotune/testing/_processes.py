"""Tools for tests with real worker processes: run an order, find what is left."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from aiotune.executors import Executor, WorkerExit, WorkerMessage, WorkSpec
from aiotune.executors._sweep import marked_processes
from aiotune.wire import RunAttempt, RunProbe

__all__ = ("Ran", "attempt_order", "leftovers", "probe_order", "run_order")

_DEADLINE = 60.0  # seconds; a test that needs it has failed


@dataclass(frozen=True, slots=True)
class Ran:
    """What one worker said and how it ended.

    Attributes:
        messages: All messages, in order.
        ending: The end of its process.
        log: Its output.
        work: What it was told.
    """

    messages: list[WorkerMessage]
    ending: WorkerExit
    log: str
    work: WorkSpec = field(repr=False)

    @property
    def said(self) -> list[str]:
        """The names of the messages' classes."""
        return [type(message).__name__ for message in self.messages]

    @property
    def last(self) -> Any:
        """The last message."""
        return self.messages[-1]


def attempt_order(directory: Path, *, index: int = 0, **changes: Any) -> WorkSpec:
    """Return an order to run one attempt, with everything it writes below a directory.

    Args:
        directory: Where output, result and checkpoint go.
        index: The trial's number.
        **changes: Fields of :class:`RunAttempt` to set.
    """
    trial_id = f"{index:04d}"
    trial_dir = directory / f"trial_{trial_id}"
    fields: dict[str, Any] = {
        "trial_id": trial_id,
        "index": index,
        "attempt": 1,
        "attempt_id": f"{trial_id}-01-{uuid.uuid4().hex[:8]}",
        "seed": 7,
        "stream": None,
        "space": {"space": [], "values": {}},
        "objective": [{"name": "score", "direction": "min"}],
        "budget": {},
        "environment": {},
        "threads": 1,
        "project_dir": str(directory),
        "trial_dir": str(trial_dir),
        "attempt_dir": str(trial_dir / "attempt-01"),
    }
    order = RunAttempt(**{**fields, **changes})
    return WorkSpec(order, order.attempt_id, Path(order.attempt_dir) / "output.log")


def probe_order(directory: Path) -> WorkSpec:
    """Return an order to probe the payload's model."""
    order = RunProbe(space={"space": [], "values": {}}, environment={}, threads=1)
    return WorkSpec(order, f"probe-{uuid.uuid4().hex[:8]}", directory / "probe.log")


async def run_order(
    executor: Executor, work: WorkSpec, *, stop_at: str | None = None, grace: float = 10.0
) -> Ran:
    """Run an order to its end.

    Args:
        executor: Where.
        work: What.
        stop_at: Name of a message class, after which the worker is stopped.
        grace: Seconds that the stopped worker is given.
    """
    with anyio.fail_after(_DEADLINE):
        worker = await executor.launch(work)
        messages = []
        if stop_at == "launch":
            await worker.stop(grace=grace)
        async for message in worker.messages():
            messages.append(message)
            if type(message).__name__ == stop_at:
                await worker.stop(grace=grace)
        ending = await worker.wait()
    return Ran(messages, ending, await to_thread.run_sync(_text, work.log_path), work)


async def leftovers(*attempt_ids: str) -> list[str]:
    """Return the command lines of the processes that still carry the marks of attempts."""
    return await to_thread.run_sync(_leftovers, attempt_ids)


def _text(path: Path) -> str:
    if not path.exists():  # an executor without processes has no output to keep
        return ""
    return path.read_bytes().decode(errors="replace")


def _leftovers(attempt_ids: tuple[str, ...]) -> list[str]:
    found = []
    for pid in marked_processes(attempt_ids):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it ended while it was looked at
        found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found
