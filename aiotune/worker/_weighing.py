"""Builds a trial's model without allocating it, and tells what it consists of."""

from __future__ import annotations

from aiotune.wire import Payload, RunWeighing, Weighed

__all__ = ("run_weighing",)


def run_weighing(order: RunWeighing, payload: Payload) -> Weighed:
    """Weigh the model of a trial."""
    raise NotImplementedError
