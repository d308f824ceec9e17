"""The tuner: KerasTuner's facade, with ``search()`` as a coroutine.

This module is imported by workers too (a tuner travels there with its
subclass), so at module level it imports nothing of the parent's machinery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aiotune.errors import ConfigurationError
from aiotune.hypermodel import HyperModel, as_hypermodel

if TYPE_CHECKING:
    from aiotune.executors import Executor
    from aiotune.executors._nursery import Nursery
    from aiotune.hyperparameters import HyperParameters
    from aiotune.oracles import Oracle
    from aiotune.result import SearchResult
    from aiotune.trial import Trial

__all__ = ("Tuner",)

ExecutorChoice = Literal["local", "inline"]


class Tuner:
    """Searches the hyperparameters of a Keras model, or of any function.

    Args:
        oracle: Proposes configurations and keeps the trials.
        hypermodel: A function ``build(hp) -> keras.Model`` or a
            :class:`HyperModel`. May be ``None`` if ``run_trial`` is overridden.
        max_model_size: Largest number of parameters, trainable or not; a
            larger model is rejected. ``None``: no limit.
        optimizer: Overrides what the model was compiled with.
        loss: Overrides what the model was compiled with.
        metrics: Overrides what the model was compiled with.
        directory: Where projects are kept; default the working directory.
        project_name: Name of this project's directory; default ``"untitled_project"``.
        overwrite: Discard an existing project instead of resuming it. Takes
            effect once, when the project is first opened.
        executions_per_trial: Trainings from scratch per trial; the trial's
            result is their mean.
        max_parallel_trials: How many trials run at once; default one per GPU,
            or what cores and free memory allow where there is none.
        devices: Which GPUs to use, as indices or UUIDs; default all that
            ``CUDA_VISIBLE_DEVICES`` allows; ``[]``: none.
        max_trials_per_gpu: How many trials may share a GPU; ``"auto"``: as many as
            their predicted memory allows, while they gain by it.
        gpus_per_trial: How many GPUs each trial sees.
        gpu_memory: Memory of each of its GPUs that a trial is given and held to,
            e.g. ``"8GiB"``; default what its model is predicted to need.
        weigh: Whether the memory that a trial will need is found out before it
            runs, by building its model without allocating it, in a process of its own.
        halve_batch: Whether a trial that runs out of memory on a GPU of its own is run
            again with half the batch, and twice the gradient accumulation, down to
            an eighth, before it is rejected. Needs data in arrays.
        calibration: ``"project"``: predictions of memory learn from this project's
            trials; ``"user"``: also from those of this user's other projects.
        trial_timeout: Seconds after which an attempt is stopped and counts as failed.
        stop_grace: Seconds between asking a worker to end and killing it.
        executor: ``"local"`` runs each attempt in a process of its own,
            ``"inline"`` in this one (for debugging and for functions that take
            microseconds), or an object of your own.
        tuner_id: Accepted for compatibility; one process needs no id.
        distribution_strategy: Not supported yet.
        logger: Accepted for compatibility and ignored.

    Raises:
        ConfigurationError: An argument is wrong, or not known.
    """

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Any = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        logger: Any = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        *,
        max_parallel_trials: int | None = None,
        devices: Sequence[int | str] | None = None,
        max_trials_per_gpu: int | Literal["auto"] = "auto",
        gpus_per_trial: int = 1,
        gpu_memory: int | str | None = None,
        weigh: bool = True,
        halve_batch: bool = False,
        calibration: Literal["project", "user"] = "project",
        trial_timeout: float | None = None,
        stop_grace: float = 10.0,
        executor: ExecutorChoice | Executor = "local",
        **kwargs: Any,
    ) -> None:
        _refuse_unknown(type(self).__name__, kwargs)
        _check_oracle(oracle)
        _check_numbers(
            max_model_size, executions_per_trial, max_parallel_trials, trial_timeout, stop_grace
        )
        if distribution_strategy is not None:
            raise ConfigurationError(
                "distribution_strategy is not supported: aiotune runs one trial on one GPU, and all "
                "GPUs at once. Leave it out."
            )
        self.oracle = oracle
        self.hypermodel: HyperModel | None = as_hypermodel(hypermodel)
        if self.hypermodel is None and not self.overrides("run_trial"):
            raise ConfigurationError(
                "Received hypermodel=None, and run_trial() is not overridden, so there is nothing to "
                "train. Pass a function that builds a model, or override run_trial()."
            )
        self.max_model_size = max_model_size
        self.optimizer, self.loss, self.metrics = optimizer, loss, metrics
        self.executions_per_trial = executions_per_trial
        self.directory = Path(directory) if directory is not None else Path()
        self.project_name = project_name if project_name is not None else "untitled_project"
        self.overwrite = overwrite
        self.max_parallel_trials = max_parallel_trials
        self.devices = devices
        self.max_trials_per_gpu: int | Literal["auto"] = max_trials_per_gpu
        self.gpus_per_trial = gpus_per_trial
        self.gpu_memory = gpu_memory
        self.weigh = weigh
        self.halve_batch = halve_batch
        self.calibration = calibration
        _check_resources(self)
        self.trial_timeout = trial_timeout
        self.stop_grace = stop_grace
        self.executor: ExecutorChoice | Executor = executor
        self.tuner_id = tuner_id or "tuner0"
        self._searching = False
        self._opened = False
        self._nursery: Nursery | None = None
        from aiotune.store import Layout

        self._layout = Layout(self.directory, self.project_name)

    # ── the search ─────────────────────────────────────────────────────────

    async def search(self, *fit_args: Any, **fit_kwargs: Any) -> SearchResult:
        """Search until the budget is spent.

        All arguments go to ``run_trial``, that is, to ``model.fit``.
        ``verbose=0`` also silences the progress display. Calling it again
        continues: finished trials stay, unfinished ones run.

        Returns:
            What was found.

        Raises:
            FatalError: A trial raised it (or a subclass); no process is left.
            SearchAborted: ``max_consecutive_failed_trials`` failed in a row.
            ConfigurationError: The search cannot begin; nothing was changed.
            ProjectError: The project directory is held, damaged or of another search.
        """
        from aiotune._search import run_search

        return await run_search(self, fit_args, fit_kwargs)

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Train one configuration and return its result; runs in a worker process.

        Override it to tune anything: use ``trial.hyperparameters`` and return a
        number to minimise, a dict of metrics, a ``History``, or a list of these.

        Args:
            trial: What to run.
            *args: Positional arguments of :meth:`search`.
            **kwargs: Keyword arguments of :meth:`search`.
        """
        from aiotune.worker._keras import run_keras_trial

        return run_keras_trial(self, trial, args, kwargs)

    # ── hooks ──────────────────────────────────────────────────────────────

    def on_search_begin(self) -> Any:
        """Do something before the first trial; in the calling process; may be a coroutine."""

    def on_search_end(self) -> Any:
        """Do something after the last trial; in the calling process; may be a coroutine."""

    def on_trial_begin(self, trial: Trial) -> Any:
        """Do something before an attempt; in the calling process; may be a coroutine."""

    def on_trial_end(self, trial: Trial) -> Any:
        """Do something after an attempt was recorded; in the calling process; may be a coroutine."""

    def on_epoch_begin(
        self, trial: Trial, model: Any, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Do something before an epoch; in the worker."""

    def on_epoch_end(
        self, trial: Trial, model: Any, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Do something after an epoch; in the worker."""

    def on_batch_begin(
        self, trial: Trial, model: Any, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Do something before a batch; in the worker."""

    def on_batch_end(
        self, trial: Trial, model: Any, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Do something after a batch; in the worker."""

    # ── results ────────────────────────────────────────────────────────────

    @property
    def project_dir(self) -> Path:
        """Where this project's files are."""
        return self._layout.project_dir

    def get_trial_dir(self, trial_id: str) -> Path:
        """Return the directory of a trial's checkpoint and output."""
        return self._layout.trial_dir(trial_id)

    @property
    def remaining_trials(self) -> int | None:
        """How many trials the budget still allows; ``None`` without ``max_trials``."""
        return self._loaded_oracle().remaining_trials()

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """Return the hyperparameters of the best completed trials, best first."""
        return [t.hyperparameters for t in self._loaded_oracle().get_best_trials(num_trials)]

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Return the best trials' models with the weights of their best epoch, best first.

        Imports keras into this process.
        """
        return [self.load_model(t) for t in self._loaded_oracle().get_best_trials(num_models)]

    def load_model(self, trial: Trial) -> Any:
        """Build a trial's model and load its best weights; imports keras into this process."""
        from aiotune._models import load_trial_model

        return load_trial_model(self, trial)

    def search_space_summary(self, extended: bool = False) -> None:
        """Print the search space.

        Before the first search this builds the model once, in a process of its
        own, to learn which hyperparameters it uses.
        """
        from aiotune._search import known_space
        from aiotune._summaries import search_space_summary

        print(search_space_summary(known_space(self).space))  # noqa: T201 - printing is its purpose

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials, and what went wrong in failed ones."""
        from aiotune._summaries import results_summary

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
        """Whether a subclass or this object replaces a method of :class:`Tuner`."""
        return method in vars(self) or getattr(type(self), method) is not getattr(Tuner, method)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs: everything but the parent's own machinery."""
        from aiotune.worker._oracle_view import OracleView

        state = {k: v for k, v in vars(self).items() if k not in _PARENT_ONLY}
        state["oracle"] = OracleView.of(self.oracle)
        return state


_PARENT_ONLY = frozenset({"oracle", "executor", "_layout", "_nursery", "_searching", "_opened"})


def _refuse_unknown(name: str, kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise ConfigurationError(
            f"Unrecognized arguments {sorted(kwargs)} for {name}(). Check their spelling against "
            f"help({name}); arguments for model.fit() belong to search()."
        )


def _check_resources(tuner: Tuner) -> None:
    from aiotune._devices import Wanted

    Wanted(
        max_parallel_trials=tuner.max_parallel_trials,
        max_trials_per_gpu=tuner.max_trials_per_gpu,
        gpus_per_trial=tuner.gpus_per_trial,
        gpu_memory=tuner.gpu_memory,
    )
    if tuner.calibration not in {"project", "user"}:
        raise ConfigurationError(
            f"calibration must be 'project' or 'user', but is {tuner.calibration!r}."
        )


def _check_oracle(oracle: Any) -> None:
    if not hasattr(oracle, "create_trial") or not hasattr(oracle, "end_trial"):
        raise ConfigurationError(
            f"Expected oracle to be an instance of aiotune.Oracle, but received {oracle!r} of type "
            f"{type(oracle).__name__}."
        )


def _check_numbers(
    max_model_size: int | None,
    executions_per_trial: int,
    max_parallel_trials: int | None,
    trial_timeout: float | None,
    stop_grace: float,
) -> None:
    for name, value, least in (
        ("max_model_size", max_model_size, 1),
        ("executions_per_trial", executions_per_trial, 1),
        ("max_parallel_trials", max_parallel_trials, 1),
    ):
        if value is None and name != "executions_per_trial":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigurationError(f"{name} must be a whole number >= {least}, but is {value!r}.")
    if trial_timeout is not None and not trial_timeout > 0:
        raise ConfigurationError(f"trial_timeout must be > 0 seconds, but is {trial_timeout!r}.")
    if not stop_grace >= 0:
        raise ConfigurationError(f"stop_grace must be >= 0 seconds, but is {stop_grace!r}.")
