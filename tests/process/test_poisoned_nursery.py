"""Modules that start a back end when they are imported, and back ends that refuse to work in a fork."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from aiotune.executors import LocalExecutor
from aiotune.failures import FailureKind
from aiotune.testing._processes import attempt_order, run_order

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]

_FAKE_TORCH = """
import os
class cuda:
    started_by = None
    @classmethod
    def start(cls):
        if cls.started_by not in (None, os.getpid()):
            raise RuntimeError(
                "Cannot re-initialize CUDA in forked subprocess. To use CUDA with "
                "multiprocessing, you must use the 'spawn' start method"
            )
        cls.started_by = os.getpid()
        cls.devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    @classmethod
    def is_initialized(cls): return cls.started_by is not None
def set_num_threads(n): pass
"""
"""As torch keeps account of where its CUDA was started."""


class _Computes:
    """Uses the GPU that it was given, in a module that may have begun to when it was imported."""

    def run_trial(self, trial: Any) -> float:
        import on_the_gpu  # type: ignore[import-not-found] # made by these tests

        on_the_gpu.torch.cuda.start()
        return float(on_the_gpu.torch.cuda.devices)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a directory with a torch, on the path; nothing says which GPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "torch.py").write_text(_FAKE_TORCH)
    (tmp_path / "on_the_gpu.py").write_text("import torch")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("start", ["auto", "fork", "spawn"])
async def test_module_that_starts_cuda_is_left_to_the_workers(
    modules: Path, executing: Executing, log: Any, start: str
) -> None:
    """The nursery begins anew without it, says so, and each trial starts CUDA on its own GPU."""
    (modules / "on_the_gpu.py").write_text("import torch; torch.cuda.start()")
    imports = ("json.tool", "on_the_gpu", "xml.dom")

    async with executing(_Computes(), imports=imports, start=start, log=log) as executor:
        ran = [
            await run_order(
                executor,
                attempt_order(modules, index=gpu, environment={"CUDA_VISIBLE_DEVICES": str(gpu)}),
            )
            for gpu in (3, 5)
        ]

    assert [run.last.metrics["score"] for run in ran] == [3.0, 5.0]
    if start != "spawn":
        (ready, left_out) = log.events
        assert sorted(ready[1]["imported"]) == ["json.tool", "xml.dom"]
        reason = {"module": "on_the_gpu", "reason": "torch has started CUDA"}
        assert left_out == ("nursery_left_out", reason)


_TEXT = "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, ..."


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (_TEXT, FailureKind.FORK_REFUSED),
        (
            "Unable to initialize backend 'cuda': INTERNAL: CUDA_ERROR_NOT_INITIALIZED: initialization error",
            FailureKind.FORK_REFUSED,
        ),
        (
            "CUDA runtime implicit initialization on GPU:0 failed. Status: initialization error",
            FailureKind.FORK_REFUSED,
        ),
        ("cudaErrorInitializationError: initialization error", FailureKind.FORK_REFUSED),
        ("initialization error of mine", FailureKind.ERROR),
    ],
)
async def test_refusal_to_work_in_a_fork_costs_nothing_and_changes_how_workers_start(
    tmp_path: Path, executing: Executing, log: Any, text: str, kind: FailureKind
) -> None:
    """The attempt is not the trial's fault, and the next one has an interpreter of its own."""

    class _Fails:
        def run_trial(self, trial: Any) -> float:
            if b"nursery" in Path("/proc/self/cmdline").read_bytes().split(b"\0"):
                raise RuntimeError(text)
            return 1.0

    async with executing(_Fails(), log=log) as executor:
        first = await run_order(executor, attempt_order(tmp_path))
        second = await run_order(executor, attempt_order(tmp_path, index=1))

    assert first.last.failure.kind is kind
    fresh = kind is FailureKind.FORK_REFUSED
    assert second.said == ["Hello", "Done" if fresh else "Failed"]
    assert log.names.count("nursery_failed") == int(fresh)


@pytest.mark.parametrize("start", ["fork", "spawn"])
async def test_who_has_chosen_how_workers_start_is_told_of_the_refusal(
    tmp_path: Path, executing: Executing, start: str
) -> None:
    """It counts as the trial's: to try the same again, for nothing, would never end."""

    class _Fails:
        def run_trial(self, trial: Any) -> float:
            raise RuntimeError(_TEXT)

    async with executing(_Fails(), start=start) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.last.failure.kind is FailureKind.ERROR


async def test_interpreter_of_its_own_that_fails_alike_is_the_trials_fault(
    tmp_path: Path, executing: Executing
) -> None:
    """A program may fork by itself after it has started CUDA: that is free once, and no more."""

    class _Fails:
        def run_trial(self, trial: Any) -> float:
            raise RuntimeError(_TEXT)

    async with executing(_Fails()) as executor:
        ran = [
            await run_order(executor, attempt_order(tmp_path, index=index)) for index in range(3)
        ]

    kinds = [run.last.failure.kind for run in ran]
    assert kinds == [FailureKind.FORK_REFUSED, FailureKind.ERROR, FailureKind.ERROR]
