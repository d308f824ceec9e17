"""Linear algebra on one thread."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

__all__ = ("on_one_thread",)


def on_one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS uses one thread, if threadpoolctl is installed.

    A proposal multiplies small matrices while trials keep every core busy. The
    threads of a BLAS wait for one another by spinning then: on two cores with a
    load of six a proposal took fifteen times the CPU. threadpoolctl comes with
    scikit-learn; without it ``OPENBLAS_NUM_THREADS=1`` does the same.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # slower, and as good
        return nullcontext()
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
