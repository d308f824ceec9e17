"""Bad commands: what the command line answers with one line and an exit code, never a traceback."""

from __future__ import annotations

import asyncio
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aiotune.cli import main
from aiotune.oracles import RandomSearchOracle
from aiotune.store import Layout

DATA = Path(__file__).parent.parent / "data"
MISSPELT, IMPOSSIBLE, DAMAGED = 2, 1, 3


@dataclass(frozen=True, slots=True)
class BadCommand:
    """A command that cannot be done.

    Attributes:
        name: Tells it from all others.
        argv: Its words; ``{}`` is a folder of its own.
        code: How it exits.
        says: Words of the line on standard error.
        before: Prepares the folder.
    """

    name: str
    argv: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    before: Callable[[Path], Any] | None = None


def project(folder: Path) -> None:
    """Make a project of one open trial."""

    async def search() -> None:
        oracle = RandomSearchOracle("loss")
        async with oracle.open(folder, "p"):
            oracle.hyperparameters.Float("x", 0.0, 1.0)
            await oracle.create_trial("me")

    asyncio.run(search())


def damaged(folder: Path) -> None:
    project(folder)
    path = Layout(folder, "p").segment(1)
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(bytes(data))


def of_kerastuner(folder: Path) -> None:
    shutil.copytree(DATA / "kerastuner_random", folder / "p")


def a_file(folder: Path) -> None:
    (folder / "p").write_text("years of work")


ROWS = [
    # ── misspelt ──
    BadCommand("no command", (), MISSPELT, ("required: COMMAND",)),
    BadCommand("an unknown command", ("repair",), MISSPELT, ("'repair'", "results")),
    BadCommand("an unknown option", ("results", "{}", "--colour"), MISSPELT, ("--colour",)),
    BadCommand("results of nothing", ("results",), MISSPELT, ("required: DIR",)),
    BadCommand("two directories", ("results", "{}", "{}"), MISSPELT, ("unrecognized arguments",)),
    BadCommand("no trials", ("results", "{}", "-n", "0"), MISSPELT, (">= 1", "'0'")),
    BadCommand("fewer than no trials", ("results", "{}", "-n", "-3"), MISSPELT, ("-n",)),
    BadCommand("trials in words", ("results", "{}", "-n", "all"), MISSPELT, (">= 1", "'all'")),
    BadCommand("digits of another alphabet", ("results", "{}", "-n", "²"), MISSPELT, (">= 1", "²")),
    BadCommand("an unknown format", ("results", "{}", "--format", "xml"), MISSPELT, ("'xml'", "csv")),
    BadCommand("an unknown direction", ("import-kerastuner", "{}/p", "--objective", "loss:up"), MISSPELT, ("'loss'", "'up'", "'min' or 'max'")),
    BadCommand("an unknown metric", ("import-kerastuner", "{}/p", "--objective", "quality"), MISSPELT, ("'quality'", "quality:max")),
    BadCommand("an objective without a name", ("import-kerastuner", "{}/p", "--objective", ":max"), MISSPELT, ("empty",)),
    BadCommand("a metric in control characters", ("import-kerastuner", "{}/p", "--objective", "\x1b[2J"), MISSPELT, (r"\x1b[2J",)),
    # ── not possible ──
    BadCommand("results of no directory", ("results", "{}/p"), IMPOSSIBLE, ("There is no directory", "Name")),
    BadCommand("results of a directory without a project", ("results", "{}"), IMPOSSIBLE, ("no journal", "Name the directory")),
    BadCommand("results of a folder of projects", ("results", "{}"), IMPOSSIBLE, ("no journal", "p. Name one of them"), project),
    BadCommand("results of a file", ("results", "{}/p"), IMPOSSIBLE, ("There is no directory", "Name"), a_file),
    BadCommand("results of KerasTuner", ("results", "{}/p"), IMPOSSIBLE, ("KerasTuner", "import-kerastuner"), of_kerastuner),
    BadCommand("results of a damaged project", ("results", "{}/p"), IMPOSSIBLE, ("damaged at byte", "aiotune doctor"), damaged),
    BadCommand("results of a directory with a newline", ("results", "{}/a\n\x1b[31mb"), IMPOSSIBLE, (r"a\n\x1b[31mb", "plain name")),
    BadCommand("results of the root", ("results", "/"), IMPOSSIBLE, ("plain name",)),
    BadCommand("results of a long name", ("results", "{}/" + "p" * 300), IMPOSSIBLE, ("300 characters",)),
    BadCommand("an import of nothing", ("import-kerastuner", "{}/p"), IMPOSSIBLE, ("There is no directory", "Name the directory")),
    BadCommand("an import of aiotune's own", ("import-kerastuner", "{}/p"), IMPOSSIBLE, ("project of aiotune already", "aiotune results"), project),
    BadCommand("an import onto itself", ("import-kerastuner", "{}/p", "--into", "{}"), IMPOSSIBLE, ("is there already", "--project-name"), of_kerastuner),
    BadCommand("an import under a name above", ("import-kerastuner", "{}/p", "--into", "{}", "--project-name", "../q"), IMPOSSIBLE, ("'../q'", "directory"), of_kerastuner),
    BadCommand("an import of a Choice that is none", ("import-kerastuner", "{}/p", "--into", "{}", "--project-name", "q", "--boolean", "nothing"), IMPOSSIBLE, ("'nothing'",), of_kerastuner),
    BadCommand("a doctor for nothing", ("doctor", "{}/p"), IMPOSSIBLE, ("no journal", "Name the directory")),
    BadCommand("a doctor for a file", ("doctor", "{}/p"), IMPOSSIBLE, ("no journal", "Name the directory"), a_file),
    BadCommand("a repair of KerasTuner's", ("doctor", "{}/p", "--repair"), IMPOSSIBLE, ("no journal", "Name the directory"), of_kerastuner),
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_command_is_answered_in_a_line(
    bad: BadCommand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard error has one printable line of what is wrong, and the exit code says which sort."""
    if bad.before is not None:
        bad.before(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    code = outcome([word.replace("{}", str(tmp_path)) for word in bad.argv])

    said = capsys.readouterr()
    line = said.err.rstrip("\n").splitlines()[-1]
    assert bad.code == code, said.err
    assert [word for word in bad.says if word not in line] == [], line
    assert [c for c in line if unicodedata.category(c) in {"Cc", "Cf", "Cs"}] == []
    assert len(line) <= 1000
    assert "Traceback" not in said.err
    assert said.err.count("\n") == 1 or bad.code == MISSPELT  # which shows the usage, too
    assert before == sorted(tmp_path.rglob("*"))


def outcome(argv: list[str]) -> int:
    """Return the exit code; argparse's own is an exception."""
    try:
        return main(argv)
    except SystemExit as exit_:
        return int(str(exit_.code))


def test_a_doctor_tells_damage_by_an_exit_code_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Damage is an answer, on standard output, and no error."""
    damaged(tmp_path)

    code = outcome(["doctor", str(tmp_path / "p")])

    said = capsys.readouterr()
    assert (code, said.err) == (DAMAGED, "")
    assert "--repair" in said.out
