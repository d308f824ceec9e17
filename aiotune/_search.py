"""One search, put together: slots, executor, project, probe, loop, result.

Whatever can be refused is refused before the project is opened, so that a
mistake in the arguments changes nothing on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from aiotune import events, logs
from aiotune._boundary import one_error
from aiotune._calibration_file import UserCalibration
from aiotune._callbacks import Callbacks
from aiotune._clock import SystemClock
from aiotune._devices import Resources, Wanted, find_resources
from aiotune._equipment import equipment, tell_of_ourselves
from aiotune._exit import ProgramExit
from aiotune._fit_arguments import arguments_for_trials, check_arguments
from aiotune._hooks import TunerHooks
from aiotune._offload import Overdue, ThreadOffloader
from aiotune._printable import printable
from aiotune._probing import probe_space
from aiotune._progress import Progress
from aiotune._retention import Retention
from aiotune._signals import Signals
from aiotune._threads import run_on_another_loop
from aiotune._tuner_state import load_state
from aiotune.errors import ConfigurationError, StorageError
from aiotune.executors import Executor, InlineExecutor, LocalExecutor
from aiotune.executors._sweep import sweep
from aiotune.hyperparameters import Space
from aiotune.result import SearchResult
from aiotune.scheduler import (
    PROBING,
    WEIGHING,
    Admission,
    AttemptRunner,
    DeviceWatch,
    Inquirer,
    Limits,
    SchedulerCore,
    SearchLoop,
    StopReason,
    Timing,
    Weigher,
)
from aiotune.status import TrialStatus
from aiotune.wire import Payload

if TYPE_CHECKING:
    from aiotune.base_tuner import BaseTuner
    from aiotune.hyperparameters import HyperParameters
    from aiotune.oracles import Oracle
    from aiotune.store import Layout

__all__ = ("known_space", "result_of", "run_search")

_FILE, _CALIBRATION, _SWEEPING = 60.0, 10.0, 120.0
"""Seconds that calls outside this program may take; docs/architecture.md lists them all."""


async def run_search(
    tuner: BaseTuner, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> SearchResult:
    """Run ``tuner.search(*args, **kwargs)``; see :meth:`BaseTuner.search`."""
    if tuner._searching:  # noqa: SLF001 - the tuner's other half
        raise ConfigurationError(
            "This tuner is already searching. Await the first search() before starting another."
        )
    search = _Search(tuner, args, kwargs)
    signals = Signals(search.hurry)
    tuner._searching = True  # noqa: SLF001
    try:
        with signals:
            try:
                return await search.run()
            finally:
                await signals.end_together()
    except BaseException as error:  # noqa: BLE001 - raised below, where it is not its own context
        ended = error
    finally:
        tuner._searching = False  # noqa: SLF001
        if signals.deadly is not None:
            signal.raise_signal(signals.deadly)  # die of it, as the sender expects
    raise _told(ended, search, signals)


def _told(error: BaseException, search: _Search, signals: Signals) -> BaseException:
    """Return what to raise: of an interruption, one that says what is left of the search."""
    ended = one_error(error)
    if isinstance(ended, ProgramExit):
        return ended.error
    if ended is not error and isinstance(ended, (KeyboardInterrupt, SystemExit)):
        # It has left the event loop with the task that it ended, of an inline trial say. Raised once
        # more it would break off what asyncio.run does to close the loop.
        ended = asyncio.CancelledError()
    if not isinstance(ended, asyncio.CancelledError):
        return ended
    if not ended.args:  # who cancels with a message of their own looks for it
        ended.args = (search.interrupted,)
    if signal.SIGINT in signals.heard:
        signals.interrupt_in_the_end(search.interrupted)
    return ended


class _Search:
    """The parts of one search and the order of their making and ending."""

    def __init__(self, tuner: BaseTuner, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.tuner = tuner
        self.oracle: Oracle = tuner.oracle
        self.layout: Layout = tuner._layout  # noqa: SLF001
        self.verbose = kwargs.get("verbose", self.oracle.verbose)
        for_trials = arguments_for_trials(tuner, kwargs)
        check_arguments(tuner, args, for_trials)
        self.payload = Payload(tuner, args, for_trials)
        self.offload = ThreadOffloader()
        self.clock = SystemClock()
        self.loop: SearchLoop | None = None
        self.retention: Retention | None = None
        self.observed: list[events.MemoryObserved] = []

    async def run(self) -> SearchResult:
        started = self.clock.monotonic()
        async with AsyncExitStack() as stack:
            resources = await stack.enter_async_context(
                equipment(
                    _wanted(self.tuner), self.offload, processes=self.tuner.executor == "local"
                )
            )
            progress = Progress(self.oracle, verbose=self.verbose, clock=self.clock)
            stack.push_async_callback(progress.aclose)
            executor = await stack.enter_async_context(
                _executor(self.tuner, self.payload, progress.log)
            )
            self.oracle.log = progress.log
            self.callbacks = Callbacks(progress.log)
            stack.callback(self.callbacks.close)
            await self._open(stack)
            log = await stack.enter_async_context(progress.logging(self.layout.events_log))
            log.info(logs.SEARCH_STARTED, slots=resources.most, why=resources.reason)
            for doubt in resources.doubts:
                log.warning(logs.DEVICES_IN_DOUBT, reason=doubt)
            await self._sweep(log)
            await self._prepare(executor, resources, log)
            await self._calibrate(stack, log)
            await tell_of_ourselves(resources, self.offload, log)
            await self._begin_retention()
            self.loop = loop = self._loop(executor, resources, log, progress)
            stack.enter_context(progress.showing(loop.running))
            try:
                await loop.run()
            except BaseException:
                log.warning(logs.SEARCH_UNFINISHED, kept=self._kept())
                raise
            finally:
                self._record_end(loop)
            await self._hook("on_search_end")
            result = result_of(self.oracle, self.layout, elapsed=self.clock.monotonic() - started)
            log.info(logs.SEARCH_FINISHED, trials=len(result.trials), best_score=result.best_score)
        return result

    def hurry(self) -> None:
        """End at once what an interruption has begun to end in order."""
        if self.loop is not None:
            self.loop.stop(StopReason.CANCELLED, 0.0)

    @property
    def interrupted(self) -> str:
        """What an interruption says of the search."""
        if not self.tuner._opened:  # noqa: SLF001
            return "The search was interrupted before it opened its project."
        return f"The search was interrupted: {self._kept()}. Run it again to go on."

    def _kept(self) -> str:
        # A rejected trial is finished, too, but counts neither here nor against the budget.
        statuses = [trial.status for trial in self.oracle.trials.values()]
        ended = sum(s.is_final and s is not TrialStatus.REJECTED for s in statuses)
        most = f" of {self.oracle.max_trials}" if self.oracle.max_trials else ""
        return f"{ended}{most} trials are finished and kept in {printable(self.layout.project_dir)}"

    async def _open(self, stack: AsyncExitStack) -> None:
        tuner = self.tuner
        overwrite = tuner.overwrite and not tuner._opened  # noqa: SLF001
        await stack.enter_async_context(
            self.oracle.open(
                tuner.directory,
                tuner.project_name,
                overwrite=overwrite,
                allow_shared=tuner.allow_shared,
                # Of a program that calls tuner.save() before it searches.
                beside=[self.layout.tuner_state(tuner.tuner_id).name],
            )
        )
        tuner._opened = True  # noqa: SLF001
        if not overwrite:
            await self.offload.run(
                "disk", load_state, tuner, deadline=_FILE, what="Reading the tuner's own state"
            )

    async def _sweep(self, log: Any) -> None:
        """End what an earlier search of the project has left running.

        A keeper ends its trial with its program. What was left by one that was itself
        killed must not train beside the trial's next attempt.
        """
        left = self.oracle.interrupted_attempts
        what = "Ending what an earlier search has left running"
        swept = 0
        if left:
            swept = await self.offload.run("watch", sweep, left, deadline=_SWEEPING, what=what)
        if swept:
            log.warning(logs.PROCESSES_SWEPT, trial=None, count=swept)

    async def _prepare(self, executor: Executor, resources: Resources, log: Any) -> None:
        await self._hook("on_search_begin")
        if self.tuner.hypermodel is not None:
            inquirer = Inquirer(executor, PROBING, self.clock, self.offload)
            await probe_space(self.oracle, inquirer, resources, self.layout, log)

    async def _begin_retention(self) -> None:
        if self.tuner.builds_keras_models:
            self.retention = Retention(self.oracle, self.layout, self.tuner.keep_best, self.offload)
            await self.retention.begin()

    async def _calibrate(self, stack: AsyncExitStack, log: Any) -> None:
        """Add what other projects of this user have taught, if that is wanted."""
        if self.tuner.calibration != "user":
            return
        kept = UserCalibration()
        # At home, which may be on another disk than the project.
        run = partial(self.offload.run, "home", deadline=_CALIBRATION)
        told = partial(log.warning, logs.CALIBRATION_UNREADABLE, path=str(kept.path))
        try:
            self.oracle.learn(await run(kept.read, log))
        except Overdue as error:
            told(error_message=str(error))

        async def keep() -> None:
            if self.observed:
                try:
                    await run(kept.add, self.observed, log)
                except Overdue as error:
                    told(error_message=str(error))

        stack.push_async_callback(keep)

    def _loop(
        self, executor: Executor, resources: Resources, log: Any, progress: Progress
    ) -> SearchLoop:
        tuner = self.tuner
        admission = Admission(
            resources,
            self.oracle.calibration,
            space=Space.of(self.oracle.hyperparameters.space).fingerprint(),
            trains=tuner.builds_keras_models and tuner.hypermodel is not None,
            halves=tuner.halve_batch,
        )
        shared: dict[str, Any] = {
            "oracle": self.oracle,
            "executor": executor,
            "layout": self.layout,
            "log": log,
            "admission": admission,
            "hooks": TunerHooks(tuner, progress, self.offload, self.retention, self.callbacks),
        }
        shared |= {"clock": self.clock, "offload": self.offload}
        limits = Limits(tuner.trial_timeout, tuner.stall_warn, tuner.stall_timeout)
        runner = AttemptRunner(prunes=tuner.executor != "inline", **shared)
        self.observed = runner.observed
        return SearchLoop(
            core=SchedulerCore(
                admission, ahead=1 if self.oracle.proposes_ahead else 0, weighs=_weighs(tuner)
            ),
            oracle=self.oracle,
            runner=runner,
            weigher=Weigher(
                max_model_size=tuner.max_model_size, deadlines=WEIGHING.within(limits), **shared
            ),
            watch=DeviceWatch(resources, self.offload),
            log=log,
            clock=self.clock,
            timing=Timing(grace=tuner.stop_grace, limits=limits),
            on_tick=progress.tick,
            offload=self.offload,
            before_proposal=partial(self._hook, "pre_create_trial")
            if tuner.overrides("pre_create_trial")
            else None,
            on_stop=self.callbacks.end_within,
        )

    async def _hook(self, name: str) -> None:
        if self.tuner.overrides(name):
            await self.callbacks.call(getattr(self.tuner, name))

    def _record_end(self, loop: SearchLoop) -> None:
        # Closing the project makes it durable. If the journal has failed, that
        # is what the loop has raised.
        with contextlib.suppress(StorageError):
            self.oracle.record(events.SearchEnded(reason=loop.end, at=self.clock.now()))


def _wanted(tuner: BaseTuner) -> Wanted:
    return Wanted(
        max_parallel_trials=tuner.max_parallel_trials,
        devices=tuner.devices,
        max_trials_per_gpu=tuner.max_trials_per_gpu,
        gpus_per_trial=tuner.gpus_per_trial,
        gpu_memory=tuner.gpu_memory,
    )


def _weighs(tuner: BaseTuner) -> bool:
    # Weighing patches keras, so it needs a process to throw away.
    return tuner.weigh and tuner.hypermodel is not None and tuner.executor != "inline"


@asynccontextmanager
async def _executor(
    tuner: BaseTuner, payload: Payload, log: Any, *, more_to_come: bool = False
) -> AsyncIterator[Executor]:
    """Make the executor that was asked for, and end it afterwards.

    With ``more_to_come`` the process that has imported keras is left to the
    tuner's next executor, which would have to import it again.
    """
    choice: Any = tuner.executor
    if isinstance(choice, str) and choice not in {"local", "inline"}:
        raise ConfigurationError(
            f"executor must be 'local', 'inline' or an Executor, not {choice!r}."
        )
    if not isinstance(choice, str):
        yield choice  # the caller's own: the caller ends it
        return
    if choice == "inline":
        if tuner.oracle.pruner is not None:
            hint = "With executor='inline' a trial is heard when it has ended, so it runs in full."
            log.warning(logs.PRUNER_IDLE, pruner=type(tuner.oracle.pruner).__name__, hint=hint)
        made: InlineExecutor | LocalExecutor = InlineExecutor(payload)
    else:
        nursery, tuner._nursery = tuner._nursery, None  # noqa: SLF001
        made = await LocalExecutor.start(
            payload, log=log, start=tuner.start_method, nursery=nursery
        )
    try:
        yield made
        if more_to_come and isinstance(made, LocalExecutor):
            tuner._nursery = made.hand_over()  # noqa: SLF001
    finally:
        with anyio.CancelScope(shield=True):
            await made.aclose()


def result_of(oracle: Oracle, layout: Layout, *, elapsed: float) -> SearchResult:
    """Gather the result from an oracle's trials."""
    return SearchResult.from_trials(
        list(oracle.trials.values()),
        objective=oracle.objective,
        project_dir=layout.project_dir,
        elapsed=elapsed,
    )


def known_space(tuner: BaseTuner) -> HyperParameters:
    """Return the tuner's search space, probing the model in a process if it is not known yet.

    Synchronous, so that it can be called before a search and inside a notebook.
    """
    oracle = tuner._loaded_oracle()  # noqa: SLF001
    if oracle.hyperparameters.space or tuner.hypermodel is None:
        return oracle.hyperparameters
    # Made here: Keras keeps what a program has set for each thread apart.
    run_on_another_loop(partial(_probe_alone, tuner, Payload(tuner, (), {})))
    return oracle.hyperparameters


async def _probe_alone(tuner: BaseTuner, payload: Payload) -> None:
    wanted = Wanted(max_parallel_trials=1, devices=[])  # a probe sees no GPU anyhow
    resources = find_resources(wanted)
    log = logs.open_log(None)
    async with _executor(tuner, payload, log, more_to_come=True) as executor:
        inquirer = Inquirer(executor, PROBING, SystemClock(), ThreadOffloader())
        await probe_space(tuner.oracle, inquirer, resources, tuner._layout, log)  # noqa: SLF001
