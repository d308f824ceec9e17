"""KerasTuner 1.4.8 and aiotune are asked the same questions, and differ where a table says so."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.compat

HERE = Path(__file__).parent
TABLE = runpy.run_path(str(HERE / "differences.py"))["TABLE"]
KNOWN = {row.question: row for row in TABLE}


def asking(product: str, folder: Path) -> subprocess.Popen[str]:
    """Ask a product in a process of its own: KerasTuner imports Keras, and prints."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "ask.py"), product, str(folder / f"{product}.json")],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    assert importlib.util.find_spec("keras_tuner") is not None, (
        "These tests compare with KerasTuner, which is not installed: "
        "pip install keras-tuner==1.4.8, or run make test, which installs it."
    )
    folder = tmp_path_factory.mktemp("answers")
    both = {product: asking(product, folder) for product in ("keras_tuner", "aiotune")}
    try:
        said = {product: process.communicate(timeout=170)[1] for product, process in both.items()}
    finally:
        for process in both.values():
            process.kill()
            process.wait()
    for product, process in both.items():
        assert process.returncode == 0, f"{product}: {said[product][-5000:]}"
    return {product: json.loads((folder / f"{product}.json").read_text()) for product in both}


@pytest.fixture
def theirs(answers: dict[str, dict[str, str]]) -> dict[str, str]:
    return answers["keras_tuner"]


@pytest.fixture
def ours(answers: dict[str, dict[str, str]]) -> dict[str, str]:
    return answers["aiotune"]


def test_both_were_asked_the_same_questions(theirs: dict[str, str], ours: dict[str, str]) -> None:
    """Every question has an answer of both, and there are hundreds."""
    assert theirs.keys() == ours.keys()
    assert len(ours) > 600


def test_no_question_differs_unless_the_table_says_so(
    theirs: dict[str, str], ours: dict[str, str]
) -> None:
    """A new difference is a mistake, or a decision that wants its reason written down."""
    new = {
        question: (theirs[question], ours[question])
        for question in ours
        if theirs[question] != ours[question] and question not in KNOWN
    }

    assert new == {}


def test_every_difference_of_the_table_is_still_there(
    theirs: dict[str, str], ours: dict[str, str]
) -> None:
    """Both answers are those that the table has; a difference that is gone leaves the table."""
    stated = {row.question: (row.keras_tuner, row.aiotune) for row in TABLE}
    found = {question: (theirs.get(question), ours.get(question)) for question in KNOWN}

    assert stated == found
    assert [row.question for row in TABLE if row.keras_tuner == row.aiotune] == []


def test_each_difference_has_one_row_and_a_reason() -> None:
    """A reason is a sentence."""
    assert len(KNOWN) == len(TABLE)
    assert [
        row.reason for row in TABLE if not row.reason[:1].strip() or row.reason[-1] not in ".?"
    ] == []
