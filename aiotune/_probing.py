"""Learns the search space before the first trial, in a process without a GPU."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiotune import logs
from aiotune._printable import printable
from aiotune.errors import ConfigurationError, PayloadError
from aiotune.executors import Executor, WorkSpec
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters, deserialize
from aiotune.scheduler import exit_in_words, rebuild_fatal
from aiotune.wire import Failed, Probed, RunProbe

if TYPE_CHECKING:
    from aiotune._devices import Resources
    from aiotune.oracles import Oracle
    from aiotune.store import Layout

__all__ = ("probe_space",)


async def probe_space(
    oracle: Oracle, executor: Executor, resources: Resources, layout: Layout, log: Any
) -> None:
    """Build the model once in a worker and give the oracle the hyperparameters that it used.

    It also proves, before any trial, that the program and its arguments reach a worker.

    Raises:
        FatalError: ``build`` returned no model, or raised a ``FatalError``.
        PayloadError: The worker could not load what was sent.
        ConfigurationError: The model cannot be built at all.
    """
    # Only what the program itself declares goes in: what an earlier run found
    # would hide that the program has changed since.
    order = RunProbe(
        space=oracle.given_space.get_config(),
        environment=dict(resources.probe_environment),
        threads=1,
    )
    log_path = layout.probe_log
    answer = await _ask(executor, order, log_path)
    if isinstance(answer, Failed) and answer.failure.kind is FailureKind.FORK_REFUSED:
        answer = await _ask(executor, order, log_path)  # in a process that was not forked
    if isinstance(answer, Failed):
        raise _sentence(answer.failure, str(log_path))
    if not isinstance(answer, Probed):
        raise ConfigurationError(
            f"The process that builds the model for the first time {answer}. Its output is in {log_path}."
        )
    hp = HyperParameters()
    hp.add(deserialize(entry) for entry in answer.entries)
    await oracle.declare_space(hp.with_values(answer.values))
    log.info(logs.SPACE_PROBED, hyperparameters=len(answer.entries), parameters=answer.parameters)


async def _ask(executor: Executor, order: RunProbe, log_path: Path) -> Probed | Failed | str:
    worker = await executor.launch(WorkSpec(order, f"probe-{uuid.uuid4().hex[:8]}", log_path))
    last: Probed | Failed | None = None
    async for message in worker.messages():
        if isinstance(message, (Probed, Failed)):
            last = message
    ending = await worker.wait()
    return last if last is not None else exit_in_words(ending)


def _sentence(failure: TrialFailure, log_path: str) -> Exception:
    error: ConfigurationError
    if failure.type == PayloadError.__name__:
        error = PayloadError(printable(failure.message, 900))
    elif failure.kind is FailureKind.FATAL:
        return rebuild_fatal(failure, "(the first build of the model)")
    else:
        error = ConfigurationError(
            f"The model cannot be built: {printable(failure.summary(), 500).rstrip('.')}.",
            hint="It failed before it had asked for any hyperparameter, so every trial would fail. "
            f"The output is in {log_path}.",
        )
    if failure.traceback:
        error.add_note(f"In the worker:\n{failure.traceback}")
    return error
