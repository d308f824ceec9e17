"""What happens when trials fail: retries, trials that give up, and an error that ends it all.

Run:      python examples/failures.py
You see:  a trial that succeeds at its second attempt, one that marks itself
          failed, and a search that a FatalError ends.
"""

import asyncio

import aiotune


class Flaky(aiotune.GridSearch):
    """Fails in three ways, depending on the mood."""

    def run_trial(self, trial: aiotune.Trial) -> float:
        mood = trial.hyperparameters.Choice("mood", ["good", "shaky", "hopeless", "fatal"])
        if mood == "shaky" and trial.attempts == 1:
            raise OSError("the network was down")  # anything else is retried
        if mood == "hopeless":
            raise aiotune.FailedTrialError("this will never work")  # never retried
        if mood == "fatal":
            raise aiotune.FatalError("the data set is broken")  # ends the search
        return 1.0


tuner = Flaky(
    max_retries_per_trial=2,
    max_parallel_trials=1,
    directory="runs",
    project_name="failures",
    overwrite=True,
)
try:
    asyncio.run(tuner.search())
except aiotune.FatalError as error:
    print(f"The search was ended: {error}")
tuner.results_summary()
