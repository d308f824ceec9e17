"""Pruning for callers of ask and tell, who report steps and read why to stop."""

from __future__ import annotations

from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import Oracle
from aiotune.pruners import ThresholdPruner
from aiotune.trial import Trial


def pruning_oracle() -> Oracle:
    hp = HyperParameters()
    hp.Int("a", 1, 100)
    return Oracle(
        "loss",
        10,
        hp,
        seed=0,
        max_retries_per_trial=1,
        pruner=ThresholdPruner(upper=10.0),
    )


async def retried(oracle: Oracle, loss: float) -> Trial:
    """Return a trial that reported a loss, failed, and was handed out again."""
    trial = await oracle.create_trial("w")
    await oracle.update_trial(trial.trial_id, {"loss": loss}, step=0)
    await oracle.end_trial(trial.trial_id, "INVALID")
    again = await oracle.create_trial("w")
    assert again is trial
    return again


async def test_a_trial_that_runs_again_is_told_to_stop_only_for_what_it_does_now() -> None:
    """That its first run was to stop says nothing of the second."""
    oracle = pruning_oracle()
    trial = await retried(oracle, 99.0)

    told = await oracle.update_trial(trial.trial_id, {"loss": 1.0}, step=0)

    assert told.stop_reason is None


async def test_a_trial_that_runs_again_is_judged_by_what_it_reports_now() -> None:
    """A good first run does not save a bad second one."""
    oracle = pruning_oracle()
    trial = await retried(oracle, 1.0)

    told = await oracle.update_trial(trial.trial_id, {"loss": 99.0}, step=0)

    assert told.stop_reason is not None
    assert "99" in told.stop_reason
