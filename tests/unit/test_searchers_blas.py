"""A proposal's linear algebra runs on one thread."""

from __future__ import annotations

import os
import subprocess
import sys

_FIRST_PROPOSAL = """
from aiotune.searchers._blas import on_one_thread
with on_one_thread():
    import scipy.linalg, scipy.optimize, threadpoolctl
    print({library["num_threads"] for library in threadpoolctl.threadpool_info()})
"""


def test_what_the_first_proposal_loads_is_limited_too() -> None:
    """SciPy brings a BLAS of its own, and the numbers of a proposal are those of every later one."""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_PROPOSAL],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "{1}\n", done.stderr
