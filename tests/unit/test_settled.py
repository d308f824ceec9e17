"""What an ended trial measured is put away, and comes back as it was."""

from __future__ import annotations

import copy
import math

import pytest

from aiotune._settled import Details, Report, packed, unpacked
from aiotune._values import ValueTable
from aiotune.hyperparameters import HyperParameters
from aiotune.metrics import MetricsTracker
from aiotune.trial import Trial


def tracker(*observed: tuple[str, float, int]) -> MetricsTracker:
    made = MetricsTracker()
    for name, value, step in observed:
        made.update(name, value, step)
    return made


def details(
    metrics: MetricsTracker, executions: list[dict[str, float]], history: list[Report]
) -> Details:
    return Details(metrics, executions, history, {"w.h5": "ab"}, ["GPU-1"])


@pytest.mark.parametrize(
    "told",
    [
        details(MetricsTracker(), [], []),
        details(
            tracker(("accuracy", 0.5, 3), ("loss", 1.0, 3)), [{"accuracy": 0.5, "loss": 1.0}], []
        ),
        details(
            tracker(("loss", 2.0, 0), ("loss", 1.0, 1), ("loss", 3.0, 1), ("loss", -math.inf, 7)),
            [{"loss": 1.0}, {"loss": 3.0, "other": 0.0}],
            [
                (0, 0, {"loss": 2.0}),
                (0, 1, {"loss": 1.0, "lr": 0.1}),
                (1, 1, {"loss": 3.0, "lr": 0.2}),
            ],
        ),
    ],
    ids=["nothing", "one result", "curves of two executions"],
)
def test_details_come_back(told: Details) -> None:
    """Metrics with their directions, executions, reports, files and devices."""
    data = packed(told)
    assert data is not None
    back = unpacked(data)

    assert back.metrics.get_config() == told.metrics.get_config()
    assert (back.executions, back.history) == (told.executions, told.history)
    assert (back.files, back.devices) == (told.files, told.devices)


def test_nan_comes_back() -> None:
    """As the one NaN that is equal to itself in lists, wherever it was."""
    told = details(
        tracker(("loss", math.nan, 0)), [{"loss": math.nan}, {}], [(0, 0, {"loss": math.nan})]
    )
    data = packed(told)
    assert data is not None
    back = unpacked(data)

    assert (back.executions, back.history) == (told.executions, told.history)
    assert back.metrics.get_config() == told.metrics.get_config()


def test_an_ended_trial_takes_a_few_hundred_bytes() -> None:
    """A hundred epochs of four metrics fit into ten bytes a number."""
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    history = [(0, step, dict.fromkeys(names, 0.1 * step)) for step in range(100)]
    data = packed(Details(MetricsTracker(), [], history, {}, []))

    assert data is not None
    assert len(data) < 4_400


def test_what_cannot_be_packed_stays_as_it_is() -> None:
    """A step of more than 64 bits has no packed form; the trial is there all the same."""
    hp = HyperParameters()
    hp.Int("units", 1, 9)
    trial = Trial(hp, "0")
    trial.history = [(0, 2**70, {"loss": 1.0})]
    trial.settle(ValueTable().frozen({"units": 3}), hp)

    assert not trial.is_settled
    assert trial.history == [(0, 2**70, {"loss": 1.0})]
    assert trial.values == {"units": 3}


def settled() -> Trial:
    hp = HyperParameters()
    hp.Int("units", 1, 9)
    trial = Trial(hp.with_values({"units": 5}), "0")
    trial.metrics.update("loss", 0.5, 2)
    trial.executions, trial.devices = [{"loss": 0.5}], ["GPU-1"]
    trial.settle(ValueTable().frozen({"units": 3}), hp)
    return trial


def test_a_settled_trial_shows_what_it_was() -> None:
    """With its final values; a copy does so, too."""
    for trial in (settled(), copy.copy(settled())):
        assert trial.is_settled
        assert trial.hyperparameters.values == trial.values == {"units": 3}
        assert [hp.name for hp in trial.hyperparameters.space] == ["units"]
        assert trial.metrics.get_best_value("loss") == 0.5
        assert (trial.executions, trial.devices, trial.history) == ([{"loss": 0.5}], ["GPU-1"], [])


def test_a_settled_trial_does_not_change() -> None:
    """What is done to that which it shows changes nothing; a misspelt name is none."""
    trial = settled()
    trial.hyperparameters.values["units"] = 7
    trial.metrics.update("loss", 0.1, 3)

    assert trial.values == {"units": 3}
    assert trial.metrics.get_best_value("loss") == 0.5
    with pytest.raises(AttributeError, match="'Trial' object has no attribute 'metricks'"):
        _ = trial.metricks  # type: ignore[attr-defined]
