"""How many threads the pools have that were loaded before a worker was forked."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from aiotune.executors import LocalExecutor
from aiotune.testing._processes import attempt_order, run_order

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]
NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "GOTO_NUM_THREADS")


class _Counts:
    """Returns the threads of the pool of NumPy's BLAS, as it multiplies."""

    def run_trial(self, trial: Any) -> dict[str, float]:
        import sys

        ahead = "numpy" in sys.modules
        import numpy as np
        from threadpoolctl import threadpool_info

        square = np.ones((512, 512))
        (blas,) = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        return {
            "score": float((square @ square)[0, 0]),
            "threads": blas["num_threads"],
            "ahead": float(ahead),
        }


@pytest.mark.parametrize("start", ["fork", "spawn"])
async def test_pools_that_are_loaded_already_keep_to_the_order(
    tmp_path: Path, executing: Executing, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """A variable that is set when the library is there does nothing: the library itself is asked."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    wanted = dict.fromkeys(NAMES, "1")

    async with executing(_Counts(), imports=("numpy",), start=start) as executor:
        ran = await run_order(executor, attempt_order(tmp_path, threads=1, environment=wanted))

    metrics = ran.last.metrics
    assert (metrics["score"], metrics["threads"], metrics["ahead"]) == (512.0, 1.0, 1.0)


async def test_what_the_user_has_set_stays(
    tmp_path: Path, executing: Executing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has chosen a number of threads for a library has chosen it for all trials."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")

    async with executing(_Counts(), imports=("numpy",)) as executor:
        order = attempt_order(tmp_path, threads=1, environment={"OMP_NUM_THREADS": "1"})
        ran = await run_order(executor, order)

    assert ran.last.metrics["threads"] == min(2, os.cpu_count() or 1)
