"""Holds the thread pools of a worker to its share of the processors."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection

__all__ = ("limit_threads",)

_OMP = "OMP_NUM_THREADS"
_SPOKEN_FOR = {
    "openblas": ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", _OMP),
    "mkl": ("MKL_NUM_THREADS", _OMP),
    "blis": ("BLIS_NUM_THREADS", _OMP),
    "flexiblas": ("FLEXIBLAS_NUM_THREADS", _OMP),
    "openmp": (_OMP,),
}
"""The variables by which a user chooses the threads of a library, by its name to threadpoolctl."""


def limit_threads(threads: int, ours: Collection[str] = ()) -> None:
    """Bound the pools of the libraries that are loaded; 0 leaves them alone.

    It has to come before the back end's first operation. JAX has no such
    setting; it follows the CPU affinity and the environment.

    Args:
        threads: How many each may have.
        ours: Variables that the order has set; what else is set is the user's choice, and stays.
    """
    if threads <= 0:
        return
    _limit_loaded(threads, ours)
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def _limit_loaded(threads: int, ours: Collection[str]) -> None:
    """Bound BLAS and OpenMP, which read their variables when they were loaded: in the nursery, as a rule."""
    from threadpoolctl import ThreadpoolController

    chosen = {name for name in os.environ if name not in ours}
    ask = [library for library, names in _SPOKEN_FOR.items() if chosen.isdisjoint(names)]
    # The limits last as long as the process: what would take them back is not entered.
    ThreadpoolController().select(internal_api=ask).limit(limits=threads)
