"""Builds, trains and saves Keras models: the only importer of keras."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras  # noqa: TID253 - this module is only imported where a model is needed

from aiotune.errors import FatalTypeError, OversizedModelError
from aiotune.hypermodel import HyperModel
from aiotune.wire._keras_objects import copied
from aiotune.wire._payload import unpickled
from aiotune.wire._settings import settings_here
from aiotune.worker._callbacks import BestEpoch, ReportEpochs
from aiotune.worker._checkpoints import continue_from, load_weights, save_recipe, save_state
from aiotune.worker._compiled import compiled
from aiotune.worker._context import AttemptContext, running_attempt
from aiotune.worker._halving import with_smaller_batches
from aiotune.worker._resume import Resumption
from aiotune.worker._user_callbacks import execution_callbacks

if TYPE_CHECKING:
    from aiotune.hyperparameters import HyperParameters
    from aiotune.trial import Trial
    from aiotune.tuner import Tuner

__all__ = ("build_model", "load_model", "made", "run_keras_trial")


def run_keras_trial(
    tuner: Tuner, trial: Trial, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Build and train the model of a trial, ``executions_per_trial`` times.

    Data may be given as functions that return it; they are called here, once, or once for
    each execution if what they return is a generator. Weights of the best epoch over all
    executions are kept in the trial's directory, with what is needed to build the model again.

    Returns:
        The list of what ``HyperModel.fit`` returned.
    """
    context = running_attempt()
    kwargs = {**kwargs, **_epochs(context.order.budget)}
    training = _Training.of(tuner, trial, context, *_made(args, kwargs))
    results = training.resumption.results
    settings = settings_here(custom_objects=False)
    for execution in range(len(results), tuner.executions_per_trial):
        keras.utils.set_random_seed(context.seed_for(execution))
        if execution:
            keras.utils.clear_session()
            settings.apply(unpickled)  # the session that was cleared held the program's precision
            training = training.with_unused_data(args, kwargs)
        with _strategy_scope(tuner):
            results.append(training.execute(execution))
        is_last = execution + 1 == tuner.executions_per_trial
        training.resumption.finished(training.best.best, is_last=is_last)
        context.announce()
        if context.asked_to_finish() is not None:
            break  # what is left would only train the same configuration again
    return results


def _epochs(budget: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a searcher that gives out epochs says of them, as arguments of ``fit``."""
    return {name: budget[name] for name in ("epochs", "initial_epoch") if name in budget}


def _strategy_scope(tuner: Tuner) -> AbstractContextManager[Any]:
    if tuner.distribution_strategy is None:
        return nullcontext()
    scope: AbstractContextManager[Any] = tuner.distribution_strategy().scope()
    return scope


@dataclass(frozen=True, slots=True)
class _Training:
    """What the executions of a trial share.

    ``first`` is how many executions came before these: a ``run_trial`` of one's own may call the
    built-in one for each fold, and what a fold goes on with is not what another has left.
    """

    tuner: Tuner
    trial: Trial
    context: AttemptContext
    best: BestEpoch
    resumption: Resumption
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    first: int

    @classmethod
    def of(
        cls,
        tuner: Tuner,
        trial: Trial,
        context: AttemptContext,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _Training:
        """Take up what an interrupted attempt has left."""
        # Only Keras's own fit is known to go on from the epoch that it is given. And what is saved
        # is of one training: to a second one, as of the next fold, the first's result would be told.
        goes_on = not _fits_itself(tuner) and context.trainings == 0
        first = context.trainings * tuner.executions_per_trial
        context.trainings += 1
        resumption = Resumption(context, tuner.resume_every if goes_on else None)
        best = BestEpoch(context.objective, context.trial_dir, resumption.best)
        return cls(tuner, trial, context, best, resumption, args, kwargs, first)

    def with_unused_data(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Training:
        """Return the same with generators made anew, of what was given; an execution used them up."""
        return replace(
            self,
            args=tuple(map(_unused, args, self.args)),
            kwargs={name: _unused(kwargs[name], value) for name, value in self.kwargs.items()},
        )

    def execute(self, execution: int) -> Any:
        """Build and train the model once."""
        hp, context = self.trial.hyperparameters, self.context
        model = build_model(self.tuner, hp)
        context.announce()
        asked = compiled(model)
        args, kwargs = self.args, {**self.kwargs, **self._taken_up(model, execution)}
        by_keras = not _fits_itself(self.tuner)
        if by_keras:
            args, kwargs = _by_name(model, args, kwargs)
        kwargs["callbacks"] = self._callbacks(execution, kwargs)
        if by_keras:
            # The progress bar of a worker goes to a log file: a line an epoch says as much.
            verbose = kwargs.get("verbose", 2)
            kwargs["verbose"] = {"auto": 2, 1: 2}.get(verbose, verbose)
        kwargs = with_smaller_batches(model, args, kwargs, context.order.batch_divisor)
        result = context.fit(_hypermodel(self.tuner), hp, model, *args, **kwargs)
        save_recipe(model, context.trial_dir)
        if "epochs" in context.order.budget:
            save_state(model, context.trial_dir, self.first + execution, asked)
        return self.resumption.whole(result)

    def _taken_up(self, model: Any, execution: int) -> dict[str, Any]:
        """Put the model where its training begins; return what ``fit`` is to know of that."""
        begins = self.resumption.restore(model)
        if begins is not None:
            return {"initial_epoch": begins}
        order = self.context.order
        parent = order.parent_dir
        number = self.first + execution
        if parent and not continue_from(model, Path(parent), number, order.parent_files):
            # Only what would probably be continued was kept. What comes up
            # in place of one that failed has its first epochs again.
            return {"initial_epoch": 0}
        return {}

    def _callbacks(self, execution: int, kwargs: dict[str, Any]) -> list[Any]:
        tuner = self.tuner
        reporter = ReportEpochs(
            tuner,
            self.trial,
            self.context,
            execution,
            check_objective=not _fits_itself(tuner),
            max_model_size=tuner.max_model_size,
            resumption=self.resumption,
            validation_freq=kwargs.get("validation_freq") or 1,
        )
        return [
            *execution_callbacks(kwargs.get("callbacks"), self.trial, execution),
            reporter,
            self.best,
            *self.resumption.callbacks(lambda: self.best.best),
        ]


def _fits_itself(tuner: Tuner) -> bool:
    return type(_hypermodel(tuner)).fit is not HyperModel.fit


def _by_name(
    model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Name what ``fit`` was given by position after the data: some of it is given anew, by name."""
    parameters = inspect.signature(model.fit).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(args) > len(names):
        return args, kwargs  # which fit refuses, or takes all by position
    return args[:2], {**dict(zip(names[2:], args[2:], strict=False)), **kwargs}


_DATA = frozenset({"x", "y", "sample_weight", "validation_data"})


def made(value: Any) -> Any:
    """Call a function that stands for data which cannot travel, a ``tf.data.Dataset`` say."""
    is_function = inspect.isfunction(value) or isinstance(value, functools.partial)
    return value() if is_function else value


def _made(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(map(made, args)), {k: made(v) if k in _DATA else v for k, v in kwargs.items()}


def _unused(given: Any, used: Any) -> Any:
    return made(given) if used is not given and isinstance(used, Iterator) else used


def _hypermodel(tuner: Tuner) -> HyperModel:
    if tuner.hypermodel is None:
        raise FatalTypeError(
            "super().run_trial() trains the model of a hypermodel, and this tuner has none. Pass a "
            "function that builds a model to the tuner's constructor."
        )
    return tuner.hypermodel


def build_model(tuner: Tuner, hp: HyperParameters) -> Any:
    """Build a trial's model, refuse what is no model or too large, and apply the compile overrides.

    Raises:
        FatalTypeError: ``build`` returned something that is not a Keras model.
        OversizedModelError: The model has more parameters than ``max_model_size``.
    """
    model = _hypermodel(tuner).build(hp)
    if not isinstance(model, keras.Model):
        raise FatalTypeError(
            "Expected the model-building function, or HyperModel.build(), to return a valid Keras "
            f"Model instance, but it returned {model!r} of type {type(model).__name__}."
        )
    if model.built:
        check_size(model, tuner.max_model_size)
    _override_compile(model, tuner)
    return model


def check_size(model: Any, max_model_size: int | None) -> None:
    """Refuse a built model with more than ``max_model_size`` parameters, trainable or not."""
    if max_model_size is None:
        return
    parameters = int(model.count_params())
    if parameters > max_model_size:
        raise OversizedModelError(
            f"The model has {parameters:,} parameters; max_model_size is {max_model_size:,}."
        )


def _override_compile(model: Any, tuner: Tuner) -> None:
    if not (tuner.optimizer or tuner.loss or tuner.metrics):
        return
    optimizer = tuner.optimizer
    if isinstance(optimizer, keras.optimizers.Optimizer):
        # One optimizer object holds the variables of one model. A copy would hold those of the
        # model that it was built with, if it was.
        optimizer = _anew(optimizer) if optimizer.built else copied(optimizer)
    # The objects themselves: get_compile_config() has them serialized, and no loss function of
    # the user's own comes back from that.
    config = getattr(getattr(model, "_compile_config", None), "config", {})
    model.compile(
        **_kept(model, config, with_weights=not tuner.loss),
        optimizer=optimizer or config.get("optimizer"),
        loss=copied(tuner.loss) or config.get("loss"),
        metrics=copied(tuner.metrics) or config.get("metrics"),
    )


def _anew(optimizer: Any) -> Any:
    return keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))


def _kept(model: Any, config: Mapping[str, Any], *, with_weights: bool) -> dict[str, Any]:
    """Return what else a model was compiled with, as far as ``compile()`` of its class takes it."""
    names = {"weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile"}
    if with_weights:  # of another loss there may be as many as that has parts
        names.add("loss_weights")
    taken = inspect.signature(type(model).compile).parameters
    return {name: config[name] for name in names & taken.keys() & config.keys()}


def load_model(build: Callable[[], Any], trial_dir: Path, files: Mapping[str, str]) -> Any:
    """Build a trial's model and load the weights of its best epoch.

    Raises:
        FileNotFoundError: The trial left no checkpoint.
        CheckpointDamaged: It is not the one that the trial left.
    """
    model = build()
    load_weights(model, trial_dir, files)
    return model
