"""Weighing runs the program up to where it would train: same values, no training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.failures import FailureKind
from aiotune.hyperparameters import Int, draw, serialize
from aiotune.memory import ModelSize
from aiotune.wire import Failed, Weighed

pytestmark = pytest.mark.keras

X = np.zeros((64, 8), "float32")
Y = np.zeros((64, 1), "float32")


def size_of(answer: Weighed | Failed) -> ModelSize:
    assert isinstance(answer, Weighed), answer
    assert answer.size is not None, answer.why
    return answer.size


def model_of(units: int = 4, kind: Any = None, **kwargs: Any) -> Any:
    import keras

    inputs = keras.Input((8,))
    model = (kind or keras.Model)(inputs, keras.layers.Dense(units)(inputs))
    model.compile(**{"optimizer": "adam", "loss": "mse", **kwargs})
    return model


def test_unknown_hyperparameters_get_the_values_of_the_attempt(weigh: Any) -> None:
    """They are drawn by seed, index and stream, and go back with the answer."""
    answer = weigh(lambda hp: model_of(hp.Int("units", 1, 1000)), X, Y)

    (entry,) = answer.entries
    expected = draw(Int("units", 1, 1000), seed=7, index=0, stream=0)
    assert isinstance(expected, int)
    assert entry["config"]["name"] == "units"
    assert answer.values == {"units": expected}
    assert size_of(answer).parameters == 9 * expected


def test_hyperparameters_travel_with_a_refusal(weigh: Any) -> None:
    """What an oversized model asked for is known afterwards."""
    answer = weigh(
        lambda hp: model_of(hp.Int("units", 500, 1000)), X, Y, order={"max_parameters": 9}
    )

    assert isinstance(answer, Failed)
    assert answer.failure.kind is FailureKind.OVERSIZED
    assert list(answer.values) == ["units"]
    assert len(answer.entries) == 1


def test_hyperparameters_that_are_known_keep_their_values(weigh: Any) -> None:
    """The order's values are the trial's; nothing is discovered."""
    space = {"space": [serialize(Int("units", 1, 1000))], "values": {"units": 33}}

    answer = weigh(lambda h: model_of(h.Int("units", 1, 1000)), X, Y, order={"space": space})

    assert size_of(answer).parameters == 9 * 33
    assert answer.entries == []


class BatchIsTuned(aiotune.HyperModel):
    def build(self, hp: Any) -> Any:
        return model_of()

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, batch_size=hp.Choice("batch", [8]), **kwargs)


def test_a_batch_size_may_be_a_hyperparameter(weigh: Any) -> None:
    """A HyperModel.fit that leads to model.fit is run, and what it asks for is known."""
    answer = weigh(BatchIsTuned(), X, Y)

    assert size_of(answer).batch_size == 8
    assert answer.values == {"batch": 8}


class OwnLoop(aiotune.HyperModel):
    def build(self, hp: Any) -> Any:
        return model_of()

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("it would train")


def test_a_loop_of_ones_own_is_not_run(weigh: Any) -> None:
    """A HyperModel.fit that never speaks of fit is taken for the default one."""
    size = size_of(weigh(OwnLoop(), X, Y, batch_size=16))

    assert (size.parameters, size.batch_size) == (36, 16)


class TrainsBefore(aiotune.HyperModel):
    def build(self, hp: Any) -> Any:
        return model_of()

    def fit(self, hp: Any, model: Any, x: Any, y: Any, **kwargs: Any) -> Any:
        try:
            model.train_on_batch(x[:24], y[:24])
        except BaseException:  # noqa: BLE001 - it should not see what ends it here
            model.optimizer.apply([np.zeros((8, 4), "float32"), np.zeros(4, "float32")])
        return model.fit(x, y, **kwargs)


def test_nothing_else_that_trains_is_run_either(weigh: Any) -> None:
    """The first step counts: its model, its batch; swallowing its end leads to the next trap."""
    size = size_of(weigh(TrainsBefore(), X, Y))

    assert (size.parameters, size.batch_size) == (36, 24)


def test_a_model_with_its_own_fit_is_not_trained(weigh: Any) -> None:
    """A subclass's fit is never entered."""
    import keras

    class Own(keras.Model):  # type: ignore[misc]
        def fit(self, x: Any, y: Any, batch_size: int = 5, **kwargs: Any) -> Any:
            raise AssertionError("it would train")

    size = size_of(weigh(lambda hp: model_of(kind=Own), X, Y, batch_size=7))

    assert (size.parameters, size.batch_size) == (36, 7)


class Around(aiotune.RandomSearch):
    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["batch_size"] = trial.hyperparameters.Choice("batch", [12])
        return super().run_trial(trial, *args, **kwargs)


class AroundAwaited(aiotune.RandomSearch):
    async def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        return super().run_trial(trial, *args, **{**kwargs, "batch_size": 12})


@pytest.mark.parametrize("tuner", [Around, AroundAwaited])
def test_a_run_trial_that_leads_to_the_tuners_is_run(tuner: Any, weigh: Any) -> None:
    """What it changes of the arguments is what is weighed, in a coroutine too."""
    assert size_of(weigh(lambda hp: model_of(), X, Y, tuner=tuner)).batch_size == 12


class Elsewhere(aiotune.RandomSearch):
    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("it would train")


class AboveElsewhere(Elsewhere):
    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        return super().run_trial(trial, *args, **kwargs)


@pytest.mark.parametrize("tuner", [Elsewhere, AboveElsewhere])
def test_a_run_trial_of_ones_own_is_not_run(tuner: Any, weigh: Any) -> None:
    """Only the hypermodel's build is called; the batch is what search() was told."""
    size = size_of(weigh(lambda hp: model_of(), x=X, batch_size=9, tuner=tuner))

    assert (size.parameters, size.batch_size) == (36, 9)


def test_the_tuners_optimizer_is_what_is_weighed(weigh: Any) -> None:
    """Overrides of compile apply."""
    size = size_of(weigh(lambda hp: model_of(), X, Y, settings={"optimizer": "sgd"}))

    assert size.optimizer == "SGD"
    assert size.slot_bytes < 16  # two scalars


def test_data_may_be_functions(weigh: Any) -> None:
    """They are called, as in the attempt."""
    size = size_of(weigh(lambda hp: model_of(), lambda: X, lambda: Y, batch_size=11))

    assert (size.batch_size, size.input_bytes) == (11, 11 * 9 * 4)


def test_seeds_are_those_of_the_attempt(weigh: Any) -> None:
    """A build that rolls dice of its own rolls the same in both."""
    rolled = []

    def build(hp: Any) -> Any:
        rolled.append(int(np.random.randint(1, 1000)))  # noqa: NPY002 - what users do
        return model_of(rolled[-1])

    weigh(build, X, Y)
    weigh(build, X, Y)

    assert rolled[0] == rolled[1]


def test_a_wrong_argument_of_fit_is_the_programs_failure(weigh: Any) -> None:
    """The attempt will fail in the same way, and tell it."""
    answer = weigh(lambda hp: model_of(), X, Y, epoch=3)

    assert isinstance(answer, Weighed)
    assert (answer.size, answer.builds) == (None, False)
    assert "epoch" in answer.why
