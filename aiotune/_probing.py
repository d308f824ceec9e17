"""Learns the search space before the first trial, in a process without a GPU."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from aiotune import logs
from aiotune._printable import printable
from aiotune.errors import ConfigurationError, PayloadError
from aiotune.executors import WorkerExit, WorkSpec
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters, deserialize
from aiotune.scheduler import Inquirer, Overdue, exit_in_words, rebuild_fatal
from aiotune.wire import Discovered, Failed, Probed, RunProbe

if TYPE_CHECKING:
    from aiotune._devices import Resources
    from aiotune.oracles import Oracle
    from aiotune.store import Layout

__all__ = ("probe_space",)


async def probe_space(
    oracle: Oracle, inquirer: Inquirer, resources: Resources, layout: Layout, log: Any
) -> None:
    """Build the model once in a worker and give the oracle the hyperparameters that it used.

    It also proves, before any trial, that the program and its arguments reach a worker.

    A build that comes to no end is like one that fails: what it has asked for by then is what is known,
    and trials tell the rest.

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
    hp = oracle.given_space.copy()

    def discovered(told: Discovered) -> None:
        hp.add(deserialize(entry) for entry in told.entries)

    answer = await inquirer.ask(
        WorkSpec(order, f"probe-{uuid.uuid4().hex[:8]}", log_path),
        owns_log=True,
        on_discovered=discovered,
    )
    if isinstance(answer, Failed):
        raise _sentence(answer.failure, str(log_path))
    if isinstance(answer, Overdue):
        await _go_on_without(answer, hp, oracle, str(log_path), log)
        return
    if not isinstance(answer, Probed):
        what = exit_in_words(answer) if isinstance(answer, WorkerExit) else "gave another answer"
        raise ConfigurationError(
            f"The process that builds the model for the first time {what}. Its output is in {log_path}."
        )
    hp = HyperParameters()
    hp.add(deserialize(entry) for entry in answer.entries)
    await oracle.declare_space(hp.with_values(answer.values))
    log.info(logs.SPACE_PROBED, hyperparameters=len(answer.entries), parameters=answer.parameters)


async def _go_on_without(
    overdue: Overdue, hp: HyperParameters, oracle: Oracle, log_path: str, log: Any
) -> None:
    if not hp.space:
        error = ConfigurationError(
            f"The model cannot be built: the process that builds it for the first time {overdue.why}, "
            "and was ended.",
            hint="It had not asked for any hyperparameter yet, so every trial would wait in the same "
            f"place. Where each of its threads was is in {log_path}.",
        )
        if overdue.stacks:
            lines = [printable(line) for line in overdue.stacks.splitlines()]
            error.add_note("\n".join(["In the worker:", *lines]))
        raise error
    hp.ensure_active_values()
    await oracle.declare_space(hp)
    log.warning(
        logs.PROBE_STALLED,
        why=overdue.why,
        seconds=round(overdue.seconds),
        ended=overdue.ended,
        hyperparameters=len(hp.space),
        log=log_path,
        stacks=overdue.stacks,
        hint="the search goes on with the hyperparameters asked for by then; trials tell the rest.",
    )


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
