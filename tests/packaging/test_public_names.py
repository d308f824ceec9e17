"""Every public name of KerasTuner 1.4.8, where it was, with the arguments that it had.

The table is what ``inspect.signature`` says of KerasTuner. A parameter that
aiotune adds comes after those of KerasTuner, or is keyword-only.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from typing import Any

import pytest

import aiotune

MODULES = {
    "aiotune": """HyperModel HyperParameters Objective Oracle synchronized Tuner BayesianOptimization
        GridSearch Hyperband RandomSearch SklearnTuner __version__ applications engine errors oracles
        tuners""",
    "aiotune.tuners": "Tuner BayesianOptimization GridSearch Hyperband RandomSearch SklearnTuner",
    "aiotune.oracles": """BayesianOptimizationOracle GridSearchOracle HyperbandOracle
        RandomSearchOracle""",
    "aiotune.applications": "HyperResNet HyperXception HyperEfficientNet HyperImageAugment",
    "aiotune.errors": """FailedTrialError FatalError FatalValueError FatalTypeError
        FatalRuntimeError""",
    "aiotune.engine": """base_tuner tuner hypermodel hyperparameters metrics_tracking oracle
        trial""",
    "aiotune.engine.base_tuner": "BaseTuner",
    "aiotune.engine.tuner": "Tuner maybe_distribute",
    "aiotune.engine.hypermodel": "HyperModel",
    "aiotune.engine.hyperparameters": """HyperParameter HyperParameters Boolean Choice Fixed Float
        Int serialize deserialize""",
    "aiotune.engine.metrics_tracking": "infer_metric_direction",
    "aiotune.engine.oracle": "Oracle Objective",
    "aiotune.engine.trial": "Trial TrialStatus",
}

_SEARCHED = "seed=None, hyperparameters=None"
_TUNED = f"""{_SEARCHED}, tune_new_entries=True, allow_new_entries=True, max_retries_per_trial=0,
    max_consecutive_failed_trials=3"""
_ORACLE = f"""{_SEARCHED}, allow_new_entries=True, tune_new_entries=True, max_retries_per_trial=0,
    max_consecutive_failed_trials=3"""
_PARENT = "parent_name=None, parent_values=None"
_RANGE = "min_value, max_value, step=None, sampling='linear', default=None"
_TUNER = "directory=None, project_name=None"
_IMAGES = "input_shape=None, input_tensor=None"

CONSTRUCTORS = {
    "aiotune.engine.base_tuner.BaseTuner": f"oracle, hypermodel=None, {_TUNER}, overwrite=False, **kwargs",
    "aiotune.Tuner": f"""oracle, hypermodel=None, max_model_size=None, optimizer=None, loss=None,
        metrics=None, distribution_strategy=None, {_TUNER}, logger=None, tuner_id=None,
        overwrite=False, executions_per_trial=1, **kwargs""",
    "aiotune.RandomSearch": f"hypermodel=None, objective=None, max_trials=10, {_TUNED}, **kwargs",
    "aiotune.GridSearch": f"hypermodel=None, objective=None, max_trials=None, {_TUNED}, **kwargs",
    "aiotune.BayesianOptimization": f"""hypermodel=None, objective=None, max_trials=10,
        num_initial_points=None, alpha=0.0001, beta=2.6, {_TUNED}, **kwargs""",
    "aiotune.Hyperband": f"""hypermodel=None, objective=None, max_epochs=100, factor=3,
        hyperband_iterations=1, {_TUNED}, **kwargs""",
    "aiotune.SklearnTuner": "oracle, hypermodel, scoring=None, metrics=None, cv=None, **kwargs",
    "aiotune.Oracle": """objective=None, max_trials=None, hyperparameters=None, allow_new_entries=True,
        tune_new_entries=True, seed=None, max_retries_per_trial=0, max_consecutive_failed_trials=3""",
    "aiotune.oracles.RandomSearchOracle": f"objective=None, max_trials=10, {_ORACLE}",
    "aiotune.oracles.GridSearchOracle": f"objective=None, max_trials=None, {_ORACLE}",
    "aiotune.oracles.BayesianOptimizationOracle": f"""objective=None, max_trials=10,
        num_initial_points=None, alpha=0.0001, beta=2.6, {_ORACLE}""",
    "aiotune.oracles.HyperbandOracle": f"""objective=None, max_epochs=100, factor=3,
        hyperband_iterations=1, {_ORACLE}""",
    "aiotune.Objective": "name, direction",
    "aiotune.HyperModel": "name=None, tunable=True",
    "aiotune.HyperParameters": "",
    "aiotune.engine.trial.Trial": "hyperparameters, trial_id=None, status='RUNNING', message=None",
    "aiotune.engine.hyperparameters.Int": f"name, {_RANGE}, conditions=None",
    "aiotune.engine.hyperparameters.Float": f"name, {_RANGE}, conditions=None",
    "aiotune.engine.hyperparameters.Choice": "name, values, ordered=None, default=None, conditions=None",
    "aiotune.engine.hyperparameters.Boolean": "name, default=False, conditions=None",
    "aiotune.engine.hyperparameters.Fixed": "name, value, conditions=None",
    "aiotune.applications.HyperResNet": f"include_top=True, {_IMAGES}, classes=None, **kwargs",
    "aiotune.applications.HyperXception": f"include_top=True, {_IMAGES}, classes=None, **kwargs",
    "aiotune.applications.HyperEfficientNet": f"{_IMAGES}, classes=None, augmentation_model=None, **kwargs",
    "aiotune.applications.HyperImageAugment": f"""{_IMAGES}, rotate=0.5, translate_x=0.4,
        translate_y=0.4, contrast=0.3, augment_layers=3, **kwargs""",
}

FUNCTIONS = {
    "aiotune.synchronized": "func",
    "aiotune.engine.tuner.maybe_distribute": "distribution_strategy",
    "aiotune.engine.hyperparameters.serialize": "obj",
    "aiotune.engine.hyperparameters.deserialize": "config",
    "aiotune.engine.metrics_tracking.infer_metric_direction": "metric",
}

_HP = {
    "get_config": "self",
    "from_config": "config",
    "random_sample": "self, seed=None",
    "prob_to_value": "self, prob",
    "value_to_prob": "self, value",
}
METHODS = {
    "aiotune.engine.base_tuner.BaseTuner": {
        "get_best_hyperparameters": "self, num_trials=1",
        "get_best_models": "self, num_models=1",
        "get_state": "self",
        "get_trial_dir": "self, trial_id",
        "load_model": "self, trial",
        "on_search_begin": "self",
        "on_search_end": "self",
        "on_trial_begin": "self, trial",
        "on_trial_end": "self, trial",
        "pre_create_trial": "self",
        "reload": "self",
        "results_summary": "self, num_trials=10",
        "run_trial": "self, trial, *fit_args, **fit_kwargs",
        "save": "self",
        "save_model": "self, trial_id, model, step=0",
        "search": "self, *fit_args, **fit_kwargs",
        "search_space_summary": "self, extended=False",
        "set_state": "self, state",
    },
    "aiotune.Tuner": {
        "get_best_models": "self, num_models=1",
        "load_model": "self, trial",
        "on_batch_begin": "self, trial, model, batch, logs",
        "on_batch_end": "self, trial, model, batch, logs=None",
        "on_epoch_begin": "self, trial, model, epoch, logs=None",
        "on_epoch_end": "self, trial, model, epoch, logs=None",
        "run_trial": "self, trial, *args, **kwargs",
    },
    "aiotune.SklearnTuner": {
        "load_model": "self, trial",
        "run_trial": "self, trial, X, y, sample_weight=None, groups=None",
        "save_model": "self, trial_id, model, step=0",
        "search": "self, X, y, sample_weight=None, groups=None",
    },
    "aiotune.Oracle": {
        "create_trial": "self, tuner_id",
        "end_trial": "self, trial",
        "get_best_trials": "self, num_trials=1",
        "get_space": "self",
        "get_state": "self",
        "get_trial": "self, trial_id",
        "populate_space": "self, trial_id",
        "reload": "self",
        "remaining_trials": "self",
        "save": "self",
        "score_trial": "self, trial",
        "set_state": "self, state",
        "update_space": "self, hyperparameters",
        "update_trial": "self, trial_id, metrics, step=0",
    },
    "aiotune.Objective": {
        "better_than": "self, a, b",
        "get_value": "self, logs",
        "has_value": "self, logs",
    },
    "aiotune.engine.trial.Trial": {
        "display_hyperparameters": "self",
        "from_state": "state",
        "get_state": "self",
        "load": "fname",
        "save": "self, fname",
        "set_state": "self, state",
        "summary": "self",
    },
    "aiotune.HyperModel": {
        "build": "self, hp",
        "declare_hyperparameters": "self, hp",
        "fit": "self, hp, model, *args, **kwargs",
    },
    "aiotune.HyperParameters": {
        "Boolean": f"self, name, default=False, {_PARENT}",
        "Choice": f"self, name, values, ordered=None, default=None, {_PARENT}",
        "Fixed": f"self, name, value, {_PARENT}",
        "Float": f"self, name, {_RANGE}, {_PARENT}",
        "Int": f"self, name, {_RANGE}, {_PARENT}",
        "conditional_scope": "self, parent_name, parent_values",
        "copy": "self",
        "ensure_active_values": "self",
        "from_config": "config",
        "get": "self, name",
        "get_config": "self",
        "is_active": "self, hyperparameter",
        "merge": "self, hps, overwrite=True",
        "name_scope": "self, name",
    },
    **{f"aiotune.engine.hyperparameters.{kind}": _HP for kind in ("Int", "Float", "Choice", "Boolean", "Fixed")},
}  # fmt: skip

ATTRIBUTES = {
    "aiotune.Oracle": """objective max_trials hyperparameters trials ongoing_trials start_order
        end_order tuner_ids seed verbose max_retries_per_trial max_consecutive_failed_trials
        multi_worker should_report allow_new_entries tune_new_entries directory project_name""",
    "aiotune.engine.trial.Trial": """hyperparameters trial_id metrics score best_step status
        message""",
    "aiotune.Tuner": "project_dir remaining_trials hypermodel oracle tuner_id directory project_name",
    "aiotune.HyperParameters": "space values active_scopes inactive_scopes",
}

COROUTINES = {
    "aiotune.engine.base_tuner.BaseTuner": "search",
    "aiotune.Oracle": "create_trial end_trial populate_space reload save score_trial update_space update_trial",
}  # fmt: skip
"""What waits, and is a coroutine function therefore; nothing else is."""

STATUSES = "RUNNING IDLE INVALID STOPPED COMPLETED FAILED"


def resolve(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def differences(expected: str, actual: inspect.Signature) -> list[str]:
    """Return how a signature falls short of KerasTuner's."""
    wanted = ast.parse(f"def f({expected}): ...").body[0]
    assert isinstance(wanted, ast.FunctionDef)
    names = [argument.arg for argument in wanted.args.args]
    defaults = [ast.literal_eval(default) for default in wanted.args.defaults]
    known = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    ours = list(actual.parameters.values())
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    found = []
    if [p.name for p in positional[: len(names)]] != names:
        found.append(f"takes {[p.name for p in positional]}, not {names}")
    found += [
        f"{p.name} is {p.default!r} by default, not {known[p.name]!r}"
        for p in positional
        if p.name in known and p.default != known[p.name]
    ]
    found += [f"{p.name} must be given" for p in positional[len(names) :] if p.default is p.empty]
    if wanted.args.vararg and all(p.kind is not p.VAR_POSITIONAL for p in ours):
        found.append("takes no further positional arguments")
    if wanted.args.kwarg and all(p.kind is not p.VAR_KEYWORD for p in ours):
        found.append("takes no further keyword arguments")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_name_is_there(module: str) -> None:
    """Under ``aiotune`` where it was under ``keras_tuner``, and exported."""
    found = importlib.import_module(module)
    names = MODULES[module].split()

    assert [name for name in names if not hasattr(found, name)] == []
    assert set(names) - set(found.__all__) == set()


@pytest.mark.parametrize("path", CONSTRUCTORS)
def test_every_class_is_made_with_the_same_arguments(path: str) -> None:
    """Names, order and defaults; what aiotune adds comes after."""
    signature = inspect.signature(resolve(path))

    assert differences(CONSTRUCTORS[path], signature) == []


@pytest.mark.parametrize("path", FUNCTIONS)
def test_every_function_takes_the_same_arguments(path: str) -> None:
    """As for classes."""
    assert differences(FUNCTIONS[path], inspect.signature(resolve(path))) == []


@pytest.mark.parametrize("path", METHODS)
def test_every_method_takes_the_same_arguments(path: str) -> None:
    """As for classes; of static and class methods what a caller gives."""
    of_class = resolve(path)

    found = {
        name: wrong
        for name, expected in METHODS[path].items()
        if (wrong := differences(expected, inspect.signature(getattr(of_class, name))))
    }

    assert found == {}


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_every_attribute_can_be_read(path: str) -> None:
    """Also of an object that nothing has happened to."""
    made = {
        "aiotune.Oracle": aiotune.Oracle(),
        "aiotune.engine.trial.Trial": aiotune.Trial(aiotune.HyperParameters()),
        "aiotune.Tuner": aiotune.RandomSearch(lambda hp: hp),
        "aiotune.HyperParameters": aiotune.HyperParameters(),
    }[path]

    assert [name for name in ATTRIBUTES[path].split() if not hasattr(made, name)] == []


@pytest.mark.parametrize("path", COROUTINES)
def test_what_waits_is_a_coroutine_function(path: str) -> None:
    """And what does not wait is none, so that no other call needs an ``await``."""
    of_class = resolve(path)
    names = METHODS[path]

    waiting = {n for n in names if inspect.iscoroutinefunction(getattr(of_class, n))}

    assert waiting == set(COROUTINES[path].split())


def test_every_status_is_there() -> None:
    """With KerasTuner's spelling, equal to the plain text."""
    status = resolve("aiotune.engine.trial.TrialStatus")

    assert [getattr(status, name) for name in STATUSES.split()] == STATUSES.split()


def test_a_strategy_is_entered_and_none_is_not() -> None:
    """``maybe_distribute`` is for programs that build models themselves."""
    maybe_distribute = resolve("aiotune.engine.tuner.maybe_distribute")

    class Strategy:
        inside = False

        def scope(self) -> Any:
            return self

        def __enter__(self) -> None:
            self.inside = True

        def __exit__(self, *exc: object) -> None:
            self.inside = False

    strategy = Strategy()
    with maybe_distribute(None), maybe_distribute(strategy):
        assert strategy.inside
    assert not strategy.inside


def test_an_unknown_module_of_engine_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match=r"module 'aiotune\.engine' has no attribute 'logger'"):
        _ = aiotune.engine.logger
