"""Has a trial's model weighed in a process without a GPU, before the trial is given any memory."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, assert_never

import anyio
import msgspec

from aiotune import events, logs
from aiotune._gpu import format_bytes
from aiotune.errors import SearchAborted
from aiotune.executors import Executor, SpawnError, WorkerExit, WorkSpec
from aiotune.failures import FailureKind, TrialFailure
from aiotune.memory import training_bytes
from aiotune.scheduler._admission import Admission, Need
from aiotune.scheduler._attempts import Hooks
from aiotune.scheduler._discovered import take_in
from aiotune.scheduler._inquiry import WEIGHING, Answer, Deadlines, Inquirer, Overdue
from aiotune.scheduler._outcomes import exit_in_words
from aiotune.status import TrialStatus
from aiotune.wire import Failed, Probed, RunWeighing, Weighed

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune._offload import Offloader
    from aiotune.oracles import Oracle
    from aiotune.store import Layout
    from aiotune.trial import Trial

__all__ = ("Weigher", "known_need")

_HOST_BYTES = 8 << 30
"""The most that building a model for real, where it cannot be weighed, may take of the host."""


def known_need(trial: Trial) -> Need | None:
    """Return what is known of a trial's memory from an earlier attempt; ``None``: nothing."""
    weighed = trial.weighed
    if weighed is None:
        return None if trial.rung is None else Need(rung=trial.rung)
    return Need(weighed.size, builds=weighed.builds, traced=weighed.traced, rung=trial.rung)


class Weigher:
    """Weighs trials.

    Args:
        oracle: Whose trials; takes the hyperparameters that are discovered.
        executor: Starts the processes.
        layout: Where their output goes.
        log: Takes events.
        admission: Knows the largest device.
        hooks: Are told of a trial that is rejected.
        max_model_size: Parameters beyond which a model is rejected.
        clock: Tells the time.
        offload: Looks for signs of life.
        deadlines: How long a weighing may take.
    """

    def __init__(
        self,
        *,
        oracle: Oracle,
        executor: Executor,
        layout: Layout,
        log: Any,
        admission: Admission,
        hooks: Hooks,
        max_model_size: int | None,
        clock: Clock,
        offload: Offloader,
        deadlines: Deadlines = WEIGHING,
    ) -> None:
        self._oracle, self._layout = oracle, layout
        self._inquirer = Inquirer(executor, deadlines, clock, offload)
        self._log, self._admission, self._max = log, admission, max_model_size
        self._hooks = hooks
        self._ids = itertools.count()
        # Each keeps a core busy, and those that train want some as well.
        self._turn = anyio.Semaphore(max(1, admission.resources.cores // 2))
        self._objective = oracle.objective.to_dicts()

    async def weigh(self, trial: Trial, known: Need | None) -> Need | None:
        """Find out what memory a trial needs.

        Args:
            trial: Which one.
            known: What was found out already, if only a trace of a step is wanted.

        Returns:
            What is known; ``None`` if the trial was rejected, which is recorded.
        """
        answer = await self._ask(self._order(trial, precise=known is not None))
        match answer:
            case Weighed():
                await take_in(self._oracle, trial, answer.entries, answer.values)
                return self._weighed(trial, answer, known)
            case Failed(failure=failure) if failure.kind is FailureKind.OVERSIZED:
                await take_in(self._oracle, trial, answer.entries, answer.values)
                await self.reject(trial, failure)
                return None
            case Failed(failure=failure):
                return self._unknown(trial, known, failure.summary())
            case Overdue():
                return self._overdue(trial, known, answer)
            case str() | Probed():
                return self._unknown(trial, known, f"the process that weighs it {answer}")
            case _:
                assert_never(answer)

    async def reject(self, trial: Trial, failure: TrialFailure) -> None:
        """Record that a trial cannot run here."""
        trial.failure, trial.message = failure, failure.summary()
        trial.status = TrialStatus.REJECTED
        try:
            await self._oracle.end_trial(trial)
        except SearchAborted:  # it is recorded, and was one too many in a row
            await self._hooks.trial_ended(trial, 0.0)
            raise
        await self._hooks.trial_ended(trial, 0.0)

    def _weighed(self, trial: Trial, answer: Weighed, known: Need | None) -> Need:
        size = answer.size
        if size is None:
            return self._unknown(trial, known, answer.why, builds=answer.builds)
        if answer.why:
            built = size.method == "built"
            event = logs.WEIGHED_BY_BUILDING if built else logs.WEIGHED_IN_PART
            self._log.info(event, trial=trial.trial_id, why=answer.why)
        self._log.info(
            logs.TRIAL_WEIGHED,
            trial=trial.trial_id,
            parameters=size.parameters,
            predicted=format_bytes(answer.precise_bytes or training_bytes(size)),
            batch_size=size.batch_size,
        )
        return self._record(trial, Need(size, traced=_traced(answer, known), rung=trial.rung))

    def _unknown(self, trial: Trial, known: Need | None, why: str, *, builds: bool = True) -> Need:
        if known is not None and known.size is not None:
            # Only the trace was wanted; that there is none is an answer as well.
            return self._record(trial, Need(known.size, traced=0, rung=known.rung))
        self._log.info(logs.WEIGHING_FAILED, trial=trial.trial_id, why=why, builds=builds)
        return self._record(trial, Need(builds=builds, rung=trial.rung))

    def _overdue(self, trial: Trial, known: Need | None, overdue: Overdue) -> Need:
        self._log.warning(
            logs.WEIGHING_STALLED,
            trial=trial.trial_id,
            why=overdue.why,
            seconds=round(overdue.seconds),
            ended=overdue.ended,
            log=str(self._layout.probe_log),
            stacks=overdue.stacks,
        )
        why = f"the process that weighs it {overdue.why}, and was ended"
        return self._unknown(trial, known, why)

    def _record(self, trial: Trial, need: Need) -> Need:
        size = None if need.size is None else msgspec.structs.replace(need.size, layers=())
        self._oracle.record(
            events.TrialWeighed(
                trial_id=trial.trial_id, size=size, traced=need.traced, builds=need.builds
            )
        )
        return need

    # ── the process ────────────────────────────────────────────────────────

    def _order(self, trial: Trial, *, precise: bool) -> RunWeighing:
        resources = self._admission.resources
        return RunWeighing(
            trial_id=trial.trial_id,
            index=trial.index,
            seed=self._oracle.seed,
            stream=trial.stream,
            space=trial.hyperparameters.get_config(),
            objective=self._objective,
            budget=dict(trial.budget),
            parent_id=trial.parent_id or "",
            environment=dict(resources.probe_environment),
            threads=1,
            max_parameters=self._max,
            max_bytes=resources.gpu_memory or self._admission.largest,
            host_bytes=min(_HOST_BYTES, max(1, self._admission.ledger.host.available)),
            precise=precise,
        )

    async def _ask(self, order: RunWeighing) -> Answer | Overdue | str:
        marker = f"weigh-{order.trial_id}-{next(self._ids)}"
        turn = _Turn(self._turn)
        await turn.take()
        try:
            # Its log is that of all weighings, so what is written there need not be its own.
            work = WorkSpec(order, marker, self._layout.probe_log)
            answer = await self._inquirer.ask(work, on_quiet=turn.leave)
        except SpawnError as error:
            return f"could not be started: {error}"
        finally:
            turn.leave()
        return exit_in_words(answer) if isinstance(answer, WorkerExit) else answer


class _Turn:
    """A place among those that weigh; left once, and early by one that waits, so that others go on."""

    def __init__(self, places: anyio.Semaphore) -> None:
        self._places, self._taken = places, False

    async def take(self) -> None:
        await self._places.acquire()
        self._taken = True

    def leave(self) -> None:
        if self._taken:
            self._taken = False
            self._places.release()


def _traced(answer: Weighed, known: Need | None) -> int | None:
    if answer.precise_bytes is None and known is not None and answer.size is not None:
        return 0  # asked for and not to be had: not asked for again
    return answer.precise_bytes
