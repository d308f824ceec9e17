"""Journals of earlier forms: each is read as its own version saw it, and goes on today."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import aiotune
from aiotune.checkup import examine
from aiotune.store import Layout

DATA = Path(__file__).parent.parent / "data"
FORMS = sorted(path.name for path in (DATA / "journals").iterdir())


def maker() -> ModuleType:
    """Return the program that made the journals."""
    found = importlib.util.spec_from_file_location("make_journals", DATA / "make_journals.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(params=FORMS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Give a copy of a project with a journal of some form, and what its version saw."""
    source = DATA / "journals" / request.param
    layout = Layout(tmp_path, "p")
    layout.project_dir.mkdir(mode=0o700)
    shutil.copytree(source, layout.journal_dir, ignore=shutil.ignore_patterns("seen.json"))
    told = json.loads((source / "seen.json").read_text(encoding="utf-8"))
    return tmp_path, told["trials"]


def tuner(folder: Path, **options: Any) -> aiotune.RandomSearch:
    class Search(aiotune.RandomSearch):
        def run_trial(self, trial: aiotune.Trial, **_: Any) -> Any:
            hp = trial.hyperparameters
            x = hp.Float("x", 1e-4, 1.0, sampling="log")
            if hp.Boolean("tief"):
                hp.Int("größe", 1, 9)
            hp.Choice("kind", ["a\tb", "学习率", "\\"])
            return {"loss": x, "share": float("inf")}

    return Search(
        objective=aiotune.Objective("loss", "min"),
        max_trials=8,
        seed=11,
        max_retries_per_trial=1,
        max_consecutive_failed_trials=None,
        directory=folder,
        project_name="p",
        executor="inline",
        **options,
    )


def test_there_is_a_journal_of_each_form() -> None:
    """Four times so far was something added to what is recorded."""
    assert FORMS == ["checksums", "first", "memory", "segments"]


@pytest.mark.parametrize("form", FORMS)
def test_a_stored_journal_names_nobodys_folders(form: str) -> None:
    """Its tracebacks hold no absolute path of the machine that it was made on."""
    texts = [path.read_text() for path in sorted((DATA / "journals" / form).glob("*.jsonl"))]

    assert sum(text.count("Traceback") for text in texts) > 0
    assert [text.count('File \\"/') for text in texts] == [0] * len(texts)


def test_an_old_journal_is_read_as_it_was_written(
    project: tuple[Path, list[dict[str, Any]]],
) -> None:
    """Statuses, scores, values, attempts and errors are those that its own version saw."""
    folder, expected = project
    reading = tuner(folder)
    reading.reload()
    trials = [reading.oracle.trials[key] for key in sorted(reading.oracle.trials)]
    found: list[dict[str, Any]] = maker().seen(trials)

    assert [t["trial_id"] for t in found] == [str(number) for number in range(8)]
    assert found[:6] == expected[:6]
    # The last two had not ended: what their version had in hand of them is not all recorded.
    assert [t["values"] for t in found[6:]] == [t["values"] for t in expected[6:]]
    assert {t["status"] for t in found[:6]} == {"COMPLETED", "FAILED"}


def test_an_old_journal_is_whole_for_the_doctor(
    project: tuple[Path, list[dict[str, Any]]],
) -> None:
    """Nothing that an earlier version did not write yet is missed."""
    folder, _ = project

    assert [f.line() for f in examine(Layout(folder, "p")).findings if f.is_fault] == []


async def test_an_old_project_goes_on(project: tuple[Path, list[dict[str, Any]]]) -> None:
    """The trial that ended the search runs again, the budget is spent, and no ended trial changes."""
    folder, expected = project
    result = await tuner(folder).search(verbose=0)
    by_id = {trial.trial_id: trial for trial in result.trials}

    assert [str(by_id[key].status) for key in ("6", "7")] == ["COMPLETED", "COMPLETED"]
    assert [(by_id[t["trial_id"]].score, t["trial_id"]) for t in expected[:6]] == [
        (t["score"], t["trial_id"]) for t in expected[:6]
    ]
