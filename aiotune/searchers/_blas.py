"""Linear algebra on one thread."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager

__all__ = ("on_one_thread",)


def on_one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS uses one thread.

    A proposal multiplies small matrices while trials keep every core busy. The
    threads of a BLAS wait for one another by spinning then: on two cores with a
    load of six a proposal took fifteen times the CPU. And more threads add numbers up in
    another order, so that a proposal would differ in its last digits.
    """
    # Only what is loaded is limited: SciPy's BLAS, not NumPy's, came with the first proposal. A
    # resumed search made that one on all cores, and the search it resumed had not.
    importlib.import_module("scipy.linalg")
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
