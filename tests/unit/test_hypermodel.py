"""HyperModel and what becomes one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import cloudpickle
import pytest

from aiotune.errors import FatalValueError
from aiotune.hypermodel import HyperModel, as_hypermodel
from aiotune.hyperparameters import HyperParameters


class Dense(HyperModel):
    """Asks for one number."""

    def build(self, hp: HyperParameters) -> Any:
        """Return the number in place of a model."""
        return hp.Int("units", 1, 9)


class Wide(Dense):
    """Asks for more, knowing what its base asked for."""

    def build(self, hp: HyperParameters) -> Any:
        """Return what both asked for."""
        return [super().build(hp), hp.get("units"), hp.Boolean("wide", default=True)]


class Bare(HyperModel):
    """Does not call the base's constructor."""

    tunable = False

    def __init__(self) -> None:
        self.own = 3

    def build(self, hp: HyperParameters) -> Any:
        """Return a default."""
        return hp.Int("units", self.own, 9)


def test_a_tunable_model_grows_the_space() -> None:
    """What build asks for is in the caller's space."""
    hp = HyperParameters()

    assert Wide().build(hp) == [1, 1, True]
    assert [entry.name for entry in hp.space] == ["units", "wide"]


@pytest.mark.parametrize("model", [Wide(tunable=False), Dense("name", False), Bare()])
def test_an_untunable_model_leaves_the_space_alone(model: HyperModel) -> None:
    """Nothing is registered, whatever the class's constructor does and however deep super() goes."""
    hp = HyperParameters()
    hp.unseen = lambda _: pytest.fail("an untunable model takes defaults")

    model.build(hp)

    assert (hp.space, hp.values) == ([], {})


def test_an_untunable_model_sees_values_that_are_there() -> None:
    """Values that the search holds are used although nothing new is registered."""
    hp = HyperParameters()
    hp.Int("units", 1, 9)
    hp.values["units"] = 7

    assert Wide(tunable=False).build(hp) == [7, 7, True]
    assert hp.values == {"units": 7}


def test_tunable_can_be_changed_later() -> None:
    """The attribute counts when build is called."""
    model, hp = Dense(), HyperParameters()
    model.tunable = False
    model.build(hp)
    assert hp.space == []

    model.tunable = True
    model.build(hp)
    assert len(hp.space) == 1


def test_build_must_be_overridden() -> None:
    """The base class says which class lacks the method."""
    with pytest.raises(NotImplementedError, match=r"HyperModel must override build\(hp\)"):
        HyperModel().build(HyperParameters())


def test_fit_trains_the_model_with_the_searchs_arguments() -> None:
    """By default the arguments of search() go to the model's fit(), and its result comes back."""

    class Model:
        def fit(self, *args: Any, **kwargs: Any) -> Any:
            return args, kwargs

    model, hp = Dense(), HyperParameters()
    model.declare_hyperparameters(hp)

    assert model.fit(hp, Model(), 1, 2, epochs=3) == ((1, 2), {"epochs": 3})
    assert hp.space == []


def test_functions_become_hypermodels() -> None:
    """A function is wrapped under its name; a hypermodel and None are what they are."""

    def build_model(hp: HyperParameters) -> Any:
        return hp.Int("units", 2, 9)

    wrapped, model = as_hypermodel(build_model), Dense()

    assert wrapped is not None
    assert (wrapped.name, wrapped.build(HyperParameters())) == ("build_model", 2)
    assert type(wrapped).fit is HyperModel.fit
    assert as_hypermodel(model) is model
    assert as_hypermodel(None) is None


@pytest.mark.parametrize("wrong", [3, "build", Dense])
def test_anything_else_is_refused(wrong: object) -> None:
    """A number, a name and a class that was not called are no hypermodels."""
    with pytest.raises(FatalValueError, match="`hypermodel` argument"):
        as_hypermodel(wrong)


def test_classes_travel_by_value() -> None:
    """A hypermodel of a script, pickled by value, builds in another process."""

    class Script(HyperModel):
        def __init__(self) -> None:
            super().__init__(tunable=False)

        def build(self, hp: HyperParameters) -> Any:
            return hp.Int("units", 4, 9)

    Script.__module__ = "__main__"
    Script.build.__module__ = "__main__"
    program = (
        "import sys, pickle; from aiotune.hyperparameters import HyperParameters;"
        "model = pickle.load(sys.stdin.buffer); hp = HyperParameters();"
        "print(model.build(hp), hp.space, 'keras' in sys.modules)"
    )

    sent = cloudpickle.dumps(Script())
    printed = subprocess.run(
        [sys.executable, "-c", program], input=sent, capture_output=True, check=True
    )

    assert printed.stdout.strip() == b"4 [] False"
