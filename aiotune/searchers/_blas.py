"""Linear algebra on one thread."""

from __future__ import annotations

from contextlib import AbstractContextManager

__all__ = ("on_one_thread",)


def on_one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS uses one thread.

    A proposal multiplies small matrices while trials keep every core busy. The
    threads of a BLAS wait for one another by spinning then: on two cores with a
    load of six a proposal took fifteen times the CPU.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
