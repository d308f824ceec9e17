"""Bad projects: directories that cannot be one, and projects that this program cannot go on with."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune.errors import (
    ConfigurationError,
    JournalCorrupt,
    ProjectError,
    ProjectLocked,
    SpaceChanged,
    WrongType,
)
from aiotune.hyperparameters import HyperParameters
from aiotune.migration import import_keras_tuner
from aiotune.oracles import GridSearchOracle, Oracle, RandomSearchOracle
from aiotune.store import Layout
from aiotune.store._doctor import diagnose, repair
from aiotune.testing import BadInput, check_refusal

ANY: Any = None
"""Stands for what the annotations would not allow."""
DATA = Path(__file__).parent.parent / "data"


class Keeping(RandomSearchOracle):
    """An oracle with a state of its own."""

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "mine": 1}

    def set_state(self, state: dict[str, Any]) -> None:
        self.mine = state["mine"]


class Tuner(aiotune.RandomSearch):
    """A tuner with a state of its own."""

    state: Any = None

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        return trial.hyperparameters.Float("x", 0.0, 1.0)  # type: ignore[no-any-return]

    def get_state(self) -> Any:
        return self.state

    def set_state(self, state: dict[str, Any]) -> None:
        self.state = state


class Above(RandomSearchOracle):
    """Opens a project beside the one that is meant."""

    def open(self, directory: Any = None, project_name: Any = None, **_: Any) -> Any:
        return super().open(directory, f"../{project_name}")


def a_space(high: int) -> HyperParameters:
    hp = HyperParameters()
    hp.Int("units", 1, high)
    return hp


async def searched(
    folder: Path, make: Callable[..., Oracle] = RandomSearchOracle, **arguments: Any
) -> None:
    """Make a project of one trial."""
    oracle = make(
        **{"objective": "loss", "max_trials": 3, "hyperparameters": a_space(9), **arguments}
    )
    async with oracle.open(folder, "p"):
        trial = await oracle.create_trial("me")
        await oracle.update_trial(trial.trial_id, {"loss": 0.5})
        await oracle.end_trial(trial)


def opened(
    name: str,
    before: Callable[[Path], Any] | None,
    error: type[Exception],
    *words: str,
    make: Callable[..., Oracle] = RandomSearchOracle,
    where: str = "",
    cause: type[BaseException] | None = None,
    late: str = "",
    **arguments: Any,
) -> BadInput:
    """A project that is opened; the last word is the remedy."""
    *says, remedy = words
    options = {key: arguments.pop(key) for key in ("overwrite",) if key in arguments}

    async def provoke(folder: Path) -> None:
        given = {"objective": "loss", "max_trials": 3, "hyperparameters": a_space(9), **arguments}
        async with make(**given).open(folder / where, "p", **options):
            pass

    full = f"opened: {name}"
    return BadInput(full, Oracle.open, provoke, error, tuple(says), remedy, before, cause, late)


def segment(folder: Path) -> Path:
    return Layout(folder, "p").segment(1)


def edited(edit: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], Any]:
    """Make a project, and edit the lines of its journal."""

    async def before(folder: Path) -> None:
        await searched(folder)
        path = segment(folder)
        path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))

    return before


def rewritten(line: bytes, **changes: Any) -> bytes:
    """Return a line whose record says something else, under a checksum that fits."""
    text = json.dumps({**json.loads(line[9:]), **changes}, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def flipped(lines: list[bytes]) -> list[bytes]:
    damaged = bytearray(lines[1])
    damaged[20] ^= 1
    return [lines[0], bytes(damaged), *lines[2:]]


def a_file(*parts: str, text: str = "years of work") -> Callable[[Path], Any]:
    """Write a file below the folder."""

    def before(folder: Path) -> None:
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return before


def a_copy(source: str, target: str = "p") -> Callable[[Path], Any]:
    """Copy a project of KerasTuner."""
    return lambda folder: shutil.copytree(DATA / source, folder / target)


async def damaged_tuner_state(folder: Path) -> None:
    tuner = Tuner(max_trials=1, directory=folder, project_name="p", executor="inline")
    tuner.state = {"mine": 1}
    await tuner.search(verbose=0)
    (folder / "p/tuner0.json").write_text("{")


async def held(folder: Path) -> None:
    """Open a project that is open."""
    async with (
        RandomSearchOracle("loss").open(folder, "p"),
        RandomSearchOracle("loss").open(folder, "p"),
    ):
        pass


async def all_may_write(folder: Path) -> None:
    await searched(folder)
    (folder / "p").chmod(0o777)


async def without_its_first_segment(folder: Path) -> None:
    await searched(folder)
    segment(folder).rename(Layout(folder, "p").segment(3))


async def keeping_what_is_no_json(folder: Path) -> None:
    class Odd(Keeping):
        def get_state(self) -> dict[str, Any]:
            return {"mine": object()}

    await searched(folder, Odd)


def tuner_keeping(state: Any) -> Callable[[Path], Any]:
    """Save a tuner's state that is none."""

    def provoke(folder: Path) -> None:
        (folder / "p").mkdir()
        tuner = Tuner(directory=folder, project_name="p")
        tuner.state = state
        tuner.save()

    return provoke


def imported(
    name: str, before: Any, error: type[Exception], *words: str, **arguments: Any
) -> BadInput:
    """A project of KerasTuner in 'theirs', taken over into 'ours'; the last word is the remedy."""
    *says, remedy = words

    async def provoke(folder: Path) -> None:
        await import_keras_tuner(folder / "theirs", folder, "ours", **arguments)

    return BadInput(
        f"imported: {name}", import_keras_tuner, provoke, error, tuple(says), remedy, before
    )


def looked_at(
    name: str, before: Any, error: type[Exception], *words: str, look: Any = diagnose
) -> BadInput:
    """A project that the doctor looks at; the last word is the remedy."""
    *says, remedy = words
    return BadInput(
        f"doctor: {name}",
        look,
        lambda folder: look(Layout(folder, "p")),
        error,
        tuple(says),
        remedy,
        before,
    )


IN_IT = "who opened a project and closed it again is in its journal"

ROWS = [
    # ── directories that cannot be one ──
    opened("a file for a project", a_file("p"), ProjectError, "/p is a file", "Choose another project_name"),
    opened("a file above", a_file("runs"), ProjectError, "runs/p", "Choose a directory=", where="runs", cause=FileExistsError),
    opened("a directory of somebody else", a_file("p", "thesis.tex"), ProjectError, "thesis.tex", "Choose another project_name"),
    opened("a directory of somebody else, to be overwritten", a_file("p", "thesis.tex"), ProjectError, "thesis.tex", "Choose another project_name", overwrite=True),
    opened("a directory of somebody else, whose name breaks lines", a_file("p", "a\n\x1b[31mb"), ProjectError, r"a\n\x1b[31mb", "Choose another project_name"),
    opened("a project of KerasTuner", a_copy("kerastuner_random"), ProjectError, "KerasTuner", "import-kerastuner"),
    opened("a project of KerasTuner, to be overwritten", a_copy("kerastuner_random"), ProjectError, "KerasTuner", "import-kerastuner", overwrite=True),
    opened("a place where nobody can write", None, ProjectError, "/proc/self/runs", "Choose a directory=", where="/proc/self/runs", cause=FileNotFoundError),
    opened("a path longer than there are", None, ProjectError, "File name too long", "Choose a directory=", where="d" * 300, cause=OSError),
    opened("a directory that all may write to", all_may_write, ProjectError, "/p", "chmod"),
    opened("a name above", None, ConfigurationError, "'../p'", "directory=...", make=Above),
    # ── projects of others ──
    BadInput("opened: a project that is open", Oracle.open, held, ProjectLocked, ("pid",), "project_name", late="the first one opens it"),
    opened("another objective", searched, SpaceChanged, "'loss' (min)", "'accuracy' (max)", "overwrite=True", objective="accuracy", late=IN_IT),
    opened("the other direction", searched, SpaceChanged, "'loss' (min)", "'loss' (max)", "overwrite=True", objective=aiotune.Objective("loss", "max"), late=IN_IT),
    opened("another algorithm", searched, SpaceChanged, "RandomSearchOracle", "GridSearchOracle", "overwrite=True", make=GridSearchOracle, late=IN_IT),
    opened("another range", searched, SpaceChanged, "'units'", "from 1 to 9", "from 1 to 99", "overwrite=True", hyperparameters=a_space(99), late=IN_IT),
    # ── damage ──
    opened("a newer form", edited(lambda lines: [*lines[:-1], rewritten(lines[-1], v=99)]), JournalCorrupt, "form 99", "upgrade aiotune"),
    opened("a record of an unknown kind", edited(lambda lines: [*lines[:-1], rewritten(lines[-1], type="Dream")]), JournalCorrupt, "Dream", "upgrade aiotune"),
    opened("a flipped bit", edited(flipped), JournalCorrupt, "damaged at byte", "aiotune doctor"),
    opened("a record that is missing", edited(lambda lines: [lines[0], *lines[2:]]), JournalCorrupt, "damaged at byte", "aiotune doctor"),
    opened("a segment that is missing", without_its_first_segment, JournalCorrupt, "000001.jsonl", "aiotune doctor"),
    opened("a journal that is a file", a_file("p", "journal"), ProjectError, "Not a directory", "directory=...", cause=NotADirectoryError),
    BadInput("kept: a state that is no JSON", Oracle.save, keeping_what_is_no_json, ConfigurationError, ("Odd", "object"), "Return dicts", late="the project is made first", cause=TypeError),
    BadInput("kept: a tuner's state that is no JSON", aiotune.Tuner.save, tuner_keeping({"mine": {1, 2}}), ConfigurationError, ("Tuner", "set"), "Return dicts", late="the folder is made first", cause=TypeError),
    BadInput("kept: a tuner's state that is a list", aiotune.Tuner.save, tuner_keeping([1]), ConfigurationError, ("Tuner", "[1]"), "Return a dict", late="the folder is made first"),
    BadInput("read: a tuner's state that is cut", aiotune.Tuner.reload, lambda folder: Tuner(directory=folder, project_name="p", max_trials=1).reload(), ProjectError, ("tuner0.json",), "Remove the file", damaged_tuner_state, json.JSONDecodeError),
    # ── KerasTuner's ──
    imported("nothing", None, ProjectError, "There is no directory", "theirs", "Name the directory"),
    imported("a file", a_file("theirs"), ProjectError, "theirs", "Name the directory"),
    imported("an empty directory", lambda folder: (folder / "theirs").mkdir(), ProjectError, "no oracle.json", "Name"),
    imported("a directory of projects", a_copy("kerastuner_random", "theirs/inner"), ProjectError, "no oracle.json", "inner"),
    imported("a project of aiotune", lambda folder: searched(folder / "x"), ProjectError, "There is no directory", "Name the directory"),
    imported("a state that is cut", a_file("theirs", "oracle.json", text='{"trials": '), ProjectError, "oracle.json", "cut off", "skip"),
    imported("a state that is a list", a_file("theirs", "oracle.json", text="[]"), ProjectError, "oracle.json", "a list", "skip"),
    imported("an objective that is none", a_copy("kerastuner_random", "theirs"), WrongType, "3 of type int", "expected a metric's name", objective=3),
    imported("a Choice that is none", a_copy("kerastuner_random", "theirs"), ConfigurationError, "'nothing'", "bias", booleans=["nothing"]),
    # ── the doctor ──
    looked_at("nothing", None, ProjectError, "no journal", "Name the directory"),
    looked_at("a file", a_file("p"), ProjectError, "p", "Name the directory"),
    looked_at("an empty directory", lambda folder: (folder / "p").mkdir(), ProjectError, "no journal", "Name the directory"),
    looked_at("a project of KerasTuner", a_copy("kerastuner_random"), ProjectError, "no journal", "Name the directory"),
    looked_at("nothing, to be repaired", None, ProjectError, "no journal", "Name the directory", look=repair),
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_project_is_refused_in_a_sentence(bad: BadInput, tmp_path: Path) -> None:
    """The error names the path and what is wrong there, says what to do, and changes nothing."""
    check_refusal(bad, tmp_path)
