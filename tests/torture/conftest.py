"""A real search's journal to torture, and one JSON object with what became of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import aiotune
from aiotune.store import Layout
from aiotune.store import _journal as journal_module

_figures: dict[str, Any] = {}


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give the object for a test's figures; the test fills it, and the end of the run prints it."""
    mine: dict[str, Any] = {}
    _figures[request.node.name] = mine
    return mine


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print all figures as one JSON object."""
    if _figures:
        terminalreporter.write_line(json.dumps({"torture": _figures}, indent=1))


class _Search(aiotune.RandomSearch):
    """Trials that fail, report, and return numbers that JSON cannot write."""

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        hp = trial.hyperparameters
        x: float = hp.Float("x", 0.0, 1.0)
        if hp.Boolean("deep"):
            hp.Int("größe", 1, 9)
        if x > 0.8:
            raise ValueError(f"x = {x} is too large\n\x1b[31m for me")
        return x


@pytest.fixture(scope="session")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Give the segments that a search of eight trials, stopped and continued once, has written."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "SEGMENT_BYTES", 6_000)
        for trials in (5, 8):
            tuner = _Search(
                max_trials=trials,
                max_retries_per_trial=1,
                seed=3,
                directory=folder,
                project_name="p",
                executor="inline",
            )
            asyncio.run(tuner.search(verbose=0))
    paths = sorted(Layout(folder, "p").journal_dir.glob("0*.jsonl"))
    return [path.read_bytes() for path in paths]
