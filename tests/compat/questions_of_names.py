"""Questions about names: which are there, and what subclasses may override."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
else:
    from product import Product, question

__all__ = ()

# What KerasTuner 1.4.8 documents, by module.
NAMES = {
    "": """HyperModel HyperParameters Objective Oracle synchronized Tuner BayesianOptimization
        GridSearch Hyperband RandomSearch SklearnTuner __version__ applications engine errors
        oracles tuners""",
    "tuners": "Tuner BayesianOptimization GridSearch Hyperband RandomSearch SklearnTuner",
    "oracles": """BayesianOptimizationOracle GridSearchOracle HyperbandOracle
        RandomSearchOracle""",
    "applications": "HyperResNet HyperXception HyperEfficientNet HyperImageAugment",
    "errors": "FailedTrialError FatalError FatalValueError FatalTypeError FatalRuntimeError",
    "engine.base_tuner": "BaseTuner",
    "engine.tuner": "Tuner maybe_distribute",
    "engine.hypermodel": "HyperModel",
    "engine.hyperparameters": """HyperParameter HyperParameters Boolean Choice Fixed Float Int
        serialize deserialize""",
    "engine.metrics_tracking": "infer_metric_direction",
    "engine.oracle": "Oracle Objective",
    "engine.trial": "Trial TrialStatus",
}

ATTRIBUTES = {
    "HyperParameters()": """Int Float Choice Boolean Fixed space values active_scopes
        inactive_scopes name_scope conditional_scope get is_active copy merge ensure_active_values
        get_config from_config""",
    "Oracle()": """objective max_trials hyperparameters trials ongoing_trials start_order end_order
        tuner_ids seed verbose max_retries_per_trial max_consecutive_failed_trials create_trial
        update_trial end_trial populate_space score_trial get_space update_space get_trial
        get_best_trials remaining_trials get_state set_state save reload""",
    "RandomSearch()": """oracle hypermodel search run_trial pre_create_trial on_search_begin on_search_end on_trial_begin
        on_trial_end on_epoch_begin on_epoch_end on_batch_begin on_batch_end save_model load_model get_state
        set_state save reload get_best_models get_best_hyperparameters search_space_summary
        results_summary remaining_trials project_dir get_trial_dir seed executions_per_trial
        directory project_name tuner_id""",
    "Trial()": """hyperparameters trial_id metrics score best_step status message summary
        display_hyperparameters get_state set_state from_state save load""",
    "MetricsTracker": """exists register update get_history set_history get_best_value
        get_best_step get_statistics get_last_value get_direction get_config from_config""",
}


def _of_module(module: str, names: str) -> None:
    @question(f"names missing of keras_tuner{'.' * bool(module)}{module}")
    def _(p: Product) -> Any:
        found = importlib.import_module(f"{p.name}.{module}" if module else p.name)
        return [name for name in names.split() if not hasattr(found, name)]


def _object(p: Product, what: str) -> Any:
    match what:
        case "HyperParameters()":
            return p.top.HyperParameters()
        case "Oracle()":
            return p.oracles.RandomSearchOracle(objective="loss")
        case "RandomSearch()":
            return p.top.RandomSearch(lambda hp: _model(), objective="loss")
        case "Trial()":
            return _trial(p)
        case _:
            return _trial(p).metrics


def _model() -> Any:
    import keras

    return keras.Sequential([keras.layers.Dense(1)])


def _trial(p: Product) -> Any:
    return importlib.import_module(f"{p.name}.engine.trial").Trial(p.top.HyperParameters())


def _of_object(what: str, names: str) -> None:
    @question(f"attributes missing of {what}")
    def _(p: Product) -> Any:
        made = _object(p, what)
        return [name for name in names.split() if not hasattr(made, name)]


for _module, _names in NAMES.items():
    _of_module(_module, _names)
for _what, _names in ATTRIBUTES.items():
    _of_object(_what, _names)


# ── metrics of a trial ─────────────────────────────────────────────────────

METRICS = """
m.exists("a")
[m.register("a", "max"), m.exists("a"), m.get_direction("a")]
[m.register("a"), m.register("a")]
m.register("a", "upwards")
m.get_direction("nothing")
m.get_best_value("nothing")
m.get_history("nothing")
[m.register("val_accuracy"), m.get_direction("val_accuracy")]
[m.register("quality"), m.get_direction("quality")]
[m.register("a"), m.get_best_value("a"), m.get_best_step("a"), m.get_last_value("a")]
[m.update("loss", 0.5), m.update("loss", 0.7, step=1), m.update("loss", 0.4, step=2)]
[m.update("loss", v, step=s) for s, v in enumerate([0.5, 0.2, 0.2])] + [m.get_best_step("loss")]
[m.update("loss", 0.5), m.update("loss", 0.7), m.get_best_value("loss"), m.get_last_value("loss")]
[m.update("acc", float("nan")), m.update("acc", 0.7, step=1), m.get_best_value("acc")]
[m.update("loss", v, step=s) for s, v in enumerate([4.0, 1.0, 1.0])] + [m.get_statistics("loss")]
[m.update("loss", 0.5), m.get_config()]
[m.update("loss", 0.5), repr(m.get_history("loss"))]
[m.update("loss", 0.5), type(m).from_config(m.get_config()).get_best_value("loss")]
""".strip().splitlines()


def _of_metrics(expression: str) -> None:
    @question(f"with m = the metrics of a trial: {expression}")
    def _(p: Product) -> Any:
        return eval(expression, {"m": _trial(p).metrics})


for _expression in METRICS:
    _of_metrics(_expression)


# ── an oracle of one's own ─────────────────────────────────────────────────


def _own_oracle(answers: list[dict[str, Any]]) -> Callable[[Product], Any]:
    """Ask what becomes of what ``populate_space`` returns, one call after the other."""

    def ask(p: Product) -> Any:
        class Mine(p.top.Oracle):  # type: ignore[misc, name-defined]
            def populate_space(self, trial_id: str) -> Any:
                return answers[int(trial_id)]

            def score_trial(self, trial: Any) -> None:
                trial.score = -1.0

        hp = p.top.HyperParameters()
        hp.Choice("a", [1, 2])
        with hp.conditional_scope("a", [2]):
            hp.Fixed("b", 7)
        oracle = p.opened(Mine(objective="loss", hyperparameters=hp, seed=1))
        seen: list[Any] = []
        for _ in answers:
            trial = p.settle(oracle.create_trial("w"))
            seen.append([trial.status, trial.hyperparameters.values])
            if trial.status == "STOPPED":
                return seen
            p.settle(oracle.update_trial(trial.trial_id, {"loss": 3.0}))
            trial.status = "COMPLETED"
            p.settle(oracle.end_trial(trial))
            seen.append(oracle.get_trial(trial.trial_id).score)
        return seen

    return ask


question("an oracle of one's own: values, then the end")(
    _own_oracle([{"status": "RUNNING", "values": {"a": 1}}, {"status": "STOPPED"}])
)
question("an oracle of one's own: what it leaves out is filled in")(
    _own_oracle([{"status": "RUNNING", "values": {"a": 2}}, {"status": "STOPPED", "values": None}])
)
question("an oracle of one's own: inactive values are dropped")(
    _own_oracle([{"status": "RUNNING", "values": {"a": 1, "b": 7}}, {"status": "STOPPED"}])
)
question("an oracle of one's own: control values stay")(
    _own_oracle([{"status": "RUNNING", "values": {"a": 1, "my/epochs": 3}}, {"status": "STOPPED"}])
)
question("an oracle of one's own: an unknown status")(_own_oracle([{"status": "PERHAPS"}]))


# ── scikit-learn ───────────────────────────────────────────────────────────


def _sklearn(**settings: Any) -> Callable[[Product], Any]:
    def ask(p: Product) -> Any:
        import numpy as np
        from sklearn.linear_model import Ridge

        rng = np.random.default_rng(0)
        x = rng.random((40, 3))
        y = x @ np.array([1.0, -2.0, 0.5]) + rng.random(40) / 4
        oracle = p.oracles.GridSearchOracle(objective=p.top.Objective("score", "max"))
        tuner = p.made(
            p.top.SklearnTuner,
            oracle,
            hypermodel=lambda hp: Ridge(alpha=hp.Choice("alpha", [0.1, 1.0, 10.0])),
            **settings,
        )
        p.settle(tuner.search(x, y))
        found = [
            [trial.hyperparameters.values, trial.score, sorted(trial.metrics.metrics)]
            for trial in oracle.trials.values()
        ]
        return [found, tuner.get_best_models()[0].alpha]

    return ask


def mean_gap(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
    return float(abs(y_true - y_pred).mean())


def gap_score(model: Any, x: Any, y: Any, sample_weight: Any = None) -> float:
    return -mean_gap(y, model.predict(x))


question("scikit-learn: a grid of estimators")(_sklearn())
question("scikit-learn: metrics of one's own")(_sklearn(metrics=mean_gap))
question("scikit-learn: a score of one's own")(_sklearn(scoring=gap_score, metrics=[mean_gap]))
