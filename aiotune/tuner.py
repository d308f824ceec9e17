"""The tuner of Keras models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiotune._arguments import check_seconds, check_truth, check_whole
from aiotune._printable import shown
from aiotune.base_tuner import BaseTuner
from aiotune.errors import ConfigurationError, WrongType

if TYPE_CHECKING:
    from aiotune.oracles import Oracle
    from aiotune.trial import Trial

__all__ = ("Tuner",)


class Tuner(BaseTuner):
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
        distribution_strategy: A function without arguments that returns a
            ``tf.distribute.Strategy`` or a ``keras.distribution.Distribution``. It is
            called in each worker, which sees ``gpus_per_trial`` GPUs, and the model
            is built and trained in its scope.
        directory: Where projects are kept; default the working directory.
        project_name: Name of this project's directory; default ``"untitled_project"``.
        logger: Accepted for compatibility and ignored.
        tuner_id: Names the file of :meth:`get_state`; one process needs no other id.
        overwrite: Discard an existing project instead of resuming it. Takes
            effect once, when the project is first opened.
        executions_per_trial: Trainings from scratch per trial; the trial's
            result is their mean.
        weigh: Whether the memory that a trial will need is found out before it
            runs, by building its model without allocating it, in a process of its own.
        halve_batch: Whether a trial that runs out of memory on a GPU of its own is run
            again with half the batch, and twice the gradient accumulation, down to
            an eighth, before it is rejected. Needs data in arrays.
        keep_best: How many trials' weights are kept on disk, the best ones; ``None``: all.
        resume_every: Least seconds between two saves of a training's state, from which
            it goes on if it is interrupted; ``None``: never, it begins anew. Saving takes
            5 % of the time at most, but with 0, which is after every epoch. For models
            that Keras's own ``fit`` trains.
        **kwargs: Arguments of :class:`BaseTuner`.

    Raises:
        ConfigurationError: An argument is wrong, or not known.
        WrongType: An argument is of a wrong type; that is a ``TypeError``.
        FatalValueError: The hypermodel is none.
        FatalTypeError: The hypermodel cannot be called with hyperparameters.
    """

    builds_keras_models = True

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Callable[[], Any] | None = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        logger: Any = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        *,
        weigh: bool = True,
        halve_batch: bool = False,
        keep_best: int | None = 10,
        resume_every: float | None = 60.0,
        **kwargs: Any,
    ) -> None:
        if max_model_size is not None:
            max_model_size = check_whole(
                "max_model_size", max_model_size, 1, also="None for no limit"
            )
        if keep_best is not None:
            keep_best = check_whole("keep_best", keep_best, 1, also="None to keep all")
        if resume_every is not None:
            resume_every = check_seconds("resume_every", resume_every, zero=True, also="None")
        _check_strategy(distribution_strategy)
        self.max_model_size = max_model_size
        self.optimizer, self.loss, self.metrics = optimizer, loss, metrics
        self.distribution_strategy = distribution_strategy
        self.executions_per_trial = check_whole("executions_per_trial", executions_per_trial, 1)
        # A strategy spreads the model over devices in its own way, which no weighing knows.
        self.weigh = check_truth("weigh", weigh) and distribution_strategy is None
        self.halve_batch = halve_batch
        self.keep_best = keep_best
        self.resume_every = resume_every
        super().__init__(
            oracle,
            hypermodel,
            directory,
            project_name,
            overwrite,
            logger=logger,
            tuner_id=tuner_id,
            **kwargs,
        )

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Build and train the model of one configuration; runs in a worker process.

        Override it to tune anything: use ``trial.hyperparameters`` and return a
        number to minimise, a dict of metrics, a ``History``, or a list of these.

        Args:
            trial: What to run.
            *args: Positional arguments of :meth:`search`, for ``HyperModel.fit``.
            **kwargs: Keyword arguments of :meth:`search`, for ``HyperModel.fit``.

        Raises:
            FatalTypeError: It is called outside a search, or without a hypermodel.
        """
        from aiotune.worker._context import running_attempt

        running_attempt()  # before keras is imported, which takes seconds
        from aiotune.worker._keras import run_keras_trial

        return run_keras_trial(self, trial, args, kwargs)

    # ── hooks ──────────────────────────────────────────────────────────────

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

    # ── models ─────────────────────────────────────────────────────────────

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Keep a model's weights as those of a trial; in the worker.

        The built-in ``run_trial`` keeps the best epoch's weights without it. It is
        for a ``run_trial`` of your own, or to be overridden together with :meth:`load_model`.

        Args:
            trial_id: Whose they are.
            model: A built Keras model.
            step: Not used here; the epoch, for an override.

        Raises:
            WrongType: It is no Keras model; that is a ``TypeError``.
        """
        if not callable(getattr(model, "save_weights", None)):
            raise WrongType(
                f"save_model() keeps the weights of a Keras model, but was given {shown(model)} of type "
                f"{type(model).__name__}. Override save_model() and load_model() to keep anything else."
            )
        from aiotune.worker._checkpoints import save_weights

        save_weights(model, self.get_trial_dir(trial_id))

    def load_model(self, trial: Trial) -> Any:
        """Build a trial's model and load its best weights; imports keras into this process.

        Raises:
            ConfigurationError: There is no hypermodel to build with.
            FileNotFoundError: The trial left no weights.
            WrongType: It is no trial; that is a ``TypeError``.
        """
        from aiotune._models import load_trial_model

        return load_trial_model(self, trial)

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Return the best trials' models with the weights of their best epoch, best first.

        Imports keras into this process. At most ``keep_best`` trials have weights.

        Raises:
            ConfigurationError: ``num_models`` is no whole number >= 0.
            FileNotFoundError: One of the trials left no weights.
        """
        return super().get_best_models(num_models)


def _check_strategy(strategy: Any) -> None:
    if strategy is not None and not callable(strategy):
        raise ConfigurationError(
            f"distribution_strategy is a {type(strategy).__name__}, an object that has taken hold of this "
            "process's GPUs and cannot travel to a worker. Pass a function that makes it there, such as "
            "distribution_strategy=lambda: tf.distribute.MirroredStrategy(), and gpus_per_trial=2."
        )
