"""Builds a trial's model without allocating it, and tells what it consists of."""

from __future__ import annotations

import os

from aiotune.errors import OversizedModelError
from aiotune.hyperparameters import serialize
from aiotune.wire import Failed, FromWorker, Payload, RunAttempt, RunWeighing, Weighed
from aiotune.worker._attempt import Attempt, seed_generators
from aiotune.worker._failures import describe_exception

__all__ = ("run_weighing",)

# An attempt that only weighs has no directory: what would be written there fails.
_NOWHERE = f"{os.devnull}/weighing"


def run_weighing(order: RunWeighing, payload: Payload) -> Weighed | Failed:
    """Weigh the model of a trial. It patches keras: for a process of its own.

    The program runs as in the trial's attempt, up to ``model.fit``: with the
    same values, also for hyperparameters that nobody knew of, and the same seeds.

    Args:
        order: Which trial, and what is too large.
        payload: The tuner and ``search()``'s arguments.

    Returns:
        The size, or why there is none; a failure of kind OVERSIZED for a model
        that the order does not allow.
    """
    attempt = Attempt(_as_attempt(order), payload, _unheard)
    hp, known = attempt.trial.hyperparameters, attempt.context.known
    try:
        seed_generators(attempt.context.seed_for(0))
        return _weighed(attempt, order, known)
    except OversizedModelError as error:
        # Where in Keras the limit was passed tells nothing, and costs half the time.
        told = OversizedModelError(*error.args)
        return Failed(
            failure=describe_exception(told),
            values=attempt.context.values,
            entries=[serialize(entry) for entry in hp.space[known:]],
        )
    finally:
        attempt.close()


def _weighed(attempt: Attempt, order: RunWeighing, known: int) -> Weighed:
    hp = attempt.trial.hyperparameters
    if getattr(attempt.payload.target, "hypermodel", None) is None:
        return Weighed(size=None, values={}, entries=[], why="There is no hypermodel to weigh.")
    # Only now: it imports keras.
    from aiotune.worker._scales import weigh

    verdict = weigh(attempt, order)
    return Weighed(
        size=verdict.size,
        values=attempt.context.values,
        entries=[serialize(entry) for entry in hp.space[known:]],
        why=verdict.why,
        builds=verdict.builds,
        precise_bytes=verdict.precise_bytes,
    )


def _as_attempt(order: RunWeighing) -> RunAttempt:
    return RunAttempt(
        trial_id=order.trial_id,
        index=order.index,
        attempt=1,
        attempt_id="",
        seed=order.seed,
        stream=order.stream,
        space=order.space,
        objective=order.objective,
        budget=order.budget,
        environment=order.environment,
        threads=order.threads,
        project_dir=_NOWHERE,
        parent_id=order.parent_id,
        trial_dir=_NOWHERE,
        attempt_dir=_NOWHERE,
    )


def _unheard(message: FromWorker) -> None:
    """Take what an attempt would tell the parent; the answer to the order says it all."""
