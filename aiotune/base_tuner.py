"""What all tuners have in common: KerasTuner's facade, with ``search()`` as a coroutine.

This module is imported by workers too (a tuner travels there with its
subclass), so at module level it imports nothing of the parent's machinery.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from aiotune import _tuner_checks
from aiotune._arguments import check_plugin, check_whole
from aiotune._layout import Layout
from aiotune._notebook import explain_in_cells
from aiotune.errors import ConfigurationError
from aiotune.hypermodel import HyperModel, as_hypermodel

if TYPE_CHECKING:
    from aiotune.executors import Executor
    from aiotune.executors._nursery import Nursery
    from aiotune.hyperparameters import HyperParameters
    from aiotune.oracles import Oracle
    from aiotune.pruners import Pruner
    from aiotune.result import SearchResult
    from aiotune.trial import Trial
    from aiotune.worker._oracle_view import OracleView

__all__ = ("BaseTuner",)

ExecutorChoice = Literal["local", "inline"]
StartMethod = Literal["auto", "fork", "spawn"]


class BaseTuner:
    """Runs trials of anything, each in a process of its own; subclass it and override ``run_trial``.

    :class:`~aiotune.Tuner` is the one that trains Keras models.

    Args:
        oracle: Proposes configurations and keeps the trials.
        hypermodel: A function ``build(hp)`` or a :class:`HyperModel`. May be
            ``None`` if ``run_trial`` is overridden.
        directory: Where projects are kept; default the working directory.
        project_name: Name of this project's directory; default ``"untitled_project"``.
        overwrite: Discard an existing project instead of resuming it. Takes
            effect once, when the project is first opened.
        logger: Accepted for compatibility and ignored.
        tuner_id: Names the file of :meth:`get_state`; one process needs no other id.
        pruner: Ends trials early that do worse than others; see :mod:`aiotune.pruners`.
        max_parallel_trials: How many trials run at once; default one per GPU,
            or what cores and free memory allow where there is none.
        devices: Which GPUs to use, as indices or UUIDs; default all that
            ``CUDA_VISIBLE_DEVICES`` allows; ``[]``: none.
        max_trials_per_gpu: How many trials may share a GPU; ``"auto"``: as many as
            their predicted memory allows, while they gain by it.
        gpus_per_trial: How many GPUs each trial sees.
        gpu_memory: Memory of each of its GPUs that a trial is given and held to,
            e.g. ``"8GiB"``; default what its model is predicted to need.
        calibration: ``"project"``: predictions of memory learn from this project's
            trials; ``"user"``: also from those of this user's other projects.
        trial_timeout: Seconds after which an attempt is stopped and counts as failed.
        stall_warn: Seconds without a sign of life (no report, no output, no CPU time used; on a
            GPU its work instead of CPU time, see docs/processes.md) after which the stacks
            of a trial's threads are written to its log, with a warning; ``None``: never.
        stall_timeout: Seconds of the same after which an attempt is stopped and counts as
            failed; default never. Choose more than the longest time for which a trial on a GPU
            uses the CPU alone, as to fill a shuffle buffer.
        stop_grace: Seconds between asking a worker to end and killing it.
        allow_shared: Use a project directory although it is another user's, or others may write to
            it, who could then replace files of a running search.
        executor: ``"local"`` runs each attempt in a process of its own, ``"inline"`` in this one (for
            debugging and for functions that take microseconds), or an object of your own.
        start_method: How ``"local"`` makes processes: ``"fork"`` from one that has imported the back end,
            ``"spawn"`` as fresh interpreters, slower; ``"auto"``: forks, until a back end refuses to work in one.
        **kwargs: None; anything here is refused.

    Raises:
        ConfigurationError: An argument is wrong, or not known.
        WrongType: An argument is of a wrong type; that is a ``TypeError``.
        FatalValueError: The hypermodel is none.
        FatalTypeError: The hypermodel cannot be called with hyperparameters.
    """

    # What only the tuners of Keras models let their users choose.
    builds_keras_models = False
    max_model_size: int | None = None
    weigh = False
    halve_batch = False
    keep_best: int | None = None

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        *,
        logger: Any = None,
        tuner_id: str | None = None,
        pruner: Pruner | None = None,
        max_parallel_trials: int | None = None,
        devices: Sequence[int | str] | None = None,
        max_trials_per_gpu: int | Literal["auto"] = "auto",
        gpus_per_trial: int = 1,
        gpu_memory: int | str | None = None,
        calibration: Literal["project", "user"] = "project",
        trial_timeout: float | None = None,
        stall_warn: float | None = 300.0,
        stall_timeout: float | None = None,
        stop_grace: float = 10.0,
        allow_shared: bool = False,
        executor: ExecutorChoice | Executor = "local",
        start_method: StartMethod = "auto",
        **kwargs: Any,
    ) -> None:
        _tuner_checks.refuse_unknown(type(self), kwargs)
        _tuner_checks.check_oracle(oracle)
        self._oracle: Oracle | OracleView = oracle
        if pruner is not None:
            check_plugin("pruner", pruner, "judge", "aiotune.pruners")
            oracle.pruner = pruner
        self.hypermodel: HyperModel | None = as_hypermodel(hypermodel)
        if self.hypermodel is None and not self.overrides("run_trial"):
            raise ConfigurationError(
                "Received hypermodel=None, and run_trial() is not overridden, so there is nothing to "
                "train. Pass a function that builds a model, or override run_trial()."
            )
        self.directory = _tuner_checks.checked_directory(directory)
        self.project_name = project_name if project_name is not None else "untitled_project"
        self._layout = Layout(self.directory, self.project_name)
        self.overwrite = overwrite
        self.tuner_id = "tuner0" if tuner_id is None else tuner_id
        self.max_parallel_trials = max_parallel_trials
        self.devices = devices
        self.max_trials_per_gpu: int | Literal["auto"] = max_trials_per_gpu
        self.gpus_per_trial = gpus_per_trial
        self.gpu_memory = gpu_memory
        self.calibration = calibration
        self.trial_timeout = trial_timeout
        self.stall_warn, self.stall_timeout = stall_warn, stall_timeout
        self.stop_grace, self.allow_shared = stop_grace, allow_shared
        self.executor: ExecutorChoice | Executor = executor
        self.start_method: StartMethod = start_method
        _tuner_checks.check_tuner(self)
        self._searching = False
        self._opened = False
        self._nursery: Nursery | None = None
        explain_in_cells()

    @property
    def oracle(self) -> Oracle:
        """The oracle; within a trial its facts and its ``update_trial``, wherever trials run.

        A trial of ``executor="inline"`` runs beside the real oracle, whose
        ``update_trial`` is a coroutine: code that was debugged there would not
        run in a process, and the reverse.
        """
        from aiotune.worker._context import current_attempt
        from aiotune.worker._oracle_view import OracleView

        if current_attempt.get() is not None:
            return cast("Oracle", OracleView.of(self._oracle))
        return cast("Oracle", self._oracle)

    # ── the search ─────────────────────────────────────────────────────────

    async def search(self, *fit_args: Any, **fit_kwargs: Any) -> SearchResult:
        """Search until the budget is spent.

        All arguments go to ``run_trial``, that is, to ``model.fit`` of a Keras
        model. ``verbose=0`` also silences the progress display. Calling it again
        continues: finished trials stay, unfinished ones run.

        Returns:
            What was found.

        Raises:
            FatalError: A trial raised it (or a subclass); no process is left.
            SearchAborted: ``max_consecutive_failed_trials`` failed in a row.
            ConfigurationError: The search cannot begin; nothing was changed.
            DeviceError: GPUs are asked for, and there are none, or they fail.
            ProjectError: The project directory is held, damaged or of another search.
        """
        from aiotune._threads import end_idle_threads, start_in_thread  # which workers never need

        # The first time it is tens of modules, for which no other task should wait.
        await start_in_thread(import_module, "aiotune._search")
        _tuner_checks.refuse_within_a_trial()
        from aiotune._boundary import shortened
        from aiotune._search import run_search

        try:
            return await run_search(self, fit_args, fit_kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again, and shown with this line
            ended = shortened(error)
        finally:
            end_idle_threads()
        raise ended

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Run one configuration and return its result; runs in a worker process.

        Override it to tune anything: use ``trial.hyperparameters`` and return a
        number to minimise, a dict of metrics, a ``History``, or a list of these.

        Args:
            trial: What to run.
            *args: Positional arguments of :meth:`search`.
            **kwargs: Keyword arguments of :meth:`search`.

        Raises:
            NotImplementedError: It is not overridden.
        """
        raise NotImplementedError(f"{type(self).__name__} must override run_trial().")

    # ── hooks ──────────────────────────────────────────────────────────────
    # A plain function runs in a thread of its own, a coroutine on the event loop: see
    # docs/processes.md.

    def on_search_begin(self) -> Any:
        """Do something before the first trial; in the calling process; may be a coroutine."""

    def on_search_end(self) -> Any:
        """Do something after the last trial; in the calling process; may be a coroutine."""

    def pre_create_trial(self) -> Any:
        """Do something before a trial is proposed; in the calling process; may be a coroutine."""

    def on_trial_begin(self, trial: Trial) -> Any:
        """Do something before an attempt; in the calling process; may be a coroutine."""

    def on_trial_end(self, trial: Trial) -> Any:
        """Do something after an attempt was recorded; in the calling process; may be a coroutine."""

    # ── state of a subclass ────────────────────────────────────────────────

    def get_state(self) -> dict[str, Any]:
        """Return what a subclass wants kept with the project, as JSON; kept after every trial."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`get_state` returned, when a project is continued."""

    def save(self) -> None:
        """Write :meth:`get_state` to ``<project>/<tuner_id>.json``; a search does it by itself.

        Raises:
            ConfigurationError: It is no dict, or JSON cannot hold it.
            ProjectError: It cannot be written.
        """
        from aiotune._tuner_state import save_state

        save_state(self)

    def reload(self) -> None:
        """Read an existing project: its trials, and the state of a subclass.

        Raises:
            ProjectError: It is damaged, or cannot be read.
        """
        from aiotune._tuner_state import load_state

        self.oracle.load(self._layout)
        load_state(self)

    async def from_keras_tuner(
        self, source: str | Path, *, booleans: Collection[str] = (), skip_damaged: bool = False
    ) -> Self:
        """Go on with a project of KerasTuner: see :func:`aiotune.migration.from_keras_tuner`.

        Args:
            source: ``<directory>/<project_name>`` of KerasTuner; read and never changed.
            booleans: Names of Choices whose 1 and 0 stand for ``True`` and ``False``.
            skip_damaged: Whether to leave out files that cannot be read.

        Returns:
            This tuner.
        """
        from aiotune.migration import from_keras_tuner

        return await from_keras_tuner(self, source, booleans=booleans, skip_damaged=skip_damaged)

    # ── results ────────────────────────────────────────────────────────────

    @property
    def project_dir(self) -> Path:
        """Where this project's files are."""
        return self._layout.project_dir

    def get_trial_dir(self, trial_id: str) -> Path:
        """Return the directory of a trial's checkpoint and output.

        Raises:
            ConfigurationError: No trial has such an id.
        """
        return self._layout.trial_dir(trial_id)

    @property
    def remaining_trials(self) -> int | None:
        """How many trials the budget still allows; ``None`` without ``max_trials``."""
        return self._loaded_oracle().remaining_trials()

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """Return the hyperparameters of the best completed trials, best first.

        Those of a search that gives out epochs, as Hyperband does, tell also what
        the trial was given: ``values["tuner/epochs"]``, ``"tuner/bracket"`` and so on.

        Raises:
            ConfigurationError: ``num_trials`` is no whole number >= 0.
        """
        best = self._loaded_oracle().get_best_trials(num_trials)
        return [trial.shown_hyperparameters for trial in best]

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Return what :meth:`load_model` returns for the best trials, best first.

        Raises:
            ConfigurationError: ``num_models`` is no whole number >= 0.
        """
        check_whole("num_models", num_models, 0)
        return [self.load_model(t) for t in self._loaded_oracle().get_best_trials(num_models)]

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Keep the model of a trial; for a ``run_trial`` of your own to call, in the worker.

        Raises:
            NotImplementedError: It is not overridden.
        """
        raise NotImplementedError(f"{type(self).__name__} must override save_model().")

    def load_model(self, trial: Trial) -> Any:
        """Return the model of a trial, in the calling process.

        Raises:
            NotImplementedError: It is not overridden.
        """
        raise NotImplementedError(f"{type(self).__name__} must override load_model().")

    def search_space_summary(self, extended: bool = False) -> None:
        """Print the search space.

        Before the first search this builds the model once, in a process of its
        own, to learn which hyperparameters it uses.
        """
        from aiotune._search import known_space
        from aiotune._summaries import search_space_summary

        print(search_space_summary(known_space(self).space))  # noqa: T201 - printing is its purpose

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials, and what went wrong in failed ones.

        Raises:
            ConfigurationError: ``num_trials`` is no whole number >= 0.
        """
        from aiotune._summaries import results_summary

        check_whole("num_trials", num_trials, 0)
        oracle = self._loaded_oracle()
        text = results_summary(
            self.project_dir, oracle.objective, list(oracle.trials.values()), num_trials
        )
        print(text)  # noqa: T201 - printing is its purpose

    def results(self) -> SearchResult:
        """Return what is known of the project so far."""
        from aiotune._search import result_of

        return result_of(self._loaded_oracle(), self._layout, elapsed=0.0)

    def _loaded_oracle(self) -> Oracle:
        """Return the oracle, after reading an existing project that was not opened yet."""
        if not self._opened and not self.overwrite:
            self.oracle.load(self._layout)
        return self.oracle

    # ── how it travels ─────────────────────────────────────────────────────

    def overrides(self, method: str) -> bool:
        """Whether a subclass of the user's, or this object, replaces a method of the built-in tuners."""
        if method in vars(self):
            return True
        home = next(cls for cls in type(self).__mro__ if method in vars(cls))
        return not home.__module__.startswith("aiotune.")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs: everything but the parent's own machinery."""
        from aiotune.worker._oracle_view import OracleView

        state = {k: v for k, v in vars(self).items() if k not in _PARENT_ONLY}
        state["_oracle"] = OracleView.of(self._oracle)
        return state


_PARENT_ONLY = frozenset({"_oracle", "executor", "_nursery", "_searching", "_opened"})
