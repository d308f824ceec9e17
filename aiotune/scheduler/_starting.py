"""What a worker is told, and how one is started on a host that may have no room for it now."""

from __future__ import annotations

import contextlib
import errno
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from aiotune import logs
from aiotune._disk import free_bytes, tells_full
from aiotune._offload import Overdue
from aiotune.executors import Executor, SpawnError, Worker, WorkSpec
from aiotune.hyperparameters import HyperParameters, serialize
from aiotune.wire import RunAttempt

if TYPE_CHECKING:
    from aiotune._offload import Offloader
    from aiotune.oracles import Oracle
    from aiotune.scheduler._attempts import Running
    from aiotune.store import Layout

__all__ = ("Orders", "start_worker")

_DELAYS = (0.1, 0.5, 2.0, 5.0, 15.0, 30.0, 60.0)
"""Seconds between tries to start a process: a host that can start none may need minutes."""
_LASTING = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS})
_LOOK_AGAIN = 1.0
"""Seconds between two looks at a full disk, and at whether anybody still wants the attempt."""
_TELL_AGAIN = 60.0
_PATIENCE = 3600.0
_ASKING = 5.0


class Orders:
    """Makes the orders of a search's attempts.

    Args:
        oracle: Whose trials they are.
        layout: Where their files are.
    """

    def __init__(self, oracle: Oracle, layout: Layout) -> None:
        self._oracle, self._layout = oracle, layout
        self._objective = oracle.objective.to_dicts()
        self._space_entries: list[dict[str, Any]] = []

    def of(self, running: Running) -> RunAttempt:
        """Return what an attempt's worker is told."""
        trial, place, paths = running.trial, running.place, running.paths
        parent = None if trial.parent_id is None else self._oracle.trials[trial.parent_id]
        return RunAttempt(
            trial_id=trial.trial_id,
            index=trial.index,
            attempt=running.attempt,
            attempt_id=running.attempt_id,
            seed=self._oracle.seed,
            stream=trial.stream,
            space={
                "space": self._entries(trial.hyperparameters),
                "values": trial.hyperparameters.values,
            },
            objective=self._objective,
            budget=dict(trial.budget),
            environment=dict(place.environment),
            threads=place.threads,
            memory=place.limit,
            cpus=list(place.cpus),
            batch_divisor=trial.batch_divisor,
            retry=trial.failures,
            parent_id=trial.parent_id or "",
            parent_dir="" if parent is None else str(self._layout.trial_dir(parent.trial_id)),
            parent_files={} if parent is None else dict(parent.files),
            prunable=self._oracle.pruner is not None,
            project_dir=str(self._layout.project_dir),
            trial_dir=paths.trial_dir,
            attempt_dir=paths.attempt_dir,
        )

    def _entries(self, hp: HyperParameters) -> list[dict[str, Any]]:
        # Spaces only grow, and all trials share one: one list serves them all.
        if len(hp.space) != len(self._space_entries):
            self._space_entries = [serialize(entry) for entry in hp.space]
        return self._space_entries


async def start_worker(
    executor: Executor,
    work: WorkSpec,
    log: Any,
    wanted: Callable[[], bool],
    offload: Offloader,
) -> Worker | None:
    """Start a worker, with tries further and further apart while the system refuses.

    A full disk, on which the output of the worker finds no place, is waited for
    as the journal waits for it. Anything else is tried again for two minutes.

    Args:
        executor: Starts it.
        work: What it is to do.
        log: Takes warnings.
        wanted: Whether the attempt is still to be made.
        offload: Asks the disk how much is free.

    Returns:
        ``None`` if it was given up because nobody wants it any more.

    Raises:
        SpawnError: No process could be started, after all these tries.
    """
    tries, waited = 0, 0.0
    while wanted():
        try:
            worker = await executor.launch(work)
        except SpawnError as error:
            if tells_full(error) and waited < _PATIENCE:
                delay = _LOOK_AGAIN
                if waited % _TELL_AGAIN == 0:
                    await _tell_full(work, log, offload)
                waited += delay
            elif tries < len(_DELAYS) and not _will_not_pass(error):
                # Many attempts that were refused at once should not come back at once.
                delay = _DELAYS[tries] * random.Random(work.attempt_id).uniform(0.75, 1.25)  # noqa: S311 - no secret
                tries += 1
                _tell_refused(work, log, error, delay)
            else:
                raise
            await _pause(delay, wanted)
        else:
            if waited:
                log.info(logs.DISK_HAS_SPACE, path=str(work.log_path), waited=round(waited, 1))
            return worker
    return None


def _will_not_pass(error: SpawnError) -> bool:
    """Whether trying again is no use: a link in the place of a folder, or no right to write there."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _LASTING


async def _pause(delay: float, wanted: Callable[[], bool]) -> None:
    over = anyio.current_time() + delay
    while wanted() and (left := over - anyio.current_time()) > 0:  # noqa: ASYNC110 - a field tells
        await anyio.sleep(min(left, _LOOK_AGAIN))


async def _tell_full(work: WorkSpec, log: Any, offload: Offloader) -> None:
    free = -1
    with contextlib.suppress(Overdue):
        free = await offload.run("disk", free_bytes, work.log_path.parents[2], deadline=_ASKING)
    log.warning(
        logs.DISK_FULL, path=str(work.log_path), reason="No space left on device", free_bytes=free
    )


def _tell_refused(work: WorkSpec, log: Any, error: SpawnError, delay: float) -> None:
    log.warning(
        logs.SPAWN_FAILED,
        attempt_id=work.attempt_id,
        error_message=str(error),
        delay=round(delay, 1),
    )
