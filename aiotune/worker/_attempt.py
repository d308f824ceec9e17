"""Runs the user's code for one attempt: order and payload in, ``Done`` out."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiotune.hyperparameters import HyperParameter, HyperParameters, deserialize, draw, serialize
from aiotune.objective import MultiObjective, Objective, objective_from_dicts
from aiotune.status import TrialStatus
from aiotune.trial import Trial, shown_control
from aiotune.wire import Done, FromWorker, Payload, RunAttempt
from aiotune.worker._context import AttemptContext, current_attempt
from aiotune.worker._left import left_files
from aiotune.worker._results import normalize_result

__all__ = ("Attempt", "completed", "run_attempt", "seed_generators")


def run_attempt(
    order: RunAttempt,
    payload: Payload,
    say: Callable[[FromWorker], None],
    asked_to_finish: Callable[[], str | None] | None = None,
) -> Done:
    """Run one attempt to its end in this process.

    Args:
        order: Which trial, with which values.
        payload: The tuner (or any object with ``run_trial``) and ``search()``'s arguments.
        say: Sends a message to the parent.
        asked_to_finish: Returns why the parent wants the training to end early, or ``None``.

    Returns:
        The result, not yet sent.

    Raises:
        Exception: Whatever the user's code raised, after the hyperparameters
            that it had discovered were announced.
    """
    attempt = Attempt(order, payload, say)
    if asked_to_finish is not None and order.prunable:
        attempt.context.asked_to_finish = asked_to_finish
    try:
        seed_generators(attempt.context.seed_for(0))
        return attempt.finish(completed(attempt.call()))
    finally:
        attempt.close()


def completed(result: Any) -> Any:
    """Return what a ``run_trial`` returned; run it first if it is a coroutine function."""
    if not inspect.isawaitable(result):
        return result
    import asyncio  # only for such a run_trial

    return asyncio.run(_awaited(result))


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


class Attempt:
    """One attempt, in three steps, so that a caller on an event loop can await the middle one."""

    def __init__(
        self, order: RunAttempt, payload: Payload, say: Callable[[FromWorker], None]
    ) -> None:
        self.payload = payload
        hp = _hyperparameters(order)
        objective = _objective(order)
        self.context = AttemptContext(
            order=order, objective=objective, hyperparameters=hp, say=say, known=len(hp.space)
        )
        self.trial = Trial(hp, trial_id=order.trial_id, status=TrialStatus.RUNNING)
        self.context.trial = self.trial
        self.trial.index = order.index
        self.trial.attempts = order.attempt
        self.trial.budget = order.budget
        self.trial.parent_id = order.parent_id or None
        self._token = current_attempt.set(self.context)

    def call(self) -> Any:
        """Call the user's ``run_trial``; what it returns may be awaitable."""
        payload = self.payload
        return payload.target.run_trial(self.trial, *payload.args, **payload.kwargs)

    def finish(self, result: Any) -> Done:
        """Turn what the user's code returned into the message that ends the attempt."""
        context, hp = self.context, self.trial.hyperparameters
        if result is None and context.reported:
            # KerasTuner's old style: the user's code called oracle.update_trial itself.
            result = context.reported
        outcome = normalize_result(result, context.objective)
        return Done(
            metrics=outcome.metrics,
            best_step=outcome.best_step or context.reported_step,
            executions=outcome.executions,
            values=context.values,
            entries=[serialize(entry) for entry in hp.space[context.known :]],
            files=left_files(context.trial_dir),
            attempt_id=context.order.attempt_id,
        )

    def close(self) -> None:
        """Announce what was discovered, also after a failure, and leave the context."""
        if sys.exc_info()[0] is not None:
            self.context.announce()
        current_attempt.reset(self._token)


def _hyperparameters(order: RunAttempt) -> HyperParameters:
    hp = HyperParameters().with_values({})
    hp.add(_entries(order.space["space"]))
    hp = hp.with_values({**order.space["values"], **shown_control(order.budget, order.parent_id)})
    if order.stream is not None:
        hp.unseen = partial(_draw, seed=order.seed, index=order.index, stream=order.stream)
    return hp


def _draw(hp: HyperParameter, *, seed: int, index: int, stream: int) -> Any:
    return draw(hp, seed=seed, index=index, stream=stream)


_last_entries: tuple[Any, list[HyperParameter]] = (None, [])
_last_objective: tuple[Any, Objective | MultiObjective | None] = (None, None)


def _entries(configs: list[dict[str, Any]]) -> list[HyperParameter]:
    # In the tuner's own process thousands of attempts a second share one list
    # of configurations; parsing it once is what keeps them cheap.
    global _last_entries  # noqa: PLW0603 - a cache of one
    if _last_entries[0] is not configs:
        _last_entries = (configs, [deserialize(config) for config in configs])
    return _last_entries[1]


def _objective(order: RunAttempt) -> Objective | MultiObjective:
    global _last_objective  # noqa: PLW0603 - a cache of one, as above
    cached = _last_objective
    if cached[0] is not order.objective or cached[1] is None:
        cached = _last_objective = (order.objective, objective_from_dicts(order.objective))
    assert cached[1] is not None
    return cached[1]


def seed_generators(seed: int) -> None:
    """Seed the generators of the standard library, numpy and, if it is loaded, Keras."""
    # A forked worker inherits the state of numpy's global generator: without
    # this all trials would draw the same "random" numbers. The back end is
    # seeded for each execution where the model is built.
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed(seed)
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "utils"):
        keras.utils.set_random_seed(seed)  # its back end's as well
