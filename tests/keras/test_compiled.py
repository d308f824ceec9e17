"""A training that goes on does so with what its own model was compiled with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.oracles import Oracle
from aiotune.searchers import Exhausted, History, Proposal, SearcherDecision, Wait
from aiotune.worker._checkpoints import continue_from, save_state
from aiotune.worker._compiled import compiled

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

X = np.random.default_rng(0).random((16, 2), dtype="float32")
Y = X.sum(axis=1, keepdims=True)


def model_with(optimizer: Any, **compile_kwargs: Any) -> Any:
    import keras

    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", run_eagerly=True, **compile_kwargs)  # nothing to trace
    return model


def left(path: Path, optimizer: Any, *, reached: float | None = None) -> Any:
    """Train with an optimizer, and leave the state; ``reached`` is a rate that a callback has set."""
    model = model_with(optimizer)
    asked = compiled(model)
    model.fit(X, Y, epochs=2, verbose=0)
    if reached is not None:
        model.optimizer.learning_rate = reached
    save_state(model, path, 0, asked)
    return model


def rate(model: Any) -> Any:
    return pytest.approx(float(model.optimizer.learning_rate), rel=1e-6)


def optimizers() -> dict[str, Any]:
    """What makes an optimizer for a learning rate, by name."""
    from keras import optimizers as o

    return {
        "adam": o.Adam,
        "sgd": lambda rate: o.SGD(rate, momentum=0.9),
        "nadam": o.Nadam,
        "adamw": lambda rate: o.AdamW(rate, weight_decay=rate / 10, use_ema=True),
        "rmsprop": lambda rate: o.RMSprop(rate, momentum=0.5, centered=True),
        "adafactor": o.Adafactor,
        "ftrl": o.Ftrl,
        "loss_scale": lambda rate: o.LossScaleOptimizer(o.Adam(rate)),
    }


NAMES = ["adam", "sgd", "nadam", "adamw", "rmsprop", "adafactor", "ftrl", "loss_scale"]


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_that_was_asked_for_is_not_loaded(name: str, tmp_path: Path) -> None:
    """A child that asks for another rate has it, whatever wraps its optimizer; the slots go on."""
    make = optimizers()[name]
    parent = left(tmp_path, make(0.5))

    child = model_with(make(0.125))
    assert continue_from(child, tmp_path, 0)

    assert rate(child) == 0.125
    assert int(child.optimizer.iterations) == int(parent.optimizer.iterations) == 2
    theirs, ours = parent.optimizer.variables, child.optimizer.variables
    for before, now in zip(theirs, ours, strict=True):
        if before.path.endswith("learning_rate"):
            continue
        np.testing.assert_array_equal(before.numpy(), now.numpy())


@pytest.mark.parametrize("name", ["adam", "loss_scale"])
def test_a_rate_that_the_training_had_reached_goes_on(name: str, tmp_path: Path) -> None:
    """The same configuration goes on as one training: what ReduceLROnPlateau had set stays."""
    make = optimizers()[name]
    left(tmp_path, make(0.5), reached=0.25)

    same, other = model_with(make(0.5)), model_with(make(0.125))
    continue_from(same, tmp_path, 0)
    continue_from(other, tmp_path, 0)

    assert rate(same) == 0.25
    assert rate(other) == 0.125


def test_a_state_that_does_not_say_leaves_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    """Of a state of before states said what they were compiled with, only the slots are loaded."""
    model = model_with(optimizers()["adam"](0.5))
    model.fit(X, Y, verbose=0)
    save_state(model, tmp_path, 0)

    child = model_with(optimizers()["adam"](0.125))
    continue_from(child, tmp_path, 0)

    assert rate(child) == 0.125
    assert int(child.optimizer.iterations) == 1


def test_a_schedule_goes_on_where_it_was(tmp_path: Path) -> None:
    """Its iterations are loaded, and another schedule of the child's own begins from them."""
    from keras.optimizers import Adam
    from keras.optimizers.schedules import ExponentialDecay

    left(tmp_path, Adam(ExponentialDecay(0.5, 1, 0.5)))

    child = model_with(Adam(ExponentialDecay(0.25, 1, 0.5)))
    continue_from(child, tmp_path, 0)

    assert rate(child) == 0.25 * 0.5**2


def test_slots_of_another_optimizer_are_not_taken_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """RMSprop's velocities are as many as SGD's momentums, and mean something else; weights go on."""
    from keras.optimizers import SGD, RMSprop

    parent = left(tmp_path, RMSprop(0.5))

    child = model_with(SGD(0.125, momentum=0.9))
    assert continue_from(child, tmp_path, 0)

    assert int(child.optimizer.iterations) == 0
    assert all(not m.numpy().any() for m in child.optimizer.momentums)
    assert rate(child) == 0.125
    np.testing.assert_array_equal(child.get_weights()[0], parent.get_weights()[0])
    assert "the optimizer begins anew" in capfd.readouterr().err


def test_numbers_of_an_optimizer_of_ones_own_are_put_back(tmp_path: Path) -> None:
    """A hyperparameter that an optimizer keeps in a variable is one like its rate."""
    import keras

    class Own(keras.optimizers.SGD):  # type: ignore[misc]
        def __init__(self, learning_rate: float = 0.1, pull: float = 0.0, **kwargs: Any) -> None:
            super().__init__(learning_rate, **kwargs)
            self.pull = keras.Variable(pull, trainable=False)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "pull": float(self.pull.numpy())}

    left(tmp_path, Own(0.5, 0.5))

    child = model_with(Own(0.5, 0.25))
    continue_from(child, tmp_path, 0)

    assert float(child.optimizer.pull.numpy()) == 0.25
    assert rate(child) == 0.5
    assert isinstance(child.optimizer.pull, keras.Variable)


def test_loss_weights_and_clipping_are_the_childs_own(tmp_path: Path) -> None:
    """What compile() got beside the optimizer's variables is in no state."""
    from keras.optimizers import AdamW

    left(tmp_path, AdamW(0.5, weight_decay=0.5, clipnorm=1.0))

    child = model_with(AdamW(0.5, weight_decay=0.25, clipnorm=2.0), loss_weights=[3.0])
    continue_from(child, tmp_path, 0)

    assert (child.optimizer.weight_decay, child.optimizer.clipnorm) == (0.25, 2.0)
    assert child.get_compile_config()["loss_weights"] == [3.0]


class Slower:
    """Two trials: the second goes on from the first with another learning rate."""

    is_heavy = False

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        if index == 1 and 0 in history.unfinished:
            return Wait()
        if index > 1:
            return Exhausted()
        budget: dict[str, Any] = {"epochs": index + 1, "initial_epoch": index}
        budget |= {"parent": 0} if index else {}
        return Proposal({"rate": [0.5, 0.001][index]}, 0, budget)

    def continuable(self, history: History) -> set[int]:
        """The first trial is continued by the second."""
        return {0} if len(history.tried) < 2 else set()


def build_with_rate(hp: aiotune.HyperParameters) -> Any:
    from keras.optimizers import Adam

    return model_with(Adam(hp.Float("rate", 1e-4, 1.0)))


class Tells(aiotune.Tuner):
    """Writes down the rate that each trial trains with."""

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        with (Path(self.directory) / "rates").open("a") as file:
            file.write(f"{float(model.optimizer.learning_rate):.4g}\n")


async def test_a_trial_trains_with_the_rate_that_is_recorded_of_it(tmp_path: Path) -> None:
    """A searcher of one's own may give a child other values than its parent's."""
    oracle = Oracle("loss", searcher=Slower(), seed=0)
    tuner = Tells(oracle, build_with_rate, directory=tmp_path, max_parallel_trials=1)

    result = await tuner.search(X, Y, verbose=0)

    assert [t.values["rate"] for t in result.trials] == [0.5, 0.001]
    assert (tmp_path / "rates").read_text().split() == ["0.5", "0.001"]
